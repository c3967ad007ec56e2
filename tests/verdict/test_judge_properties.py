"""Whatever the figures: worse never looks better, doubt never excuses, and nothing is never a PASS."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pvload.profiles.criteria import Criteria
from pvload.stats.summary import Interval, LogWitness, Missing, Summary
from pvload.verdict.judge import judge
from pvload.verdict.judgement import Measurement, Result, decide, measured, severity, worst
from summaries import (
    accounting,
    facts,
    figures,
    generator,
    quantiles,
    sender,
    stall,
    stalls,
    subscriber,
    summary,
)

NAMED = Criteria(
    fps_within=0.2,
    drop_rate_below=0.05,
    longest_stall_s=2,
    longest_silence_s=5,
    grpc_errors=2,
    unexpected_ends=2,
    driver_errors=2,
    coverage_at_least=0.9,
    age_p99_ms=50,
    jitter_ms=10,
    connect_ms=100,
    first_frame_ms=500,
    unexplained_missing=5,
    payload_errors=3,
    generator_lag_ms=200,
)

LENGTHS = st.floats(0, 100, allow_nan=False)
COUNTS = st.integers(0, 12)


def result_of(of: Summary, name: str, criteria: Criteria = NAMED) -> Result:
    return next(one.counts_as for one in judge(of, criteria).criteria if one.name == name)


# Each: criterion, how a number spoils a healthy subscriber or run (more is worse).
WORSE = {
    "drop_rate_below": lambda x: summary(subscriber(frames_dropped=round(x))),
    "unexplained_missing": lambda x: summary(subscriber(missing=Missing(unseen=round(x)))),
    "longest_stall_s": lambda x: summary(subscriber(stalls=stalls(stall(length_s=2.0 + x, uncertainty_s=1.0)))),
    "longest_silence_s": lambda x: summary(subscriber(longest_silence_s=x, longest_silence_at_s=10.0)),
    "grpc_errors": lambda x: summary(subscriber(errors={"INTERNAL": round(x)})),
    "unexpected_ends": lambda x: summary(subscriber(unexpected_ends=round(x))),
    "driver_errors": lambda x: summary(log=LogWitness(True, {}, round(x), ())),
    "payload_errors": lambda x: summary(subscriber(payload_errors={"all_zero": round(x)})),
    "jitter_ms": lambda x: summary(subscriber(jitter_ms=x)),
    "connect_ms": lambda x: summary(subscriber(connect_ms=quantiles(4 * x, 1))),
    "first_frame_ms": lambda x: summary(subscriber(first_frame_ms=quantiles(20 * x, 1))),
    "age_p99_ms": lambda x: summary(subscriber(age=replace(figures().age, quantiles=quantiles(x)))),
    "coverage_at_least": lambda x: summary(subscriber(coverage=1 - x / 100)),
    "fps_within": lambda x: summary(subscriber(fps=10 - x / 10, judged_frames=550 - round(5.5 * x))),
    "generator_lag_ms": lambda x: summary(generator=generator(longest_lag_ms=4 * x)),
    "admission": lambda x: summary(subscriber(admission_refused=round(x))),
    "accounting": lambda x: summary(accounting=accounting(undelivered=round(x))),
}


@pytest.mark.parametrize("name", WORSE)
@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_a_worse_measurement_never_improves_the_verdict(name: str, data: st.DataObject) -> None:
    """What failed stays failed; what did not pass does not come to pass."""
    better, worse = sorted(data.draw(st.tuples(LENGTHS, LENGTHS)))
    of = WORSE[name]
    first, second = result_of(of(better), name), result_of(of(worse), name)
    assert not (first is Result.FAIL and second is not Result.FAIL)
    assert not (first is not Result.PASS and second is Result.PASS)


@settings(deadline=None, max_examples=60)
@given(fps=st.floats(12, 40, allow_nan=False), faster=st.floats(0, 40, allow_nan=False))
def test_faster_than_too_fast_is_no_better(fps: float, faster: float) -> None:
    of = [summary(subscriber(fps=x, judged_frames=round(55 * x))) for x in (fps, fps + faster)]
    results = [result_of(one, "fps_within") for one in of]
    assert not (results[0] is Result.FAIL and results[1] is not Result.FAIL)
    assert results[1] is not Result.PASS or results[0] is Result.PASS


@pytest.mark.parametrize("name", WORSE)
@settings(deadline=None, max_examples=60)
@given(
    spoilt=LENGTHS,
    missing=COUNTS,
    blind_s=st.floats(0, 30, allow_nan=False),
    lag_ms=st.floats(4.0, 5000, allow_nan=False),
)
def test_doubt_never_turns_a_failure_into_a_pass_nor_makes_one(
    name: str, spoilt: float, missing: int, blind_s: float, lag_ms: float
) -> None:
    """Missing records, blind time and lag: a FAIL may become doubtful, and what is no FAIL becomes none by them."""
    if name in ("generator_lag_ms", "accounting"):
        return
    sure = WORSE[name](spoilt)
    late = (Interval(20.0, blind_s, "the engine was dead"),) if blind_s else ()
    senders = (
        sender(recorded=700 + missing, missing=missing),
        sender(role="monitor", recorded=700 + missing, missing=missing),
    )
    doubtful = replace(
        sure,
        accounting=accounting(*senders),
        generator=generator(blind=late, blind_s=blind_s, longest_lag_ms=lag_ms, lag_ms=quantiles(lag_ms)),
        subscribers=tuple(replace(one, figures=replace(one.figures, blind_s=blind_s)) for one in sure.subscribers),
    )
    before, after = result_of(sure, name), result_of(doubtful, name)
    if before is Result.FAIL:
        assert after is not Result.PASS
    else:
        assert after is not Result.FAIL


@settings(deadline=None, max_examples=60)
@given(
    value=st.floats(-100, 100),
    doubts=st.tuples(*[st.floats(0, 50)] * 3),
    limits=st.tuples(st.none() | st.floats(-50, 0), st.none() | st.floats(0, 50)),
)
def test_the_rule_itself(value: float, doubts: tuple[float, ...], limits: tuple[float | None, float | None]) -> None:
    """An interval outside is FAIL, one inside PASS, one across neither; doubt moves a result only to neither."""
    lower, upper = limits
    figure = measured(value, own_down=doubts[0], own_up=doubts[1], other=doubts[2])
    result = decide(figure, lower=lower, upper=upper)
    ends = [
        not ((lower is not None and end < lower) or (upper is not None and end > upper))
        for end in (figure.low, figure.high)
    ]
    if all(ends):
        assert result is Result.PASS
    else:
        assert result is not Result.PASS
    exact = decide(measured(value), lower=lower, upper=upper)
    assert exact in (Result.PASS, Result.FAIL)
    assert result in (exact, Result.INVALID, Result.INCONCLUSIVE)


@pytest.mark.parametrize(
    ("word", "figure", "limit", "result"),
    [
        ("v + u at the limit", measured(1.5, other=0.5), 2.0, Result.PASS),
        ("v - u at the limit", measured(2.5, other=0.5), 2.0, Result.INCONCLUSIVE),
        ("v - u beyond it", measured(2.6, other=0.5), 2.0, Result.FAIL),
        ("our own doubt suffices, from below", measured(1.0, own_up=2.0), 2.0, Result.INVALID),
        ("our own doubt suffices, from above", measured(3.0, own_down=2.0), 2.0, Result.INVALID),
        ("our own doubt does not suffice", measured(1.0, own_up=0.5, other=0.6), 2.0, Result.INCONCLUSIVE),
        ("limit zero, kept", measured(0), 0.0, Result.PASS),
        ("limit zero, broken", measured(1, own_up=3), 0.0, Result.FAIL),
        ("limit zero, in doubt", measured(0, own_up=3), 0.0, Result.INVALID),
        ("not a number", Measurement(*[float("nan")] * 5), 2.0, Result.INCONCLUSIVE),
    ],
)
def test_the_rule_at_its_edges(word: str, figure: Measurement, limit: float, result: Result) -> None:
    assert decide(figure, upper=limit) is result, word


@settings(deadline=None, max_examples=60)
@given(st.lists(st.sampled_from([Result.FAIL, Result.INVALID, Result.INCONCLUSIVE, Result.PASS])))
def test_the_worst_is_the_first_in_the_order(results: list[Result]) -> None:
    found = worst(results)
    assert found is (min(results, key=severity) if results else Result.INCONCLUSIVE)


@settings(deadline=None, max_examples=60)
@given(st.floats(0, 59, allow_nan=False))
def test_a_run_cut_short_is_inconclusive_at_best(length_s: float) -> None:
    of = summary(facts=facts(ended="interrupted", length_s=length_s))
    assert judge(of, NAMED).result is not Result.PASS
