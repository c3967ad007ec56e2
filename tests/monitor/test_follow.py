"""Following a file that is appended to, rotated, emptied, late, or no file at all."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pvload.monitor.follow import MAX_LINE_BYTES, LineAssembler, LogFollower


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "daemon.log"


def append(path: Path, data: bytes) -> None:
    with path.open("ab") as file:
        file.write(data)


def test_lines_are_the_same_however_the_bytes_are_cut() -> None:
    """Cut between any two bytes, inside a UTF-8 character and inside an escape sequence."""
    data = "first\n🚀 zwei\r\n\x1b[31mred\x1b[0m\n\nlast".encode()
    for at in range(len(data) + 1):
        assembler = LineAssembler()
        lines = assembler.feed(data[:at]) + assembler.feed(data[at:]) + assembler.flush()
        assert lines == ["first", "🚀 zwei", "red", "", "last"]


def test_bytes_that_are_no_text_are_replaced() -> None:
    """A broken byte does not end the following."""
    assert LineAssembler().feed(b"a\xffb\n") == ["a\ufffdb"]


def test_a_line_without_end_takes_bounded_memory() -> None:
    """Beyond the bound a line is cut and counted, and the next line is whole again."""
    assembler = LineAssembler()
    for _ in range(100):
        assert assembler.feed(b"x" * 1000) == []
    assert assembler.feed(b"\nnext\n") == ["x" * MAX_LINE_BYTES, "next"]
    assert assembler.cut == 1


def test_only_lines_after_the_start_are_new(log: Path) -> None:
    """What the file held before, and the rest of a line that had begun, is not ours."""
    append(log, b"old\nbegun")
    follower = LogFollower(log)
    follower.start()
    append(log, b" and ended\nnew\n")
    assert follower.poll() == ["new"]
    assert follower.poll() == []


def test_a_file_that_appears_later_is_new_from_its_first_line(log: Path) -> None:
    """The daemon may be started after the monitor."""
    follower = LogFollower(log)
    follower.start()
    assert follower.poll() == []
    assert not follower.opened
    append(log, b"first\n")
    assert follower.poll() == ["first"]
    assert follower.opened


def test_a_partial_line_waits_for_its_end_and_is_given_at_the_close(log: Path) -> None:
    """A line is given once, when it is complete; the last one when nothing can follow."""
    follower = LogFollower(log)
    follower.start()
    append(log, b"one\nhal")
    assert follower.poll() == ["one"]
    append(log, b"f\nrest")
    assert follower.poll() == ["half"]
    assert follower.close() == ["rest"]
    assert follower.close() == []


def test_rotation_loses_no_line(log: Path, tmp_path: Path) -> None:
    """Lines written to the old file until it was replaced come before those of the new one."""
    append(log, b"old\n")
    follower = LogFollower(log)
    follower.start()
    append(log, b"a\n")
    assert follower.poll() == ["a"]
    append(log, b"b\nunended")
    log.rename(tmp_path / "daemon.log.1")
    assert follower.poll() == ["b"]
    append(log, b"c\n")
    assert follower.poll() == ["unended"]
    assert follower.poll() == ["c"]
    assert follower.replaced == 1


def test_a_truncated_file_is_read_from_its_beginning(log: Path) -> None:
    """As `: > daemon.log` or a copying rotation does it."""
    append(log, b"a long line that stood here\n")
    follower = LogFollower(log)
    follower.start()
    os.truncate(log, 0)
    append(log, b"b\n")
    assert follower.poll() == []
    assert follower.poll() == ["b"]
    assert follower.replaced == 1


def test_a_flood_is_read_in_bounded_pieces(log: Path) -> None:
    """One poll reads at most 2 MiB; the next ones the rest."""
    follower = LogFollower(log)
    follower.start()
    append(log, (b"y" * 99 + b"\n") * 50_000)
    first = len(follower.poll())
    assert 0 < first < 50_000
    counts = [first]
    while count := len(follower.poll()):
        counts.append(count)
    assert sum(counts) == 50_000


def test_a_directory_or_a_pipe_is_no_log(tmp_path: Path) -> None:
    """Neither blocks nor breaks the monitor; the reason is kept."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        follower = LogFollower(path)
        follower.start()
        assert follower.poll() == []
        assert not follower.opened
        assert "is not a plain file" in follower.trouble
