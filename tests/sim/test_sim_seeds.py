"""Drawn schedules: whatever goes wrong, what a client receives is what the ledger says was sent."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pvload.sim.ledger import read_ledger
from pvload.sim.truth import call_truths
from simulated import simulated

FRAMES = 90


@pytest.mark.parametrize("seed", [1, 3, 4])
@pytest.mark.parametrize("model", ["grid", "pvcam-mock"])
def test_two_clients_receive_what_the_ledger_says_was_sent(tmp_path: Path, seed: int, model: str) -> None:
    with simulated(tmp_path, model=model, fault_seed=seed, fault_rate=8.0) as sim:
        sim.camera(exposure_ms=10)
        streams = [sim.open().opened(), sim.open().opened()]
        sim.start()
        received = [stream.take(FRAMES) for stream in streams]
        sim.stop()
    truths = call_truths(read_ledger(tmp_path / "ledger.jsonl"), {0: FRAMES, 1: FRAMES})
    for frames, truth in zip(received, truths, strict=True):
        assert truth.frames == FRAMES
        assert [frame.frame_number for frame in frames] == truth.frame_number.tolist()
        assert [frame.metrics.frames_sent for frame in frames] == truth.frames_sent.tolist()
        assert sum(step == 0 for step in np.diff(truth.frames_sent)) == truth.duplicates
        assert sum(step < 0 for step in np.diff(truth.frames_sent)) == truth.reorders
        unsent = truth.frames_sent.max() - truth.frames_sent.min() + 1 - (FRAMES - truth.duplicates)
        assert unsent == truth.missing.transport + truth.missing.undecided
        dropped = frames[-1].metrics.frames_dropped - frames[0].metrics.frames_dropped
        assert dropped == truth.missing.backpressure + truth.missing.undecided
