"""Slow readers beside a fast one: what each policy of the server does is seen, said, and equal to the ledger.

Frames are noise, 74 KB each, so that a window of a few hundred kilobytes is a few frames.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from journaled import journaled
from pvload.profiles.criteria import Criteria, SlowReaderPolicy
from pvload.profiles.schema import Camera, Profile, Run
from pvload.profiles.simulated import Simulator
from pvload.profiles.users import Users
from pvload.profiles.values import Roi
from pvload.sim.ledger import read_ledger
from pvload.sim.server import WRITE_BUFFER_BYTES
from pvload.sim.truth import CallTruth, call_truths
from pvload.wire import run_directory
from pvload.wire.event import Kind, Records
from rig import running

EXPOSURE_MS = 20.0
READS_HZ = 5.0
FRAMES = 230
"""Of the fast reader, where nobody holds it up; 4.6 s."""
HELD_UP_FRAMES = 25
SETTLED_S = 2.6
"""Window and queue of the reader with the large window are full by then."""
SMALL, LARGE, HUGE = 128 * 1024, 512 * 1024, 16 * 1024 * 1024
WINDOWS_HELD = 1.5
"""Measured: what the client's library takes in beyond what is read, in stated windows."""
QUEUED = 8
"""Frames that wait in the server when it skips: six in its queue, one at the wire, one in the forwarder's hand."""
POLICIES: tuple[SlowReaderPolicy, ...] = ("skip", "block", "disconnect")


@dataclass(frozen=True, slots=True)
class Slow:
    """A slow reader: what the report says of it, its frames, what the server sent, and what the ledger tells."""

    said: dict[str, Any]
    figures: dict[str, Any]
    frames: Records
    sent: CallTruth
    """All that the server handed to HTTP/2."""
    truth: CallTruth
    """Up to the last frame received."""

    @property
    def in_flight_bytes(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """At each read: what HTTP/2 had taken by then, less what was read up to and with this frame."""
        handed = np.concatenate(([0], np.cumsum(self.sent.bytes)))
        through = np.searchsorted(self.sent.done_ns, self.frames["t_ns"], side="right")
        read = np.cumsum(self.frames["message_bytes"].astype(np.int64))
        held: np.ndarray[Any, np.dtype[np.int64]] = handed[through] - read
        return held

    @property
    def age_growth(self) -> float:
        """By how much the age of what is read grows in a second, once the queues have had time to fill."""
        t_s = (self.frames["t_ns"] - self.frames["t_ns"][0]) / 1e9
        age_s = self.frames["t_ns"] / 1e9 - self.frames["source_ns"] / 1e9
        late = t_s > SETTLED_S
        return float(np.polyfit(t_s[late], age_s[late], 1)[0])


@dataclass(frozen=True, slots=True)
class Told:
    """One run under one policy."""

    summary: dict[str, Any]
    verdict: str
    report: str
    ledger: list[dict[str, Any]]
    slow: dict[str, Slow]
    fast: dict[str, Any]
    """Figures of the fast reader."""
    fast_truth: CallTruth


def profile_of(policy: SlowReaderPolicy) -> Profile:
    windows = {"small": SMALL, "large": LARGE, "huge": HUGE} if policy == "skip" else {"small": SMALL}
    slow = [Users(name=name, read_fps=READS_HZ, window_bytes=window) for name, window in windows.items()]
    return Profile(
        run=Run(name="slow", duration=4.0, warm_up=0.5),
        camera=Camera(exposure_ms=EXPOSURE_MS, roi=Roi(x=0, y=0, width=192, height=192)),
        users=[Users(name="fast"), *slow],
        criteria=Criteria(slow_reader_policy="skip"),
        simulator=Simulator(model="grid", images="noise", streams_per_client=0, slow_readers=policy),
    )


def run_under(policy: SlowReaderPolicy, folder: Path) -> Told:
    """One run: the slow ones come first, and it ends when the fast one has its frames."""
    profile = profile_of(policy)
    with running(folder, profile) as rig:
        assert rig.engine is not None
        calls = {one.name: rig.open(users=one.name) for one in profile.users[1:]}
        rig.start_camera()
        fast = rig.open(users="fast", stop_after_frames=HELD_UP_FRAMES if policy == "block" else FRAMES)
        rig.engine.answer("ended", id=fast, timeout_s=30.0)
        still_open = [] if policy == "disconnect" else list(calls.values())
        verdict = rig.end(still_open)["verdict"]
        summary = rig.summary()
    (sender,) = journaled(folder)
    frames = sender.rows(Kind.FRAME)
    ledger = list(read_ledger(folder / run_directory.LEDGER))
    everything = call_truths({**entry, "ok": True} if entry["is"] == "sent" else entry for entry in ledger)
    received = {number: int((frames["ref"] == ref).sum()) for number, ref in enumerate([*calls.values(), fast])}
    truths = call_truths(({**entry, "ok": True} if entry["is"] == "sent" else entry for entry in ledger), received)
    said = {one["subscriber"].partition("/")[0]: one for one in summary["around"]["slow_readers"]}
    figures = {one["name"].partition("/")[0]: one["figures"] for one in summary["subscribers"]}
    slow = {
        name: Slow(said[name], figures[name], frames[frames["ref"] == ref], everything[at], truths[at])
        for at, (name, ref) in enumerate(calls.items())
    }
    report = (folder / run_directory.REPORT).read_text()
    return Told(summary, verdict, report, ledger, slow, figures["fast"], truths[-1])


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Told]:
    """The three policies, at the same time."""
    with ThreadPoolExecutor(len(POLICIES)) as pool:
        runs = [(policy, pool.submit(run_under, policy, tmp_path_factory.mktemp(policy))) for policy in POLICIES]
        return {policy: run.result() for policy, run in runs}


@pytest.mark.parametrize("policy", POLICIES)
def test_what_is_missing_and_received_equals_the_ledger(told: dict[str, Told], policy: str) -> None:
    run = told[policy]
    for figures, truth in [(run.fast, run.fast_truth), *((one.figures, one.truth) for one in run.slow.values())]:
        assert figures["frames"] == truth.frames
        for name in ("backpressure", "unseen", "transport", "undecided"):
            assert figures["missing"][name] == getattr(truth.missing, name), name


def test_a_server_that_skips_is_seen_by_skips_and_an_age_that_settles(told: dict[str, Told]) -> None:
    """Two windows that fill, and one so large that nothing is skipped: there the age grows with the clock."""
    run = told["skip"]
    for name in ("small", "large"):
        slow = run.slow[name]
        assert slow.said["policy"] == "skip"
        assert slow.said["skipped"] == slow.truth.missing.backpressure > FRAMES / 4
        assert abs(slow.age_growth) < 0.3, name
    huge = run.slow["huge"]
    assert huge.said["skipped"] == huge.truth.missing.backpressure < 0.1 * FRAMES
    assert huge.age_growth > 0.7
    assert huge.said["age_last_ms"] > 1.3 * run.slow["large"].said["age_last_ms"]
    assert_undisturbed(run)
    assert (huge.said["policy"], run.verdict) == ("buffer", "FAIL"), "the three were not treated alike"


def test_a_server_that_blocks_is_seen_by_what_the_others_feel(told: dict[str, Told]) -> None:
    run = told["block"]
    (slow,) = run.slow.values()
    assert (slow.said["policy"], slow.said["skipped"], slow.sent.missing.numbered) == ("block", 0, 0)
    blocked = [entry for entry in run.ledger if entry["is"] == "blocked"]
    waited_s = sum(entry["t_ns"] - entry["since_ns"] for entry in blocked) / 1e9
    assert waited_s > 0.5 * run.summary["facts"]["length_s"]
    assert run.fast["coverage"] < 0.5
    assert run.fast["missing"]["total"] == run.fast_truth.missing.numbered == 0, "late, not lost"
    assert slow.said["age_last_ms"] > 5 * EXPOSURE_MS, "it is as old as what the server holds for it"
    assert "slowed the other streams down" in run.report
    assert run.verdict == "FAIL"


def test_a_server_that_throws_slow_readers_out_is_seen_by_the_end(told: dict[str, Told]) -> None:
    run = told["disconnect"]
    (slow,) = run.slow.values()
    (evicted,) = [entry for entry in run.ledger if entry["is"] == "evicted"]
    (call,) = [one for one in run.summary["calls"] if one["subscriber"] == "small/0"]
    assert (slow.said["policy"], slow.said["ended_by_server"]) == ("disconnect", 1)
    assert (evicted["call"], slow.sent.code) == (slow.sent.call, "ABORTED")
    assert (call["ended_by"], call["status"]) == ("server", "ABORTED")
    assert_undisturbed(run)
    assert run.verdict == "FAIL"


def assert_undisturbed(run: Told) -> None:
    """The fast one has what the camera makes, whoever reads slowly; a busy host may cost it a few frames."""
    assert not [entry for entry in run.ledger if entry["is"] in ("blocking", "blocked")]
    assert run.fast["coverage"] > 0.9
    assert run.fast["missing"]["total"] < 0.1 * FRAMES
    assert "slowed the other streams down" not in run.report


def test_what_the_client_buffers_is_bounded_by_the_window_it_states(told: dict[str, Told]) -> None:
    """Measured at each read, by the ledger of writes that went through; a larger window holds more, and no more."""
    slow = told["skip"].slow
    most = {name: int(one.in_flight_bytes.max()) for name, one in slow.items()}
    message = int(slow["small"].frames["message_bytes"].max())
    for name, window in (("small", SMALL), ("large", LARGE), ("huge", HUGE)):
        assert slow[name].said["window_bytes"] == window
        assert most[name] <= WINDOWS_HELD * window + WRITE_BUFFER_BYTES + message, name
    assert most["large"] > 0.75 * LARGE > WINDOWS_HELD * SMALL + WRITE_BUFFER_BYTES + message, "bounds of their own"
    assert most["huge"] > 2 * LARGE
    for name, window in (("small", SMALL), ("large", LARGE)):
        bound = (WINDOWS_HELD * window + WRITE_BUFFER_BYTES) / message + QUEUED + 1
        assert slow[name].said["buffered_frames_max"] <= bound, "as the report tells it, by age: the server's queue too"
