"""Fifty seeded schedules of faults: what pvload reports equals what the simulator did, frame for frame.

Real simulator, engine and collector; four runs at a time. The stream is closed after a number of frames that lies
beyond the schedule's last fault, so that both sides speak of the same frames.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pvload.profiles.criteria import Criteria
from pvload.profiles.schema import Camera, Profile, Run
from pvload.profiles.simulated import Fault, Simulator
from pvload.profiles.users import Users
from pvload.profiles.values import Roi
from pvload.sim.faults import schedule
from pvload.sim.ledger import read_ledger
from pvload.sim.truth import CallTruth, call_truths
from pvload.wire import command, run_directory
from rig import Rig, running

SEEDS = 52
AT_A_TIME = 4
FRAMES = 48
FAULTS_PER_100 = 14.0
PERIOD_S = 0.04
THRESHOLD_S = 0.5
LOST = ("drop_at_observer", "drop_at_output", "drop_at_compression", "drop_at_transport")


@dataclass(frozen=True, slots=True)
class Outcome:
    """One run's only call, by the report and by the ledger."""

    call: dict[str, Any]
    """Of the summary."""
    start_ns: int
    """The zero of the summary's `at_s`, CLOCK_MONOTONIC of this host as in the ledger."""
    truth: CallTruth
    """Of the frames that the engine received."""
    threshold_s: float
    """Longer than this is a stall."""


def profile_of(faults: tuple[Fault, ...], threshold_s: float, *, period_s: float = PERIOD_S) -> Profile:
    """Small frames on a grid of time, one subscriber."""
    return Profile(
        run=Run(name="ledger", duration=4.0, warm_up=0.2),
        camera=Camera(exposure_ms=period_s * 1000, roi=Roi(x=0, y=0, width=64, height=64)),
        users=[Users(name="viewer", payload="decoded")],
        criteria=Criteria(longest_stall_s=threshold_s),
        simulator=Simulator(model="grid", faults=list(faults)),
    )


def expected_messages(faults: tuple[Fault, ...]) -> int:
    """Messages that a whole schedule lets through, less a few that a subscriber may miss by joining late."""
    lost = sum(fault.count for fault in faults if fault.kind in LOST)
    again = sum(fault.kind == "duplicate" for fault in faults)
    return FRAMES - lost + again - 4


def run_schedule(folder: Path, faults: tuple[Fault, ...], *, threshold_s: float = THRESHOLD_S) -> Outcome:
    """One run, closed by the subscriber once it has nearly all that the schedule lets through."""
    with running(folder, profile_of(faults, threshold_s)) as rig:
        rig.start_camera()
        call_id = rig.open(stop_after_frames=expected_messages(faults))
        assert rig.engine is not None
        ended = rig.engine.answer("ended", id=call_id, timeout_s=10.0 + sum(fault.duration for fault in faults))
        result = rig.end([])
        assert result["verdict"] in ("PASS", "FAIL", "INVALID", "INCONCLUSIVE")
        summary = rig.summary()
        received = getattr(ended, "frames", 0)
    truth = received_truth(folder / run_directory.LEDGER, received)
    return Outcome(summary["calls"][0], summary["facts"]["start_ns"], truth, threshold_s)


def received_truth(ledger: Path, received: int) -> CallTruth:
    """The first `received` messages of the only call: what was sent after them never counted for the subscriber.

    The last of them may stand in the ledger as cut off (`ok` false): the subscriber had it and left before the write
    was through.
    """
    entries, sent = [], 0
    for entry in read_ledger(ledger):
        if entry["is"] == "sent":
            sent += 1
            if sent > received:
                continue
            entry["ok"] = True
        entries.append(entry)
    return call_truths(entries)[0]


def differences(outcome: Outcome) -> list[str]:
    """What the report says otherwise than the ledger; empty when they agree."""
    figures, truth = outcome.call["figures"], outcome.truth
    reported = {name: figures[name] for name in ("frames", "duplicates", "reorders", "restarts")}
    reported |= {name: figures["missing"][name] for name in ("backpressure", "unseen", "transport", "undecided")}
    reported["before_numbering"] = figures["missing"]["before_numbering"] or 0
    true = {name: getattr(truth, name) for name in ("frames", "duplicates", "reorders", "restarts")}
    true |= {name: getattr(truth.missing, name) for name in ("backpressure", "unseen", "transport", "undecided")}
    true["before_numbering"] = 0  # no seeded fault loses frames there, and so few frames decide nothing
    wrong = [f"{name}: reported {reported[name]}, ledger {true[name]}" for name in true if reported[name] != true[name]]
    return wrong + stall_differences(outcome)


def stall_differences(outcome: Outcome) -> list[str]:
    """Stalls against send gaps, in order: starts and lengths within one period plus the stall's uncertainty."""
    threshold_ns = int(outcome.threshold_s * 1e9)
    gaps = [(start / 1e9, length / 1e9) for start, length in outcome.truth.gaps_longer_than(threshold_ns)]
    zero_s = outcome.start_ns / 1e9
    stalls = outcome.call["figures"]["stalls"]["listed"]
    if len(gaps) != len(stalls):
        return [f"stalls: reported {[stall['length_s'] for stall in stalls]}, ledger {gaps}"]
    wrong = []
    for stall, (start, length) in zip(stalls, gaps, strict=True):
        allowed = PERIOD_S + stall["uncertainty_s"]
        if abs(zero_s + stall["at_s"] - start) > allowed:
            wrong.append(f"stall's start: reported {stall['at_s']:.3f} s, ledger {start - zero_s:.3f} s")
        if abs(stall["length_s"] - length) > allowed:
            wrong.append(f"stall: reported {stall['length_s']:.3f} s, ledger {length:.3f} s")
    return wrong


@pytest.mark.parametrize("first", range(0, SEEDS, AT_A_TIME))
def test_frames_missing_and_stalls_equal_the_ledger(first: int, tmp_path: Path) -> None:
    """Every class of loss, every duplicate, reorder, restart and stall, for four seeds at once."""

    def one(seed: int) -> list[str]:
        faults = schedule(seed, FAULTS_PER_100, FRAMES)
        return [f"seed {seed}: {line}" for line in differences(run_schedule(tmp_path / str(seed), faults))]

    with ThreadPoolExecutor(AT_A_TIME) as pool:
        wrong = [line for lines in pool.map(one, range(first, first + AT_A_TIME)) for line in lines]
    assert not wrong


def test_the_comparison_notices_a_single_frame_and_a_late_zero(tmp_path: Path) -> None:
    """The comparison above can fail: on a frame lost more than was reported, and on one stall that starts elsewhere."""
    faults = (Fault(kind="drop_at_observer", frame=20, count=2), Fault(kind="stall", frame=30, duration=0.7))
    outcome = run_schedule(tmp_path, faults)
    assert not differences(outcome)
    assert len(differences(replace(outcome, start_ns=outcome.start_ns + 1_000_000_000))) == 1
    outcome.call["figures"]["missing"]["unseen"] -= 1
    assert differences(outcome) == ["unseen: reported 1, ledger 2"]


def test_frames_lost_before_numbering_equal_the_ledger(tmp_path: Path) -> None:
    """On a camera that keeps its deadlines, two frames that never reached the driver show in the timestamps alone."""
    faults = (Fault(kind="drop_before_numbering", frame=100, count=2),)
    with running(tmp_path, profile_of(faults, THRESHOLD_S, period_s=0.04)) as rig:
        rig.start_camera()
        call_id = rig.open(stop_after_frames=180)
        assert rig.engine is not None
        ended = rig.engine.answer("ended", id=call_id, timeout_s=20.0)
        rig.end([])
        missing = rig.summary()["calls"][0]["figures"]["missing"]
    truth = received_truth(tmp_path / run_directory.LEDGER, getattr(ended, "frames", 0))
    assert missing["before_numbering"] == truth.missing.before_numbering
    assert truth.missing.before_numbering >= 2  # a simulator that is a period late adds to what it was told to lose
    assert missing["unseen"] == missing["transport"] == missing["undecided"] == 0


def test_twenty_silent_streams_do_not_hold_up_twenty_others(tmp_path: Path) -> None:
    """A camera that never started beside one that runs: the worst gap is the one that the simulator sent."""
    streams, period_s = 20, 0.1
    small = profile_of((), 2.0, period_s=period_s)
    with running(tmp_path, small.model_copy(update={"simulator": Simulator(streams_per_client=0)})) as rig:
        silent = [open_silent(rig, ordinal) for ordinal in range(streams)]
        rig.start_camera()
        healthy = [rig.open(ordinal=ordinal) for ordinal in range(streams - 1)]
        last = rig.open(ordinal=streams - 1, stop_after_frames=40)
        assert rig.engine is not None
        rig.engine.answer("ended", id=last)
        for call_id in healthy + silent:
            rig.engine.order(command.Close(id=call_id))
            rig.engine.answer("ended", id=call_id)
        rig.end([])
        calls = rig.summary()["calls"]
    figures = {
        name: [call["figures"] for call in calls if call["device"] == name] for name in ("prime_bsi", "prime_95b")
    }
    assert [one["frames"] for one in figures["prime_95b"]] == [0] * streams
    assert len(figures["prime_bsi"]) == streams
    assert min(one["frames"] for one in figures["prime_bsi"]) >= 35
    truths = [one for one in call_truths(read_ledger(tmp_path / run_directory.LEDGER)) if one.device == "prime_bsi"]
    sent_s = max(int(np.diff(one.sent_ns).max()) for one in truths) / 1e9
    assert abs(max(one["gaps"]["longest_s"] for one in figures["prime_bsi"]) - sent_s) <= 2 * period_s


def open_silent(rig: Rig, ordinal: int) -> int:
    """Opens a stream of the camera that nobody starts."""
    assert rig.engine is not None
    call_id = rig.engine.next_id()
    rig.engine.order(
        command.Open(
            id=call_id,
            population="silent",
            ordinal=ordinal,
            number=1,
            device="prime_95b",
            quality="full",
            max_fps=0,
            stall_ms=2000.0,
            payload="decoded",
        )
    )
    rig.engine.answer("headers", id=call_id)
    return call_id
