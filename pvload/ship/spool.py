"""The spool: where a record is safe the moment `append` returns, whatever kills the process afterwards.

A sender's spool is a set of files in one folder: `<sender>.spool`, a page that says whose it is and how many records
are committed, and segments `<sender>-<first>.records` of equal capacity that hold the records from first on
at fixed places. All are mapped shared, so what is stored outlives a SIGKILL (not a power failure), and allocated before
they are mapped, so a full filesystem is an error and never a SIGBUS.

Invariants: records are written before the count is raised over them, and the count is raised by one aligned store of 8
bytes, so a kill between any two instructions leaves a count below which everything is whole. The count stands in the
page and not in the segments, so a lost or damaged segment is a known range of numbers. The page is locked (flock) while
its writer lives: an unlocked spool is a dead sender's, or a closed one's. One thread writes; little-endian hosts only.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import struct
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from pvload.errors import FormatError, PvloadError
from pvload.wire.batch import Hello
from pvload.wire.event import RECORD_BYTES

VERSION: Final = 1
PAGE_MAGIC: Final = b"PVLC"
PAGE_BYTES: Final = 4096
_PAGE: Final = struct.Struct("<4sHI2x12x16s16sqqqI")
"""magic, version, CRC-32 of run, sender, capacity and HELLO, run, sender, capacity, count, total, HELLO's length."""
COUNT_AT: Final = 64
TOTAL_AT: Final = 72
_HELLO_AT: Final = 96
OPEN: Final = -1
"""`total` of a spool that its writer has not closed."""

SEGMENT_MAGIC: Final = b"PVLS"
SEGMENT_BYTES: Final = 4 * 1024 * 1024
SEGMENT: Final = struct.Struct("<4sHI2x12x16s16sqq")
"""magic, version, CRC-32 of what follows it, run, sender, first record number, capacity in records."""
SEGMENT_HEADER_BYTES: Final = 96
_IDENTITY_AT: Final = 24
SMALLEST_SEGMENT_RECORDS: Final = 64
MAPPED_BYTES: Final = 64 * 1024
"""What is behind by so much is unmapped, though the file keeps it: a segment that fills up in an hour would look like
growth of its process otherwise, of twice 4 MiB, for the shipper's reader maps it too. A multiple of the page size."""


class SpoolFull(PvloadError):  # noqa: N818 - a state that passes, not a mistake
    """The spool's limit, or the filesystem, has no room for another segment; nothing of the append was written."""


def page_name(sender: bytes) -> str:
    """File name of a sender's page."""
    return f"{sender.hex()}.spool"


def segment_name(sender: bytes, first: int) -> str:
    """File name of the segment that begins with record `first`."""
    return f"{sender.hex()}-{first:015d}.records"


@dataclass(frozen=True, slots=True)
class Page:
    """What a spool's page says at one moment."""

    run: bytes
    sender: bytes
    capacity: int
    """Records per segment."""
    count: int
    """Records committed."""
    total: int | None
    """Records ever made, if the writer closed the spool in order."""
    hello: Hello


def read_page(data: bytes | mmap.mmap) -> Page:
    """The page's content; FormatError if it is not a whole page of this version."""
    if len(data) < PAGE_BYTES:
        raise FormatError(f"spool page has {len(data)} bytes, expected {PAGE_BYTES}")
    magic, version, crc, run, sender, capacity, count, total, length = _PAGE.unpack_from(data)
    if magic != PAGE_MAGIC or version != VERSION:
        raise FormatError(
            f"spool page begins with {magic!r} version {version}, expected {PAGE_MAGIC!r} version {VERSION}"
        )
    hello = bytes(data[_HELLO_AT : _HELLO_AT + length])
    if crc != _page_crc(run, sender, capacity, hello):
        raise FormatError("spool page was damaged: its CRC does not match")
    return Page(
        run=run,
        sender=sender,
        capacity=capacity,
        count=count,
        total=None if total == OPEN else total,
        hello=Hello.from_json(hello),
    )


def read_segment_header(data: bytes | mmap.mmap) -> tuple[bytes, bytes, int, int]:
    """(run, sender, first, capacity) of a segment; FormatError if it is not a whole segment of this version."""
    if len(data) < SEGMENT_HEADER_BYTES:
        raise FormatError(f"segment of {len(data)} bytes is shorter than its header")
    magic, version, crc, run, sender, first, capacity = SEGMENT.unpack_from(data)
    if magic != SEGMENT_MAGIC or version != VERSION:
        raise FormatError(
            f"segment begins with {magic!r} version {version}, expected {SEGMENT_MAGIC!r} version {VERSION}"
        )
    if crc != zlib.crc32(data[_IDENTITY_AT : SEGMENT.size]):
        raise FormatError("segment was damaged: the CRC of its header does not match")
    if len(data) < SEGMENT_HEADER_BYTES + capacity * RECORD_BYTES:
        raise FormatError(f"segment of {len(data)} bytes was cut: it states room for {capacity} records")
    return run, sender, first, capacity


class Spool:
    """The writing end. One thread appends; any process may read along (`pvload.ship.stored`)."""

    def __init__(self, folder: Path, *, run: bytes, sender: bytes, capacity: int, limit_bytes: int) -> None:
        self.folder = folder
        self.run = run
        self.sender = sender
        self.count = 0
        """Records committed."""
        self._capacity = capacity
        self._limit_bytes = limit_bytes
        self._page_fd = -1
        self._page: mmap.mmap | None = None
        self._numbers: memoryview = memoryview(bytearray(PAGE_BYTES)).cast("q")
        self._segment: mmap.mmap | None = None
        self._at = 0
        self._end = 0
        """Where `append` must look about: a stretch is full, or the segment."""
        self._behind = 0
        """The segment's pages before this are unmapped."""

    @classmethod
    def create(
        cls,
        folder: Path,
        *,
        run: bytes,
        sender: bytes,
        hello: Hello,
        limit_bytes: int,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> Spool:
        """A new, empty spool in `folder` (made if need be).

        limit_bytes bounds all segments in the folder together, a predecessor's included. Segments are made smaller
        where a quarter of the limit is less than segment_bytes. PvloadError if the folder cannot hold even the page.
        """
        if sys.byteorder != "little":
            raise PvloadError("the spool needs a little-endian host")
        room = min(segment_bytes, limit_bytes // 4) - SEGMENT_HEADER_BYTES
        capacity = max(SMALLEST_SEGMENT_RECORDS, room // RECORD_BYTES)
        spool = cls(folder, run=run, sender=sender, capacity=capacity, limit_bytes=limit_bytes)
        spool._make_page(hello)
        return spool

    def append(self, record: bytes) -> int:
        """Commits `record` (one record or several, 96 bytes each) and gives the number of its first one.

        SpoolFull if another segment is needed and has no room; then nothing was written and a later try may succeed.
        """
        at = self._at
        end = at + len(record)
        segment = self._segment
        if end > self._end or segment is None:
            segment = self._next_stretch(record)
            if segment is None:
                return self._append_over_end(record)
        segment[at:end] = record
        self._at = end
        first = self.count
        self.count = self._numbers[COUNT_AT // 8] = first + len(record) // RECORD_BYTES
        return first

    def append_beyond_limit(self, record: bytes) -> int:
        """As `append`, for the few last records of a process: only a full filesystem refuses them."""
        limit, self._limit_bytes = self._limit_bytes, sys.maxsize
        try:
            return self.append(record)
        finally:
            self._limit_bytes = limit

    def close(self) -> None:
        """States the total, so that a reader knows that nothing follows, and lets go of the files. May be repeated."""
        if self._page is None:
            return
        self._numbers[TOTAL_AT // 8] = self.count
        self._numbers.release()
        self._page.close()
        self._page = None
        self._drop_segment()
        self._at = self._end = 0
        os.close(self._page_fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Spool({self.sender.hex()[:8]}, {self.count} records, {'open' if self._page else 'closed'})"

    def _next_stretch(self, record: bytes) -> mmap.mmap | None:
        """The segment, its next stretch made ready, if `record` fits into it; None: it has no room. Refuses what cannot
        be appended at all."""
        if self._page is None:
            raise ValueError("append to a closed spool")
        if len(record) % RECORD_BYTES or not record:
            raise ValueError(f"records have {RECORD_BYTES} bytes each, got {len(record)} bytes")
        if len(record) > self._capacity * RECORD_BYTES:
            raise ValueError(f"one append takes at most {self._capacity} records")
        segment_end = SEGMENT_HEADER_BYTES + self._capacity * RECORD_BYTES
        if self._segment is None or self._at + len(record) > segment_end:
            return None
        self._behind = unmap_behind(self._segment, self._behind, self._at)
        self._end = min(segment_end, self._at + max(MAPPED_BYTES, len(record)))
        return self._segment

    def _append_over_end(self, record: bytes) -> int:
        """The rare append that fills the segment and goes on in the next one; the count is raised once, at the end."""
        segment_end = SEGMENT_HEADER_BYTES + self._capacity * RECORD_BYTES
        first = self.count
        fits = segment_end - self._at if self._segment is not None else 0
        segment_first = first + fits // RECORD_BYTES
        fresh = self._make_segment(segment_first)
        if self._segment is not None and fits:
            self._segment[self._at : segment_end] = record[:fits]
        self._drop_segment()
        rest = record[fits:]
        fresh[SEGMENT_HEADER_BYTES : SEGMENT_HEADER_BYTES + len(rest)] = rest
        self._segment = fresh
        self._at = SEGMENT_HEADER_BYTES + len(rest)
        self._end = min(segment_end, self._at + MAPPED_BYTES)
        self._behind = 0
        self.count = self._numbers[COUNT_AT // 8] = first + len(record) // RECORD_BYTES
        return first

    def _drop_segment(self) -> None:
        if self._segment is not None:
            self._segment.close()
            self._segment = None

    def _make_page(self, hello: Hello) -> None:
        text = hello.to_json()
        if len(text) > PAGE_BYTES - _HELLO_AT:
            raise PvloadError(f"HELLO of {len(text)} bytes does not fit the spool's page")
        crc = _page_crc(self.run, self.sender, self._capacity, text)
        content = _PAGE.pack(PAGE_MAGIC, VERSION, crc, self.run, self.sender, self._capacity, 0, OPEN, len(text)).ljust(
            _HELLO_AT, b"\0"
        )
        path = self.folder / page_name(self.sender)
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._page_fd, self._page = _mapped(path, content + text, PAGE_BYTES, lock=True)
        except OSError as exc:
            raise PvloadError(
                f"no spool can be made in {self.folder}: {exc}", hint="free space there, or choose another folder"
            ) from exc
        self._numbers = memoryview(self._page).cast("q")

    def _make_segment(self, first: int) -> mmap.mmap:
        size = SEGMENT_HEADER_BYTES + self._capacity * RECORD_BYTES
        used = sum(_size(path) for path in self.folder.glob("*.records"))
        if used + size > self._limit_bytes:
            raise SpoolFull(f"spool {self.folder} holds {used} bytes, its limit is {self._limit_bytes}")
        identity = SEGMENT.pack(SEGMENT_MAGIC, VERSION, 0, self.run, self.sender, first, self._capacity)[_IDENTITY_AT:]
        crc = zlib.crc32(identity)
        header = SEGMENT.pack(SEGMENT_MAGIC, VERSION, crc, self.run, self.sender, first, self._capacity)
        try:
            fd, segment = _mapped(self.folder / segment_name(self.sender, first), header, size, lock=False)
        except OSError as exc:
            raise SpoolFull(f"spool {self.folder} cannot grow: {exc}") from exc
        os.close(fd)
        return segment


def unmap_behind(segment: mmap.mmap, behind: int, at: int) -> int:
    """Lets go of a segment's pages from byte `behind` up to `at`, in whole stretches; gives up to where. They are read
    again from the file if need be: what is mapped shared is never lost by this."""
    upto = at // MAPPED_BYTES * MAPPED_BYTES
    if upto > behind:
        segment.madvise(mmap.MADV_DONTNEED, behind, upto - behind)
    return max(behind, upto)


def _size(path: Path) -> int:
    """Bytes of a segment; 0 if it was acknowledged and unlinked in the meantime."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _page_crc(run: bytes, sender: bytes, capacity: int, hello: bytes) -> int:
    return zlib.crc32(run + sender + capacity.to_bytes(8, "little", signed=True) + hello)


def _mapped(path: Path, content: bytes, size: int, *, lock: bool) -> tuple[int, mmap.mmap]:
    """A new file of `size` allocated bytes that begins with `content`, mapped; under its name only when it is whole."""
    fresh = path.with_suffix(path.suffix + ".new")
    fd = os.open(fresh, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        if lock:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.posix_fallocate(fd, 0, size)
        mapped = mmap.mmap(fd, size, mmap.MAP_SHARED)
        mapped[: len(content)] = content
        fresh.replace(path)
    except OSError:
        os.close(fd)
        fresh.unlink(missing_ok=True)
        raise
    return fd, mapped
