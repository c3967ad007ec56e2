"""What "none seen" rules out."""

from __future__ import annotations

import math

import pytest

from around_values import action, churn, cycle, disturbance, disturbances, method_calls, run, undisturbed, watcher
from pvload.diagnose.nothing import most_per_hour, most_share, none_in, none_of, nothing_seen
from pvload.stats.summary import Missing
from summaries import stall, stalls, subscriber, summary


def test_nothing_in_thirty_minutes_is_fewer_than_six_an_hour() -> None:
    assert most_per_hour(1800) == pytest.approx(-math.log(0.05) / 0.5)
    assert none_in("stalls", 1800) == "0 stalls in 30 min: fewer than 6 an hour at 95 %"


@pytest.mark.parametrize("length_s", [1.0, 60.0, 86_400.0])
def test_at_the_limit_nothing_is_seen_one_time_in_twenty(length_s: float) -> None:
    assert math.exp(-most_per_hour(length_s) * length_s / 3600) == pytest.approx(0.05)
    assert math.exp(-most_per_hour(length_s, 0.99) * length_s / 3600) == pytest.approx(0.01)


def test_no_time_and_no_tries_rule_nothing_out() -> None:
    assert most_per_hour(0.0) == math.inf
    assert most_share(0) == most_share(2) == 1.0
    assert none_in("stalls", 0.0) == none_of("lost", 0, "frames") == ""
    assert none_of("failed", 2, "calls") == "0 failed of 2 calls: too few to rule anything out"


@pytest.mark.parametrize(
    ("length_s", "says"),
    [
        (60, "in 60 s: fewer than 180 an hour"),
        (7200, "in 2 h: fewer than 1.5 an hour"),
        (86_400, "in 24 h: fewer than 0.13 an hour"),
        (1.0, "in 1 s: fewer than 11,000 an hour"),
    ],
)
def test_the_limit_is_rounded_up_and_never_down(length_s: float, says: str) -> None:
    assert says in none_in("stalls", length_s)


def test_a_share_of_tries_follows_the_rule_of_three() -> None:
    assert most_share(18_000) == pytest.approx(3 / 18_000, rel=0.01)
    assert none_of("missing", 18_000, "frames") == "0 missing of 18,000 frames: fewer than 1 in 6,008 at 95 %"


def test_a_run_tells_of_everything_that_was_looked_for_and_not_seen() -> None:
    of = run(
        calls=(method_calls(),),
        watchers=(watcher(),),
        disturbances=disturbances(*[disturbance("clean", 5.0, undisturbed()) for _ in range(9)]),
        cycles=tuple(cycle(at) for at in range(9)),
        actions=(action(1, text="start, 100 frames, stop"),),
        churn=(churn(),),
    )
    told = "\n".join(nothing_seen(of))
    for noun in (
        "stalls in 60 s",
        "unexpected ends",
        "missing of 600 frames",
        "driver errors",
        "failed of 200 calls",
        "lost of 1,000 change events",
        "silenced of 9 streams",
        "failed of 9 start-stop",
        "slots kept of 39",
    ):
        assert noun in told  # fmt: skip


def test_what_was_seen_or_not_looked_for_is_not_told() -> None:
    seen = summary(subscriber(stalls=stalls(stall()), missing=Missing(unseen=1), unexpected_ends=1))
    assert [one.split(" in ")[0] for one in nothing_seen(seen)] == ["0 driver errors"]
