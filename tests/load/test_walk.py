"""What a changer sets: choices and stated ranges only, nothing that wrecks the camera, and counters nobody shares."""

from __future__ import annotations

import json

import pytest

from pvload.load.walk import Offered, due_at_most, offered, shares_of, storm_values, walkables, walked
from pvload.profiles.users import Changes

ROWS = (
    Offered("acquisition.exposure_ms", "float", writable=True, choices=()),
    Offered("acquisition.roi", "object", writable=True, choices=()),
    Offered("acquisition.streaming", "bool", writable=True, choices=("true", "false")),
    Offered("thermal.fan_speed", "enum", writable=True, choices=("High", "Low", "Off")),
    Offered("thermal.setpoint", "float", writable=True, choices=()),
    Offered("thermal.temperature", "float", writable=False, choices=()),
    Offered("shutter.open_delay", "int", writable=True, choices=()),
)
RANGES = {
    "acquisition.exposure_ms": (10.0, 100.0),
    "acquisition.streaming": (0.0, 1.0),
    "thermal.temperature": (0.0, 1.0),
    "shutter.open_delay": (0.0, 3.0),
}


def test_only_what_has_choices_or_a_range_is_walked() -> None:
    """A number without a range, what is read-only, and what wrecks the camera are not, whatever the profile says."""
    names = [one.name for one in walkables(Changes(mode="walk", ranges=RANGES), ROWS)]
    assert names == ["acquisition.exposure_ms", "shutter.open_delay", "thermal.fan_speed"]
    some = Changes(mode="walk", ranges=RANGES, parameters=["thermal.fan_speed", "acquisition.streaming"])
    assert [one.name for one in walkables(some, ROWS)] == ["thermal.fan_speed"]


def test_a_walk_stays_within_and_is_the_seeds() -> None:
    """Every drawn value is a choice or within its range; whole numbers are whole, exposures whole milliseconds."""
    among = walkables(Changes(mode="walk", ranges=RANGES), ROWS)
    changes = [walked(among, run_seed=1, population="w", ordinal=0, step=step) for step in range(300)]
    again = [walked(among, run_seed=1, population="w", ordinal=0, step=step) for step in reversed(range(300))]
    assert changes == again[::-1]
    values: dict[str, set[object]] = {}
    for one in changes:
        values.setdefault(one.parameter, set()).add(json.loads(one.value))
    assert values["thermal.fan_speed"] == {"High", "Low", "Off"}
    assert values["shutter.open_delay"] == {0, 1, 2, 3}
    exposures = values["acquisition.exposure_ms"]
    assert all(isinstance(one, int) and 10 <= one <= 100 for one in exposures)
    assert len(exposures) > 40


def test_the_daemons_list_is_read() -> None:
    """Rows as protobuf's JSON has them; what is missing has its default."""
    rows = [{"name": "a", "dtype": "Float", "writable": True}, {"name": "b", "enum_values": ["x"]}]
    assert offered({"parameters": rows}) == (
        Offered("a", "float", writable=True, choices=()),
        Offered("b", "", writable=False, choices=("x",)),
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        pytest.param({"parameters": ["shutter.open_delay"]}, ("shutter.open_delay", ["{n}"]), id="the counter itself"),
        pytest.param(
            {"parameters": ["thermal.fan_speed"]},
            ("thermal.fan_speed", ['"High"', '"Low"', '"Off"']),
            id="through its choices",
        ),
        pytest.param(
            {"parameters": ["acquisition.exposure_ms"], "ranges": {"acquisition.exposure_ms": [50, 51]}},
            ("acquisition.exposure_ms", ["{50.000000+n}"]),
            id="millionths within a range",
        ),
        pytest.param({"parameters": ["acquisition.streaming"]}, ("", []), id="wrecks the camera"),
        pytest.param({"parameters": ["thermal.temperature"]}, ("", []), id="read-only"),
        pytest.param({}, ("", []), id="none named"),
    ],
)
def test_what_a_storm_writes(changes: dict[str, object], expected: tuple[str, list[str]]) -> None:
    assert storm_values(Changes.model_validate({"mode": "storm", **changes}), ROWS) == expected


def test_users_share_a_storms_rate_and_no_counter() -> None:
    """Three users offer the whole rate, and their counters never meet."""
    assert [sum(rates) for rates in zip(*(shares_of([90.0, 300.0], 3) for _ in range(3)), strict=True)] == [90, 300]
    counters = [{ordinal + 3 * i for i in range(1000)} for ordinal in range(3)]
    assert not counters[0] & counters[1] | counters[1] & counters[2] | counters[0] & counters[2]


def test_a_storm_counts_on_where_its_engine_left_off() -> None:
    """Never less than was due, so that no value comes twice, and hardly more: a parameter may be a short integer."""
    assert due_at_most([100.0, 500.0], step_s=5, elapsed_s=3) == 301
    assert due_at_most([100.0, 500.0], step_s=5, elapsed_s=7.5) == 1751
    assert due_at_most([200.0], step_s=5, elapsed_s=100) == 20_001
    assert due_at_most([200.0], step_s=5, elapsed_s=-1) == 1
