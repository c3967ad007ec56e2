"""Fifty seeded schedules of faults: what pvload reports equals what the simulator did, frame for frame.

Real simulator, engine and collector; four runs at a time. The stream is closed after a number of frames that lies
beyond the schedule's last fault, so that both sides speak of the same frames.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pvload.profiles.schema import Camera, Criteria, Fault, Profile, Roi, Run, Simulator, Users
from pvload.sim.faults import schedule
from pvload.sim.ledger import read_ledger
from pvload.sim.truth import CallTruth, call_truths
from pvload.wire import run_directory
from rig import running

SEEDS = 52
AT_A_TIME = 4
FRAMES = 48
FAULTS_PER_100 = 14.0
PERIOD_S = 0.04
THRESHOLD_S = 0.5
LOST = ("drop_at_observer", "drop_at_output", "drop_at_compression", "drop_at_transport")


def profile_of(faults: tuple[Fault, ...]) -> Profile:
    """Small frames every 40 ms, one subscriber, a stall threshold of 0.5 s."""
    return Profile(
        run=Run(name="ledger", duration=4.0, warm_up=0.2),
        camera=Camera(exposure_ms=PERIOD_S * 1000, roi=Roi(x=0, y=0, width=64, height=64)),
        users=[Users(name="viewer", payload="decoded")],
        criteria=Criteria(longest_stall_s=THRESHOLD_S),
        simulator=Simulator(model="grid", faults=list(faults)),
    )


def expected_messages(faults: tuple[Fault, ...]) -> int:
    """Messages that a whole schedule lets through, less a few that a subscriber may miss by joining late."""
    lost = sum(fault.count for fault in faults if fault.kind in LOST)
    again = sum(fault.kind == "duplicate" for fault in faults)
    return FRAMES - lost + again - 4


def run_schedule(folder: Path, faults: tuple[Fault, ...]) -> tuple[dict[str, Any], CallTruth]:
    """One run; its summary's only call, and the truth of the frames that the engine received."""
    with running(folder, profile_of(faults)) as rig:
        rig.start_camera()
        call_id = rig.open(stop_after_frames=expected_messages(faults))
        assert rig.engine is not None
        ended = rig.engine.answer("ended", id=call_id, timeout_s=10.0)
        result = rig.end([])
        assert result["verdict"] in ("PASS", "FAIL", "INVALID", "INCONCLUSIVE")
        call = rig.summary()["calls"][0]
        received = getattr(ended, "frames", 0)
    return call, received_truth(folder / run_directory.LEDGER, received)


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


def differences(call: dict[str, Any], truth: CallTruth) -> list[str]:
    """What the report says otherwise than the ledger; empty when they agree."""
    figures = call["figures"]
    reported = {name: figures[name] for name in ("frames", "duplicates", "reorders", "restarts")}
    reported |= {name: figures["missing"][name] for name in ("backpressure", "unseen", "transport", "undecided")}
    true = {name: getattr(truth, name) for name in ("frames", "duplicates", "reorders", "restarts")}
    true |= {name: getattr(truth.missing, name) for name in ("backpressure", "unseen", "transport", "undecided")}
    wrong = [f"{name}: reported {reported[name]}, ledger {true[name]}" for name in true if reported[name] != true[name]]
    return wrong + stall_differences(figures["stalls"]["listed"], truth)


def stall_differences(stalls: list[dict[str, Any]], truth: CallTruth) -> list[str]:
    """Stalls against send gaps, in order: lengths within one period plus the lag recorded in them."""
    gaps = [length / 1e9 for _, length in truth.gaps_longer_than(int(THRESHOLD_S * 1e9))]
    lengths = [stall["length_s"] for stall in stalls]
    if len(gaps) != len(lengths):
        return [f"stalls: reported {lengths}, ledger {gaps}"]
    return [
        f"stall: reported {stall['length_s']:.3f} s, ledger {gap:.3f} s"
        for stall, gap in zip(stalls, gaps, strict=True)
        if abs(stall["length_s"] - gap) > PERIOD_S + stall["uncertainty_s"]
    ]


def stall_starts_differ(call: dict[str, Any], truth: CallTruth) -> list[str]:
    """Distances between stalls' starts, which need no common zero, within one period plus their lag."""
    starts = [start / 1e9 for start, _ in truth.gaps_longer_than(int(THRESHOLD_S * 1e9))]
    stalls = call["figures"]["stalls"]["listed"]
    return [
        f"start: reported {stall['at_s'] - stalls[0]['at_s']:.3f} s after the first, ledger {start - starts[0]:.3f} s"
        for stall, start in zip(stalls, starts, strict=True)
        if abs((stall["at_s"] - stalls[0]["at_s"]) - (start - starts[0])) > PERIOD_S + stall["uncertainty_s"]
    ]


@pytest.mark.parametrize("first", range(0, SEEDS, AT_A_TIME))
def test_frames_missing_and_stalls_equal_the_ledger(first: int, tmp_path: Path) -> None:
    """Every class of loss, every duplicate, reorder, restart and stall, for four seeds at once."""

    def one(seed: int) -> list[str]:
        faults = schedule(seed, FAULTS_PER_100, FRAMES)
        call, truth = run_schedule(tmp_path / str(seed), faults)
        wrong = differences(call, truth) or stall_starts_differ(call, truth)
        return [f"seed {seed}: {line}" for line in wrong]

    with ThreadPoolExecutor(AT_A_TIME) as pool:
        wrong = [line for lines in pool.map(one, range(first, first + AT_A_TIME)) for line in lines]
    assert not wrong


def test_the_comparison_notices_a_single_frame(tmp_path: Path) -> None:
    """The comparison above can fail: a ledger that lost one frame more than was reported does not agree."""
    faults = (Fault(kind="drop_at_observer", frame=20, count=2),)
    call, truth = run_schedule(tmp_path, faults)
    assert not differences(call, truth)
    call["figures"]["missing"]["unseen"] -= 1
    assert differences(call, truth) == ["unseen: reported 1, ledger 2"]
