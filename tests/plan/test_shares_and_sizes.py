"""How users are shared out, and what the plan expects of frames."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pvload.plan.check import check
from pvload.plan.expected import (
    JOURNAL_LOG_BYTES,
    SHRINK,
    Region,
    expected_rate,
    frame_size,
    region,
    stall_threshold_s,
    warm_up_s,
)
from pvload.plan.explain import explain
from pvload.plan.share import Share, distribute, seed_of, shares
from pvload.profiles.load import load
from pvload.profiles.schema import Camera, Profile, Run
from pvload.profiles.users import Users
from pvload.wire.codes import Quality
from pvload.wire.journal import LOG_BYTES
from pvload.wire.shown import scale_of


def profile_of(*users: Users) -> Profile:
    return Profile(run=Run(name="x", duration=10), users=list(users))


OPERATOR = Users(name="operator", kind="operator")


@pytest.mark.parametrize(
    ("weights", "users", "expected"),
    [
        ((1,), 4, {"operator": 1, "p0": 3}),
        ((1,), 1, {"operator": 1, "p0": 0}),
        ((1,), 0, {"operator": 0, "p0": 0}),
        ((3, 1), 5, {"operator": 1, "p0": 3, "p1": 1}),
        ((2, 1), 6, {"operator": 1, "p0": 3, "p1": 2}),
        ((1, 1), 4, {"operator": 1, "p0": 2, "p1": 1}),
        ((0, 2), 3, {"operator": 1, "p0": 0, "p1": 2}),
        ((0,), 3, {"operator": 1, "p0": 0}),
    ],
)
def test_counts_are_weights_and_the_operator_stays(
    weights: tuple[int, ...], users: int, expected: dict[str, int]
) -> None:
    profile = profile_of(OPERATOR, *(Users(name=f"p{i}", count=weight) for i, weight in enumerate(weights)))
    assert distribute(profile, users) == expected


@pytest.mark.parametrize(
    ("users", "expected"),
    [
        (6, {"p": 4, "stop": 1, "operator": 1}),
        (2, {"p": 0, "stop": 1, "operator": 1}),
        (1, {"p": 0, "stop": 0, "operator": 1}),
    ],
)
def test_the_stop_probe_keeps_its_count_behind_the_operator(users: int, expected: dict[str, int]) -> None:
    stop = Users(name="stop", kind="stop-probe")
    assert distribute(profile_of(Users(name="p", count=9), stop, OPERATOR), users) == expected


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 50), min_size=1, max_size=5).filter(any), st.integers(1, 500))
def test_nobody_is_lost_or_invented(weights: list[int], users: int) -> None:
    """The sum is the total, and nobody is more than one away from the exact share."""
    profile = profile_of(OPERATOR, *(Users(name=f"p{i}", count=weight) for i, weight in enumerate(weights)))
    shared = distribute(profile, users)
    assert sum(shared.values()) == users
    for i, weight in enumerate(weights):
        assert abs(shared[f"p{i}"] - (users - 1) * weight / sum(weights)) < 1


def test_ordinals_count_from_zero_within_a_population() -> None:
    (operator, viewer) = shares(load("scenario-a").profile, {"operator": 1, "viewer": 3})
    assert (list(operator.ordinals), list(viewer.ordinals)) == ([0], [0, 1, 2])
    assert viewer == Share("viewer", "subscriber", 3)


def test_seeds_differ_between_users_and_stay_between_runs() -> None:
    seeds = {seed_of(run, name, ordinal) for run in (1, 2) for name in ("a", "b") for ordinal in range(50)}
    assert len(seeds) == 200
    assert seed_of(1, "viewer", 0) == seed_of(1, "viewer", 0)


@pytest.mark.parametrize(
    ("camera", "rate"),
    [
        (Camera(exposure_ms=100), 10),
        (Camera(exposure_ms=100, rate_hz=7), 7),
        (Camera(exposure_ms=10, paced_by_exposure=False), 0),
        (Camera(exposure_ms=10, paced_by_exposure=False, rate_hz=30), 30),
    ],
)
def test_the_rate_is_stated_or_given_by_the_exposure_or_unknown(camera: Camera, rate: float) -> None:
    assert expected_rate(camera) == rate


@pytest.mark.parametrize(
    ("camera", "quality", "size"),
    [
        (Camera(), "full", (2048, 2048)),
        (Camera(), "preview", (1024, 1024)),
        (Camera(), "fast", (512, 512)),
        (Camera(roi="quarter"), "full", (1024, 1024)),
        (Camera(binning=(2, 2)), "full", (1024, 1024)),
        (Camera(roi="quarter", binning=(2, 4)), "preview", (256, 128)),
        (Camera.model_validate({"roi": {"x": 1, "y": 1, "width": 7, "height": 5}}), "preview", (3, 2)),
        (Camera.model_validate({"roi": {"x": 1, "y": 1, "width": 3, "height": 9}}), "fast", (3, 9)),
    ],
)
def test_region_binning_and_quality_set_the_size(camera: Camera, quality: str, size: tuple[int, int]) -> None:
    """A picture smaller than the block that a quality averages is left alone, as the daemon does."""
    found = frame_size(camera, quality)
    assert (found.width, found.height) == size
    assert found.decoded_bytes == 2 * size[0] * size[1]


@pytest.mark.parametrize(
    ("overrides", "threshold_s"),
    [
        ([], 2),
        (["criteria.longest_stall_s=5"], 5),
        (["criteria={}", "camera.exposure_ms=1500"], 3),
        (["criteria={}", "camera.paced_by_exposure=false"], 2),
        (["criteria={}", "camera.paced_by_exposure=false", "users.viewer.max_fps=1"], 2),
    ],
)
def test_the_stall_threshold_is_at_least_two_of_the_slowest_periods(overrides: list[str], threshold_s: float) -> None:
    assert stall_threshold_s(load("scenario-a", overrides=overrides).profile) == threshold_s


def test_a_quarter_lies_in_the_middle() -> None:
    assert region(Camera(roi="quarter")) == Region(512, 512, 1024, 1024)


@pytest.mark.parametrize(("stated", "duration", "effective"), [(5, 1800, 5), (5, 20, 5), (5, 8, 2), (0, 8, 0)])
def test_warm_up_is_at_most_a_quarter_of_the_run(stated: float, duration: float, effective: float) -> None:
    profile = Profile(run=Run(name="x", duration=duration, warm_up=stated), users=[OPERATOR])
    assert warm_up_s(profile) == effective


def test_the_disk_that_check_promises_is_the_disk_that_the_journal_may_take() -> None:
    """The plan may not look into the journal's room, so its figure is held against the journal's own here."""
    assert JOURNAL_LOG_BYTES == LOG_BYTES
    text = explain(check(load("scenario-a").profile))
    assert "about 1.9 MB of journal and 6.7 MB of the simulator's ledger in the run directory" in text
    assert "the journal's log needs up to 67 MB more" in text
    real = load("scenario-a", target="lab:50051", overrides=["camera.paced_by_exposure=false"]).profile
    assert "96 bytes a frame in the run directory; while it runs, the journal's log needs up to 67 MB" in explain(
        check(real)
    )


def test_what_a_quality_divides_sides_by_is_what_frames_are_held_against() -> None:
    """The plan may not look into the formats' room, so its figures are held against those of the frames here."""
    assert {quality.name.lower(): scale_of(quality) for quality in Quality} == SHRINK
