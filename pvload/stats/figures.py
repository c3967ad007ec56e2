"""From integer sums to the figures of a report. The only place where nanoseconds become seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pvload.stats.gaps import StallNote
from pvload.stats.quantiles import Quantiles
from pvload.stats.summary import Age, Figures, Freezes, Gaps, Hole, Missing, ServerMetrics, Stall, Stalls
from pvload.stats.tally import Tally

NS_PER_S: Final = 1_000_000_000
TO_MS: Final = 1e-6


@dataclass(frozen=True, slots=True)
class Scope:
    """What a scope's figures need beside its sums."""

    start_ns: int
    """Run axis."""
    threshold_ns: int
    offset_known: bool
    age_uncertainty_ns: int | None
    silence_ns: int
    silence_at_ns: int | None


def figures(tally: Tally, scope: Scope) -> Figures:
    """The figures of one scope."""
    expected, stated, due = _expected(tally)
    judged_s = tally.judged_ns / NS_PER_S
    counts = tally.steps
    return Figures(
        frames=tally.frames,
        message_bytes=tally.message_bytes,
        decoded_bytes=tally.decoded_bytes,
        open_s=tally.open_ns / NS_PER_S,
        due_s=tally.due_ns / NS_PER_S,
        judged_s=judged_s,
        judged_frames=tally.judged_frames,
        blind_s=tally.blind_ns / NS_PER_S,
        expected_hz=expected,
        expected_is_stated=stated,
        fps=tally.judged_frames / judged_s if judged_s > 0 else None,
        fps_worst_window=tally.worst_window_fps,
        frames_due=due,
        coverage=tally.judged_frames / due if due else None,
        mb_per_s=tally.judged_bytes / 1e6 / judged_s if judged_s > 0 else None,
        inter_arrival_ms=tally.gaps.inter_arrival.quantiles(scale=TO_MS),
        gaps=_gaps(tally),
        stalls=_stalls(tally, scope),
        freezes=Freezes(
            count=tally.gaps.freezes,
            total_s=tally.gaps.freeze_ns / NS_PER_S,
            longest_s=tally.gaps.longest_freeze_ns / NS_PER_S,
        ),
        longest_silence_s=scope.silence_ns / NS_PER_S,
        longest_silence_at_s=None if scope.silence_at_ns is None else seconds(scope.silence_at_ns, scope.start_ns),
        missing=Missing(
            decimated=tally.decimated,
            backpressure=counts.dropped,
            unseen=counts.unseen,
            transport=counts.transport,
            undecided=counts.undecided,
            before_numbering=tally.before_numbering,
        ),
        duplicates=counts.duplicates,
        duplicates_before_numbering=counts.duplicates_before_numbering,
        reorders=counts.reorders,
        restarts=counts.restarts,
        late=tally.late,
        lag_losses=tally.lag_losses,
        frames_sent=tally.frames_sent,
        frames_dropped=tally.frames_dropped,
        age=_age(tally, scope),
        jitter_ms=tally.age.jitter_ns / tally.age.jitter_n * TO_MS if tally.age.jitter_n else None,
        connect_ms=tally.connect.quantiles(scale=TO_MS),
        first_frame_ms=tally.first_frame.quantiles(scale=TO_MS),
        payload_checked=tally.payload_checked,
        payload_errors=dict(sorted(tally.payload_errors.items())),
        errors=dict(sorted(tally.errors.items())),
        unexpected_ends=tally.unexpected_ends,
        admission_refused=tally.admission_refused,
        wait_timeouts=tally.wait_timeouts,
        outages=tally.outages,
        outages_s=tally.outages_ns / NS_PER_S,
        longest_outage_s=tally.longest_outage_ns / NS_PER_S,
        folded_frames=tally.folded_frames,
        server=None
        if tally.server is None
        else ServerMetrics(
            current_fps=tally.server.current_fps,
            frames_sent=tally.server.frames_sent,
            frames_dropped=tally.server.frames_dropped,
            avg_latency_ms=tally.server.avg_latency_ms,
        ),
        refused=dict(sorted(tally.refused.items())),
        holes=tuple(
            Hole(
                subscriber=hole.subscriber,
                call=hole.call,
                at_s=seconds(hole.at_ns, scope.start_ns),
                count=hole.count,
                loss_class=hole.loss_class,
                number_before=hole.before,
                number_after=hole.after,
            )
            for hole in tally.holes.kept()
        ),
    )


def seconds(at_ns: int, start_ns: int) -> float:
    """A moment of the run's axis in seconds from its start."""
    return (at_ns - start_ns) / NS_PER_S


def _expected(tally: Tally) -> tuple[float | None, bool, float | None]:
    """Expected rate, whether the plan states all of it, and frames due. Time without a rate takes the others' mean."""
    known = sorted((rate, stated, ns) for (rate, stated), ns in tally.rates.items() if rate > 0)
    if not known:
        return None, False, None
    weight = sum(ns for _, _, ns in known)
    stated = all(stated for _, stated, _ in known) and (0.0, False) not in tally.rates
    if weight == 0:
        return known[0][0] if len(known) == 1 else None, stated, None
    rate = sum(rate * ns for rate, _, ns in known) / weight
    return rate, stated, rate * sum(tally.rates.values()) / NS_PER_S


def _gaps(tally: Tally) -> Gaps:
    gaps = tally.gaps
    weighted = gaps.weighted
    total, median = weighted.total, weighted.weighted_median()
    return Gaps(
        mean_s=gaps.squares / total / NS_PER_S if total > 0 else None,
        median_s=None if median is None else median / NS_PER_S,
        longest_s=gaps.longest_ns / NS_PER_S,
        stalled_share=min(1.0, gaps.stalls.total_ns / total) if total > 0 else 0.0,
    )


def _stalls(tally: Tally, scope: Scope) -> Stalls:
    stalls = tally.gaps.stalls
    longest = stalls.longest
    return Stalls(
        threshold_s=scope.threshold_ns / NS_PER_S,
        count=stalls.count,
        total_s=stalls.total_ns / NS_PER_S,
        longest_s=0.0 if longest is None else longest.length_ns / NS_PER_S,
        longest_uncertainty_s=0.0 if longest is None else longest.uncertainty_ns / NS_PER_S,
        listed=tuple(_stall(stall, scope.start_ns) for stall in stalls.kept()),
    )


def _stall(note: StallNote, start_ns: int) -> Stall:
    return Stall(
        subscriber=note.subscriber,
        call=note.call,
        at_s=seconds(note.begin_ns, start_ns),
        length_s=note.length_ns / NS_PER_S,
        frame_index=note.frame_index,
        last_frame_number=note.last_number if note.last_number >= 0 else None,
        censored=note.censored,
        uncertainty_s=note.uncertainty_ns / NS_PER_S,
    )


def _age(tally: Tally, scope: Scope) -> Age:
    ages = tally.age.ages
    shift = 0 if scope.offset_known or ages.minimum is None else ages.minimum
    quantiles: Quantiles = ages.quantiles(scale=TO_MS, shift=shift)
    known = scope.offset_known and scope.age_uncertainty_ns is not None
    return Age(
        offset_known=scope.offset_known,
        uncertainty_ms=scope.age_uncertainty_ns * TO_MS if known and scope.age_uncertainty_ns is not None else None,
        quantiles=quantiles,
        negative=tally.age.negative if scope.offset_known else 0,
    )
