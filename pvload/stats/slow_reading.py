"""Subscribers that read slowly by plan: what the server did about it, and whether the others felt it."""

from __future__ import annotations

from typing import Final, Literal

import numpy as np

from pvload.stats.around import SlowReader
from pvload.stats.call_rows import End
from pvload.stats.comings import Comings
from pvload.stats.config import FoldConfig, PopulationPlan
from pvload.stats.figures import NS_PER_S
from pvload.stats.merge import Whole
from pvload.stats.tally import Tally

FELT: Final = 0.95
"""A stream that gets this share of what is expected of it is not slow."""
BLOCKED: Final = 0.8
"""Others that get less than this share of what is expected of them are held up."""

Policy = Literal["skip", "block", "disconnect", "buffer", "not_felt"]


def slow_readers_of(there: Comings, wholes: list[Whole], config: FoldConfig) -> tuple[SlowReader, ...]:
    """One entry for each subscriber of a population that reads slowly by plan."""
    slow = {whole.name: plan for whole in wholes if (plan := _plan(whole, config)) is not None and plan.reads_hz > 0}
    return tuple(_slow_reader(whole, slow[whole.name], there, wholes, slow) for whole in wholes if whole.name in slow)


def _plan(whole: Whole, config: FoldConfig) -> PopulationPlan | None:
    return config.populations.get(whole.name.rpartition("/")[0])


def _slow_reader(
    whole: Whole, plan: PopulationPlan, there: Comings, wholes: list[Whole], slow: dict[str, PopulationPlan]
) -> SlowReader:
    tally = whole.tally
    calls = there.rows[there.of(there.names.index(whole.name))] if whole.name in there.names else there.rows[:0]
    ended = int(np.count_nonzero((calls["end"] == End.SERVER) & (calls["accepted_ns"] >= 0)))
    received, expected = _received_hz(tally), expected_hz(tally)
    oldest = tally.age.ages.maximum if whole.offset_known else None
    p50 = tally.age.ages.quantile(0.5) if whole.offset_known else None
    last = whole.last_age[1] if whole.offset_known and whole.last_age is not None else None
    others = [
        share
        for other in wholes
        if other.device == whole.device and other.name not in slow and (share := _share(other.tally)) is not None
    ]
    return SlowReader(
        subscriber=whole.name,
        reads_hz=plan.reads_hz,
        received_hz=received,
        skipped=tally.steps.dropped,
        age_p50_ms=None if p50 is None else p50 / 1e6,
        age_last_ms=None if last is None else last / 1e6,
        ended_by_server=ended,
        window_bytes=int(calls["window_bytes"].max()) if calls.size else plan.window_bytes,
        buffered_frames_max=None if oldest is None or received is None else max(0.0, oldest / NS_PER_S * received),
        policy=_policy(plan.reads_hz, received, expected, tally.steps.dropped, ended, others),
    )


def _policy(
    reads_hz: float, received: float | None, expected: float | None, skipped: int, ended: int, others: list[float]
) -> Policy:
    """What the server does with a reader that is too slow for the stream."""
    if ended:
        return "disconnect"
    if skipped:
        return "skip"
    if others and sum(others) / len(others) < BLOCKED:
        return "block"
    if expected is not None and (reads_hz >= expected or (received is not None and received >= FELT * expected)):
        return "not_felt"
    return "buffer"


def _received_hz(tally: Tally) -> float | None:
    return tally.judged_frames * NS_PER_S / tally.judged_ns if tally.judged_ns else None


def expected_hz(tally: Tally) -> float | None:
    """Frames a second that the plan states of the stream, mean over its judged time; None: it states none."""
    stated = sorted((rate, ns) for (rate, known), ns in tally.rates.items() if known and rate > 0)
    weight = sum(ns for _, ns in stated)
    return sum(rate * ns for rate, ns in stated) / weight if weight else None


def _share(tally: Tally) -> float | None:
    received, expected = _received_hz(tally), expected_hz(tally)
    return None if received is None or not expected else received / expected
