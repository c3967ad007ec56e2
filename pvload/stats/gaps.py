"""Gaps between the frames of one call within due time: their spread, stalls and freezes.

A gap runs from the last arrival (or from the moment the stream was open and wanted) to the next arrival, or to the
moment when the call, the wanting or the run ends; then it is censored and counts with the length it had.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from pvload.stats.histogram import Histogram, Int64s, sum_of_squares
from pvload.stats.summary import LIST_LIMIT

FREEZE_WINDOW: Final = 30
FREEZE_LEAST: Final = 5
FREEZE_MORE_NS: Final = 150_000_000


@dataclass(frozen=True, slots=True, order=True)
class StallNote:
    """One stall; the order is by length, then by where it stands, so that the longest of any lists are the same."""

    length_ns: int
    begin_ns: int
    call: int
    subscriber: str
    frame_index: int
    last_number: int
    """-1: none."""
    censored: bool
    uncertainty_ns: int


class StallList:
    """Counts all stalls and keeps the longest thousand."""

    __slots__ = ("_kept", "count", "longest", "total_ns")

    def __init__(self) -> None:
        self.count = 0
        self.total_ns = 0
        self.longest: StallNote | None = None
        self._kept: list[StallNote] = []

    def add(self, stall: StallNote) -> None:
        """Counts one."""
        self.count += 1
        self.total_ns += stall.length_ns
        self._keep(stall)

    def merge(self, other: StallList) -> None:
        """Adds another scope's stalls."""
        self.count += other.count
        self.total_ns += other.total_ns
        for stall in other._kept:
            self._keep(stall)

    def kept(self) -> list[StallNote]:
        """The longest ones, in order of time."""
        return sorted(self._kept, key=lambda stall: (stall.begin_ns, stall.subscriber, stall.call, stall.length_ns))

    def _keep(self, stall: StallNote) -> None:
        if self.longest is None or stall > self.longest:
            self.longest = stall
        if len(self._kept) < LIST_LIMIT:
            heapq.heappush(self._kept, stall)
        else:
            heapq.heappushpop(self._kept, stall)


@dataclass(slots=True)
class GapTally:
    """Mergeable figures about gaps, nanoseconds."""

    inter_arrival: Histogram = field(default_factory=Histogram)
    """Between two frames of one call."""
    edges: Histogram = field(default_factory=Histogram)
    """The other gaps of due time: head and tail of a call, and the longest among frames known only as a count."""
    squares: int = 0
    longest_ns: int = 0
    longest_at_ns: int = 0
    freezes: int = 0
    freeze_ns: int = 0
    longest_freeze_ns: int = 0
    stalls: StallList = field(default_factory=StallList)

    @property
    def weighted(self) -> Histogram:
        """All gaps of due time."""
        every = Histogram()
        every.merge(self.inter_arrival)
        every.merge(self.edges)
        return every

    def between(self, gaps: Int64s, begins: Int64s, *, head: bool) -> int:
        """Counts gaps that ended with a frame, and tells which is the longest. head: the first began without one."""
        if head:
            self.edges.one(int(gaps[0]))
        self.inter_arrival.add(gaps[1:] if head else gaps)
        at = int(gaps.argmax())
        length = int(gaps[at])
        self.squares += sum_of_squares(gaps, length)
        self.longest(length, int(begins[at]))
        return at

    def edge(self, length_ns: int, at_ns: int) -> None:
        """Counts a gap that was not between two frames."""
        self.edges.one(length_ns)
        self.squares += length_ns * length_ns
        self.longest(length_ns, at_ns)

    def longest(self, length_ns: int, at_ns: int) -> None:
        """Keeps the longest gap, the earlier one of equals."""
        if length_ns > self.longest_ns or (length_ns == self.longest_ns and at_ns < self.longest_at_ns):
            self.longest_ns, self.longest_at_ns = length_ns, at_ns

    def merge(self, other: GapTally) -> None:
        """Adds another scope's gaps."""
        self.inter_arrival.merge(other.inter_arrival)
        self.edges.merge(other.edges)
        self.squares += other.squares
        self.longest(other.longest_ns, other.longest_at_ns)
        self.freezes += other.freezes
        self.freeze_ns += other.freeze_ns
        self.longest_freeze_ns = max(self.longest_freeze_ns, other.longest_freeze_ns)
        self.stalls.merge(other.stalls)


class Freezes:
    """Finds freezes in the inter-arrival gaps of one call: WebRTC's rule over the up to 30 gaps before each one."""

    __slots__ = ("_before",)

    def __init__(self) -> None:
        self._before: Int64s = np.zeros(0, np.int64)

    def add(self, gaps: Int64s, tally: GapTally) -> None:
        """Takes the next gaps of the call. At least 5 gaps must stand before one that is judged."""
        if int(gaps.max()) >= FREEZE_MORE_NS:
            self._find(gaps, tally)
        self._before = np.concatenate((self._before, gaps[-FREEZE_WINDOW:]))[-FREEZE_WINDOW:]

    def _find(self, gaps: Int64s, tally: GapTally) -> None:
        every = np.concatenate((self._before, gaps))
        rows = np.flatnonzero(gaps >= FREEZE_MORE_NS) + self._before.size
        sums = np.concatenate(([0], np.cumsum(every)))
        starts = np.maximum(rows - FREEZE_WINDOW, 0)
        count, total = rows - starts, sums[rows] - sums[starts]
        frozen = every[rows] * count >= np.maximum(3 * total, total + FREEZE_MORE_NS * count)
        found = every[rows[frozen & (count >= FREEZE_LEAST)]]
        if found.size:
            tally.freezes += int(found.size)
            tally.freeze_ns += int(found.sum())
            tally.longest_freeze_ns = max(tally.longest_freeze_ns, int(found.max()))
