"""A simulator inside the test's process, with its ledger, its log and real channels to it."""

from __future__ import annotations

import json
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc

from pvload._pb import daq_pb2, daq_pb2_grpc
from pvload.clock import SystemClock
from pvload.profiles.schema import Camera
from pvload.profiles.simulated import Simulator as SimulatorTable
from pvload.sim.daemonlog import DaemonLog
from pvload.sim.ledger import FileLedger, read_ledger
from pvload.sim.server import Config, ServerTls, Simulator
from pvload.sim.truth import CallTruth, call_truths

DATA = Path(__file__).parent / "data"
SMALL = '{"x":0,"y":0,"width":64,"height":64}'
WAIT_S = 10.0
OPTIONS = [
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 1024 * 1024),
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
]


class Stream:
    """One StreamFrames call on a connection of its own."""

    def __init__(self, address: str, request: daq_pb2.StreamFramesRequest, *, lookahead_bytes: int) -> None:
        options = [(key, lookahead_bytes if "lookahead" in key else value) for key, value in OPTIONS]
        self._channel = grpc.insecure_channel(address, options=options)
        self.call = daq_pb2_grpc.HardwareServiceStub(self._channel).StreamFrames(request, timeout=3 * WAIT_S)

    def opened(self) -> Stream:
        """Waits for the headers: the subscription stands."""
        self.call.initial_metadata()
        return self

    def take(self, count: int) -> list[daq_pb2.FrameData]:
        return [next(self.call) for _ in range(count)]

    def rest(self) -> list[daq_pb2.FrameData]:
        """Frames until the call ends with OK; RpcError otherwise."""
        return list(self.call)

    def status(self) -> tuple[grpc.StatusCode, str]:
        """Reads to the end and gives how it ended."""
        try:
            for _ in self.call:
                pass
        except grpc.RpcError as exc:
            return exc.code(), exc.details() or ""
        return self.call.code(), self.call.details() or ""

    def leave(self) -> None:
        self.call.cancel()
        self._channel.close()


@dataclass(slots=True)
class Simulated:
    """A running simulator and what a test needs of it."""

    simulator: Simulator
    stub: daq_pb2_grpc.HardwareServiceStub
    channel: grpc.Channel
    ledger: Path
    log: Path
    streams: list[Stream]

    def set(self, name: str, value: str, device: str = "prime_bsi") -> str:
        request = daq_pb2.SetParameterRequest(device_id=device, parameter_name=name, value=value)
        return str(self.stub.SetParameter(request, timeout=WAIT_S).actual_value)

    def camera(self, *, exposure_ms: float, roi: str = SMALL) -> None:
        """Small images at this exposure, from the next start on."""
        self.set("acquisition.exposure_ms", str(exposure_ms))
        self.set("acquisition.roi", roi)

    def start(self, device: str = "prime_bsi") -> str:
        return str(self.stub.StartStream(daq_pb2.StartStreamRequest(device_id=device), timeout=WAIT_S).error_message)

    def stop(self, device: str = "prime_bsi") -> int:
        return int(self.stub.StopStream(daq_pb2.StopStreamRequest(device_id=device), timeout=WAIT_S).frames_captured)

    def state(self, device: str = "prime_bsi") -> daq_pb2.DeviceStateResponse:
        return self.stub.GetDeviceState(daq_pb2.DeviceStateRequest(device_id=device), timeout=WAIT_S)

    def open(
        self, device: str = "prime_bsi", *, max_fps: int = 0, quality: int = 0, lookahead_bytes: int = 1024 * 1024
    ) -> Stream:
        request = daq_pb2.StreamFramesRequest(device_id=device, max_fps=max_fps, quality=quality)
        stream = Stream(self.simulator.address, request, lookahead_bytes=lookahead_bytes)
        self.streams.append(stream)
        return stream

    def entries(self, kind: str = "") -> list[dict[str, Any]]:
        """The ledger so far."""
        return [entry for entry in read_ledger(self.ledger) if kind in ("", entry["is"])]

    def truths(self) -> list[CallTruth]:
        return call_truths(read_ledger(self.ledger))

    def log_text(self) -> str:
        return self.log.read_text(encoding="utf-8")


@contextmanager
def simulated(folder: Path, *, tls: ServerTls | None = None, token: str = "", **table: Any) -> Iterator[Simulated]:
    """Runs one; `table` is the profile's [simulator]. Ledger and log are complete once the block is left."""
    clock = SystemClock()
    ledger = FileLedger(folder / "ledger.jsonl", clock)
    log = DaemonLog(folder / "daemon.log", clock)
    ledger.start()
    log.start()
    config = Config(simulator=SimulatorTable.model_validate(table), camera=Camera(), tls=tls, token=token)
    simulator = Simulator(config, ledger=ledger, log=log, clock=clock)
    simulator.start()
    channel = grpc.insecure_channel(simulator.address, options=OPTIONS)
    stub = daq_pb2_grpc.HardwareServiceStub(channel)
    found = Simulated(simulator, stub, channel, folder / "ledger.jsonl", folder / "daemon.log", [])
    try:
        yield found
    finally:
        for stream in found.streams:
            stream.leave()
        channel.close()
        simulator.stop()
        ledger.close()
        log.close()


def until(condition: Callable[[], object], what: str) -> None:
    """Waits for a condition that nothing announces; fails after WAIT_S."""
    deadline = time.monotonic() + WAIT_S
    pause = threading.Event()
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {WAIT_S:.0f} s: {what}")
        pause.wait(0.01)


def recorded(name: str) -> tuple[list[daq_pb2.FrameData], list[dict[str, Any]]]:
    """The messages of a capture and what each must decode to."""
    content, at, frames = (DATA / f"{name}.grpc").read_bytes(), 0, []
    while at < len(content):
        (length,) = struct.unpack_from(">I", content, at + 1)
        frames.append(daq_pb2.FrameData.FromString(content[at + 5 : at + 5 + length]))
        at += 5 + length
    return frames, json.loads((DATA / f"{name}.json").read_text())["messages"]
