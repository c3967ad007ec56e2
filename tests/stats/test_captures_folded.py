"""The recordings of a running daemon, folded: what is known about them must come out."""

from __future__ import annotations

import itertools
import json

import pytest

from pvload.stats.config import FoldConfig
from tests.stats.stream import DATA, capture, summary

ALL = [
    "mock-camera",
    "mock-camera-preview",
    "mock-camera-fast-gaps",
    "pvcam-binned",
    "pvcam-full-sensor",
    "pvcam-roi",
    "pvcam-roi-fast",
    "pvcam-roi-preview",
    "pvcam-max-fps",
    "pvcam-slow-reader",
    "pvcam-stop-start",
]


@pytest.mark.parametrize("name", ALL)
def test_no_capture_shows_a_loss_before_numbering(name: str) -> None:
    """Neither a sleeping nor a free-running camera has a grid that could show one."""
    run = summary(capture(name)).run
    assert not run.missing.before_numbering
    assert run.missing.transport == run.missing.undecided == 0
    assert run.frames == len(json.loads((DATA / f"{name}.json").read_text())["messages"])


def test_stop_start_is_two_restarts_and_a_silence_and_no_loss() -> None:
    """18 to 0 and 37 to 0 are restarted acquisitions on the same call; the stop is a silence of 2.5 s."""
    found = summary(capture("pvcam-stop-start"))
    run = found.run
    assert run.restarts == 2
    assert run.missing.total == 0
    assert run.duplicates == run.duplicates_before_numbering == run.reorders == 0
    assert run.longest_silence_s == pytest.approx(2.5, abs=0.1)
    assert run.stalls.count == 1
    assert run.stalls.listed[0].last_frame_number == 18
    assert run.stalls.listed[0].frame_index == 19


def test_stop_start_doubles_its_rate_after_the_second_restart() -> None:
    """Two producers: the windows after the second restart show twice the rate, with every loss figure clean."""
    messages = json.loads((DATA / "pvcam-stop-start.json").read_text())["messages"]
    restarts = [b["arrival_ns"] for a, b in itertools.pairwise(messages) if b["frame_number"] == 0]
    config = FoldConfig(window_ns=1_000_000_000)
    windows = summary(capture("pvcam-stop-start"), config=config).subscribers[0].windows
    begin = messages[0]["arrival_ns"] - 50_000_000
    second = (restarts[-1] - begin) / 1e9
    doubled = [w.frames for w in windows if second < w.at_s < second + 1 and w.length_s == 1.0]
    single = [w.frames for w in windows if (restarts[0] - begin) / 1e9 < w.at_s < second - 1]
    assert doubled
    assert single
    assert min(doubled) > 1.7 * max(single)


@pytest.mark.parametrize(
    ("name", "max_fps", "explained"),
    [
        ("pvcam-slow-reader", 0, "backpressure"),
        ("pvcam-max-fps", 20, "decimated"),
    ],
)
def test_every_gap_is_explained_by_the_server(name: str, max_fps: int, explained: str) -> None:
    """step(frame_number) - 1 = step(frames_dropped) in every skipped frame."""
    messages = json.loads((DATA / f"{name}.json").read_text())["messages"]
    skipped = messages[-1]["frame_number"] - messages[0]["frame_number"] + 1 - len(messages)
    missing = summary(capture(name, max_fps=max_fps)).run.missing
    assert skipped > 0
    assert getattr(missing, explained) == skipped
    assert missing.unexplained == 0


def test_fast_gaps_are_all_unseen_by_the_server() -> None:
    """Lost before the forwarder: frame_number has gaps and no counter of the server moves."""
    messages = json.loads((DATA / "mock-camera-fast-gaps.json").read_text())["messages"]
    skipped = messages[-1]["frame_number"] - messages[0]["frame_number"] + 1 - len(messages)
    missing = summary(capture("mock-camera-fast-gaps")).run.missing
    assert skipped > 0
    assert missing.unseen == skipped == missing.total
