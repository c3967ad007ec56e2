"""The spool: what was appended can be read by its numbers, whatever became of the writer and of the files."""

from __future__ import annotations

import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pvload.ship.spool import MAPPED_BYTES, SMALLEST_SEGMENT_RECORDS, Spool, SpoolFull, page_name, segment_name
from pvload.ship.stored import Lost, SpoolReader, Stretch, find_spools
from pvload.wire.batch import Hello
from pvload.wire.event import RECORD_BYTES

RUN = uuid.UUID(int=1).bytes
SENDER = uuid.UUID(int=2).bytes
SMALL = 96 + SMALLEST_SEGMENT_RECORDS * RECORD_BYTES
"""Bytes of the smallest segment: 64 records."""


def hello(*, incarnation: int = 0, worker: str = "w0") -> Hello:
    return Hello(role="engine", worker=worker, incarnation=incarnation, host="here", boot="b", pid=os.getpid())


def record(number: int) -> bytes:
    return number.to_bytes(8, "little") * 12


def make(
    folder: Path, *, sender: bytes = SENDER, run: bytes = RUN, limit: int = 1 << 24, incarnation: int = 0
) -> Spool:
    return Spool.create(
        folder, run=run, sender=sender, hello=hello(incarnation=incarnation), limit_bytes=limit, segment_bytes=SMALL
    )


def pieces(reader: SpoolReader, first: int = 0, limit: int = 10) -> Iterator[Stretch | Lost]:
    while (piece := reader.read(first, limit)) is not None:
        yield piece
        first = piece.first + piece.count


def numbers(reader: SpoolReader) -> list[int]:
    """The records' own numbers, of those that can be read."""
    data = b"".join(piece.records for piece in pieces(reader) if isinstance(piece, Stretch))
    return [int.from_bytes(data[at : at + 8], "little") for at in range(0, len(data), RECORD_BYTES)]


@pytest.fixture
def only(tmp_path: Path) -> Iterator[tuple[Spool, SpoolReader]]:
    """A spool and a reader of it."""
    spool = make(tmp_path)
    (reader,) = find_spools(tmp_path, run=RUN).readers
    yield spool, reader
    spool.close()
    reader.close()


@settings(deadline=None, max_examples=30)
@given(sizes=st.lists(st.integers(1, SMALLEST_SEGMENT_RECORDS), max_size=40), limit=st.integers(1, 200))
def test_appends_of_any_size_come_back_in_order(sizes: list[int], limit: int) -> None:
    """However records are grouped when appended and when read, record n is the n-th."""
    with tempfile.TemporaryDirectory() as name:
        with make(Path(name)) as spool:
            for size in sizes:
                first = spool.append(b"".join(record(spool.count + i) for i in range(size)))
                assert first == spool.count - size
        (reader,) = find_spools(Path(name), run=RUN).readers
        assert reader.count == reader.total == sum(sizes)
        assert numbers(reader) == list(range(sum(sizes)))
        assert all(piece.count <= limit for piece in pieces(reader, limit=limit))
        reader.close()


@settings(deadline=None, max_examples=25)
@given(sizes=st.lists(st.integers(1, 5), min_size=1, max_size=60), data=st.data())
def test_a_copy_of_the_files_at_any_moment_is_whole_up_to_its_count(sizes: list[int], data: st.DataObject) -> None:
    """A kill leaves the mapping as it is: all below the count reads back, and nothing says that it was closed."""
    with tempfile.TemporaryDirectory() as name:
        folder, left = Path(name, "spool"), Path(name, "left")
        moment = data.draw(st.integers(0, len(sizes) - 1))
        with make(folder) as spool:
            for at, size in enumerate(sizes):
                spool.append(b"".join(record(spool.count + i) for i in range(size)))
                if at == moment:
                    shutil.copytree(folder, left)
                    committed = spool.count
        (reader,) = find_spools(left, run=RUN).readers
        assert not reader.writer_lives()
        assert reader.count == reader.total == committed
        assert numbers(reader) == list(range(committed))
        reader.close()


def test_bytes_beyond_the_count_are_not_records(tmp_path: Path) -> None:
    """A kill between the record's bytes and the count leaves the record out, not half of it in."""
    spool = make(tmp_path)
    spool.append(record(0))
    with (tmp_path / segment_name(SENDER, 0)).open("r+b") as file:
        file.seek(96 + RECORD_BYTES)
        file.write(record(1)[:50])
    (reader,) = find_spools(tmp_path, run=RUN).readers
    assert numbers(reader) == [0]
    reader.close()
    spool.close()


def test_a_reader_follows_a_living_writer(only: tuple[Spool, SpoolReader]) -> None:
    """What was appended is readable at once; the total is not known before the writer is gone."""
    spool, reader = only
    assert reader.read(0, 10) is None
    assert (reader.total, reader.writer_lives()) == (None, True)
    spool.append(record(0))
    assert reader.read(0, 10) == Stretch(0, 1, record(0))
    spool.close()
    assert (reader.total, reader.writer_lives()) == (1, False)


def test_a_full_spool_refuses_and_takes_again_once_segments_are_released(only: tuple[Spool, SpoolReader]) -> None:
    """SpoolFull changes nothing; room comes back with the collector's acknowledgements."""
    spool, reader = only
    spool._limit_bytes = 2 * SMALL
    for number in range(2 * SMALLEST_SEGMENT_RECORDS):
        spool.append(record(number))
    with pytest.raises(SpoolFull, match="its limit is"):
        spool.append(record(128))
    assert spool.count == 128
    spool.append_beyond_limit(record(128))
    reader.release(SMALLEST_SEGMENT_RECORDS - 1)
    assert reader.read(0, 1) == Stretch(0, 1, record(0))
    reader.release(2 * SMALLEST_SEGMENT_RECORDS)
    for number in range(129, 200):
        spool.append(record(number))
    assert spool.count == 200
    assert reader.read(199, 1) == Stretch(199, 1, record(199))


@pytest.mark.parametrize(
    ("what", "damage", "reason"),
    [
        ("deleted", lambda path: path.unlink(), "No such file"),
        ("cut short", lambda path: os.truncate(path, 500), "was cut"),
        ("emptied", lambda path: os.truncate(path, 0), "empty"),
        ("overwritten", lambda path: path.write_bytes(b"x" * SMALL), "begins with"),
        (
            "another's",
            lambda path: path.write_bytes(path.with_name(segment_name(SENDER, 0)).read_bytes()),
            "says that it is",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and " " not in value else "",
)
def test_a_segment_that_cannot_be_read_is_a_stated_range(
    tmp_path: Path, what: str, damage: object, reason: str
) -> None:
    """Whatever befell one segment, its numbers come out as lost, with the reason, and what follows is read."""
    with make(tmp_path) as spool:
        for number in range(3 * SMALLEST_SEGMENT_RECORDS - 10):
            spool.append(record(number))
    damage(tmp_path / segment_name(SENDER, SMALLEST_SEGMENT_RECORDS))  # type: ignore[operator]
    (reader,) = find_spools(tmp_path, run=RUN).readers
    (lost,) = [piece for piece in pieces(reader) if isinstance(piece, Lost)]
    assert (lost.first, lost.count) == (64, 64)
    assert reason in lost.reason, what
    assert numbers(reader) == [*range(64), *range(128, 182)]
    reader.close()


def test_spools_that_are_not_the_runs_are_named_and_left(tmp_path: Path) -> None:
    """Another run's spool, a page that is none and a segment without a page are all listed and untouched."""
    other_run, other_sender = uuid.UUID(int=9).bytes, uuid.UUID(int=8).bytes
    for spool in (make(tmp_path), make(tmp_path, run=other_run, sender=other_sender)):
        spool.append(record(0))
        spool.close()
    (tmp_path / "junk.spool").write_bytes(b"PVLC")
    (tmp_path / "ghost-000.records").write_bytes(b"")
    before = sorted(tmp_path.iterdir())
    found = find_spools(tmp_path, run=RUN)
    assert [reader.sender for reader in found.readers] == [SENDER]
    assert [line.partition(":")[0] for line in found.kept] == [
        page_name(other_sender),
        "junk.spool",
        "ghost-000.records",
    ]
    assert other_run.hex() in found.kept[0]
    found.readers[0].close()
    assert sorted(tmp_path.iterdir()) == before


def test_older_incarnations_come_first(tmp_path: Path) -> None:
    """A successor ships what its predecessors left in their order."""
    for incarnation in (2, 0, 1):
        make(tmp_path, sender=uuid.uuid4().bytes, incarnation=incarnation).close()
    readers = find_spools(tmp_path, run=RUN).readers
    assert [reader.hello.incarnation for reader in readers] == [0, 1, 2]
    for reader in readers:
        reader.remove()
    assert list(tmp_path.iterdir()) == []


def test_appends_that_are_no_records_are_refused(tmp_path: Path) -> None:
    """Length and closed state are checked where it costs nothing: when a segment is begun."""
    spool = make(tmp_path)
    with pytest.raises(ValueError, match="96 bytes each"):
        spool.append(b"x" * 95)
    with pytest.raises(ValueError, match="at most 64"):
        spool.append(record(0) * 65)
    spool.close()
    with pytest.raises(ValueError, match="closed"):
        spool.append(record(0))


def resident(folder: Path) -> int:
    """Bytes of the segments in `folder` that count as this process's memory."""
    total, counts = 0, False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        if "-" in line.partition(" ")[0]:
            counts = str(folder) in line and line.endswith(".records")
        elif counts and line.startswith("Rss:"):
            total += int(line.split()[1]) * 1024
    return total


@pytest.mark.parametrize("at_once", [7, 1500])
def test_what_was_written_and_read_counts_as_nobodys_memory(tmp_path: Path, at_once: int) -> None:
    spool = Spool.create(tmp_path, run=RUN, sender=SENDER, hello=hello(), limit_bytes=1 << 26)
    (reader,) = find_spools(tmp_path, run=RUN).readers
    most, read, count = 0, 0, 50_000  # two segments of 4 MiB, the second one partly filled
    while spool.count < count:
        first = spool.count
        spool.append(b"".join(record(first + step) for step in range(at_once)))
        if spool.count - read < 1000:
            continue
        while (piece := reader.read(read, 512)) is not None:
            assert isinstance(piece, Stretch)
            read += piece.count
        most = max(most, resident(tmp_path))
    # Writer and reader may each hold what one append or one read touches, and the stretches at its ends.
    assert most <= 2 * (at_once * RECORD_BYTES + 2 * MAPPED_BYTES)
    assert numbers(reader) == list(range(spool.count))
    reader.close()
    spool.close()
