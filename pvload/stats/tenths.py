"""A figure for each tenth of a second of a run: events counted, or the longest of something. Bounded to 29 hours."""

from __future__ import annotations

from typing import Final

import numpy as np

from pvload.stats.histogram import Int64s

TENTH_NS: Final = 100_000_000
TENTHS: Final = 1 << 20
"""Most tenths: what lies beyond counts in the last one."""
_GROW: Final = 1 << 12


class Tenths:
    """Values by the tenth of a second in which they fell, from the first tenth on."""

    __slots__ = ("_first", "_values")

    def __init__(self) -> None:
        self._first: int | None = None
        self._values: Int64s = np.zeros(0, np.int64)

    def count(self, t_ns: Int64s) -> None:
        """One more in each tenth; in any order of time."""
        low, high = self._cover(int(t_ns.min()), int(t_ns.max()))
        places = np.clip(t_ns // TENTH_NS, low, high) - (self._first or 0)
        self._values += np.bincount(places, minlength=self._values.size)

    def longest(self, begins: Int64s, ends: Int64s, lengths: Int64s) -> None:
        """The longest gap that ran in each tenth, of gaps in order of their ends, which follow one another."""
        low, high = self._cover(int(begins[0]), int(ends[-1]))
        first = np.clip(begins // TENTH_NS, low, high) - (self._first or 0)
        last = np.clip(ends // TENTH_NS, low, high) - (self._first or 0)
        starts = np.concatenate(([0], np.flatnonzero(np.diff(last)) + 1))
        at = last[starts]
        self._values[at] = np.maximum(self._values[at], np.maximum.reduceat(lengths, starts))
        for row in np.flatnonzero(first < last):
            part = slice(int(first[row]), int(last[row]))
            self._values[part] = np.maximum(self._values[part], lengths[row])

    def within(self, begin_ns: int, end_ns: int) -> Int64s:
        """The values of the tenths that begin in [begin, end)."""
        if self._first is None:
            return self._values[:0]
        low = max(0, -(-begin_ns // TENTH_NS) - self._first)
        return self._values[low : max(low, -(-end_ns // TENTH_NS) - self._first)]

    def _cover(self, begin_ns: int, end_ns: int) -> tuple[int, int]:
        """Makes room; the first and the last tenth that have it."""
        low, high = begin_ns // TENTH_NS, end_ns // TENTH_NS
        if self._first is None:
            self._first = low
        if low < self._first:
            room = min(self._first - low, TENTHS - self._values.size)
            self._values = np.concatenate((np.zeros(room, np.int64), self._values))
            self._first -= room
        needed = min(high - self._first + 1, TENTHS)
        if needed > self._values.size:
            grown = np.zeros(min(TENTHS, needed + _GROW), np.int64)
            grown[: self._values.size] = self._values
            self._values = grown
        return self._first, self._first + self._values.size - 1
