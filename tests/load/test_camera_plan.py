"""What the operator sets, and how it reads what comes back."""

from __future__ import annotations

import pytest

from pvload.load.camera import fault_of, planned_parameters, restart_pause_s, same_value, wanted
from pvload.profiles.load import load
from pvload.profiles.schema import Camera


def test_what_frames_cannot_show_is_marked() -> None:
    """Exposure, region and binning are seen on every frame; the trigger mode and the rest must be read back."""
    camera = Camera(exposure_ms=50, roi="quarter", trigger_mode="Timed", parameters={"thermal.setpoint": "-20"})
    assert planned_parameters(camera) == [
        ("acquisition.exposure_ms", "50.0", True),
        ("acquisition.roi", '{"x": 512, "y": 512, "width": 1024, "height": 1024}', True),
        ("acquisition.binning", "[1, 1]", True),
        ("acquisition.trigger_mode", "Timed", False),
        ("thermal.setpoint", "-20", False),
    ]


@pytest.mark.parametrize(
    ("planned", "read", "same"),
    [
        pytest.param("100", "100.0", True, id="a number however written"),
        pytest.param("Timed", '"Timed"', True, id="text with the quotes of an answer"),
        pytest.param('{"x": 1, "y": 2}', '{"y":2,"x":1}', True, id="an object in any order"),
        pytest.param("[1, 1]", "[1,2]", False, id="another binning"),
        pytest.param("Timed", '"Bulb"', False, id="another choice"),
    ],
)
def test_values_are_compared_by_what_they_mean(planned: str, read: str, same: bool) -> None:
    """The daemon answers with JSON text."""
    assert same_value(planned, read) is same


@pytest.mark.parametrize(
    ("device", "fault"),
    [
        pytest.param("camera", "", id="a camera"),
        pytest.param("stage", "is no camera", id="something else"),
        pytest.param("camra", "no device 'camra', it offers: camera, stage", id="unknown"),
    ],
)
def test_a_device_is_judged_by_its_capabilities(device: str, fault: str) -> None:
    """Not by the daemon's filter, which leaves cameras out."""
    found = fault_of(device, {"camera": ["triggerable", "frame_producer"], "stage": ["movable"]})
    assert fault in found
    assert bool(found) == bool(fault)


def test_the_plan_tells_every_engine_what_frames_must_show() -> None:
    """Rate from the exposure, size from region and binning."""
    profile = load("quick").profile
    told = wanted(profile, 123)
    assert (told.at_ns, told.rate_hz, told.width, told.height, told.exposure_ms) == (123, 20.0, 512, 512, 50.0)
    assert restart_pause_s(profile.camera) == pytest.approx(0.15)
