"""Journaled rows on their way into the fold, a little at a time: whoever waits for an answer waits no longer than that.

A fold in one piece of what thousands of short streams left while the collector was away takes a minute, and a sender
that hears nothing for two seconds takes the collector for lost.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from pvload.clock import Clock
from pvload.collect.intake import joined
from pvload.wire.event import RECORD_BYTES
from pvload.wire.journal import BatchRow, FinishedRow, Row
from pvload.wire.replay import Fold, feed

FOLD_RECORDS: Final = 8192
"""Rows wait until their records are so many, or for the next live figures: the fold is cheaper in large pieces."""
BACKLOG_RECORDS: Final = 262_144
"""24 MiB; with so many waiting, hardly more is taken off the socket than is folded, and the senders keep what they
have. Of the shortest streams that is half a minute's work, which a run's end has to wait for.
"""
FEED_RECORDS: Final = 1024
"""Most records given to the fold at a time."""


class Backlog:
    """In the order in which they came; how they are cut has no meaning."""

    def __init__(self, fold: Fold, clock: Clock) -> None:
        self.is_wanted = False
        """All that may be folded is to be folded, and is not yet."""
        self._fold = fold
        self._clock = clock
        self._rows: list[Row] = []
        self._cut: deque[Row] = deque()
        """What comes before `_rows`, in pieces fit for the fold."""
        self._records = 0

    @property
    def room_bytes(self) -> int:
        """Of records, that may be added; more than that may come with the last message taken."""
        return max(0, BACKLOG_RECORDS - self._records) * RECORD_BYTES

    @property
    def is_due(self) -> bool:
        """Whether there is something that should be folded now."""
        return self.is_wanted or self._records >= FOLD_RECORDS

    def add(self, rows: list[Row]) -> None:
        """Takes what was journaled."""
        self._rows += rows
        self._records += sum(map(_size, rows))

    def want(self) -> None:
        """Figures are due: everything is to be folded that may be."""
        self.is_wanted = True

    def work(self, until_ns: int) -> None:
        """Folds what is due, until then and not much longer: one piece is begun at least."""
        while self.is_due:
            if not self._step():
                self.is_wanted = False
            if self._clock.monotonic_ns() >= until_ns:
                return

    def finish(self) -> None:
        """Gives the fold all that is left, however long it takes."""
        while self._next() is not None:
            self._feed()

    def __repr__(self) -> str:
        return f"Backlog({self._records} records{', wanted' if self.is_wanted else ''})"

    def _step(self) -> bool:
        """One piece of work; False: there is none."""
        row = self._next()
        ends = row is None or isinstance(row, FinishedRow)  # the end of a sender folds what is left of it in one piece
        if ends and self._fold.catch_up():
            return True
        if row is None:
            return False
        self._feed()
        return True

    def _next(self) -> Row | None:
        if not self._cut:
            self._cut.extend(piece for row in joined(self._rows) for piece in _pieces(row))
            self._rows.clear()
        return self._cut[0] if self._cut else None

    def _feed(self) -> None:
        row = self._cut.popleft()
        feed(self._fold, row)
        self._records -= _size(row)


def _size(row: Row) -> int:
    """Records that it carries."""
    return row.count if isinstance(row, BatchRow) and row.records is not None else 0


def _pieces(row: Row) -> Iterator[Row]:
    """A long batch in several."""
    if not isinstance(row, BatchRow) or row.records is None or row.count <= FEED_RECORDS:
        yield row
        return
    for at in range(0, row.count, FEED_RECORDS):
        count = min(FEED_RECORDS, row.count - at)
        records = row.records[at * RECORD_BYTES : (at + count) * RECORD_BYTES]
        yield replace(row, first=row.first + at, count=count, records=records)
