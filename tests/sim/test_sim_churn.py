"""Thousands of clients that come and go leave nothing behind in the simulator: a real process, a real client loop."""

from __future__ import annotations

import asyncio
import gc
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import psutil

import churning
from pvload._pb import daq_pb2, daq_pb2_grpc
from pvload.sim.ledger import read_ledger
from pvload.sim.pipeline import Pipeline
from rig import LineProcess
from simulated import OPTIONS, SMALL, WAIT_S, simulated, until

WARM_CYCLES = 300
CYCLES = 2000
POOL_THREADS = 6
"""gRPC and the image makers still start threads of their pools after the first calls; a leak would be of thousands."""
GROWTH_BYTES = 16 * 1024 * 1024
"""Of 2000 calls that each left a pipeline of some 10 KB behind, 20 MB would remain."""


def client(address: str, cycles: int) -> None:
    """churn() in a process of its own, whose end closes whatever it left open."""
    subprocess.run([sys.executable, churning.__file__, address, str(cycles)], check=True, timeout=60)


def start_camera(address: str) -> None:
    with grpc.insecure_channel(address, options=OPTIONS) as channel:
        stub = daq_pb2_grpc.HardwareServiceStub(channel)
        for name, value in (("acquisition.exposure_ms", "5"), ("acquisition.roi", SMALL)):
            request = daq_pb2.SetParameterRequest(device_id="prime_bsi", parameter_name=name, value=value)
            stub.SetParameter(request, timeout=WAIT_S)
        stub.StartStream(daq_pb2.StartStreamRequest(device_id="prime_bsi"), timeout=WAIT_S)


def unreleased(ledger: Path) -> int:
    """Calls whose forwarders still run."""
    kinds = [entry["is"] for entry in read_ledger(ledger)]
    return kinds.count("call_opened") - kinds.count("slot_released")


def test_thousands_of_aborted_calls_leave_no_thread_no_descriptor_and_no_memory(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    child = LineProcess(
        [
            *("-m", "pvload.sim", "--set", "model=grid", "--set", "streams_per_client=0"),
            *("--ledger", str(ledger), "--log", str(tmp_path / "sim.log"), "--parent-stdin"),
        ],
        stderr=tmp_path / "stderr.log",
    )
    try:
        address = child.expect("listening")["address"]
        start_camera(address)
        process = psutil.Process(child.process.pid)

        def settled() -> tuple[int, int, int]:
            until(lambda: unreleased(ledger) == 0, "every slot to come back")
            return process.num_threads(), process.num_fds(), process.memory_info().rss

        before = process.num_fds()
        client(address, WARM_CYCLES)
        threads, _, rss = settled()
        client(address, CYCLES)
        until(lambda: settled()[1] <= before, "the descriptors of before")
        assert settled()[0] <= threads + POOL_THREADS
        assert settled()[2] - rss < GROWTH_BYTES
        opened = sum(entry["is"] == "call_opened" for entry in read_ledger(ledger))
        assert opened > (WARM_CYCLES + CYCLES) / 2
    finally:
        child.kill()
        child.close()


def test_no_pipeline_and_no_task_outlives_its_call(tmp_path: Path) -> None:
    with simulated(tmp_path, model="grid", streams_per_client=0) as sim:
        sim.camera(exposure_ms=5)
        sim.start()
        asyncio.run(churning.churn(sim.simulator.address, 300))
        until(lambda: unreleased(sim.ledger) == 0, "every slot to come back")
        until(lambda: _alive() == 0, "the pipelines to be gone")


def _alive() -> int:
    gc.collect()
    found: list[Any] = gc.get_objects()
    return sum(isinstance(each, Pipeline) for each in found)
