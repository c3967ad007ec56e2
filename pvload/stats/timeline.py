"""When a sender's frames are due: wanted edges, the run's end, warm-up and the times the generator was late.

A WANTED, END or LAG record speaks of a moment up to a second before it was recorded. So frames are folded only when
the sender's records have gone `HOLD_NS` beyond them, and such a record acts from its own time, however it is placed
among frames. One that speaks of a time further back than that acts from the edge of what may be folded already. That
edge is found by the record's place alone, so the way records are cut into batches cannot matter.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from pvload.stats.histogram import Int64s
from pvload.stats.planned_changes import Planned, PlannedChanges

HOLD_NS: Final = 2_000_000_000
LATE_NS: Final = 100_000_000
"""Lateness beyond this is blind time."""
LATE_LIMIT: Final = 100_000
"""Spans of lateness kept: more than a day of one a second. Older ones are forgotten."""
FOREVER: Final = 2**62


@dataclass(frozen=True, slots=True)
class Edge:
    """From at_ns on the plan wants the device, or not; `place` is its record number in the sender."""

    at_ns: int
    wanted: bool
    rate_hz: float
    width: int
    height: int
    binning_x: int
    binning_y: int
    exposure_ms: float
    place: int
    away: bool = False
    """Not wanted, and its daemon is being restarted by plan."""
    run_ns: int = 0
    """When this stretch of wanting, or of not wanting, began: edges that only change values do not begin one."""
    run: int = 0
    """Its number."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time with one answer to "is the device wanted?"."""

    begin_ns: int
    end_ns: int
    wanted: bool
    edge: Edge | None


class Edges:
    """The wanted edges of one device as one sender was told them."""

    def __init__(self) -> None:
        self.edges: list[Edge] = []

    def told(self, edge: Edge) -> None:
        """Appends the next edge."""
        last = self.edges[-1] if self.edges else None
        if last is not None and last.wanted == edge.wanted:
            self.edges.append(replace(edge, run_ns=last.run_ns, run=last.run))
        else:
            self.edges.append(replace(edge, run_ns=edge.at_ns, run=0 if last is None else last.run + 1))

    def at(self, at_ns: int) -> Edge | None:
        """The edge in force at at_ns; None before the first one."""
        found = bisect_right(self.edges, at_ns, key=lambda edge: edge.at_ns)
        return self.edges[found - 1] if found else None

    def away_at(self, at_ns: int) -> bool:
        """Was the device's daemon being restarted by plan?"""
        edge = self.at(at_ns)
        return edge is not None and edge.away

    def off_after(self, at_ns: int) -> int:
        """When the device is first not wanted any more after at_ns, as far as it is known; else FOREVER."""
        for edge in self.edges[bisect_right(self.edges, at_ns, key=lambda edge: edge.at_ns) :]:
            if not edge.wanted:
                return edge.at_ns
        return FOREVER

    def known_before(self, place: int) -> bool:
        """Whether a plan for this device was told before record `place`: else the device is wanted from open."""
        return bool(self.edges) and self.edges[0].place < place

    def spans(self, begin_ns: int, end_ns: int, *, operated: bool) -> list[Span]:
        """[begin, end) cut at the edges, in order; empty if there is no time in it."""
        if end_ns <= begin_ns:
            return []
        found: list[Span] = []
        at = bisect_right(self.edges, begin_ns, key=lambda edge: edge.at_ns)
        current = self.edges[at - 1] if at else None
        cursor = begin_ns
        for edge in self.edges[at:]:
            if edge.at_ns >= end_ns:
                break
            if edge.at_ns > cursor:
                found.append(Span(cursor, edge.at_ns, _wanted(current, operated), current))
            cursor, current = edge.at_ns, edge
        found.append(Span(cursor, end_ns, _wanted(current, operated), current))
        return found


def _wanted(edge: Edge | None, operated: bool) -> bool:
    return edge.wanted if edge is not None else not operated


class Lateness:
    """When and how late the generator was: disjoint spans in order of time, each with its lateness."""

    def __init__(self) -> None:
        # Arrays: as lists of numbers the spans of a day, one a second, would take five times the memory.
        self._begin = array("q")
        self._end = array("q")
        self._lateness = array("q")

    def told(self, begin_ns: int, end_ns: int, lateness_ns: int) -> None:
        """Adds a span; what overlaps an earlier one counts once."""
        begin_ns = max(begin_ns, self._end[-1] if self._end else begin_ns)
        if end_ns <= begin_ns:
            return
        self._begin.append(begin_ns)
        self._end.append(end_ns)
        self._lateness.append(lateness_ns)
        if len(self._begin) > LATE_LIMIT:
            del self._begin[0], self._end[0], self._lateness[0]

    def within(self, begin_ns: int, end_ns: int, above_ns: int = 0) -> int:
        """Nanoseconds of [begin, end) that lie in spans whose lateness exceeds above_ns."""
        total = 0
        for at in range(bisect_right(self._end, begin_ns), len(self._begin)):
            if self._begin[at] >= end_ns:
                break
            if self._lateness[at] > above_ns:
                total += min(self._end[at], end_ns) - max(self._begin[at], begin_ns)
        return total

    def since(self, at_ns: int, above_ns: int) -> int:
        """Where the span later than above_ns that holds at_ns begins; at_ns itself outside of any.

        Its end belongs to it: what waited comes at that moment.
        """
        at = bisect_left(self._end, at_ns)
        inside = at < len(self._begin) and self._begin[at] <= at_ns and self._lateness[at] > above_ns
        return self._begin[at] if inside else at_ns

    def touched(self, times: Int64s, reach_ns: int, above_ns: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
        """For each time, whether a span later than above_ns ended or ran in the reach_ns before it."""
        worst = [at for at in range(self._from(times, reach_ns), len(self._begin)) if self._lateness[at] > above_ns]
        if not worst:
            return np.zeros(times.size, np.bool_)
        begins = np.array([self._begin[at] for at in worst])
        ends = np.array([self._end[at] for at in worst])
        first = np.searchsorted(ends, times - reach_ns, side="right")
        inside: np.ndarray[tuple[int], np.dtype[np.bool_]] = first < np.searchsorted(begins, times, side="left")
        return inside

    def _from(self, times: Int64s, reach_ns: int) -> int:
        return bisect_right(self._end, int(times.min()) - reach_ns) if times.size else len(self._end)


class Timeline:
    """All that one sender was told about when its frames are due."""

    def __init__(self) -> None:
        self.devices: dict[str, Edges] = {}
        self.end_ns: int | None = None
        self.end_code = -1
        self.late = Lateness()
        self.first_frame_ns: int | None = None
        self.first_wanted_ns: int | None = None
        self.changes: dict[str, PlannedChanges] = {}
        """Device -> what it was told to change."""

    def change(self, change: Planned) -> None:
        """Takes a CHANGE record."""
        self.changes_of(change.device).told(change)

    def changes_of(self, device: str) -> PlannedChanges:
        """The changes of `device`, made when first asked for."""
        return self.changes.setdefault(device, PlannedChanges())

    def edges(self, device: str) -> Edges:
        """The edges of `device`, made when first asked for."""
        return self.devices.setdefault(device, Edges())

    def away_at(self, at_ns: int) -> bool:
        """Was the daemon of any device being restarted by plan?"""
        return any(edges.away_at(at_ns) for edges in self.devices.values())

    def wanted(self, device: str, edge: Edge) -> None:
        """Takes a WANTED record."""
        self.edges(device).told(edge)
        if edge.wanted and self.first_wanted_ns is None:
            self.first_wanted_ns = edge.at_ns

    def end(self, at_ns: int, code: int) -> None:
        """Takes an END record; only the first one counts."""
        if self.end_ns is None:
            self.end_ns, self.end_code = at_ns, code

    @property
    def close_ns(self) -> int:
        """The run's end as far as it is known."""
        return self.end_ns if self.end_ns is not None else FOREVER
