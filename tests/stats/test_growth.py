"""The growth rule: no false alarm on series that remember themselves, growth found where there is some."""

from __future__ import annotations

import numpy as np
import pytest

from pvload.stats.growth import Floats, correlation_time, judge, theil_sen
from pvload.stats.series import CELLS, Series
from pvload.stats.summary import Summary
from pvload.wire.event import Kind
from tests.stats.stream import MS, S, Stream, summary

HOURS_2 = 7200


def _remembering(length: int, memory_s: float, seed: int) -> Floats:
    """A series of spread 1, a sample a second, whose correlation falls to 1/e in memory_s."""
    chance = np.random.default_rng(seed)
    keep = float(np.exp(-1 / memory_s)) if memory_s else 0.0
    steps = chance.standard_normal(length) * np.sqrt(1 - keep * keep)
    found = np.empty(length)
    found[0] = chance.standard_normal()
    for at in range(1, length):
        found[at] = keep * found[at - 1] + steps[at]
    return found


def _results(memory_s: float, *, grown: float, runs: int) -> dict[str, int]:
    times = np.arange(HOURS_2) * S
    found: dict[str, int] = {}
    for seed in range(runs):
        values = _remembering(HOURS_2, memory_s, seed) + grown * np.arange(HOURS_2) / HOURS_2
        result = judge(times, values, least_change=0.0).result
        found[result] = found.get(result, 0) + 1
    return found


@pytest.mark.parametrize("memory_s", [0.0, 3.0, 10.0, 20.0, 100.0, 3000.0])
def test_a_series_that_only_remembers_itself_is_seldom_called_growing(memory_s: float) -> None:
    """At most 3 of 40, where a test that ignores correlation is wrong in 17 of 40 and more."""
    assert _results(memory_s, grown=0.0, runs=40).get("grows", 0) <= 3


@pytest.mark.parametrize("memory_s", [0.0, 3.0, 10.0])
def test_growth_by_twice_the_spread_is_found_in_two_hours(memory_s: float) -> None:
    """In 38 of 40."""
    assert _results(memory_s, grown=2.0, runs=40).get("grows", 0) >= 38


def test_a_series_that_remembers_itself_for_long_is_refused() -> None:
    """Two hours hold no 24 windows of five times 100 s, so a rise cannot be told from wandering."""
    times = np.arange(HOURS_2)
    found = judge(times * S, _remembering(HOURS_2, 100.0, 1) + times * 5.0 / HOURS_2, least_change=0.0)
    assert found.result == "too_short"
    assert "remembers itself" in found.reason
    assert found.correlation_s is not None
    assert 60 < found.correlation_s < 600


def test_a_straight_rise_with_slow_ripples_is_growth() -> None:
    """A leak that comes in lumps every ten minutes remembers itself for long, and is one all the same."""
    times = np.arange(HOURS_2)
    values = times / 1000 + 0.02 * _remembering(HOURS_2, 300.0, 4)
    assert judge(times * S, values, least_change=0.5).result == "grows"


def test_a_random_walk_is_not_called_growing() -> None:
    """It goes somewhere, but never straight there."""
    chance = np.random.default_rng(6)
    walks = [np.cumsum(chance.standard_normal(HOURS_2)) for _ in range(100)]
    assert [judge(np.arange(HOURS_2) * S, walk, least_change=0.0).result for walk in walks].count("grows") == 0


def test_correlation_time_of_a_known_series() -> None:
    """The sum of exp(-|lag| / 10) over all lags is 20."""
    times = np.arange(100_000, dtype=np.float64)
    assert correlation_time(times, _remembering(100_000, 10.0, 2)) == pytest.approx(20.0, rel=0.2)


def test_slope_and_limit_of_a_straight_line() -> None:
    """All slopes are the same one."""
    x = np.arange(30.0)
    assert theil_sen(x, 2 * x + 1) == pytest.approx((2.0, 2.0))


@pytest.mark.parametrize(
    ("what", "values", "result"),
    [
        ("the same all the time", np.full(HOURS_2, 5.0), "flat"),
        ("a straight rise", np.arange(HOURS_2, dtype=np.float64), "grows"),
        ("a fall", -np.arange(HOURS_2, dtype=np.float64), "flat"),
        ("one step in the middle", np.where(np.arange(HOURS_2) < 4000, 10.0, 20.0), "flat"),
        ("a rise in warm-up only", np.minimum(np.arange(HOURS_2), 700.0), "flat"),
        ("an ever steeper rise", (np.arange(HOURS_2) / 1000.0) ** 3, "grows"),
        ("one more every ten minutes", np.arange(HOURS_2) // 600 * 1.0, "grows"),
        ("a minute's sawtooth", np.arange(HOURS_2) % 60 * 1.0, "flat"),
    ],
)
def test_shapes(what: str, values: Floats, result: str) -> None:
    """Without noise."""
    assert judge(np.arange(HOURS_2) * S, values, least_change=0.5).result == result


@pytest.mark.parametrize(
    ("length_s", "result"), [(2, "too_short"), (600, "too_short"), (1500, "too_short"), (1700, "grows")]
)
def test_a_short_run_is_refused(length_s: int, result: str) -> None:
    """24 minutes after warm-up is the least."""
    found = judge(np.arange(length_s) * S, np.arange(length_s) * 1.0, least_change=0.5)
    assert found.result == result


def test_a_day_of_seconds_stays_within_its_cells_and_keeps_its_means() -> None:
    """Cells grow to 32 s; the mean over all is exact, and growth is still found."""
    series, chance = Series(1), np.random.default_rng(3)
    values = (10**8 + np.arange(86_400) * 50 + chance.integers(0, 10**6, 86_400)).tolist()
    for second, value in enumerate(values):
        series.add(second * S + 5 * MS, value)
    times, means = series.means()
    assert times.size <= CELLS
    assert means[:, 0].mean() == pytest.approx(np.mean(values), rel=1e-3)
    found = judge(times, means[:, 0], least_change=0.0)
    assert found.result == "grows"
    assert found.per_hour == pytest.approx(50 * 3600, rel=0.05)


def _watched(length_s: int, rss_step: int, others: dict[int, range] | None = None) -> Summary:
    """others: pid -> the seconds in which a process of the same name was there."""
    stream = Stream(role="monitor")
    name = stream.text("target")
    for second in range(length_s):
        jump = second % 7 * 4096
        pids = [7, *(pid for pid, seconds in (others or {}).items() if second in seconds)]
        for pid in pids:
            rss = 10**8 + second * rss_step + jump
            stream.put(Kind.PROCESS, float(second), pid=pid, name=name, rss_bytes=rss, fds=9, threads=4)
    return summary(stream)


def test_growth_in_a_summary() -> None:
    """Three figures of each process; a megabyte or one percent is the least that counts."""
    growing, still = _watched(2000, 5000), _watched(2000, 100)
    assert [(one.process, one.pid, one.figure, one.result) for one in growing.around.growth] == [
        ("target", 7, "rss", "grows"),
        ("target", 7, "fds", "flat"),
        ("target", 7, "threads", "flat"),
    ]
    assert growing.around.growth[0].per_hour == pytest.approx(5000 * 3600, rel=0.05)
    assert [one.result for one in still.around.growth] == ["flat", "flat", "flat"]
    assert _watched(300, 5000).around.growth[0].result == "too_short"


def test_a_process_that_was_there_for_a_moment_is_not_asked_whether_it_grows() -> None:
    """Beside a longer one of its name; a minute is more than a moment, and a short run has no longer one."""
    known = _watched(2000, 100, {8: range(500, 501), 9: range(600, 659), 10: range(700, 761)}).around.growth
    assert {one.pid for one in known} == {7, 10}
    assert {one.pid for one in _watched(20, 100, {8: range(20)}).around.growth} == {7, 8}
