"""What the fold keeps for long is kept small, and says the same as before."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvload.stats import machines
from pvload.stats.histogram import Histogram
from pvload.stats.machines import Samples


def histogram(values: list[int]) -> Histogram:
    made = Histogram()
    made.add(np.array(values, np.int64))
    return made


def size(of: Histogram) -> int:
    return len(pickle.dumps(of))


def test_a_packed_histogram_is_small_and_says_the_same() -> None:
    values = 5 * [
        -3_000_000,
        -5,
        0,
        7,
        7,
        40_000,
        1_900_000,
    ]  # ages about zero: 46 octaves with hardly anything in them
    packed, plain = histogram(values), histogram(values)
    packed.pack()
    assert size(packed) < 1000 < 40_000 < size(plain)
    packed.pack()
    assert packed.n == 35
    assert packed.quantiles(scale=1.0) == plain.quantiles(scale=1.0)

    packed.pack()
    packed.add(np.array([12, 10**9]))
    plain.add(np.array([12, 10**9]))
    assert packed.quantiles(scale=1.0) == plain.quantiles(scale=1.0)


def test_a_histogram_of_few_values_is_small_from_the_beginning() -> None:
    few = histogram([-3_000_000, -5, 0, 7, 7, 40_000, 1_900_000])
    assert size(few) < 1000


@given(
    parts=st.lists(st.lists(st.integers(-(2**60), 2**60) | st.integers(-9, 9), max_size=12), max_size=8),
    how=st.lists(st.sampled_from(["add", "one by one", "merge", "merge a packed one", "pack", "read"]), min_size=8),
)
def test_a_histogram_says_the_same_however_values_come(parts: list[list[int]], how: list[str]) -> None:
    """By the handful or one at a time, through another histogram or not, packed or read in between."""
    found, whole = Histogram(), histogram([value for part in parts for value in part])
    for part, way in zip(parts, how, strict=False):
        if way == "one by one":
            for value in part:
                found.one(value)
        elif way.startswith("merge"):
            other = histogram(part)
            if way != "merge":
                other.pack()
            found.merge(other)
        else:
            found.add(np.array(part, np.int64))
        if way == "pack":
            found.pack()
        if way == "read":
            found.quantile(0.5)
    assert found.quantiles(scale=1.0) == whole.quantiles(scale=1.0)
    assert found.weighted_median() == whole.weighted_median()


def test_packed_histograms_merge_as_others_do_and_stay_packed() -> None:
    packed, total, expected = (
        histogram([-900, 3, 10**7]),
        histogram([1, 10**12]),
        histogram([-900, 3, 10**7, 1, 10**12]),
    )
    packed.pack()
    total.pack()
    total.merge(packed)
    assert total.quantiles(scale=1.0) == expected.quantiles(scale=1.0)
    assert size(packed) < 1000
    empty = Histogram()
    empty.pack()
    total.merge(empty)
    assert total.n == 5


def test_samples_take_their_memory_at_once_and_are_copied_without_the_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machines, "SAMPLES", 64)
    samples, copied = Samples(2), Samples(2)
    for second in range(1000):
        samples.add(second * 10**9, second, 2 * second)
        copied.add(second * 10**9, second, 2 * second)
        if second in (0, 20, 63, 64, 700):
            copied = pickle.loads(pickle.dumps(copied))
    assert 32 <= samples.times().size <= 64
    assert np.array_equal(samples.times(), copied.times())
    asked = np.array([0, 496 * 10**9, 5000 * 10**9])
    near = samples.near(asked, 10**9)
    assert np.array_equal(near, copied.near(asked, 10**9), equal_nan=True)
    assert near[1].tolist() == [496, 992]
    assert np.isnan(near[2]).all()
    assert Samples(3).near(asked, 1).shape == (3, 3)
