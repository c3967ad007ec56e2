"""When subscribers come and go: one schedule for a seed, whoever computes it in whatever order, in stated shares."""

from __future__ import annotations

import math
import random
from collections import Counter

import pytest

from pvload.load.churn import BackOff, Visit, calls_to_kill, drawn_s, style_of, visit
from pvload.profiles.schema import Profile
from pvload.profiles.users import Abort, Churn, Retry

CHURN = Churn.model_validate(
    {
        "lifetime": "exponential 4s",
        "pause": "uniform 200ms 2s",
        "abort": {"clean": 2, "dropped": 1, "half_open": 1, "killed": 4},
    }
)


def _visit(ordinal: int, number: int, *, seed: int = 7, population: str = "guest") -> Visit:
    return visit(CHURN, run_seed=seed, population=population, ordinal=ordinal, number=number)


def test_a_seed_is_one_schedule_on_any_workers() -> None:
    """Three users on one worker, or spread and taken over by others midway: every call draws the same."""
    calls = [(ordinal, number) for ordinal in range(3) for number in range(1, 101)]
    in_order = {call: _visit(*call) for call in calls}
    random.Random(1).shuffle(calls)
    assert {call: _visit(*call) for call in calls} == in_order


def test_the_schedule_is_what_it_was() -> None:
    """Known answers: a change of the generator would make old runs unrepeatable."""
    found = [(round(one.lifetime_s, 6), one.style, round(one.pause_s, 6)) for one in (_visit(0, 1), _visit(1, 1))]
    assert found == [(2.529561, "clean", 1.873246), (0.484474, "killed", 1.255197)]


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(_visit(0, 1, seed=8), id="another seed"),
        pytest.param(_visit(0, 1, population="guests"), id="another population"),
        pytest.param(_visit(1, 1), id="another user"),
        pytest.param(_visit(0, 2), id="another call"),
    ],
)
def test_draws_are_each_ones_own(other: Visit) -> None:
    """Seed, population, user and call each have draws of their own."""
    assert other != _visit(0, 1)


def test_lengths_and_ways_to_leave_have_the_stated_shares() -> None:
    """Over 4000 calls: exponential mean 4 s, uniform mean 1.1 s, and a half of them killed."""
    visits = [_visit(ordinal, number) for ordinal in range(4) for number in range(1, 1001)]
    count = len(visits)
    assert sum(one.lifetime_s for one in visits) / count == pytest.approx(4, abs=4 * 4 / math.sqrt(count))
    assert sum(one.pause_s for one in visits) / count == pytest.approx(1.1, abs=0.04)
    assert all(0.2 <= one.pause_s <= 2 for one in visits)
    styles = Counter(one.style for one in visits)
    for style, share in (("clean", 0.25), ("dropped", 0.125), ("half_open", 0.125), ("killed", 0.5)):
        assert styles[style] / count == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize(
    ("text", "u", "expected"),
    [
        pytest.param("5s", 0.9, 5.0, id="fixed"),
        pytest.param("uniform 1s 3s", 0.25, 1.5, id="uniform"),
        pytest.param("exponential 10s", 0.0, 0.0, id="the shortest"),
        pytest.param("exponential 10s", 1 - math.exp(-1), 10.0, id="its mean"),
    ],
)
def test_lengths_by_inverse_transform(text: str, u: float, expected: float) -> None:
    assert drawn_s(text, u) == pytest.approx(expected)


def test_a_way_with_no_weight_is_never_taken() -> None:
    """At both ends of the drawn numbers."""
    only = Abort(clean=0, dropped=0, half_open=0.1, killed=0)
    assert {style_of(only, u) for u in (0.0, 0.5, math.nextafter(1, 0))} == {"half_open"}


def test_giving_up_after_so_many_calls_in_a_row_without_a_frame() -> None:
    """A call that gave frames begins the count anew; 0 never gives up."""
    back_off = BackOff(Retry(attempts=3), 1)
    assert [back_off.failed() for _ in range(2)] == [False, False]
    back_off.reset()
    assert [back_off.failed() for _ in range(3)] == [False, False, True]
    assert not any(BackOff(Retry(), 1).failed() for _ in range(100))


def test_pauses_follow_the_profile() -> None:
    """delay, factor and longest as stated; without jitter exactly."""
    back_off = BackOff(Retry(delay=0.5, factor=3, longest=5, jitter=0), 1)
    assert [back_off.pause_s() for _ in range(4)] == [0.5, 1.5, 4.5, 5]


@pytest.mark.parametrize(
    ("users", "expected"),
    [
        pytest.param([{"name": "b", "opens": "timeline"}], 0, id="nobody is killed"),
        pytest.param([{"name": "a", "opens": "timeline"}], 2, id="each opening of who is killed in the end"),
        pytest.param([{"name": "a", "opens": "timeline", "count": 3}], 6, id="for each of its users"),
        pytest.param([{"name": "c", "churn": {"abort": {"killed": 1}}}], None, id="many"),
        pytest.param([{"name": "c", "count": 0, "churn": {"abort": {"killed": 1}}}], 0, id="nobody is there"),
    ],
)
def test_how_many_processes_are_to_be_killed(users: list[dict[str, object]], expected: int | None) -> None:
    """As far as the profile tells."""
    timeline = [{"action": "open", "client": name} for name in ("a", "b", "a")]
    timeline += [{"action": "abort", "client": "a", "abort": "killed"}, {"action": "abort", "client": "b"}]
    profile = Profile.model_validate({"run": {"name": "x", "duration": "8s"}, "users": users, "timeline": timeline})
    assert calls_to_kill(profile) == expected
