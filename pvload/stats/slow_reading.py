"""Subscribers that read slowly by plan: what the server did about it, and whether the others felt it.

A reader that is too slow misses frames. A server that skips leaves them out, so that what it reads gets no older; one
that buffers keeps them, and they grow older all the time. So the share of the missed frames that were left out decides
(`LEFT_OUT`), not whether any was: a queue with room for minutes still loses one in a bad moment.
"""

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
LEFT_OUT: Final = 0.1
"""A server skips if it left out this share of what the reader missed. Frames then grew older in nine tenths of the time
at most. A larger share cannot be asked for: in a short run most of what was missed is still on its way."""
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
    given = None if expected is None else expected * min(1.0, max(others, default=1.0))
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
        policy="disconnect" if ended else _policy(plan.reads_hz, tally, given, others),
    )


def _policy(reads_hz: float, tally: Tally, given_hz: float | None, others: list[float]) -> Policy:
    """What the server does with a reader that is too slow for the stream and was not thrown out.

    given_hz: what the camera gave to the fastest of the others, None: not known.
    """
    received, expected = _received_hz(tally), expected_hz(tally)
    if _skips(tally, given_hz):
        return "skip"
    if others and sum(others) / len(others) < BLOCKED:
        return "block"
    if expected is not None and (reads_hz >= expected or (received is not None and received >= FELT * expected)):
        return "not_felt"
    return "buffer"


def _skips(tally: Tally, given_hz: float | None) -> bool:
    """Whether enough of what it missed was left out; where no rate says what it missed, whether anything was."""
    skipped = tally.steps.dropped
    if given_hz is None:
        return skipped > 0
    given = given_hz * tally.due_ns / NS_PER_S
    keeps_up = tally.frames >= FELT * given
    return not keeps_up and skipped >= LEFT_OUT * (given - tally.frames)


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
