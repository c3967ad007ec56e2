"""When a subscriber's frames came, as far as somebody else's coming or going may be asked about later.

Bounded, whatever the run's length: the 2,048 longest gaps between frames are kept exactly, with a shorter one known to
be no longer than they are; and frames and missing frames are counted in cells of half a second, which double their
length when there are more than 8,192 of them (an hour in half seconds, a day in 16 s). Both depend on the frames alone,
not on how they were cut into batches.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from pvload.stats.histogram import Int64s

GAPS: Final = 2048
PARTS: Final = 256
"""Additions that wait to be sorted in: each is an array of its own, mostly of one gap."""
CELLS: Final = 8192
CELL_NS: Final = 500_000_000


@dataclass(frozen=True, slots=True)
class Gaps:
    """Gaps in order of their beginning, shape (n,) each, nanoseconds."""

    begin: Int64s
    end: Int64s
    cut: np.ndarray[tuple[int], np.dtype[np.bool_]]
    """No frame ended it: the call, the wanting or the run did."""
    others_ns: int
    """No gap that is not here is longer; 0: all are here."""


class LongGaps:
    """The longest gaps, the earlier ones of equals."""

    __slots__ = ("_kept", "_others_ns", "_parts", "_rows")

    def __init__(self) -> None:
        self._kept: Int64s = np.zeros((3, 0), np.int64)
        """Rows: length, begin, and 1 where it was cut."""
        self._parts: list[Int64s] = []
        self._rows = 0
        self._others_ns = 0

    def add(self, begins: Int64s, lengths: Int64s, *, cut: bool = False) -> None:
        """Takes gaps."""
        if self._others_ns:
            long = lengths >= self._others_ns
            begins, lengths = begins[long], lengths[long]
        if lengths.size == 0:
            return
        self._parts.append(np.array((lengths, begins, np.full(lengths.size, int(cut)))))
        self._rows += lengths.size
        if self._rows > GAPS or len(self._parts) > PARTS:
            self._settle()

    def pack(self, most: int = GAPS) -> None:
        """Keeps so many at most from now on, for no more will come."""
        self._settle(most)

    def gaps(self) -> Gaps:
        """What is kept."""
        self._settle()
        lengths, begins, cut = self._kept[:, np.argsort(self._kept[1], kind="stable")]
        return Gaps(begin=begins, end=begins + lengths, cut=cut != 0, others_ns=self._others_ns)

    def _settle(self, most: int = GAPS) -> None:
        every = np.concatenate((self._kept, *self._parts), axis=1)
        self._parts, self._rows = [], 0
        order = np.lexsort((every[2], every[1], -every[0]))
        if order.size > most:
            self._others_ns = max(self._others_ns, int(every[0, order[most]]))
        self._kept = every[:, order[:most]]


class Cells:
    """Counts of two things in cells of time."""

    __slots__ = ("_cell_ns", "_counts", "_first", "_used")

    def __init__(self) -> None:
        self._cell_ns = CELL_NS
        self._first = 0
        """Number of the first cell."""
        self._used = 0
        """Cells from it to the last one that anything was counted in; beyond them is room."""
        self._counts: Int64s = np.zeros((2, 0), np.int64)

    def add(self, which: int, times: Int64s, counts: Int64s | None = None) -> None:
        """Adds counts (1 each, if none are given) of thing 0 or 1 at `times`, shape (n,), in any order."""
        if times.size == 0:
            return
        low, high = int(times.min()), int(times.max())
        self._cover(low, high)
        places = times // self._cell_ns - self._first
        if int(places[0]) == int(places[-1]) and low // self._cell_ns == high // self._cell_ns:
            self._counts[which, int(places[0])] += times.size if counts is None else int(counts.sum())
            return
        if counts is not None:
            np.add.at(self._counts[which], places, counts)
            return
        first = low // self._cell_ns - self._first
        part = np.bincount(places - first)
        self._counts[which, first : first + part.size] += part

    def pack(self) -> None:
        """Gives back the room for more."""
        self._counts = self._counts[:, : self._used].copy()

    def between(self, which: int, begins: Int64s, ends: Int64s) -> Int64s:
        """For each pair, the counts of all cells that [begin, end] touches."""
        sums = np.concatenate(([0], np.cumsum(self._counts[which])))
        last = self._counts.shape[1]
        low = np.clip(begins // self._cell_ns - self._first, 0, last)
        high = np.clip(ends // self._cell_ns - self._first + 1, 0, last)
        found: Int64s = np.maximum(sums[np.maximum(high, low)] - sums[low], 0)
        return found

    def _cover(self, low_ns: int, high_ns: int) -> None:
        """Makes room for cells from low_ns to high_ns. Only what was counted decides when cells grow longer."""
        while True:
            low, high = low_ns // self._cell_ns, high_ns // self._cell_ns
            if self._used:
                low, high = min(low, self._first), max(high, self._first + self._used - 1)
            if high - low < CELLS:
                break
            self._coarsen()
        used = high - low + 1
        if low != self._first or used > self._counts.shape[1]:
            # Twice the room, so that growing cell by cell stays cheap.
            grown: Int64s = np.zeros((2, min(CELLS, max(16, 2 * used))), np.int64)
            at = self._first - low
            grown[:, at : at + self._used] = self._counts[:, : self._used]
            self._counts = grown
        self._first, self._used = low, used

    def _coarsen(self) -> None:
        self._cell_ns *= 2
        if self._used == 0:
            return
        cells = np.arange(self._first, self._first + self._used) // 2
        joined = np.zeros((2, int(cells[-1] - cells[0]) + 1), np.int64)
        for which in (0, 1):
            np.add.at(joined[which], cells - cells[0], self._counts[which, : self._used])
        self._counts, self._first, self._used = joined, int(cells[0]), joined.shape[1]


FRAMES: Final = 0
MISSING: Final = 1


class Arrivals:
    """Of one subscriber in one sender."""

    __slots__ = ("cells", "longest")

    def __init__(self) -> None:
        self.longest = LongGaps()
        """Between two frames of a call while it was due, and from a call's last frame to its end."""
        self.cells = Cells()
        """FRAMES and MISSING."""
