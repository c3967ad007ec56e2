"""What the fold keeps for long is kept small, and says the same as before."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

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
    values = [-3_000_000, -5, 0, 7, 7, 40_000, 1_900_000]  # ages about zero: 46 octaves with hardly anything in them
    packed, plain = histogram(values), histogram(values)
    packed.pack()
    assert size(packed) < 1000 < 40_000 < size(plain)
    packed.pack()
    assert packed.n == 7
    assert packed.quantiles(scale=1.0) == plain.quantiles(scale=1.0)

    packed.pack()
    packed.add(np.array([12, 10**9]))
    plain.add(np.array([12, 10**9]))
    assert packed.quantiles(scale=1.0) == plain.quantiles(scale=1.0)


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
