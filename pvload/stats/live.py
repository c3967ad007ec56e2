"""How a run stands while it goes on: cheap, a second or two behind for what must wait for later records."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from pvload.stats.config import FoldConfig
from pvload.stats.histogram import Histogram
from pvload.stats.live_populations import live_populations
from pvload.stats.sender import LIVE_SPAN_NS, SenderFold, killed_of
from pvload.wire.event import Kind
from pvload.wire.live import LivePopulation

NS_PER_S: Final = 1_000_000_000
FOR_EVER_NS: Final = 2**62


@dataclass(frozen=True, slots=True)
class LiveFigures:
    """As of the last record of any sender."""

    at_ns: int | None
    """Time of that record."""
    started_ns: int | None
    """The run's start, see RunFacts.start_ns."""
    frames: int
    message_bytes: int
    open_streams: int
    fps: float
    """Of all streams together, over the last 5 s of records."""
    missing: int
    """All classes but decimation."""
    restarts: int
    stalls: int
    """Those that go on now among them."""
    stalled_now: int
    longest_stall_s: float
    age_p99_ms: float | None
    """None without a known offset."""
    errors: int
    unexpected_ends: int
    admission_refused: int
    wait_timeouts: int
    lag_ms: float
    """Longest lateness of an engine so far."""
    driver_errors: int
    delivered: int
    missing_records: int
    populations: tuple[LivePopulation, ...] = ()


def live_figures(senders: list[SenderFold], config: FoldConfig) -> LiveFigures:
    """The figures of all senders; open stalls are measured to each sender's last record."""
    ages = Histogram()
    offset_known = True
    longest = stalled = stalls = frames_bytes = missing = restarts = errors = ends = admission = timeouts = 0
    recent, at_ns = [], None
    killed, streams = killed_of(senders), 0
    last_arrivals = [_last_arrivals(sender) for sender in senders]
    for sender, last in zip(senders, last_arrivals, strict=True):
        offset = sender.account.clock.axis_offset_ns
        newest = sender.hold.newest_ns
        if newest is not None:
            at_ns = max(newest + offset, at_ns if at_ns is not None else newest + offset)
        recent += [times + offset for times in sender.arrivals]
        unaged = sender.is_viewer and not sender.basis.offset_known
        tallies = [subscriber.tally for subscriber in sender.calls.subscribers.values()]
        for ref, call in sender.calls.open.items():
            counts = call.steps.counts
            missing += counts.unseen + counts.transport + counts.undecided
            missing += 0 if call.opening.max_fps else counts.dropped
            restarts += counts.restarts
            tallies.append(call.tally)
            if not unaged:
                ages.merge(call.ages.latest)
            if sender.is_viewer and (call.subscriber.name, call.opening.number) in killed:
                continue
            streams += 1
            if call.gaps.since is not None and newest is not None:
                now = min(newest, sender.basis.timeline.close_ns)
                gap = now - max(call.gaps.since, last.get(ref, call.gaps.since))
                if gap > config.stall_ns:
                    stalled += 1
                    longest = max(longest, gap)
        for tally in tallies:
            frames_bytes += tally.message_bytes
            steps = tally.steps
            missing += steps.dropped + steps.unseen + steps.transport + steps.undecided
            restarts += steps.restarts
            stalls += tally.gaps.stalls.count
            if tally.gaps.stalls.longest is not None:
                longest = max(longest, tally.gaps.stalls.longest.length_ns)
            if not unaged:
                ages.merge(tally.age.ages)
            errors += sum(tally.errors.values())
            ends += tally.unexpected_ends
            admission += tally.admission_refused
            timeouts += tally.wait_timeouts
        offset_known &= unaged or sender.basis.offset_known or sender.frames == 0
    p99 = ages.quantile(0.99) if offset_known else None
    begins = [s.begins_ns + s.account.clock.axis_offset_ns for s in senders if s.begins_ns is not None]
    return LiveFigures(
        at_ns=at_ns,
        started_ns=min(begins, default=None),
        frames=sum(sender.frames for sender in senders),
        message_bytes=frames_bytes,
        open_streams=streams,
        fps=_rate(recent, at_ns, min(begins, default=None)),
        missing=missing,
        restarts=restarts,
        stalls=stalls + stalled,
        stalled_now=stalled,
        longest_stall_s=longest / NS_PER_S,
        age_p99_ms=None if p99 is None else p99 / 1e6,
        errors=errors,
        unexpected_ends=ends,
        admission_refused=admission,
        wait_timeouts=timeouts,
        lag_ms=max((sender.account.lag.worst[0] for sender in senders if sender.is_engine), default=0) / 1e6,
        driver_errors=sum(sender.account.log.driver_errors for sender in senders),
        delivered=sum(sender.delivered for sender in senders),
        missing_records=sum(sender.missing for sender in senders),
        populations=live_populations(senders, config, last_arrivals),
    )


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


def _rate(recent: list[np.ndarray[tuple[int], np.dtype[np.int64]]], at_ns: int | None, begins: int | None) -> float:
    if at_ns is None or begins is None:
        return 0.0
    span = min(LIVE_SPAN_NS, max(at_ns - begins, NS_PER_S))
    return sum(int(np.count_nonzero(times > at_ns - span)) for times in recent) * NS_PER_S / span
