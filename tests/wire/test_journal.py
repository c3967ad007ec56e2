"""The journal: one transaction a group, readable at any time, by anybody, also after a crash."""

from __future__ import annotations

import shutil
import sqlite3
import uuid
from pathlib import Path

import pytest

from pvload.errors import FormatError
from pvload.wire.batch import Hello
from pvload.wire.journal import (
    FILE_NAME,
    BatchRow,
    FinishedRow,
    JournalError,
    JournalReader,
    JournalWriter,
    RejectedRow,
    SenderRow,
)

RUN = uuid.UUID(int=5).bytes
A, B = uuid.UUID(int=1).bytes, uuid.UUID(int=2).bytes
HELLO = Hello(role="engine", worker="w", incarnation=0, host="h", boot="b", pid=7)


def records(count: int, fill: int = 0) -> bytes:
    return bytes([fill]) * 96 * count


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / FILE_NAME


def test_what_was_committed_is_read_back_in_each_senders_order(path: Path) -> None:
    """Batches, stated losses, ends and refusals; a reader of the finished file finds them all."""
    writer = JournalWriter.open(path, run=RUN)
    writer.commit([SenderRow(A, HELLO), SenderRow(B, HELLO), BatchRow(A, 0, 2, records(2, 1))])
    writer.commit([BatchRow(B, 0, 1, records(1, 2)), BatchRow(A, 2, 5, None, "segment lost"), RejectedRow(3, "junk")])
    writer.commit([BatchRow(A, 7, 1, records(1, 3)), FinishedRow(A, 8), RejectedRow(1, "more")])
    writer.commit([])
    assert [(row.known, row.total) for row in writer.senders()] == [(8, 8), (1, None)]
    writer.close()
    with JournalReader.open(path) as reader:
        assert reader.run_hex == RUN.hex()
        assert reader.senders()[0].hello == HELLO
        assert [(row.sender, row.known, row.total) for row in reader.senders()] == [(A, 8, 8), (B, 1, None)]
        assert list(reader.batches(A)) == [
            (0, 2, records(2, 1), ""),
            (2, 5, None, "segment lost"),
            (7, 1, records(1, 3), ""),
        ]
        assert list(reader.batches(B)) == [(0, 1, records(1, 2), "")]
        assert (reader.rejected, reader.missing) == (4, 5)


def test_a_reader_sees_one_moment_while_the_writer_goes_on(path: Path) -> None:
    """What is committed after its opening is for the next reader; neither blocks the other."""
    writer = JournalWriter.open(path, run=RUN)
    writer.commit([SenderRow(A, HELLO), BatchRow(A, 0, 1, records(1))])
    with JournalReader.open(path) as early:
        assert early.senders()[0].known == 1
        writer.commit([BatchRow(A, 1, 1, records(1))])
        assert early.senders()[0].known == 1
        assert len(list(early.batches(A))) == 1
        with JournalReader.open(path) as late:
            assert late.senders()[0].known == 2
    writer.close()


def test_a_journal_whose_writer_was_killed_is_read_and_continued(path: Path, tmp_path: Path) -> None:
    """The file and its log as a kill leaves them: all commits are there, nothing of the open group."""
    writer = JournalWriter.open(path, run=RUN)
    writer.commit([SenderRow(A, HELLO), BatchRow(A, 0, 1, records(1))])
    writer._connection.execute("BEGIN IMMEDIATE")
    writer._insert([BatchRow(A, 1, 1, records(1))])
    left = tmp_path / "left"
    left.mkdir()
    for name in (FILE_NAME, FILE_NAME + "-wal"):
        shutil.copy(tmp_path / name, left / name)
    writer._connection.execute("ROLLBACK")
    writer.close()
    with JournalReader.open(left / FILE_NAME) as reader:
        assert list(reader.batches(A)) == [(0, 1, records(1), "")]
    successor = JournalWriter.open(left / FILE_NAME, run=RUN)
    assert successor.senders()[0].known == 1
    successor.commit([BatchRow(A, 1, 1, records(1))])
    successor.close()
    with JournalReader.open(left / FILE_NAME) as reader:
        assert len(list(reader.batches(A))) == 2


@pytest.mark.parametrize(
    ("what", "row"),
    [
        ("twice", BatchRow(A, 0, 1, records(1))),
        ("overlapping", BatchRow(A, 1, 2, records(2))),
        ("skipping", BatchRow(A, 3, 1, records(1))),
        ("of another length", BatchRow(A, 2, 2, records(1))),
    ],
)
def test_batches_that_do_not_join_are_never_folded(path: Path, what: str, row: BatchRow) -> None:
    """A journal that holds a record twice, or skips one, is refused by the reader."""
    writer = JournalWriter.open(path, run=RUN)
    writer.commit([SenderRow(A, HELLO), BatchRow(A, 0, 2, records(2)), row])
    writer.close()
    with JournalReader.open(path) as reader, pytest.raises(FormatError, match="expected one at"):
        list(reader.batches(A))


def test_another_runs_journal_is_refused(path: Path) -> None:
    """A collector never adds to what is not its own."""
    JournalWriter.open(path, run=RUN).close()
    with pytest.raises(FormatError, match="belongs to run"):
        JournalWriter.open(path, run=A)


def test_what_is_no_journal_is_refused(path: Path) -> None:
    """Missing, another program's database, another version, and bytes that are no database."""
    with pytest.raises(FormatError, match="no journal"):
        JournalReader.open(path)
    path.write_bytes(b"not a database, but long enough to look at" * 9)
    with pytest.raises(FormatError, match="cannot be read"):
        JournalReader.open(path)
    with pytest.raises(JournalError, match="cannot be written"):
        JournalWriter.open(path, run=RUN)
    path.unlink()
    JournalWriter.open(path, run=RUN).close()
    connection = sqlite3.connect(path)
    connection.execute("UPDATE meta SET value = '99' WHERE key = 'version'")
    connection.commit()
    connection.close()
    with pytest.raises(FormatError, match="version 99"):
        JournalReader.open(path)


def test_a_full_disk_is_an_error_and_the_group_is_not_there(path: Path) -> None:
    """All or none: what could not be committed is in no reader's sight."""
    writer = JournalWriter.open(path, run=RUN)
    writer.commit([SenderRow(A, HELLO), BatchRow(A, 0, 1, records(1))])
    writer._connection.execute("PRAGMA max_page_count=8")
    with pytest.raises(JournalError, match="could not be committed"):
        writer.commit([BatchRow(A, 1, 4000, records(4000))])
    with JournalReader.open(path) as reader:
        assert reader.senders()[0].known == 1
        assert len(list(reader.batches(A))) == 1
    writer.close()


def test_a_finished_journal_is_one_plain_file_and_reading_leaves_nothing(path: Path, tmp_path: Path) -> None:
    """After an orderly end no log stands beside it, a reader makes none, and a successor may still go on."""
    writer = JournalWriter.open(path, run=RUN)
    writer.commit([SenderRow(A, HELLO), BatchRow(A, 0, 1, records(1))])
    writer.close()
    assert [one.name for one in tmp_path.iterdir()] == [FILE_NAME]
    before = path.read_bytes()
    tmp_path.chmod(0o555)
    try:
        with JournalReader.open(path) as reader:
            assert len(list(reader.batches(A))) == 1
            assert [one.name for one in tmp_path.iterdir()] == [FILE_NAME]
    finally:
        tmp_path.chmod(0o755)
    assert [one.name for one in tmp_path.iterdir()] == [FILE_NAME]
    assert path.read_bytes() == before
    successor = JournalWriter.open(path, run=RUN)
    successor.commit([BatchRow(A, 1, 1, records(1))])
    with JournalReader.open(path) as reader:
        assert reader.senders()[0].known == 2
    successor.close()


def test_a_reader_in_the_way_of_the_end_leaves_the_log_and_loses_nothing(path: Path) -> None:
    writer = JournalWriter.open(path, run=RUN)
    writer.commit([SenderRow(A, HELLO), BatchRow(A, 0, 1, records(1))])
    with JournalReader.open(path) as early:
        writer.commit([BatchRow(A, 1, 1, records(1))])
        writer.close()
        assert early.senders()[0].known == 1
    with JournalReader.open(path) as late:
        assert late.senders()[0].known == 2
