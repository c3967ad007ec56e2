"""Where frames are missing: a hole is one step from a frame to the next on a call in which some did not come.

All holes are counted elsewhere; here the first one and the largest ones are kept, with the moment and the frame numbers
on either side. Which ones are kept depends on the holes alone, never on the order in which they are added or merged.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from pvload.stats.histogram import Int64s

HOLES: Final = 20
"""Largest holes kept of a scope."""
CLASSES: Final = ("unseen", "transport", "undecided", "backpressure")
"""Of a hole with frames of several classes the one with most of them stands, of equals the earlier one here."""


@dataclass(frozen=True, slots=True, order=True)
class HoleNote:
    """One hole; the order is that of time."""

    at_ns: int
    """Arrival of the frame after it."""
    subscriber: str
    call: int
    before: int
    """frame_number of the frame before it."""
    after: int
    """frame_number of the frame after it; not above `before` where the acquisition began anew."""
    count: int
    loss_class: str


@dataclass(frozen=True, slots=True)
class Found:
    """Holes as columns, shape (n,) each, in order of arrival."""

    t_ns: Int64s
    before: Int64s
    after: Int64s
    by_class: Int64s
    """Shape (4, n), in the order of CLASSES."""


def _rank(note: HoleNote) -> tuple[int, int, str, int, int, int, str]:
    """Larger ones first, the earlier one of equals; as a tuple, which compares faster than the notes do."""
    return -note.count, note.at_ns, note.subscriber, note.call, note.before, note.after, note.loss_class


class HoleList:
    """The first hole and the largest ones, the earlier one of equals."""

    __slots__ = ("first", "largest")

    def __init__(self) -> None:
        self.first: HoleNote | None = None
        self.largest: list[HoleNote] = []
        """By size, then time; at most HOLES."""

    def found(self, holes: Found) -> None:
        """Takes holes of one call; those of no frame are none."""
        counts = holes.by_class.sum(axis=0)
        rows = np.flatnonzero(counts > 0)
        if rows.size == 0:
            return
        leading = holes.by_class.argmax(axis=0)
        order = np.lexsort((holes.after[rows], holes.before[rows], holes.t_ns[rows], -counts[rows]))[:HOLES]
        first = np.lexsort((holes.after[rows], holes.before[rows], holes.t_ns[rows]))[:1]
        notes = [
            HoleNote(
                at_ns=int(holes.t_ns[row]),
                subscriber="",
                call=0,
                before=int(holes.before[row]),
                after=int(holes.after[row]),
                count=int(counts[row]),
                loss_class=CLASSES[int(leading[row])],
            )
            for row in rows[np.concatenate((first, order))]
        ]
        self._keep(notes[0], notes[1:])

    def merge(self, other: HoleList) -> None:
        """Adds another scope's holes."""
        if other.first is not None:
            self._keep(other.first, other.largest)

    def moved(self, offset_ns: int) -> HoleList:
        """The same on a clock that is offset_ns ahead."""
        return self._changed(lambda note: replace(note, at_ns=note.at_ns + offset_ns))

    def of_call(self, subscriber: str, call: int) -> HoleList:
        """The same with whose they are."""
        return self._changed(lambda note: replace(note, subscriber=subscriber, call=call))

    def kept(self) -> list[HoleNote]:
        """All that are kept, in order of time."""
        return sorted({*self.largest, *([self.first] if self.first is not None else [])})

    def _keep(self, first: HoleNote, largest: list[HoleNote]) -> None:
        self.first = first if self.first is None else min(self.first, first)
        # Both are in order already, and in most merges one of them is empty.
        self.largest = sorted([*self.largest, *largest], key=_rank)[:HOLES] if self.largest else largest[:HOLES]

    def _changed(self, change: Callable[[HoleNote], HoleNote]) -> HoleList:
        copy = HoleList()
        copy.first = None if self.first is None else change(self.first)
        copy.largest = [change(note) for note in self.largest]
        return copy
