"""What the fold keeps for long is kept small, and says the same as before."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvload.stats import machines
from pvload.stats.config import FoldConfig
from pvload.stats.fold import RunFold
from pvload.stats.histogram import Histogram
from pvload.stats.machines import Samples
from pvload.wire.event import Kind
from tests.stats.stream import S, Stream


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


def _viewers(count: int, *, finished: bool) -> RunFold:
    """Viewers one after another, 300 frames each at 10 Hz, one missing; told finished, or not yet."""
    run = RunFold(FoldConfig(stall_ns=S))
    for number in range(count):
        stream = Stream(number + 1, role="viewer", incarnation=number)
        stream.put(Kind.CLOCK, 0.0, offset_ns=0).wanted(0.0, rate=10.0).open(0.0, number=number + 1)
        stream.frames(0.1, 0.1 + number / 10_000, 300).ended(60.0 if number else 99.0)
        run.hello(stream.sender, stream.hello)
        run.add(stream.sender, stream.records)
        if finished:
            run.finished(stream.sender, stream.records.size)
    while run.catch_up():
        pass
    return run


def test_viewers_that_are_gone_count_in_the_live_figures_as_before() -> None:
    """But for the streams that are open: theirs are not."""
    gone, there = _viewers(5, finished=True).live(), _viewers(5, finished=False).live()
    assert (gone.frames, gone.message_bytes, gone.missing, gone.errors) == (
        there.frames,
        there.message_bytes,
        there.missing,
        there.errors,
    )
    assert (gone.age_p99_ms, gone.started_ns, gone.delivered) == (there.age_p99_ms, there.started_ns, there.delivered)
    assert [one.frames for one in gone.populations] == [one.frames for one in there.populations] == [1500]
    assert gone.open_streams == 0


def test_a_summary_is_the_same_whether_viewers_were_told_finished_or_not() -> None:
    gone, there = _viewers(5, finished=True), _viewers(5, finished=False)
    for one in there.summary().accounting.senders:
        there.finished(bytes.fromhex(one.id), one.delivered)
    assert gone.summary() == there.summary() == gone.summary()


def test_a_viewer_that_is_gone_takes_little_memory() -> None:
    """A day of churn has hundreds: each may leave sixteen kilobytes."""
    few, many = _viewers(5, finished=True), _viewers(45, finished=True)
    assert len(pickle.dumps(many)) - len(pickle.dumps(few)) < 40 * 16 * 1024
