"""The records of one sender between their coming and their folding.

Records wait here until the sender's later ones have gone two seconds beyond them (see `timeline`), and until there are
enough of them to be worth the fixed cost of a fold; and so many at a time that a fold does not take long. All this only
moves *when* a record is folded, never what comes of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import numpy as np

from pvload.stats.histogram import Int64s
from pvload.stats.timeline import HOLD_NS
from pvload.wire.codes import UserChange
from pvload.wire.event import Kind, Records

FOLD_ROWS: Final = 65_536
"""With so many new rows (6 MiB) it is time to fold."""
PIECE_ROWS: Final = 512
"""Rows that are folded one by one, at some 0.1 to 0.3 ms each, make one piece when they are so many."""
_FRAME: Final = int(Kind.FRAME)
_TOGETHER: Final = np.zeros(256, np.bool_)
_TOGETHER[[Kind.FRAME, Kind.CALLED, Kind.PARAMETER, Kind.OBSERVABLE, Kind.TEXT]] = True
"""Kinds whose rows cost next to nothing each."""
_TELLING: Final = np.zeros(256, np.bool_)
_TELLING[[Kind.TEXT, Kind.WANTED, Kind.END, Kind.LAG, Kind.PROBE, Kind.OPENED, Kind.CHANGE, Kind.OFFERED]] = True

Teller = Callable[[np.void, int, int], None]
"""Called with each record that others must know of in advance, its number and the earliest time it may act from."""


class Hold:
    """A queue of records; numbers count from 0 over the sender's delivered records."""

    __slots__ = ("_beyond", "_newest_ns", "_parts", "_rows", "_told", "_unfolded", "folded_ns", "oldest_ns", "taken")

    def __init__(self) -> None:
        self._parts: list[Records] = []
        self._rows = 0
        self._unfolded = 0
        self._told = 0
        """Rows of the queue already told."""
        self._newest_ns: int | None = None
        """Latest time of all rows told."""
        self.oldest_ns: int | None = None
        """Earliest time of all rows told."""
        self._beyond: Int64s = np.zeros(0, np.int64)
        """For each row told and still here: the latest time up to it."""
        self.folded_ns = -(2**62)
        """Latest time of all rows taken out."""
        self.taken = 0

    def add(self, records: Records) -> None:
        """Keeps a copy."""
        self._parts.append(records.copy())
        self._rows += records.size
        self._unfolded += records.size

    @property
    def is_full(self) -> bool:
        """Whether it is time to fold."""
        return self._unfolded >= FOLD_ROWS

    def waiting(self) -> Records:
        """All rows that are not folded yet."""
        if len(self._parts) != 1:
            self._parts = [np.concatenate(self._parts)] if self._parts else []
        return self._parts[0] if self._parts else np.zeros(0, np.dtype("V96"))

    def tell(self, teller: Teller, first_frame: Callable[[np.void], None]) -> None:
        """Hands out the records that must be known in advance, each once, in order, and the first frame."""
        rows = self.waiting()
        fresh = rows[self._told :]
        if fresh.size == 0:
            return
        oldest = int(fresh["t_ns"].min())
        self.oldest_ns = oldest if self.oldest_ns is None else min(self.oldest_ns, oldest)
        latest = np.maximum.accumulate(fresh["t_ns"])
        if self._newest_ns is not None:
            latest = np.maximum(latest, self._newest_ns)
        beyond = np.concatenate((self._beyond, latest))
        kinds = fresh["kind"]
        telling = _TELLING[kinds]
        frames = np.flatnonzero(kinds == Kind.FRAME)
        if frames.size:
            telling[frames[0]] = True
        for at in np.flatnonzero(telling):
            row = self._told + int(at)
            if kinds[at] == Kind.FRAME:
                first_frame(fresh[at])
                continue
            before = int(beyond[row - 1]) if row else self.folded_ns
            ripe = int(np.searchsorted(beyond[:row], before - HOLD_NS, side="right"))
            folded = int(beyond[ripe - 1]) if ripe else self.folded_ns
            teller(fresh[at], self.taken + row, folded + 1)
        self._beyond, self._told, self._newest_ns = beyond, rows.size, int(beyond[-1])

    def ripe(self, *, everything: bool) -> Records:
        """Takes out all rows, or one piece of those that may be folded now, in order."""
        rows = self.waiting()
        if rows.size == 0:
            return rows
        ripe = rows.size if everything else int(np.searchsorted(self._beyond, self._beyond[-1] - HOLD_NS, side="right"))
        stop = ripe if everything else _piece(rows[:ripe])
        self._unfolded = ripe - stop
        if stop == 0:
            return rows[:0]
        self.folded_ns = max(self.folded_ns, int(self._beyond[stop - 1]))
        self._parts = [rows[stop:].copy()] if stop < rows.size else []
        self._beyond = self._beyond[stop:].copy()
        self._rows -= stop
        self._told -= stop
        self.taken += stop
        return rows[:stop]

    @property
    def newest_ns(self) -> int | None:
        """Latest time of all rows told so far."""
        return self._newest_ns


def _piece(rows: Records) -> int:
    """How many of `rows` to fold at once."""
    alone = np.flatnonzero(~_TOGETHER[rows["kind"]])
    return int(alone[PIECE_ROWS]) if alone.size > PIECE_ROWS else rows.size


def by_call(rows: Records) -> Iterator[tuple[int, Records]]:
    """(call id, its rows in order), calls in the order of their first row."""
    refs = rows["ref"]
    if refs.size and (refs[0] == refs).all():
        yield int(refs[0]), rows
        return
    order = np.argsort(refs, kind="stable")
    ordered = refs[order]
    starts = np.concatenate(([0], (ordered[1:] != ordered[:-1]).nonzero()[0] + 1, [ordered.size]))
    groups = sorted(range(starts.size - 1), key=lambda at: int(order[starts[at]]))
    arranged = rows[order]
    for at in groups:
        yield int(ordered[starts[at]]), arranged[starts[at] : starts[at + 1]]


def runs_of(rows: Records) -> Iterator[tuple[Kind, Records]]:
    """The rows of one call: each run of frames as one piece, each other record alone."""
    kinds = rows["kind"]
    others = (kinds != _FRAME).nonzero()[0]
    start = 0
    for at in others:
        if at > start:
            yield Kind.FRAME, rows[start:at]
        yield Kind(int(kinds[at])), rows[at : at + 1]
        start = int(at) + 1
    if start < rows.size:
        yield Kind.FRAME, rows[start:]


def stretches(rows: Records) -> Iterator[tuple[int, int]]:
    """Row ranges in which calls may be folded one after the other: cut before and after each stop of a user."""
    stops = np.flatnonzero((rows["kind"] == Kind.USER) & (rows["code"] == UserChange.STOPPED))
    start = 0
    for at in stops:
        if at > start:
            yield start, int(at)
        yield int(at), int(at) + 1
        start = int(at) + 1
    if start < rows.size:
        yield start, rows.size
