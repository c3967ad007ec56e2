"""What a change sets, and what frames must show of it: one table, and changes upon changes."""

from __future__ import annotations

import pytest

from pvload.plan.changed import changed
from pvload.profiles.schema import Camera
from pvload.profiles.users import Change

CAMERA = Camera(exposure_ms=100, rate_hz=9.5)


@pytest.mark.parametrize(
    ("change", "kind", "parameter", "value", "shows", "rate_hz"),
    [
        ({"exposure_ms": 50}, "exposure", "acquisition.exposure_ms", "50.0", (0, 0, 0, 50.0), 20.0),
        ({"exposure_ms": 100}, "exposure", "acquisition.exposure_ms", "100.0", (0, 0, 0, 100.0), 9.5),
        (
            {"roi": "quarter"},
            "roi",
            "acquisition.roi",
            '{"x": 512, "y": 512, "width": 1024, "height": 1024}',
            (1024, 1024, 0, 0.0),
            9.5,
        ),
        ({"binning": (2, 2)}, "binning", "acquisition.binning", "[2, 2]", (1024, 1024, 2, 0.0), 9.5),
        ({"parameter": "fan", "value": '"low"'}, "other", "fan", '"low"', (0, 0, 0, 0.0), 9.5),
        (
            {"parameter": "acquisition.exposure_ms", "value": "50"},
            "exposure",
            "acquisition.exposure_ms",
            "50.0",
            (0, 0, 0, 50.0),
            20.0,
        ),
        (
            {"parameter": "acquisition.binning", "value": "[2, 2]"},
            "binning",
            "acquisition.binning",
            "[2, 2]",
            (1024, 1024, 2, 0.0),
            9.5,
        ),
        (
            {"parameter": "acquisition.binning", "value": "nonsense"},
            "other",
            "acquisition.binning",
            "nonsense",
            (0, 0, 0, 0.0),
            9.5,
        ),
    ],
)
def test_a_change_and_what_frames_show_of_it(
    change: dict[str, object],
    kind: str,
    parameter: str,
    value: str,
    shows: tuple[int, int, int, float],
    rate_hz: float,
) -> None:
    """The stated rate belongs to the stated exposure; another one's is what it paces."""
    made = changed(CAMERA, CAMERA, Change.model_validate(change))
    assert (made.kind, made.parameter, made.value) == (kind, parameter, value)
    assert (made.width, made.height, made.binning_x, made.exposure_ms) == shows
    assert made.shows is (kind != "other")
    assert made.rate_hz == rate_hz


def test_a_change_upon_a_change_shows_both() -> None:
    """Binning of a quarter of the sensor is half of that quarter's width."""
    quarter = changed(CAMERA, CAMERA, Change(roi="quarter")).camera
    both = changed(CAMERA, quarter, Change(binning=(2, 2)))
    assert (both.width, both.height) == (512, 512)


def test_a_rate_that_the_exposure_does_not_pace_stays_what_was_stated() -> None:
    planned = Camera(exposure_ms=100, rate_hz=30, paced_by_exposure=False)
    assert changed(planned, planned, Change(exposure_ms=10)).rate_hz == 30
