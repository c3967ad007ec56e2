"""A connection that is asked for a sign: a server that hangs is found out, and one that is only silent is not."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pvload._pb import daq_pb2
from simulated import simulated

OpenStream = Callable[..., int]


@pytest.mark.parametrize("pings", [True, False])
def test_a_server_that_hangs_is_found_out_by_pings_alone(bench: Any, open_stream: OpenStream, pings: bool) -> None:
    """Stopped with a stream open that gave no frame: TCP still acknowledges, nobody answers."""
    engine = bench.start(bench.serve())
    fields = {"ping_ms": 100.0, "ping_timeout_ms": 400.0} if pings else {}
    number = open_stream(engine, "silent", silence_ms=2500.0, on_silence="end", **fields)
    engine.answer("headers", id=number)
    os.kill(bench.server_pid, signal.SIGSTOP)
    try:
        ended: Any = engine.answer("ended", id=number)
    finally:
        os.kill(bench.server_pid, signal.SIGCONT)
    assert (ended.by, ended.status) == (("server", "UNAVAILABLE") if pings else ("watchdog", "CANCELLED"))


def test_a_silent_stream_that_is_pinged_stays(bench: Any, open_stream: OpenStream, tmp_path: Path) -> None:
    """For 1.2 s the camera stands still and the simulator answers; then frames come on the same call."""
    with simulated(tmp_path / "sim") as sim:
        engine = bench.start(sim.simulator.address)
        number = open_stream(engine, "prime_bsi", ping_ms=50.0, silence_ms=1200.0, stop_after_frames=5)
        engine.answer("timeout", id=number)
        sim.camera(exposure_ms=10.0)
        assert sim.stub.StartStream(daq_pb2.StartStreamRequest(device_id="prime_bsi"), timeout=10).success
        ended: Any = engine.answer("ended", id=number)
        assert (ended.by, ended.frames) == ("order", 5)
