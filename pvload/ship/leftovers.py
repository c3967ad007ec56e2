"""Records that a killed run has left in its spools: which runs they are of, and their way into the journal after all.

A spool whose writer is dead and that nobody ships is kept for ever, in the host's memory mostly: records that nobody
has seen yet may be in it. So nothing is removed here before the run's journal has it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pvload.errors import FormatError, PvloadError
from pvload.ship.stored import PAGE_SUFFIX, Lost, SpoolReader, find_spools
from pvload.wire.batch import MAX_BATCH_RECORDS
from pvload.wire.journal import BatchRow, FinishedRow, JournaledSender, JournalWriter, Row, SenderRow, is_in_use
from pvload.wire.spools import memory_places, remove_empty

GROUP: Final = 64
"""Batches in one transaction: 25 MB of records at most."""


@dataclass(frozen=True, slots=True)
class Leftover:
    """What one run that lives no more has left on this host."""

    run: str
    """Hex."""
    folder: Path
    records: int
    """In its spools; the journal may have some of them already."""
    size_bytes: int
    """Taken on the filesystem."""


@dataclass(frozen=True, slots=True)
class TakenIn:
    """What came of a run's leftovers."""

    records: int = 0
    """That the journal had not had."""
    kept: tuple[str, ...] = ()
    """`file: why` of what was left where it is."""


def leftovers() -> list[Leftover]:
    """Of all runs of this user in this host's memory, the oldest run first; not of one of which a process lives."""
    return [found for place in sorted(memory_places()) if (found := _leftover(place)) is not None]


def take_in(place: Path, journal: Path, *, run: bytes) -> TakenIn:
    """Puts what the dead writers of a run left in `place` into its journal, and removes what the journal then has.

    Nothing is done while a process of the run lives, or its journal is in use. JournalError where it cannot be written.
    """
    folders = sorted({page.parent for page in _pages(place)})
    if not folders or not journal.is_file() or _lives(place):
        return TakenIn()
    if is_in_use(journal):
        return TakenIn(kept=(f"{place}: somebody has the run's journal open",))
    records, kept = 0, []
    with contextlib.closing(JournalWriter.open(journal, run=run)) as writer:
        for folder in folders:
            found = find_spools(folder, run=run)
            kept += [f"{folder}/{one}" for one in found.kept]
            for reader in found.readers:
                with contextlib.closing(reader):
                    try:
                        records += _into(writer, reader)
                    except FormatError as exc:
                        kept.append(f"{folder}/{reader.sender.hex()}{PAGE_SUFFIX}: {exc.message}")
                        continue
                    reader.remove()
    remove_empty(place)
    return TakenIn(records, tuple(kept))


def _into(writer: JournalWriter, reader: SpoolReader) -> int:
    """Commits the spool's records beyond those that the journal has; how many. FormatError if the two do not fit."""
    known = next((one for one in writer.senders() if one.sender == reader.sender), None)
    if known is None:
        writer.commit([SenderRow(reader.sender, reader.hello)])
        known = JournaledSender(reader.sender, reader.hello, 0, None)
    total = reader.count
    if known.hello != reader.hello or (known.total is not None and known.total < total):
        raise FormatError(f"it holds {total} records, and the journal knows another process or end of that sender")
    rows: list[Row] = []
    for row in _batches(reader, known.known, total):
        rows.append(row)
        if len(rows) == GROUP:
            writer.commit(rows)
            rows = []
    if known.total is None and total >= known.known:
        rows.append(FinishedRow(reader.sender, total))
    writer.commit(rows)
    return max(0, total - known.known)


def _batches(reader: SpoolReader, first: int, end: int) -> Iterator[BatchRow]:
    while first < end:
        part = reader.read(first, MAX_BATCH_RECORDS)
        if part is None:
            return
        if isinstance(part, Lost):
            yield BatchRow(reader.sender, part.first, part.count, None, part.reason)
        else:
            yield BatchRow(reader.sender, part.first, part.count, part.records)
        first = part.first + part.count


def _leftover(place: Path) -> Leftover | None:
    files = [path for path in place.rglob("*") if path.is_file()]
    if not files or _lives(place):
        return None
    records = size_bytes = 0
    for path in files:
        with contextlib.suppress(OSError):  # it was shipped meanwhile
            size_bytes += path.stat().st_blocks * 512
    for path in _pages(place):
        with contextlib.suppress(OSError, PvloadError), contextlib.closing(SpoolReader.open(path)) as reader:
            records += reader.count
    return Leftover(run=place.name, folder=place, records=records, size_bytes=size_bytes)


def _lives(place: Path) -> bool:
    """Whether any spool of the run is still being written."""
    for path in _pages(place):
        with contextlib.suppress(OSError, PvloadError), contextlib.closing(SpoolReader.open(path)) as reader:
            if reader.writer_lives():
                return True
    return False


def _pages(place: Path) -> list[Path]:
    return sorted(place.rglob(f"*{PAGE_SUFFIX}"))
