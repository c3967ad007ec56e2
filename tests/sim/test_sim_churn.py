"""Thousands of clients that come and go leave nothing behind in the simulator: a real process, a real client loop."""

from __future__ import annotations

import asyncio
import gc
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
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


def start_camera(address: str, exposure_ms: int = 5) -> None:
    with grpc.insecure_channel(address, options=OPTIONS) as channel:
        stub = daq_pb2_grpc.HardwareServiceStub(channel)
        for name, value in (("acquisition.exposure_ms", str(exposure_ms)), ("acquisition.roi", SMALL)):
            request = daq_pb2.SetParameterRequest(device_id="prime_bsi", parameter_name=name, value=value)
            stub.SetParameter(request, timeout=WAIT_S)
        stub.StartStream(daq_pb2.StartStreamRequest(device_id="prime_bsi"), timeout=WAIT_S)


def count(ledger: Path, kind: str) -> int:
    return sum(entry["is"] == kind for entry in read_ledger(ledger))


def unreleased(ledger: Path) -> int:
    """Calls whose forwarders still run."""
    return count(ledger, "call_opened") - count(ledger, "slot_released")


@contextmanager
def simulator(folder: Path, *more: str) -> Iterator[tuple[LineProcess, str]]:
    """One in a process of its own, with a ledger; and its address."""
    child = LineProcess(
        [
            *("-m", "pvload.sim", "--set", "model=grid", "--set", "streams_per_client=0", *more),
            *("--ledger", str(folder / "ledger.jsonl"), "--log", str(folder / "sim.log"), "--parent-stdin"),
        ],
        stderr=folder / "stderr.log",
    )
    try:
        yield child, child.expect("listening")["address"]
    finally:
        child.kill()
        child.close()


def test_thousands_of_aborted_calls_leave_no_thread_no_descriptor_and_no_memory(tmp_path: Path) -> None:
    ledger = tmp_path / "ledger.jsonl"
    with simulator(tmp_path) as (child, address):
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


def test_a_client_that_stands_still_keeps_its_slot_and_a_killed_one_gives_it_back(tmp_path: Path) -> None:
    """A stopped process answers nothing, as a half-open peer: only TCP could tell, and it does not."""
    ledger = tmp_path / "ledger.jsonl"
    with simulator(tmp_path) as (_, address):
        start_camera(address)
        viewer = subprocess.Popen([sys.executable, churning.__file__, address, "view"])
        try:
            until(lambda: count(ledger, "sent") > 20, "frames for the viewer")
            viewer.send_signal(signal.SIGSTOP)
            made = count(ledger, "produced")
            until(lambda: count(ledger, "produced") > made + 200, "a second of frames")
            assert count(ledger, "call_ended") == 0
            viewer.kill()
            until(lambda: unreleased(ledger) == 0, "the slot")
        finally:
            viewer.kill()
            viewer.wait(WAIT_S)
    (left,) = [entry for entry in read_ledger(ledger) if entry["is"] == "slot_released"]
    assert left["noticed"] == "send_failed"


async def storm(address: str) -> tuple[int, list[int], float]:
    """How many sets were answered in two seconds by 40 at a time, and a stream's numbers and longest gap meanwhile."""
    numbers: list[int] = []
    gaps: list[float] = []
    async with (
        grpc.aio.insecure_channel(address, options=OPTIONS) as channel,
        grpc.aio.insecure_channel(address, options=OPTIONS) as other,
    ):
        stub = daq_pb2_grpc.HardwareServiceStub(channel)
        call = daq_pb2_grpc.HardwareServiceStub(other).StreamFrames(
            daq_pb2.StreamFramesRequest(device_id="prime_bsi"), timeout=WAIT_S
        )

        async def read() -> None:
            last = 0.0
            async for frame in call:
                now = time.monotonic()
                gaps.append(now - last if last else 0.0)
                last = now
                numbers.append(frame.frame_number)

        reader = asyncio.ensure_future(read())
        await call.initial_metadata()
        end, answered = time.monotonic() + 2.0, 0

        async def set_on() -> None:
            nonlocal answered
            while time.monotonic() < end:
                request = daq_pb2.SetParameterRequest(
                    device_id="prime_bsi", parameter_name="thermal.setpoint", value=f"-{answered % 90}.5"
                )
                await stub.SetParameter(request, timeout=WAIT_S)
                answered += 1

        await asyncio.gather(*(set_on() for _ in range(40)))
        call.cancel()
        await asyncio.gather(reader, return_exceptions=True)
    return answered, numbers, max(gaps)


def test_a_storm_of_sets_does_not_starve_a_stream(tmp_path: Path) -> None:
    """Two cores give a good 2000 sets/s, with a gap of two periods at worst; a tenth of it is asked for here."""
    with simulator(tmp_path) as (_, address):
        start_camera(address, exposure_ms=20)
        answered, numbers, gap_s = asyncio.run(storm(address))
    assert answered > 400
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert len(numbers) > 50
    assert gap_s < 0.4


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
