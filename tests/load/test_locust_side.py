"""What lives in Locust's patched process, tried there: statistics, user classes, back-off, children, engines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import pytest

from drive import until
from pvload.profiles.load import load
from pvload.profiles.users import Kind
from rig import Rig

HERE = Path(__file__).parent


def _scenario(name: str, folder: Path, *more: str) -> Any:
    done = subprocess.run(
        [sys.executable, str(HERE / "locust_side.py"), name, str(folder), *more],
        capture_output=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": str(HERE)},
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


def test_aggregates_become_locusts_statistics(tmp_path: Path) -> None:
    """Frames are requests, the time since the frame before is the response time, ends without order are failures."""
    found = _scenario("merged", tmp_path)
    assert found["requests"] == [15, 15]
    assert found["without_interval"] == 1
    assert found["failures"] == [2, 2]
    assert found["errors"] == [["UNAVAILABLE: gone", 2]]
    assert (found["median"], found["longest"], found["bytes"]) == (100, 110, 15_000)
    assert found["per_second"] == {"1000": 10, "1001": 5}


def test_a_day_of_statistics_stays_small(tmp_path: Path) -> None:
    """Per-second counters and chart points are pruned, totals stay."""
    found = _scenario("bounded", tmp_path)
    assert found["per_second"] <= 4
    assert found["history"] <= 2000
    assert found["requests"] == 14_400


def test_stalls_of_the_live_figures_are_failures_once_each(tmp_path: Path) -> None:
    """Only what is new since the last look counts."""
    assert _scenario("stalls", tmp_path)["failures"] == [0, 2, 2, 3]


def test_user_classes_are_made_from_the_populations(tmp_path: Path) -> None:
    """The operator is one, counts are weights, a population of none has no class."""
    assert _scenario("classes", tmp_path) == {
        "OpCameraOperator": [1, 1, 1, False],
        "BigStreamSubscriber": [0, 3, 1, False],
        "LoResStreamSubscriber": [0, 1, 1, False],
    }


def test_calls_stand_under_their_method(tmp_path: Path) -> None:
    """A probe's call counts once with its time; a storm's calls come summed, those refused are failures."""
    assert _scenario("called", tmp_path) == {
        "GetSystemHealth health": [3, 1, 3],
        "SetParameter storm": [1000, 3, 1],
    }


def test_a_locustfile_brings_classes_of_its_own(tmp_path: Path) -> None:
    """They take the place of the profile's populations of their kinds, and are made ready in place."""
    found = _scenario("own_classes", tmp_path)
    assert found["populations"] == [
        ["operator", "operator", 1, "full"],
        ["steady", "subscriber", 1, "full"],
        ["lo", "subscriber", 3, "fast"],
        ["health", "health-probe", 1, "full"],
    ]
    assert found["classes"] == {
        "OperatorCameraOperator": ["operator", 1, 1, False],
        "Steady": ["steady", 0, 1, True],
        "LoRes": ["lo", 0, 3, True],
        "Health": ["health", 0, 1, True],
    }
    assert "expected kind='health-probe', got 'subscriber'" in found["wrong"]


def test_every_documented_locustfile_can_be_run(tmp_path: Path) -> None:
    """Each kind of user stands in docs/users.md as a locustfile, whose plan passes the rules."""
    found = _scenario("documented", tmp_path)
    assert {kind for kind, _, _ in found.values()} == set(get_args(Kind))
    assert all(classes and users for _, classes, users in found.values())


def test_pauses_grow_to_half_a_minute_and_are_the_seeds(tmp_path: Path) -> None:
    """1 s doubled up to 30 s, each with up to a quarter more; the same seed gives the same pauses."""
    found = _scenario("pauses", tmp_path)
    assert found["first"] == found["again"]
    assert found["first"] != found["other"]
    for pause_s, base_s in zip(found["first"], (1, 2, 4, 8, 16, 30, 30, 30), strict=True):
        assert base_s <= pause_s <= 1.25 * base_s


def test_a_child_is_waited_for_in_bounded_time_and_its_end_is_told(tmp_path: Path) -> None:
    """What it said, what it did not say in time, and how it ended, with its last words."""
    found = _scenario("children", tmp_path)
    assert found["echo"] == {"is": "hello", "n": 1}
    assert found["open_after"] <= found["open"], "killed children leave their pipes open"
    assert "did not say 'more' within 0.2 s" in found["silent"]
    assert "exit code 7" in found["ended"]
    assert "I was told to fail" in found["ended"]
    assert found["alive"] is False
    assert "does not listen" in found["gone"]


def test_viewer_processes_are_killed_bounded_and_gone_with_their_worker(tmp_path: Path) -> None:
    """A killed one is dead at once, one given back is taken again, and none outlives the process that has it."""
    rig = Rig(tmp_path / "run", load("smoke").profile)
    rig.prepare()
    rig.start_collector()
    try:
        found = _scenario("viewers", tmp_path, rig.run, rig.endpoint)
        assert found["killed"] == [1, 0, False]
        assert found["reused"]
        assert 1 <= len(found["living"]) <= 3
        assert set(found["slots"]) <= {"slot-00", "slot-01", "slot-02"}
        until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in found["living"]), 15, "the viewers have ended")
    finally:
        rig.close()


@pytest.mark.parametrize("name", ["engine"])
def test_an_engine_that_cannot_begin_says_why(tmp_path: Path, name: str) -> None:
    """One clear error, no engine left, and nothing that is sent later goes anywhere."""
    found = _scenario(name, tmp_path)
    assert "the engine could not start" in found["said"]
    assert found["pid"] == 0
    assert found["sent"] is False
