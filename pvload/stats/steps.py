"""Missing frames by class, from the counters of consecutive frames of one call (docs/definitions.md).

Each frame is compared with the *front*: the frame with the highest frames_sent seen on the call, and the frame that
carried the acquisition's frame_number furthest. A frame that does not move the front (duplicate, reorder) is counted as
such and leaves the front where it is, so the next frame is compared with the right predecessor. A frame that comes late
takes back the step in which it was counted missing: 5, 7, 6, 8 gives 0 missing and 1 reorder. Counter steps seen on a
frame that is not the front's successor (a duplicate made before numbering) are carried to the next step.

Nearly all frames are ordinary and are handled at once; Python loops over the others and over runs of frames only.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from pvload.stats.histogram import Int64s
from pvload.stats.holes import Found, HoleList

RECENT: Final = 64
"""Steps with missing frames that a late frame can still take back; older ones stay counted."""
MOST_MISSING: Final = 2**48
"""Of one step: no stream ever sent so many, a target's counters may still say so."""


@dataclass(slots=True)
class Counts:
    """Totals by class."""

    dropped: int = 0
    unseen: int = 0
    transport: int = 0
    undecided: int = 0
    duplicates: int = 0
    duplicates_before_numbering: int = 0
    reorders: int = 0
    restarts: int = 0


@dataclass(frozen=True, slots=True)
class Classes:
    """How many frames of one step are missing, by class."""

    dropped: int
    unseen: int
    transport: int
    undecided: int

    @property
    def total(self) -> int:
        """All classes."""
        return self.dropped + self.unseen + self.transport + self.undecided


def classes_of(numbered: int, unsent: int, dropped: int, *, metrics: bool) -> Classes:
    """One step: `numbered` frame numbers passed over, `unsent` of the server's sequence, `dropped` by its own count."""
    if not metrics:
        return Classes(0, 0, 0, max(numbered, 0))
    overlap = min(max(0, unsent + dropped - numbered), unsent, dropped)
    return Classes(dropped - overlap, max(0, numbered - unsent - dropped), unsent - overlap, overlap)


@dataclass(frozen=True, slots=True)
class Columns:
    """The fields of a run of frames of one call, shape (n,) each, in order of arrival."""

    t_ns: Int64s
    number: Int64s
    source_ns: Int64s
    sent: Int64s
    dropped: Int64s
    metrics: np.ndarray[tuple[int], np.dtype[np.bool_]]

    def __len__(self) -> int:
        return int(self.t_ns.size)

    def last_told(self, start: int, stop: int) -> int | None:
        """The last of rows [start, stop) that carries the server's own figures; None: none does."""
        if self.metrics[stop - 1]:
            return stop - 1
        rows = np.flatnonzero(self.metrics[start:stop])
        return start + int(rows[-1]) if rows.size else None


@dataclass(slots=True)
class Loss:
    """What one run of frames added: for windows and attribution."""

    times: list[Int64s] = field(default_factory=list)
    """Arrival of the frame after each step."""
    missing: list[Int64s] = field(default_factory=list)
    """All classes but those stated dropped."""
    dropped: list[Int64s] = field(default_factory=list)
    duplicates: list[int] = field(default_factory=list)
    """Row numbers of duplicates of either kind."""
    restarts: list[int] = field(default_factory=list)
    """Row numbers of the first frames of restarted acquisitions."""

    def add(self, t_ns: int, missing: int, dropped: int) -> None:
        """One step."""
        self.times.append(np.array([t_ns]))
        self.missing.append(np.array([missing]))
        self.dropped.append(np.array([dropped]))


@dataclass(slots=True)
class _Step:
    """A step that had missing frames, kept for a frame that comes late."""

    number_before: int
    number: int
    sent_before: int
    sent: int
    numbered: int
    unsent: int
    dropped: int
    metrics: bool
    t_ns: int


class Steps:
    """The chain of one call."""

    __slots__ = ("_carried", "_decimating", "_filled", "_first_sent", "_front", "_recent", "counts", "holes")

    def __init__(self, *, decimating: bool = False) -> None:
        self.counts = Counts()
        self.holes = HoleList()
        """Without those that a late frame can still fill, until `settled`."""
        self._decimating = decimating
        """What the server states as dropped was asked for and leaves no hole."""
        self._front: tuple[int, int, int, int, bool] | None = None
        """frame_number, source_ns, frames_sent, frames_dropped, metrics."""
        self._first_sent = 0
        self._carried = (0, 0)
        self._recent: deque[_Step] = deque(maxlen=RECENT)
        self._filled: deque[int] = deque(maxlen=RECENT)

    def add(self, frames: Columns) -> Loss:
        """Folds a run of frames of the call."""
        loss = Loss()
        n = len(frames)
        if n == 0:
            return loss
        odd = self._odd(frames)
        row = 0
        while row < n:
            moved = self._one(frames, row, loss)
            row += 1
            if not moved:
                continue
            at = int(np.searchsorted(odd, row))
            stop = int(odd[at]) if at < odd.size else n
            if stop > row:
                self._ordinary(frames, row, stop, loss)
                row = stop
        return loss

    def folded(self, t_ns: int, frames: int, counters: tuple[int, int, int, int], loss: Loss) -> None:
        """`frames` arrivals of which only the last one's counters (number, source, sent, dropped) are known."""
        number, source_ns, sent, dropped = counters
        front, metrics = self._front, sent > 0
        self._front = (number, source_ns, sent, dropped, metrics)
        if front is None or number <= front[0]:
            return
        both = metrics and front[4]
        unsent = max(0, sent - front[2] - frames) if both else 0
        self._step(
            _Step(
                number_before=front[0],
                number=number,
                sent_before=front[2],
                sent=sent,
                numbered=max(0, number - front[0] - frames),
                unsent=unsent + self._carried[0],
                dropped=(max(0, dropped - front[3]) if both else 0) + self._carried[1],
                metrics=both,
                t_ns=t_ns,
            ),
            loss,
        )
        self._carried = (0, 0)

    def settled(self) -> None:
        """No frame comes any more: what is missing now stays so."""
        self._settle_holes(list(self._recent))
        self._recent.clear()

    def _settle_holes(self, steps: list[_Step]) -> None:
        if not steps:
            return
        classes = [classes_of(step.numbered, step.unsent, step.dropped, metrics=step.metrics) for step in steps]
        by_class = np.array([(one.unseen, one.transport, one.undecided, one.dropped) for one in classes], np.int64)
        where = np.array([(step.t_ns, step.number_before, step.number) for step in steps], np.int64)
        self._holes(where.T, by_class.T)

    def _holes(self, where: Int64s, by_class: Int64s) -> None:
        """Holes that stay: (arrival, number before, number after) and frames by class, shapes (3, n) and (4, n)."""
        if self._decimating:
            by_class[3] = 0
        self.holes.found(Found(t_ns=where[0], before=where[1], after=where[2], by_class=by_class))

    def _remember(self, steps: list[_Step]) -> None:
        """Keeps steps for late frames; those that they push out stay as they are."""
        out = max(0, len(self._recent) + len(steps) - RECENT)
        self._settle_holes([self._recent.popleft() for _ in range(min(out, len(self._recent)))])
        self._recent.extend(steps)

    def _odd(self, frames: Columns) -> Int64s:
        """Rows that are not an ordinary successor of the row before them."""
        number, sent, metrics = frames.number, frames.sent, frames.metrics
        odd = (number[1:] <= number[:-1]) | (metrics[1:] != metrics[:-1])
        odd |= (sent[1:] <= sent[:-1]) & metrics[1:]
        rows: Int64s = odd.nonzero()[0] + 1
        return rows

    def _ordinary(self, frames: Columns, start: int, stop: int, loss: Loss) -> None:
        """Rows [start, stop), each an ordinary successor of the row before, which is the front."""
        metrics = bool(frames.metrics[start])
        before, now = slice(start - 1, stop - 1), slice(start, stop)
        numbered = frames.number[now] - frames.number[before] - 1
        if metrics:
            unsent = frames.sent[now] - frames.sent[before] - 1
            dropped = np.maximum(frames.dropped[now] - frames.dropped[before], 0)
        else:
            unsent = dropped = np.zeros_like(numbered)
        last = stop - 1
        self._front = (
            int(frames.number[last]),
            int(frames.source_ns[last]),
            int(frames.sent[last]),
            int(frames.dropped[last]),
            metrics,
        )
        rows = (numbered | unsent | dropped).nonzero()[0]
        if rows.size == 0:
            return
        numbered, unsent, dropped = numbered[rows], unsent[rows], dropped[rows]
        counts, times = self.counts, frames.t_ns[start:stop][rows]
        if metrics:
            overlap = np.minimum(np.maximum(unsent + dropped - numbered, 0), np.minimum(unsent, dropped))
            unseen = np.maximum(numbered - unsent - dropped, 0)
            by_class = np.array((unseen, unsent - overlap, overlap, dropped - overlap))
        else:
            by_class = np.array((dropped, dropped, numbered, dropped))
        sums = by_class.sum(axis=1)
        counts.unseen += int(sums[0])
        counts.transport += int(sums[1])
        counts.undecided += int(sums[2])
        counts.dropped += int(sums[3])
        loss.missing.append(by_class[:3].sum(axis=0))
        loss.dropped.append(by_class[3])
        loss.times.append(times)
        rows += start
        recent = [
            _Step(
                number_before=int(frames.number[rows[at] - 1]),
                number=int(frames.number[rows[at]]),
                sent_before=int(frames.sent[rows[at] - 1]),
                sent=int(frames.sent[rows[at]]),
                numbered=int(numbered[at]),
                unsent=int(unsent[at]),
                dropped=int(dropped[at]),
                metrics=metrics,
                t_ns=int(times[at]),
            )
            for at in range(max(0, rows.size - RECENT), rows.size)
        ]
        self._remember(recent)
        if rows.size > RECENT:
            beyond = rows[:-RECENT]
            where = np.stack((times[:-RECENT], frames.number[beyond - 1], frames.number[beyond]))
            self._holes(where, by_class[:, :-RECENT].copy())

    def _one(self, frames: Columns, row: int, loss: Loss) -> bool:
        """Row `row` against the front; whether it became the front in every respect."""
        number, source_ns = int(frames.number[row]), int(frames.source_ns[row])
        sent, dropped = int(frames.sent[row]), int(frames.dropped[row])
        metrics = bool(frames.metrics[row])
        front = self._front
        if front is None:
            self._front = (number, source_ns, sent, dropped, metrics)
            self._first_sent = sent
            return True
        both = metrics and front[4]
        unsent, newly_dropped = self._carried
        if both:
            if sent <= front[2]:
                self._behind(sent, number, same=sent == front[2], row=row, loss=loss)
                return False
            unsent += sent - front[2] - 1
            newly_dropped += max(0, dropped - front[3])
        step = _Step(
            number_before=front[0],
            number=number,
            sent_before=front[2],
            sent=sent,
            numbered=number - front[0] - 1,
            unsent=unsent,
            dropped=newly_dropped,
            metrics=both,
            t_ns=int(frames.t_ns[row]),
        )
        if number > front[0]:
            self._step(step, loss)
        elif source_ns == front[1] or (number == front[0] and number > 1) or source_ns < front[1]:
            self._before_numbering(step, older=source_ns < front[1] and number < front[0], row=row, loss=loss)
            self._carried = (unsent, newly_dropped)
            self._front = (front[0], front[1], sent, dropped, metrics) if metrics else front
            return False
        else:
            self.counts.restarts += 1
            loss.restarts.append(row)
            self.settled()
            self._first_sent = sent
            step.numbered = unsent + newly_dropped
            self._step(step, loss)
        self._carried = (0, 0)
        self._front = (number, source_ns, sent, dropped, metrics)
        return True

    def _step(self, step: _Step, loss: Loss) -> None:
        if not (step.numbered or step.unsent or step.dropped):
            return
        step.numbered, step.unsent, step.dropped = (
            min(count, MOST_MISSING) for count in (step.numbered, step.unsent, step.dropped)
        )
        self._remember([step])
        self._count(step, loss, sign=1)

    def _count(self, step: _Step, loss: Loss, *, sign: int) -> None:
        found = classes_of(step.numbered, step.unsent, step.dropped, metrics=step.metrics)
        counts = self.counts
        counts.dropped += sign * found.dropped
        counts.unseen += sign * found.unseen
        counts.transport += sign * found.transport
        counts.undecided += sign * found.undecided
        loss.add(step.t_ns, sign * (found.total - found.dropped), sign * found.dropped)

    def _behind(self, sent: int, number: int, *, same: bool, row: int, loss: Loss) -> None:
        """A frame whose frames_sent does not pass the front's: sent again, or overtaken on its way."""
        hole = next((step for step in self._recent if step.sent_before < sent < step.sent and step.unsent > 0), None)
        known_from = self._recent[0].sent_before if len(self._recent) == RECENT else self._first_sent
        if same or sent in self._filled or (hole is None and sent >= known_from):
            self.counts.duplicates += 1
            loss.duplicates.append(row)
            return
        self.counts.reorders += 1
        self._filled.append(sent)
        if hole is not None:
            self._count(hole, loss, sign=-1)
            hole.unsent -= 1
            if hole.number_before < number < hole.number:
                hole.numbered -= 1
            self._count(hole, loss, sign=1)

    def _before_numbering(self, step: _Step, *, older: bool, row: int, loss: Loss) -> None:
        """A frame that the server numbered anew in its sequence although an earlier frame_number stands on it."""
        if not older:
            self.counts.duplicates_before_numbering += 1
            loss.duplicates.append(row)
            return
        self.counts.reorders += 1
        number = step.number
        hole = next((one for one in self._recent if one.number_before < number < one.number and one.numbered > 0), None)
        if hole is not None:
            self._count(hole, loss, sign=-1)
            hole.numbered -= 1
            self._count(hole, loss, sign=1)
