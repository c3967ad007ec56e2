"""The log becomes records: matched lines, presence, absence, and what was only counted."""

from __future__ import annotations

from pathlib import Path

from pvload.clock import NS_PER_S
from pvload.monitor import witness
from pvload.monitor.follow import LogFollower
from pvload.monitor.witness import LogWitness
from pvload.wire.codes import LogClass, NoteClass
from pvload.wire.event import Kind
from recorded import Recorded, SetClock

STALL = "2026-11-21T11:23:05.5Z ERROR daq_driver_pvcam: Acquisition error (involuntary stop) error=Timeout\n"


def notes(recorded: Recorded) -> list[tuple[int, str, int]]:
    """Without what is said of the log's level."""
    return [note for note in recorded.notes() if note[0] != NoteClass.LOG_LEVEL]


def start(tmp_path: Path) -> tuple[Recorded, SetClock, LogWitness, Path]:
    clock = SetClock()
    recorded = Recorded(tmp_path / "spool", clock)
    path = tmp_path / "daemon.log"
    log = LogWitness([LogFollower(path)], recorded.recorder, clock)
    log.start()
    return recorded, clock, log, path


def test_a_matched_line_is_recorded_with_its_stamp_and_arrival(tmp_path: Path) -> None:
    """Class, text without the stamp, the stamp itself, the number of the line and when it was read."""
    recorded, clock, log, path = start(tmp_path)
    path.write_text("chatter\n" + STALL)
    clock.now_ns = 7 * NS_PER_S
    assert log.poll() == 2
    (row,) = recorded.rows(Kind.LOG)
    texts = recorded.texts()
    assert row["code"] == LogClass.STALL_END
    assert row["t_ns"] == 7 * NS_PER_S
    assert row["logged_wall_ns"] == 1795260185500000000
    assert row["line_number"] == 2
    assert row["suppressed"] == 0
    assert texts[int(row["line"])] == "ERROR daq_driver_pvcam: Acquisition error (involuntary stop) error=Timeout"
    assert texts[int(row["source"])] == str(path)


def test_an_open_log_is_said_once(tmp_path: Path) -> None:
    """WITNESS_PRESENT when it is there, not before, not twice."""
    recorded, clock, log, path = start(tmp_path)
    log.poll()
    assert recorded.notes() == []
    path.write_text("x\n")
    log.poll()
    log.poll()
    log.finish(deadline_ns=clock.now_ns + 1)
    assert notes(recorded) == [(NoteClass.WITNESS_PRESENT, "log", 0)]


def test_a_log_that_never_came_is_a_missing_witness(tmp_path: Path) -> None:
    """No file, or no path at all: WITNESS_MISSING at the end."""
    recorded, clock, log, _ = start(tmp_path)
    log.poll()
    log.finish(deadline_ns=clock.now_ns + 1)
    assert recorded.notes() == [(NoteClass.WITNESS_MISSING, "log", 0)]

    other = Recorded(tmp_path / "other", clock)
    none = LogWitness([], other.recorder, clock)
    none.start()
    assert none.poll() == 0
    none.finish(deadline_ns=clock.now_ns)
    assert other.notes() == [(NoteClass.WITNESS_MISSING, "log", 0)]


def test_a_path_that_is_no_file_is_missing_with_its_reason(tmp_path: Path) -> None:
    """A reader learns why."""
    clock = SetClock()
    recorded = Recorded(tmp_path / "spool", clock)
    log = LogWitness([LogFollower(tmp_path)], recorded.recorder, clock)
    log.start()
    log.finish(deadline_ns=clock.now_ns + 1)
    reason, missing = recorded.notes()
    assert missing[:2] == (NoteClass.WITNESS_MISSING, "log")
    assert "is not a plain file" in reason[1]


def test_a_flood_of_one_class_is_bounded_counted_and_said(tmp_path: Path) -> None:
    """1000 slow-observer warnings in one second: few records, all of them counted, one note."""
    recorded, clock, log, path = start(tmp_path)
    path.write_text("T WARN taps: exceeded timing budget\n" * 1000 + STALL)
    log.poll()
    clock.now_ns += NS_PER_S
    log.finish(deadline_ns=clock.now_ns + 1)
    rows = recorded.rows(Kind.LOG)
    slow = rows[rows["code"] == LogClass.SLOW_OBSERVER]
    assert len(slow) == 3
    assert (slow["suppressed"] + 1).sum() == 1000
    assert (rows["code"] == LogClass.STALL_END).sum() == 1
    expected = "log lines counted but not recorded one by one: slow_observer 997"
    assert notes(recorded)[1:] == [(NoteClass.INFO, expected, 997)]


def test_the_end_reads_what_is_left_and_the_last_unended_line(tmp_path: Path) -> None:
    """A daemon that dies in the middle of a line has said it nevertheless."""
    recorded, clock, log, path = start(tmp_path)
    path.write_text(STALL + "thread 'main' panicked at src/x.rs:1:1")
    log.finish(deadline_ns=clock.now_ns + 1)
    assert recorded.rows(Kind.LOG)["code"].tolist() == [LogClass.STALL_END, LogClass.PANIC]


def test_texts_of_lines_take_bounded_memory(tmp_path: Path, monkeypatch) -> None:
    """Beyond the bound only the text is left out; class and times are recorded as before."""
    monkeypatch.setattr(witness, "KEPT_LINES", 1)
    recorded, _, log, path = start(tmp_path)
    path.write_text(STALL * 3)
    log.poll()
    rows, texts = recorded.rows(Kind.LOG), recorded.texts()
    assert [texts[int(row["line"])] == witness.NOT_KEPT for row in rows] == [False, True, True]
    assert (rows["code"] == LogClass.STALL_END).all()


def test_a_recorded_daemon_gives_its_classes(tmp_path: Path) -> None:
    """The log of a real run, followed: every matched line is in the records, one by one or as a count."""
    recorded, clock, log, path = start(tmp_path)
    path.write_bytes((Path(__file__).parent.parent / "data" / "daemon-stdout.log").read_bytes())
    log.poll()
    log.finish(deadline_ns=clock.now_ns + 1)
    rows = recorded.rows(Kind.LOG)
    counts = {LogClass(c): int((rows["suppressed"][rows["code"] == c] + 1).sum()) for c in set(rows["code"].tolist())}
    assert sum(counts.values()) == 322 - 266
    assert counts[LogClass.STREAM_END] == 6
    assert counts[LogClass.DROP] == 7
