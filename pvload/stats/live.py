"""How a run stands while it goes on: cheap, a second or two behind for what must wait for later records."""

from __future__ import annotations

from dataclasses import dataclass

from pvload.stats.config import FoldConfig
from pvload.stats.figures import NS_PER_S, TO_MS
from pvload.stats.live_part import LivePart, Sums
from pvload.stats.sender import SenderFold, killed_of
from pvload.wire.live import LivePopulation


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


def live_figures(senders: list[SenderFold], gone: LivePart, config: FoldConfig) -> LiveFigures:
    """The figures of all senders; open stalls are measured to each sender's last record."""
    whole, killed = LivePart(), killed_of(senders)
    whole.merge(gone)
    for sender in senders:
        whole.take(sender, killed, stall_ns=config.stall_ns)
    p99 = whole.ages.quantile(0.99) if whole.offset_known else None
    calls = whole.calls
    return LiveFigures(
        at_ns=whole.at_ns,
        started_ns=whole.begins_ns,
        frames=whole.frames,
        message_bytes=calls.message_bytes,
        open_streams=calls.streams_open,
        fps=whole.rate(),
        missing=calls.missing,
        restarts=calls.restarts,
        stalls=calls.stalls,
        stalled_now=calls.stalled_now,
        longest_stall_s=calls.longest_ns / NS_PER_S,
        age_p99_ms=None if p99 is None else p99 * TO_MS,
        errors=calls.errors,
        unexpected_ends=calls.unexpected_ends,
        admission_refused=calls.admission_refused,
        wait_timeouts=calls.wait_timeouts,
        lag_ms=whole.lag_ns * TO_MS,
        driver_errors=whole.driver_errors,
        delivered=whole.delivered,
        missing_records=whole.missing_records,
        populations=tuple(_population(name, sums) for name, sums in sorted(whole.populations.items())),
    )


def _population(name: str, sums: Sums) -> LivePopulation:
    return LivePopulation(
        name=name,
        streams_open=sums.streams_open,
        frames=sums.frames,
        missing=sums.missing,
        stalls=sums.stalls,
        longest_stall_s=sums.longest_ns / NS_PER_S,
        errors=sums.unexpected_ends,
    )
