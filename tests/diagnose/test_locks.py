"""Stalls that come after the same number of frames, the same time, or the same bytes are told apart."""

from __future__ import annotations

from itertools import product

import pytest

from around_values import cycle, run
from pvload.diagnose.cycles import attempts
from pvload.diagnose.locks import Lock, StallPoint, lock_of, points_of
from summaries import call, figures, stall, stalls, subscriber, summary

PERIODS = (0.02, 0.05, 0.1)
SIZES = (131_072.0, 524_288.0, 8_388_608.0)


def sweep(kind: str, periods: tuple[float, ...] = PERIODS, sizes: tuple[float, ...] = SIZES) -> Lock:
    """Stalls after 85 frames, after 2 s, or after 700 MB (with a little noise), over periods and sizes."""
    points = []
    for at, (period_s, size) in enumerate(product(periods, sizes)):
        index = {"frames": 85, "time": 2.0 / period_s, "bytes": 700e6 / size}[kind]
        points.append(StallPoint(round(index * (1 + 0.02 * (-1) ** at)), period_s, size))
    return lock_of(points)


@pytest.mark.parametrize("kind", ["frames", "time", "bytes"])
def test_an_exposure_and_region_sweep_tells_what_decides(kind: str) -> None:
    assert sweep(kind).kind == kind
    assert sweep(kind).not_ruled_out == ""


@pytest.mark.parametrize(
    ("kind", "periods", "sizes", "found", "not_ruled_out"),
    [
        ("time", PERIODS, SIZES[:1], "time", ""),
        ("frames", PERIODS, SIZES[:1], "frames", "bytes"),
        ("bytes", PERIODS, SIZES[:1], "frames", "bytes"),
        ("bytes", PERIODS[:1], SIZES, "bytes", ""),
        ("frames", PERIODS[:1], SIZES, "frames", "time"),
    ],
)
def test_what_did_not_vary_is_not_ruled_out(
    kind: str, periods: tuple[float, ...], sizes: tuple[float, ...], found: str, not_ruled_out: str
) -> None:
    lock = sweep(kind, periods, sizes)
    assert (lock.kind, lock.not_ruled_out) == (found, not_ruled_out)
    assert ("not ruled out" in lock.sentence) == bool(not_ruled_out)


def test_the_same_index_at_one_setting_is_a_lock_that_nobody_can_name() -> None:
    lock = lock_of([StallPoint(85, 0.02, 8e6)] * 3)
    assert lock.kind == "undecided"
    assert lock.sentence.startswith("3 stalls came after 85 frames (median), 1.70 s and 680 MB each time")


@pytest.mark.parametrize("indexes", [(4, 50, 600), (85, 85), ()])
def test_nothing_in_common_or_too_few_is_no_lock(indexes: tuple[int, ...]) -> None:
    lock = lock_of([StallPoint(one, 0.1, 8e6) for one in indexes])
    assert (lock.kind, lock.sentence) == ("none", "")


def test_stalls_of_a_run_and_stalled_cycles_are_points() -> None:
    of = summary(subscriber(stalls=stalls(stall(), stall(40, 3, frame_index=0))), calls=(call(),))
    assert points_of(of) == (StallPoint(300, 0.1, 8_388_608.0),)
    fast = call(figures=figures(expected_hz=50.0))
    cycles = tuple(cycle(at, "stalled", frames=85) for at in range(1, 4))
    made = run(cycles=(*cycles, cycle(4)), summary={"calls": (fast,)})
    assert points_of(made) == (StallPoint(85, 0.02, 8_388_608.0),) * 3
    assert points_of(summary(calls=())) == ()


@pytest.mark.parametrize(
    ("word", "cycles", "differs", "says"),
    [
        ("all alike", [cycle(1), cycle(2), cycle(3)], False, "the first does not differ"),
        ("the first fails", [cycle(1, "stalled", frames=5), cycle(2), cycle(3)], True, "it failed and most"),
        ("only the first works", [cycle(1), cycle(2, "no frames"), cycle(3, "no frames")], True, "most of the others"),
        ("the first is slow", [cycle(1, first_frame_ms=900.0), cycle(2), cycle(3)], True, "took 900 ms, that of the"),
        ("a little slower", [cycle(1, first_frame_ms=150.0), cycle(2), cycle(3)], False, "does not differ"),
        ("its start is slow", [cycle(1, start_ms=400.0), cycle(2)], True, "its StartStream took 400 ms"),
        ("the only one", [cycle(1, "hung", first_frame_ms=None)], False, "attempt 1 was hung (100 frames)"),
    ],
)
def test_the_first_attempt_is_held_against_the_later_ones(
    word: str, cycles: list[object], differs: bool, says: str
) -> None:
    found = attempts(cycles)  # type: ignore[arg-type]
    assert found.first_differs is differs, word
    assert says in found.sentence


def test_no_cycle_says_nothing() -> None:
    assert attempts(()).sentence == ""
