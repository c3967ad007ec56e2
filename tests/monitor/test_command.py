"""A log by command: lines of both outputs, death and restart, what is old, and no process left behind."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from pvload.clock import NS_PER_S, SystemClock
from pvload.errors import ConfigError
from pvload.monitor import command
from pvload.monitor.command import CommandFollower
from pvload.monitor.witness import LogWitness
from pvload.wire.codes import LogClass, NoteClass
from pvload.wire.event import Kind
from recorded import Recorded, SetClock

OLD = "2016-11-21T11:23:05.5Z ERROR pvcam: readout broke long ago"
LINE = "2126-11-21T11:23:{:02d}.5Z ERROR pvcam: readout broke {}"


class Ahead(SystemClock):
    """The system's clock, put forward by hand."""

    def __init__(self) -> None:
        self.by_ns = 0

    def monotonic_ns(self) -> int:  # type: ignore[override]
        return time.monotonic_ns() + self.by_ns


def script(folder: Path, text: str) -> str:
    path = folder / "log.sh"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def lines_of(follower: CommandFollower, count: int) -> list[str]:
    """The next `count` lines; fails after ten seconds."""
    found: list[str] = []
    deadline = time.monotonic() + 10
    while len(found) < count:
        assert time.monotonic() < deadline, found
        found += follower.poll()
        time.sleep(0.01)
    return found


def until_ended(follower: CommandFollower) -> None:
    deadline = time.monotonic() + 10
    while follower.pid:
        assert time.monotonic() < deadline
        follower.poll()
        time.sleep(0.01)


def test_both_outputs_are_read_and_the_whole_session_is_ended(tmp_path: Path) -> None:
    """stderr too; the command, and what it started, are gone after the close."""
    child = tmp_path / "child"
    follower = CommandFollower(
        script(tmp_path, f"echo '{LINE.format(5, 'out')}'; echo two >&2; sleep 60 & echo $! > {child}; wait"),
        SystemClock(),
    )
    follower.start()
    assert sorted(lines_of(follower, 2)) == sorted([LINE.format(5, "out"), "two"])
    assert follower.opened
    deadline = time.monotonic() + 10
    while not child.exists() or not child.read_text().strip():
        assert time.monotonic() < deadline
    follower.close()
    assert follower.pid == 0
    pid = int(child.read_text())
    while Path(f"/proc/{pid}/stat").exists() and " Z " not in Path(f"/proc/{pid}/stat").read_text():
        assert time.monotonic() < deadline


def test_it_is_started_again_later_and_later_and_repeats_nothing(tmp_path: Path) -> None:
    """A journal that begins with its last lines again: only the new one counts; how it died is said."""
    turns = tmp_path / "turns"
    text = f"""
    echo x >> {turns}
    echo '{LINE.format(5, "a")}'; echo '{LINE.format(6, "b")}'
    [ $(wc -l < {turns}) -gt 1 ] && echo '{LINE.format(7, "c")}'
    exit 3
    """
    clock = Ahead()
    follower = CommandFollower(script(tmp_path, text), clock)
    follower.start()
    assert lines_of(follower, 2) == [LINE.format(5, "a"), LINE.format(6, "b")]
    until_ended(follower)
    assert "ended (exit code 3)" in follower.trouble
    assert "after 1 s" in follower.trouble
    assert not follower.opened
    assert follower.poll() == [], "it is not time yet"
    assert follower.starts == 1
    clock.by_ns += NS_PER_S
    assert lines_of(follower, 1) == [LINE.format(7, "c")]
    until_ended(follower)
    assert "after 2 s" in follower.trouble
    follower.close()


def test_the_pause_grows_to_a_bound(tmp_path: Path) -> None:
    """A program that is not there: said, tried again, at most once a minute."""
    clock = Ahead()
    follower = CommandFollower(str(tmp_path / "nowhere"), clock)
    follower.start()
    for _ in range(10):
        clock.by_ns += command.LONGEST_PAUSE_NS
        follower.poll()
    assert "cannot be started" in follower.trouble
    assert "after 60 s" in follower.trouble
    assert follower.starts == 11


def test_what_was_printed_before_the_run_is_not_the_runs(tmp_path: Path) -> None:
    """The last ten lines that a journal begins with; they show that it is the daemon's log."""
    lines = ["banner of old", OLD, "[PVCAM DEBUG] of old", LINE.format(5, "new"), "[PVCAM DEBUG] new"]
    text = f"printf '%s\\n' {' '.join(repr(line) for line in lines)}; exec sleep 60"
    follower = CommandFollower(script(tmp_path, text), SystemClock())
    follower.start()
    assert lines_of(follower, 2) == [LINE.format(5, "new"), "[PVCAM DEBUG] new"]
    assert follower.opened
    follower.close()


def test_lines_without_any_stamp_are_old_in_the_first_burst_and_new_after_it(tmp_path: Path) -> None:
    """As `tail -F` of a stderr begins with ticks of another day."""
    go = tmp_path / "go"
    text = (
        f"echo '[PVCAM DEBUG] old'; while [ ! -e {go} ]; do sleep 0.02; done; echo '[PVCAM DEBUG] new'; exec sleep 60"
    )
    follower = CommandFollower(script(tmp_path, text), SystemClock())
    follower.start()
    deadline = time.monotonic() + 10
    while not follower._burst_over:
        assert follower.poll() == []
        assert time.monotonic() < deadline
    go.touch()
    assert lines_of(follower, 1) == ["[PVCAM DEBUG] new"]
    follower.close()


def test_a_burst_that_never_pauses_is_not_old_for_ever(tmp_path: Path) -> None:
    """As of a host whose clock is behind, and whose daemon says something all the time."""
    clock = Ahead()
    follower = CommandFollower(script(tmp_path, f"while true; do echo '{OLD}'; done"), clock)
    follower.start()
    deadline = time.monotonic() + 10
    while not follower._burst_began_ns:
        assert follower.poll() == []
        assert time.monotonic() < deadline
    clock.by_ns += command.BURST_NS
    assert lines_of(follower, 1)[0] == OLD
    follower.close()


def test_a_dead_log_command_is_a_missing_witness_until_it_speaks_again(tmp_path: Path) -> None:
    """Never a quiet pass: its death is in the notes, and the last word on the witness is that it is gone."""
    clock = SetClock()
    recorded = Recorded(tmp_path / "spool", clock)
    follower = CommandFollower(script(tmp_path, f"echo '{LINE.format(5, 'a')}'; exec sleep 60"), clock)
    log = LogWitness([follower], recorded.recorder, clock)
    log.start()
    deadline = time.monotonic() + 10
    while not log.poll():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(follower.pid, signal.SIGKILL)
    while follower.pid:
        assert time.monotonic() < deadline
        log.poll()
    log.finish(deadline_ns=clock.now_ns)
    assert recorded.rows(Kind.LOG)["code"].tolist() == [LogClass.DRIVER_ERROR]
    said = [(code, text) for code, text, _ in recorded.notes() if code != NoteClass.LOG_LEVEL]
    assert said[0] == (NoteClass.WITNESS_PRESENT, "log")
    assert said[1][0] == NoteClass.INFO
    assert "signal 9" in said[1][1]
    assert said[2:] == [(NoteClass.WITNESS_MISSING, "log")]


@pytest.mark.parametrize("words", ["", "ssh 'x"])
def test_a_command_that_cannot_be_read_is_refused(words: str) -> None:
    """Before the run."""
    with pytest.raises(ConfigError):
        CommandFollower(words, SystemClock())
