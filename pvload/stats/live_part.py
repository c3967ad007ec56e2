"""What senders add to the live figures: sums that can be added up, so that those who are gone are one part together."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from pvload.stats.call import CallFold
from pvload.stats.figures import NS_PER_S
from pvload.stats.histogram import Histogram, Int64s
from pvload.stats.sender import LIVE_SPAN_NS, SenderFold
from pvload.stats.tally import Tally
from pvload.wire.event import Kind

FOR_EVER_NS: Final = 2**62

_Calls = Container[tuple[str, int]]
"""Calls by subscriber and number."""


@dataclass(slots=True)
class Sums:
    """Of some calls: all of a run's, or those of a population."""

    streams_open: int = 0
    frames: int = 0
    message_bytes: int = 0
    missing: int = 0
    """All classes but decimation."""
    restarts: int = 0
    stalls: int = 0
    """Those that go on now among them."""
    stalled_now: int = 0
    longest_ns: int = 0
    errors: int = 0
    unexpected_ends: int = 0
    admission_refused: int = 0
    wait_timeouts: int = 0

    def ended(self, tally: Tally) -> None:
        """Adds what is settled, of calls that are over or of one that is not."""
        steps = tally.steps
        self.frames += tally.frames
        self.message_bytes += tally.message_bytes
        self.missing += steps.dropped + steps.unseen + steps.transport + steps.undecided
        self.restarts += steps.restarts
        self.stalls += tally.gaps.stalls.count
        longest = tally.gaps.stalls.longest
        self.longest_ns = max(self.longest_ns, 0 if longest is None else longest.length_ns)
        self.errors += sum(tally.errors.values())
        self.unexpected_ends += tally.unexpected_ends
        self.admission_refused += tally.admission_refused
        self.wait_timeouts += tally.wait_timeouts

    def unended(self, call: CallFold, *, silent_ns: int | None) -> None:
        """Adds what a call has that is not over. silent_ns: how long it has been stalled; None: it is not open."""
        self.ended(call.tally)
        counts = call.steps.counts
        self.missing += counts.unseen + counts.transport + counts.undecided
        self.missing += 0 if call.opening.max_fps else counts.dropped
        self.restarts += counts.restarts
        if silent_ns is None:
            return
        self.streams_open += 1
        if silent_ns:
            self.stalls += 1
            self.stalled_now += 1
            self.longest_ns = max(self.longest_ns, silent_ns)

    def merge(self, other: Sums) -> None:
        """Adds the sums of other calls."""
        for name in self.__slots__:
            mine, theirs = getattr(self, name), getattr(other, name)
            setattr(self, name, max(mine, theirs) if name == "longest_ns" else mine + theirs)


@dataclass(slots=True)
class LivePart:
    """Of some senders, as of their last records."""

    at_ns: int | None = None
    """Time of the last record, run axis."""
    begins_ns: int | None = None
    frames: int = 0
    """FRAME records, those that wait to be folded among them."""
    delivered: int = 0
    missing_records: int = 0
    lag_ns: int = 0
    """Longest lateness of an engine."""
    driver_errors: int = 0
    offset_known: bool = True
    """Whether ages mean anything."""
    ages: Histogram = field(default_factory=Histogram)
    recent: list[Int64s] = field(default_factory=list)
    """Arrivals of the last seconds, run axis."""
    calls: Sums = field(default_factory=Sums)
    populations: dict[str, Sums] = field(default_factory=dict)

    def take(self, sender: SenderFold, killed: _Calls | None, *, stall_ns: int) -> None:
        """Adds a sender. killed: calls that are over, for their viewer was killed; None: none of its calls is open."""
        offset, newest = sender.account.clock.axis_offset_ns, sender.hold.newest_ns
        self.at_ns = _later(self.at_ns, None if newest is None else newest + offset)
        begins = None if sender.begins_ns is None else sender.begins_ns + offset
        self.begins_ns = _earlier(self.begins_ns, begins)
        self.frames += sender.frames
        self.delivered += sender.delivered
        self.missing_records += sender.missing
        self.lag_ns = max(self.lag_ns, sender.account.lag.worst[0] if sender.is_engine else 0)
        self.driver_errors += sender.account.log.driver_errors
        self.recent += [times + offset for times in sender.arrivals]
        unaged = sender.is_viewer and not sender.basis.offset_known
        self.offset_known &= unaged or sender.basis.offset_known or sender.frames == 0
        for subscriber in sender.calls.subscribers.values():
            for sums in (self.calls, self._population(subscriber.name)):
                sums.ended(subscriber.tally)
            if not unaged:
                self.ages.merge(subscriber.tally.age.ages)
        last = _last_arrivals(sender)
        for ref, call in sender.calls.open.items():
            over = killed is None or (sender.is_viewer and (call.subscriber.name, call.opening.number) in killed)
            silent_ns = None if over else _silent_ns(sender, call, last.get(ref), stall_ns)
            for sums in (self.calls, self._population(call.subscriber.name)):
                sums.unended(call, silent_ns=silent_ns)
            if not unaged:
                self.ages.merge(call.tally.age.ages)
                self.ages.merge(call.ages.latest)

    def merge(self, other: LivePart) -> None:
        """Adds other senders."""
        self.at_ns = _later(self.at_ns, other.at_ns)
        self.begins_ns = _earlier(self.begins_ns, other.begins_ns)
        self.frames += other.frames
        self.delivered += other.delivered
        self.missing_records += other.missing_records
        self.lag_ns = max(self.lag_ns, other.lag_ns)
        self.driver_errors += other.driver_errors
        self.offset_known &= other.offset_known
        self.ages.merge(other.ages)
        self.recent += other.recent
        self.calls.merge(other.calls)
        for name, sums in other.populations.items():
            self.populations.setdefault(name, Sums()).merge(sums)

    def forget(self, before_ns: int) -> None:
        """Lets go of arrivals that are older."""
        self.recent = [times for times in self.recent if int(times[-1]) > before_ns]

    def rate(self) -> float:
        """Frames a second of all streams together, over the last seconds of records."""
        if self.at_ns is None or self.begins_ns is None:
            return 0.0
        span = min(LIVE_SPAN_NS, max(self.at_ns - self.begins_ns, NS_PER_S))
        since = self.at_ns - span
        return sum(int(np.count_nonzero(times > since)) for times in self.recent) * NS_PER_S / span

    def _population(self, subscriber: str) -> Sums:
        """`population/ordinal` -> its population's sums."""
        return self.populations.setdefault(subscriber.rpartition("/")[0], Sums())


def _silent_ns(sender: SenderFold, call: CallFold, last_ns: int | None, stall_ns: int) -> int:
    """How long an open call has been stalled at its sender's last record; 0: it is not."""
    newest = sender.hold.newest_ns
    if call.gaps.since is None or newest is None:
        return 0
    since = call.gaps.since if last_ns is None else max(call.gaps.since, last_ns)
    gap_ns = min(newest, sender.basis.timeline.close_ns) - since
    return gap_ns if gap_ns > stall_ns else 0


def _last_arrivals(sender: SenderFold) -> dict[int, int]:
    """Call id -> its last arrival among the records that still wait to be folded.

    A call whose end is among them waits for nothing any more, so its silence is no stall that goes on.
    """
    rows = sender.hold.waiting()
    if rows.size == 0:
        return {}
    frames = rows[rows["kind"] == Kind.FRAME][::-1]
    refs, at = np.unique(frames["ref"], return_index=True)
    last = {int(ref): int(t_ns) for ref, t_ns in zip(refs, frames["t_ns"][at], strict=True)}
    over = np.unique(rows[rows["kind"] == Kind.ENDED]["ref"])
    return last | {int(ref): FOR_EVER_NS for ref in over}


def _later(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else max(one, other)


def _earlier(one: int | None, other: int | None) -> int | None:
    return other if one is None else one if other is None else min(one, other)
