"""What a killed run has left: told while nobody lives, taken into its journal once, and never removed before that."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pvload.cli.left_behind import words
from pvload.ship.leftovers import Leftover, TakenIn, leftovers, take_in
from pvload.ship.stored import SpoolReader
from pvload.wire import spools
from pvload.wire.batch import Hello
from pvload.wire.event import Kind, encode
from pvload.wire.journal import BatchRow, FinishedRow, JournalReader, JournalWriter, SenderRow

RUN = bytes(range(16))
SENDER = b"s" * 16
HELLO = Hello(role="engine", worker="local", incarnation=0, host="h", boot="b", pid=1)
WRITER = """
import signal, sys
from pathlib import Path
from pvload.ship.spool import Spool
from pvload.wire.batch import Hello
from pvload.wire.event import Kind, encode
hello = Hello.from_json(sys.argv[2].encode())
spool = Spool.create(Path(sys.argv[1]), run=bytes(range(16)), sender=b"s" * 16, hello=hello, limit_bytes=1 << 22)
for number in range(int(sys.argv[3])):
    spool.append(encode(Kind.HEARTBEAT, t_ns=number))
print("written", flush=True)
signal.pause()
"""
Written = Callable[[Path, int], int]


@pytest.fixture
def written() -> Iterator[Written]:
    """Starts a process that writes so many records to a spool in a folder and goes on living; gives its pid."""
    writers: list[subprocess.Popen[str]] = []

    def write(folder: Path, records: int) -> int:
        arguments = [sys.executable, "-c", WRITER, str(folder), HELLO.to_json().decode(), str(records)]
        writer = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
        writers.append(writer)
        assert writer.stdout is not None
        assert writer.stdout.readline() == "written\n"
        return writer.pid

    yield write
    for writer in writers:
        writer.kill()
        with writer:
            pass


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The run's folder in a memory of the test's own."""
    monkeypatch.setattr(spools, "MEMORY", tmp_path)
    return spools.memory_place(RUN.hex())


def _kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def _journal(path: Path, known: int) -> Path:
    """One that has the first `known` records."""
    with contextlib.closing(JournalWriter.open(path, run=RUN)) as journal:
        records = b"".join(encode(Kind.HEARTBEAT, t_ns=number) for number in range(known))
        journal.commit([SenderRow(SENDER, HELLO), *([BatchRow(SENDER, 0, known, records)] if known else [])])
    return path


def _times(path: Path) -> tuple[list[int], int | None]:
    with JournalReader.open(path) as journal:
        (sender,) = journal.senders()
        parts = b"".join(records or b"" for _, _, records, _ in journal.batches(SENDER))
    return [int.from_bytes(parts[at + 8 : at + 16], "little") for at in range(0, len(parts), 96)], sender.total


def test_a_run_of_which_a_process_lives_has_left_nothing(place: Path, tmp_path: Path, written: Written) -> None:
    """Nor is anything taken from it."""
    pid = written(place / "local", 100)
    journal = _journal(tmp_path / "journal.sqlite", 40)
    assert leftovers() == []
    assert take_in(place, journal, run=RUN) == TakenIn()
    _kill(pid)
    (found,) = leftovers()
    assert (found.run, found.folder, found.records) == (RUN.hex(), place, 100)
    assert found.size_bytes > 100 * 96


@pytest.mark.parametrize("known", [0, 40, 5000, 10_000])
def test_what_the_journal_has_not_had_is_taken_in_once_and_then_removed(
    place: Path, tmp_path: Path, written: Written, known: int
) -> None:
    """Every number once and in order, more than a batch's, and the sender's account is closed."""
    _kill(written(place / "local", 10_000))
    journal = _journal(tmp_path / "journal.sqlite", known)
    assert take_in(place, journal, run=RUN) == TakenIn(records=10_000 - known)
    assert _times(journal) == (list(range(10_000)), 10_000)
    assert not place.exists()
    assert leftovers() == []
    assert take_in(place, journal, run=RUN) == TakenIn()


def test_a_sender_that_the_journal_has_never_heard_of_is_taken_in(
    place: Path, tmp_path: Path, written: Written
) -> None:
    _kill(written(place / "local", 10))
    journal = tmp_path / "journal.sqlite"
    JournalWriter.open(journal, run=RUN).close()
    assert take_in(place, journal, run=RUN).records == 10
    assert _times(journal) == (list(range(10)), 10)


def test_a_segment_that_cannot_be_read_is_stated_missing(place: Path, tmp_path: Path, written: Written) -> None:
    _kill(written(place / "local", 10))
    (segment,) = (place / "local").glob("*.records")
    segment.write_bytes(b"")
    journal = _journal(tmp_path / "journal.sqlite", 0)
    assert take_in(place, journal, run=RUN).records == 10
    with JournalReader.open(journal) as after:
        assert after.missing == 10


def test_nothing_is_touched_while_somebody_has_the_journal_open(place: Path, tmp_path: Path, written: Written) -> None:
    """A collector that still waits for its senders would not know of what another had put there."""
    _kill(written(place / "local", 10))
    journal = _journal(tmp_path / "journal.sqlite", 0)
    with contextlib.closing(JournalWriter.open(journal, run=RUN)):
        taken = take_in(place, journal, run=RUN)
    assert taken == TakenIn(kept=(f"{place}: somebody has the run's journal open",))
    assert leftovers()[0].records == 10


def test_what_does_not_fit_the_journal_is_kept_and_named(place: Path, tmp_path: Path, written: Written) -> None:
    """A sender that ended before, by its journal; a spool of another run; a page that is none."""
    _kill(written(place / "local", 10))
    journal = _journal(tmp_path / "journal.sqlite", 4)
    with contextlib.closing(JournalWriter.open(journal, run=RUN)) as writer:
        writer.commit([FinishedRow(SENDER, 4)])
    (place / "local" / "odd.spool").write_bytes(b"?")
    taken = take_in(place, journal, run=RUN)
    assert taken.records == 0
    assert [one.partition(": ")[2][:28] for one in taken.kept] == [
        "spool page odd.spool was cut",
        "it holds 10 records, and the",
    ]
    with contextlib.closing(SpoolReader.open(next((place / "local").glob("73*.spool")))) as reader:
        assert reader.count == 10
    _kill(written(tmp_path / "other" / "local", 3))
    other = take_in(tmp_path / "other", _journal_of_another(tmp_path), run=b"o" * 16)
    assert [one.partition(": ")[2] for one in other.kept] == [f"belongs to run {RUN.hex()}"]
    assert leftovers()


def _journal_of_another(folder: Path) -> Path:
    path = folder / "other.sqlite"
    JournalWriter.open(path, run=b"o" * 16).close()
    return path


def test_a_folder_that_is_no_run_gets_no_journal(place: Path, tmp_path: Path, written: Written) -> None:
    _kill(written(place / "local", 10))
    assert take_in(place, tmp_path / "none.sqlite", run=RUN) == TakenIn()
    assert not (tmp_path / "none.sqlite").exists()


def test_the_words_name_size_place_and_what_can_be_done() -> None:
    """The latest three runs one by one, the others by their number."""
    found = [Leftover(f"{at:032x}", Path(f"/mem/{at}"), 1000 * at, 2_000_000) for at in range(1, 6)]
    lines = words(found, {found[4].run: Path("runs/a b")})
    assert lines[0] == "note: 5 runs that were killed have left records in this host's memory, 10.0 MB"
    assert "  /mem/5: 5,000 records, 2.0 MB" in lines
    assert "    `pvload report 'runs/a b'` takes them into the run; `rm -r /mem/5` gives them up" in lines
    assert "    `pvload report RUNDIR` takes them into the run; `rm -r /mem/3` gives them up" in lines
    assert lines[-1] == "  and 2 older ones beside them"
    assert words(found[:1], {})[0] == "note: a run that was killed has left records in this host's memory, 2.0 MB"
