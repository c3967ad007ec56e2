"""The reading end of spools: which ones lie in a folder, their records by number, and what of them cannot be read.

A range that cannot be read is never silent: it comes out as `Lost` with first, count and reason, and reading goes on
behind it. Nothing is deleted but what the collector has acknowledged.
"""

from __future__ import annotations

import fcntl
import logging
import mmap
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pvload.errors import FormatError
from pvload.ship.spool import (
    COUNT_AT,
    MAPPED_BYTES,
    OPEN,
    PAGE_BYTES,
    SEGMENT_HEADER_BYTES,
    TOTAL_AT,
    Page,
    page_name,
    read_page,
    read_segment_header,
    segment_name,
    unmap_behind,
)
from pvload.wire.batch import Hello
from pvload.wire.event import RECORD_BYTES

_log = logging.getLogger(__name__)
PAGE_SUFFIX: Final = ".spool"


@dataclass(frozen=True, slots=True)
class Stretch:
    """Records [first, first + count) as they were appended."""

    first: int
    count: int
    records: bytes


@dataclass(frozen=True, slots=True)
class Lost:
    """Records [first, first + count) that can never be read."""

    first: int
    count: int
    reason: str


@dataclass(frozen=True, slots=True)
class Found:
    """What lies in a folder of spools."""

    readers: tuple[SpoolReader, ...]
    """Spools of the run, oldest incarnation first."""
    kept: tuple[str, ...]
    """Files that are not the run's, or cannot be read: `name: why`. They are kept."""


class SpoolReader:
    """One sender's spool. Not thread-safe; reads along while the writer appends."""

    def __init__(self, page_path: Path, page: Page) -> None:
        self.folder = page_path.parent
        self.run = page.run
        self.sender = page.sender
        self.hello: Hello = page.hello
        self._path = page_path
        self._capacity = page.capacity
        self._fd = -1
        self._page: mmap.mmap | None = None
        self._numbers: memoryview = memoryview(bytearray(PAGE_BYTES)).cast("q")
        """The page as int64, so that a number is read by one load while its writer may store it."""
        self._segment: tuple[int, mmap.mmap] | None = None
        """The segment read last, by its first record."""
        self._behind = 0
        """The pages before this byte of that segment are unmapped."""
        self._released = 0
        """Segments before this record were unlinked here."""

    @classmethod
    def open(cls, page_path: Path) -> SpoolReader:
        """Raises FormatError if the page is not a spool's, OSError if it cannot be read."""
        fd = os.open(page_path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if os.fstat(fd).st_size < PAGE_BYTES:
                raise FormatError(f"spool page {page_path.name} was cut")
            mapped = mmap.mmap(fd, PAGE_BYTES, mmap.MAP_SHARED, mmap.PROT_READ)
            reader = cls(page_path, read_page(mapped))
        except (FormatError, OSError):
            os.close(fd)
            raise
        reader._fd, reader._page = fd, mapped
        reader._numbers = memoryview(mapped).cast("q")
        return reader

    @property
    def count(self) -> int:
        """Records committed by now; 0 once closed."""
        return self._numbers[COUNT_AT // 8]

    @property
    def total(self) -> int | None:
        """Records ever made, once nothing can follow: the writer closed the spool, or is dead; else None."""
        if self._page is None:
            return None
        closed = self._numbers[TOTAL_AT // 8]
        if closed != OPEN:
            return closed
        return None if self.writer_lives() else self.count

    def writer_lives(self) -> bool:
        """Whether a process still holds the spool open for writing."""
        try:
            fcntl.flock(self._fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        fcntl.flock(self._fd, fcntl.LOCK_UN)
        return False

    def read(self, first: int, limit: int) -> Stretch | Lost | None:
        """Up to `limit` records from number `first` on, at most to the segment's end; None: there are none yet."""
        count = self.count
        if first >= count:
            return None
        segment_first, segment_end = self._bounds(first)
        upto = min(segment_end, count)
        try:
            data = self._mapped(segment_first)
        except (FormatError, OSError) as exc:
            return Lost(
                first, upto - first, f"segment {segment_name(self.sender, segment_first)} cannot be read: {exc}"
            )
        upto = min(upto, first + limit)
        at = SEGMENT_HEADER_BYTES + (first - segment_first) * RECORD_BYTES
        end = at + (upto - first) * RECORD_BYTES
        records = data[at:end]
        self._behind = unmap_behind(data, min(self._behind, at // MAPPED_BYTES * MAPPED_BYTES), end)
        return Stretch(first, upto - first, records)

    def release(self, acknowledged: int) -> None:
        """Unlinks the segments that hold nothing but records below `acknowledged`."""
        while self._released + self._capacity <= acknowledged:
            self._forget_segment()
            (self.folder / segment_name(self.sender, self._released)).unlink(missing_ok=True)
            self._released += self._capacity

    def remove(self) -> None:
        """Unlinks all of the spool: the collector has confirmed its end."""
        self.close()
        for path in self.folder.glob(f"{self.sender.hex()}-*.records*"):
            path.unlink(missing_ok=True)
        self._path.unlink(missing_ok=True)

    def close(self) -> None:
        """Lets go of the files. May be repeated."""
        self._forget_segment()
        if self._page is not None:
            self._numbers.release()
            self._numbers = memoryview(bytearray(PAGE_BYTES)).cast("q")
            self._page.close()
            self._page = None
            os.close(self._fd)

    def __repr__(self) -> str:
        return f"SpoolReader({self.sender.hex()[:8]}, {self.count} records)"

    def _bounds(self, number: int) -> tuple[int, int]:
        first = number // self._capacity * self._capacity
        return first, first + self._capacity

    def _mapped(self, segment_first: int) -> mmap.mmap:
        if self._segment is not None and self._segment[0] == segment_first:
            return self._segment[1]
        self._forget_segment()
        with (self.folder / segment_name(self.sender, segment_first)).open("rb") as file:
            if not os.fstat(file.fileno()).st_size:
                raise FormatError("it is empty")
            data = mmap.mmap(file.fileno(), 0, mmap.MAP_SHARED, mmap.PROT_READ)
        try:
            self._check(data, segment_first)
        except FormatError:
            data.close()
            raise
        self._segment, self._behind = (segment_first, data), 0
        return data

    def _check(self, data: mmap.mmap, segment_first: int) -> None:
        run, sender, first, capacity = read_segment_header(data)
        if (run, sender, first, capacity) != (self.run, self.sender, segment_first, self._capacity):
            raise FormatError(f"it says that it is segment {first} of sender {sender.hex()} of run {run.hex()}")

    def _forget_segment(self) -> None:
        if self._segment is not None:
            self._segment[1].close()
            self._segment = None


def find_spools(folder: Path, *, run: bytes) -> Found:
    """All spools in `folder`; those of another run and unreadable ones are named and left alone."""
    readers: list[SpoolReader] = []
    kept: list[str] = []
    for path in sorted(folder.glob(f"*{PAGE_SUFFIX}")):
        try:
            reader = SpoolReader.open(path)
        except (FormatError, OSError) as exc:
            kept.append(f"{path.name}: {exc}")
            continue
        if reader.run != run:
            kept.append(f"{path.name}: belongs to run {reader.run.hex()}")
            reader.close()
        elif path.name != page_name(reader.sender):
            kept.append(f"{path.name}: says that it is {page_name(reader.sender)}")
            reader.close()
        else:
            readers.append(reader)
    kept += [
        f"{path.name}: a segment without its spool's page"
        for path in sorted(folder.glob("*.records"))
        if not (folder / (path.name.partition("-")[0] + PAGE_SUFFIX)).exists()
    ]
    readers.sort(key=lambda reader: (reader.hello.incarnation, reader.sender))
    return Found(readers=tuple(readers), kept=tuple(kept))
