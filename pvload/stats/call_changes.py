"""The changes of its device as one call saw them: when each one showed, what was lost across it, whether frames ended.

All is decided by the times of frames, changes and plan, never by how many frames come at once. A change is looked for
until its time limit, the next change of the same figure, or the stop of the camera.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from pvload.stats.basis import Basis
from pvload.stats.changes_seen import ChangeSeen
from pvload.stats.config import FoldConfig
from pvload.stats.histogram import Int64s
from pvload.stats.opening import Opening
from pvload.stats.planned import Pending, as_plan, neither, plan_of, shows
from pvload.stats.planned_changes import ANSWER_NS, AROUND_NS, LONGEST_NS, Planned
from pvload.stats.steps import Columns, Loss
from pvload.stats.timeline import FOREVER, Edge
from pvload.wire.event import Records

AT_ONCE: Final = 16
"""A change is looked for no longer than until the sixteenth after it begins to matter."""
KEPT: Final = 2 * AT_ONCE
"""Changes kept for frames that come late and were counted missing."""
SILENT_PERIODS: Final = 5


class _Watch:
    """One change, looked for on one call."""

    __slots__ = (
        "already",
        "before",
        "effect_ns",
        "ended",
        "frames",
        "last_ns",
        "limit_ns",
        "longest_ns",
        "looked",
        "missing",
        "neither",
        "place",
        "planned",
        "reached_ns",
        "resolved",
        "silent_to_ns",
        "slow",
        "stop_ns",
        "threshold_ns",
        "told",
        "waits_ns",
    )

    def __init__(
        self, place: int, planned: Planned, *, rate_hz: float, stall_ns: int, last_ns: int | None, slow: bool
    ) -> None:
        self.place = place
        self.slow = slow
        self.planned = planned
        self.waits_ns = planned.waits_ns(rate_hz)
        self.threshold_ns = max(stall_ns, planned.periods_ns(SILENT_PERIODS, rate_hz))
        self.limit_ns = FOREVER
        """The effect is looked for up to here."""
        self.stop_ns = FOREVER
        """Nothing counts from here on: the camera is stopped."""
        self.effect_ns: int | None = None
        self.before = self.missing = self.neither = self.longest_ns = 0
        self.frames = 0
        """Frames after the change."""
        self.last_ns = last_ns
        """The latest frame of the call, before the change or after it."""
        self.reached_ns = planned.begin_ns
        """Gaps are settled up to here."""
        self.silent_to_ns: int | None = None
        """See `ChangeSeen`."""
        self.resolved = self.ended = self.looked = self.told = self.already = False

    @property
    def end_ns(self) -> int:
        """Loss is counted up to here."""
        return min((self.limit_ns if self.effect_ns is None else self.effect_ns) + AROUND_NS, self.stop_ns)

    @property
    def blamed_ns(self) -> int:
        """Frames that end up to here ended with the change; a stream that showed it and went on lived through it."""
        return self.limit_ns if self.effect_ns is None else min(self.limit_ns, self.effect_ns + AROUND_NS)

    @property
    def alive(self) -> bool:
        """Whether frames came when it was sent, or have come since."""
        at_ns = self.planned.at_ns
        return self.last_ns is not None and self.last_ns >= at_ns - self.threshold_ns

    def gap(self, until_ns: int) -> None:
        """No frame came from `reached_ns` to until_ns, as far as that lies in the stretch."""
        until_ns = min(until_ns, self.end_ns)
        self.longest_ns = max(self.longest_ns, until_ns - self.reached_ns)

    def seen(self) -> ChangeSeen:
        """What came of it."""
        return ChangeSeen(
            effect_ns=self.effect_ns,
            before=self.before,
            missing=self.missing,
            longest_ns=self.longest_ns,
            neither=self.neither,
            ended=self.ended,
            silent_to_ns=self.silent_to_ns,
            on_ns=None if self.last_ns is None else min(self.last_ns, self.limit_ns),
            slow=self.slow,
            looked=self.looked,
            told=self.told,
            already=self.already,
        )


class CallChanges:
    """All changes that one call lived through."""

    def __init__(self, opening: Opening, subscriber: str, basis: Basis, config: FoldConfig) -> None:
        self._opening = opening
        self._subscriber = subscriber
        self._basis = basis
        self._config = config
        population = config.populations.get(subscriber.rpartition("/")[0])
        self._slow = population is not None and population.reads_hz > 0
        self._planned = basis.timeline.changes_of(opening.device)
        self._edges = basis.timeline.edges(opening.device)
        self._next = 0
        """Place of the first change not looked at yet."""
        self._watches: list[_Watch] = []
        self._last_ns: int | None = None
        self._last: Records | None = None
        """The latest frame, and when it came."""

    def frames(self, rows: Records, columns: Columns, loss: Loss) -> None:
        """Takes the next frames of the call."""
        if self._planned.changes:
            t_ns = columns.t_ns
            self._begin(int(t_ns[-1]))
            for watch in self._watches:
                self._limits(watch)
                if not (watch.resolved and int(t_ns[0]) > watch.end_ns):
                    self._take(watch, rows, t_ns)
            if loss.times and self._watches:
                self._missing(loss)
            while len(self._watches) > KEPT:
                self._keep(self._watches.pop(0))
        self._last_ns, self._last = int(columns.t_ns[-1]), rows[-1:].copy()

    def close(self, at_ns: int, *, by_server: bool) -> None:
        """The call is over."""
        self._begin(at_ns)
        for watch in self._watches:
            self._limits(watch)
            if not watch.resolved:
                until_ns = min(at_ns, self._plan_changes_ns(watch))
                self._resolve(watch, until_ns)
                ended = by_server and until_ns == at_ns and watch.planned.at_ns <= at_ns <= watch.blamed_ns
                watch.ended = ended and watch.alive
            watch.gap(at_ns)
            self._keep(watch)
        self._watches.clear()

    def pending(self, begin_ns: int, end_ns: int) -> list[Pending]:
        """What is under way in [begin, end], as `check_plan` must know it."""
        changes = self._planned.changes
        if not changes:
            return []
        found = []
        for planned in changes[self._planned.from_time(begin_ns - LONGEST_NS - ANSWER_NS - AROUND_NS) :]:
            if planned.at_ns > end_ns:
                break
            old = self._before(planned)
            wait_ns = planned.waits_ns(old.rate_hz if old is not None else 0.0) + ANSWER_NS + AROUND_NS
            if planned.at_ns + wait_ns < begin_ns:
                continue
            values = (as_plan(planned.shows), plan_of(old, self._config.plan))
            found.append(Pending(planned.at_ns, planned.at_ns + wait_ns, values))
        return found

    def _before(self, planned: Planned) -> Edge | None:
        """The plan before a change; of one looked for again after a start, the one before the stop."""
        edge = self._edges.at(planned.at_ns - 1)
        if planned.again and edge is not None and edge.wanted:
            stopped = self._edges.at(edge.run_ns - 1)
            edge = stopped if stopped is None or stopped.wanted else self._edges.at(stopped.run_ns - 1)
        return edge

    def _begin(self, until_ns: int) -> None:
        """Looks for what begins to matter up to until_ns."""
        changes, opened_ns = self._planned.changes, self._opening.opened_ns
        while self._next < len(changes) and changes[self._next].begin_ns <= until_ns:
            planned, place = changes[self._next], self._next
            self._next += 1
            late = opened_ns > planned.at_ns
            if late and not planned.again:
                continue
            edge = self._before(planned)
            rate_hz = edge.rate_hz if edge is not None else 0.0
            watch = _Watch(
                place,
                planned,
                rate_hz=rate_hz,
                stall_ns=self._config.stall_ns,
                last_ns=self._last_ns,
                slow=self._slow,
            )
            if late and opened_ns > planned.at_ns + watch.waits_ns + ANSWER_NS:
                continue
            watch.reached_ns = max(watch.reached_ns, opened_ns)
            if self._last is not None:
                watch.already = bool(shows(self._last, planned.shows, self._opening)[0][0])
            self._watches.append(watch)

    def _limits(self, watch: _Watch) -> None:
        """How far the watch goes, as far as it is known: what is told later lies beyond all frames taken so far."""
        planned, changes = watch.planned, self._planned.changes
        limit_ns = planned.at_ns + watch.waits_ns + ANSWER_NS
        for other in changes[watch.place + 1 : watch.place + 1 + AT_ONCE]:
            if other.at_ns >= limit_ns:
                break
            if other.number == planned.number or other.shows.contends(planned.shows):
                limit_ns = max(other.at_ns, planned.at_ns)
        if watch.place + AT_ONCE < len(changes):
            limit_ns = min(limit_ns, changes[watch.place + AT_ONCE].begin_ns)
            watch.stop_ns = min(watch.stop_ns, limit_ns)
        off_ns = self._edges.off_after(planned.at_ns)
        watch.limit_ns, watch.stop_ns = min(limit_ns, off_ns), min(watch.stop_ns, off_ns)

    def _plan_changes_ns(self, watch: _Watch) -> int:
        """When the plan next changes after the watch's change."""
        changes = self._planned.changes
        after = changes[watch.place + 1].at_ns if watch.place + 1 < len(changes) else FOREVER
        return min(after, self._edges.off_after(watch.planned.at_ns))

    def _take(self, watch: _Watch, rows: Records, t_ns: Int64s) -> None:
        planned, known = watch.planned, watch.effect_ns is not None
        first, limit = (int(at) for at in np.searchsorted(t_ns, (planned.at_ns, watch.limit_ns)))
        if first:
            watch.already = bool(shows(rows[first - 1 : first], planned.shows, self._opening)[0][0])
        if not known and limit > first:
            showing, told = shows(rows[first:limit], planned.shows, self._opening)
            watch.told |= told
            if showing.any():
                found = first + int(showing.argmax())
                watch.effect_ns = int(t_ns[found])
                watch.before += found - first
            else:
                watch.before += limit - first
        self._gaps(watch, t_ns)
        begin, end = first, int(np.searchsorted(t_ns, watch.end_ns, side="right"))
        if end > begin:
            old = plan_of(self._before(planned), self._config.plan)
            part = slice(begin, end)
            watch.neither += neither(rows[part], t_ns[part], old, self._contenders(watch), self._opening)
        if not watch.resolved:
            self._silences(watch, t_ns, first)

    def _contenders(self, watch: _Watch) -> Sequence[Planned]:
        """The change, and those that may be on their way with it."""
        changes = self._planned.changes
        near = changes[max(0, watch.place - AT_ONCE) : watch.place + AT_ONCE]
        begin = watch.planned.at_ns - watch.waits_ns - ANSWER_NS
        return [one for one in near if begin <= one.at_ns]

    def _gaps(self, watch: _Watch, t_ns: Int64s) -> None:
        """The longest time without a frame in the stretch, up to the last of these frames."""
        begin, end = (int(at) for at in np.searchsorted(t_ns, (watch.planned.begin_ns, watch.end_ns)))
        if begin < end:
            times = np.concatenate(([watch.reached_ns], t_ns[begin:end]))
            watch.longest_ns = max(watch.longest_ns, int(np.diff(times).max()))
            watch.reached_ns = int(t_ns[end - 1])
        if end < t_ns.size and watch.reached_ns < watch.end_ns:
            watch.gap(int(t_ns[end]))
            watch.reached_ns = watch.end_ns

    def _silences(self, watch: _Watch, t_ns: Int64s, first: int) -> None:
        """Whether frames ended with the change, once that can be known."""
        changed_ns = self._plan_changes_ns(watch)
        own = int(np.searchsorted(t_ns, changed_ns))
        if own:
            watch.last_ns = int(t_ns[own - 1])
            watch.frames += max(0, own - first)
        if own < t_ns.size:
            self._resolve(watch, changed_ns)
        elif int(t_ns[-1]) > watch.limit_ns:
            watch.resolved = True
            watch.looked = watch.frames > 0 and watch.limit_ns - watch.planned.at_ns >= watch.waits_ns

    def _resolve(self, watch: _Watch, until_ns: int) -> None:
        """No frame comes before until_ns any more, where the plan changes or the call ends."""
        at_ns = watch.planned.at_ns
        watch.resolved = True
        watch.looked = watch.frames > 0 and min(until_ns, watch.limit_ns) - at_ns >= watch.waits_ns
        if until_ns <= at_ns or watch.last_ns is None or watch.last_ns > watch.blamed_ns or not watch.alive:
            return
        begin_ns = max(watch.last_ns, at_ns)
        silence_ns = until_ns - begin_ns - self._basis.timeline.late.within(begin_ns, until_ns)
        if silence_ns > watch.threshold_ns:
            watch.silent_to_ns = min(begin_ns + watch.threshold_ns, watch.limit_ns)

    def _missing(self, loss: Loss) -> None:
        """Loss in each stretch; a frame that comes late takes back what was counted for it."""
        decimating = self._opening.max_fps > 0
        for times, missing, dropped in zip(loss.times, loss.missing, loss.dropped, strict=True):
            counted = missing if decimating else missing + dropped
            for watch in self._watches:
                inside = (times >= watch.planned.begin_ns) & (times <= watch.end_ns)
                watch.missing += int(counted[inside].sum())

    def _keep(self, watch: _Watch) -> None:
        self._basis.seen.add(self._opening.device, watch.place, self._subscriber, watch.seen())
