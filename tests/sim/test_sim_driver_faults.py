"""Faults of driver and daemon that a set call, the clock or a leaving client meets, each in the ledger and the log."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from pvload._pb import daq_pb2
from pvload.profiles.simulated import Fault
from pvload.sim import producer as producer_module
from pvload.sim.daemonlog import Filter
from pvload.sim.faults import FaultTable, due
from simulated import Simulated, Stream, simulated, until

MS = 1_000_000


def running(sim: Simulated, *, exposure_ms: float = 20, frames: int = 3) -> Stream:
    """A subscriber that has had some frames."""
    sim.camera(exposure_ms=exposure_ms)
    stream = sim.open().opened()
    sim.start()
    stream.take(frames)
    return stream


def faults(sim: Simulated) -> list[str]:
    return [entry["kind"] for entry in sim.entries("fault")]


def test_second_producer_doubles_the_rate_and_leaves_the_numbers_consecutive(tmp_path: Path) -> None:
    fault = {"kind": "second_producer", "frame": 4}
    with simulated(tmp_path, faults=[fault]) as sim:
        stream = running(sim, exposure_ms=50)
        frames = stream.take(30)[-22:]
        assert all(b.frame_number == a.frame_number + 1 for a, b in pairwise(frames))
        rate = 21e9 / (frames[-1].timestamp_ns - frames[0].timestamp_ns)
        assert 30 < rate < 45
        assert frames[-1].metrics.frames_dropped == 0
    assert faults(sim) == ["second_producer"]


@pytest.mark.parametrize("call", ["SetParameter", "SetExposure"])
def test_set_kills_stream_waits_for_an_accepted_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    """It is answered OK, and then nothing comes until the driver gives up; a stop and a start cure it."""
    monkeypatch.setattr(producer_module, "TICK_NS", 60 * MS)
    fault = {"kind": "set_kills_stream", "frame": 5, "acquisition": 1}
    with simulated(tmp_path, model="grid", faults=[fault]) as sim:
        stream = running(sim)
        sim.set("thermal.fan_speed", "Low")
        stream.take(5)
        with pytest.raises(grpc.RpcError):
            sim.set("thermal.fan_speed", "Purple")
        stream.take(3)
        if call == "SetParameter":
            sim.set("acquisition.exposure_ms", "30")
        else:
            sim.stub.SetExposure(daq_pb2.SetExposureRequest(device_id="prime_bsi", exposure_ms=30), timeout=5)
        assert sim.state().streaming
        until(lambda: not sim.state().streaming, "the involuntary stop")
        assert stream.call.is_active()
        sim.start()
        until(lambda: next(stream.call).exposure_ms == 30.0, "frames again")
        sim.set("thermal.fan_speed", "High")
        stream.take(8)
    assert faults(sim) == ["set_kills_stream"]
    assert sim.entries("acquisition_ended")[0]["reason"] == "timeout"
    assert "[PVCAM DEBUG] Timeouts: 5," in sim.log_text()


def test_set_hangs_answers_late_and_sets_then(tmp_path: Path) -> None:
    with simulated(tmp_path, model="grid", faults=[{"kind": "set_hangs", "frame": 2, "duration": "300ms"}]) as sim:
        stream = running(sim)
        began = time.monotonic()
        sim.set("thermal.setpoint", "5")
        assert time.monotonic() - began >= 0.299
        stream.take(3)
        sim.stop()
        sim.set("thermal.setpoint", "6")
    hung, quick = [entry for entry in sim.entries("parameter") if entry["name"] == "thermal.setpoint"]
    assert hung["t_ns"] - hung["asked_ns"] >= 299 * MS
    assert quick["t_ns"] - quick["asked_ns"] < 200 * MS


def test_set_hangs_for_ever_until_the_client_gives_up_and_sets_nothing(tmp_path: Path) -> None:
    with simulated(tmp_path, model="grid", faults=[{"kind": "set_hangs", "frame": 2}]) as sim:
        stream = running(sim)
        request = daq_pb2.SetParameterRequest(
            device_id="prime_bsi", parameter_name="acquisition.exposure_ms", value="50"
        )
        with pytest.raises(grpc.RpcError) as ended:
            sim.stub.SetParameter(request, timeout=0.3)
        assert ended.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert sim.state().exposure_ms == 20.0
        stream.take(5)
        until(lambda: sim.entries("parameter")[-1]["code"] == "CANCELLED", "the ledger's word of it")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("151: frame readout failed", "PVCAM error 151: frame readout failed"),
        ("Error 40 camera gone", "PVCAM error 40: camera gone"),
        ("Invalid Configuration", "PVCAM error 185: Invalid Configuration"),
    ],
)
def test_driver_error_is_one_line_with_a_number(tmp_path: Path, text: str, said: str) -> None:
    with simulated(tmp_path, model="grid", faults=[{"kind": "driver_error", "frame": 2, "text": text}]) as sim:
        running(sim, frames=6)
    lines = [line for line in sim.log_text().splitlines() if "PVCAM error" in line]
    assert [line.split(" ", 1)[1] for line in lines] == [f"ERROR daq_driver_pvcam::components::acquisition: {said}"]
    assert faults(sim) == ["driver_error"]


def test_slot_leak_keeps_the_slot_of_those_that_leave_late(tmp_path: Path) -> None:
    with simulated(tmp_path, model="grid", faults=[{"kind": "slot_leak", "frame": 8}]) as sim:
        early = running(sim)
        early.leave()
        until(lambda: sim.entries("slot_released"), "the slot of the early one")
        for _ in range(3):
            stream = sim.open().opened()
            stream.take(10)
            stream.leave()
        until(lambda: len(sim.entries("slot_leaked")) == 3, "three leaks")
        assert sim.open().status()[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert sim.entries("slot_leaked")[-1]["open"] == 0
    assert faults(sim) == ["slot_leak"] * 3


def stall_index(folder: Path, fault: dict[str, Any], *, exposure_ms: float) -> int:
    """After how many frames this stall came."""
    with simulated(folder, model="grid", faults=[{"kind": "stall", **fault}]) as sim:
        sim.camera(exposure_ms=exposure_ms)
        sim.start()
        until(lambda: sim.entries("fault"), "the stall")
        return sum(entry["t_ns"] < sim.entries("fault")[0]["t_ns"] for entry in sim.entries("produced"))


def test_a_time_locked_stall_comes_at_a_time_whatever_the_rate(tmp_path: Path) -> None:
    after = {"after": "400ms"}
    quick = stall_index(tmp_path / "quick", after, exposure_ms=20)
    slow = stall_index(tmp_path / "slow", after, exposure_ms=80)
    assert (15 <= quick <= 19, slow) == (True, 4)


def test_a_byte_locked_stall_comes_at_a_size_whatever_the_rate(tmp_path: Path) -> None:
    """Ten images of 64x64 pixels of two bytes."""
    after = {"after_bytes": 10 * 64 * 64 * 2}
    assert [stall_index(tmp_path / f"{ms}", after, exposure_ms=ms) for ms in (10, 30)] == [10, 10]


def test_a_fault_of_one_acquisition_spares_the_others(tmp_path: Path) -> None:
    fault = {"kind": "stall", "frame": 2, "acquisition": 2}
    with simulated(tmp_path, model="grid", faults=[fault]) as sim:
        stream = running(sim, frames=5)
        sim.stop()
        stopped_ns = time.monotonic_ns()
        until(lambda: time.monotonic_ns() > stopped_ns + 50 * MS, "two periods in which the old producer ends")
        sim.start()
        until(lambda: sim.entries("fault"), "the stall of the second")
        assert sim.entries("fault")[0]["acquisition"] == 2
        assert sim.stop() == 2
        sim.start()
        until(lambda: sum(entry["numbering"] == 3 for entry in sim.entries("produced")) > 5, "the third")
        assert stream.call.is_active()
    starts = [(entry["outcome"], entry["acquisition"]) for entry in sim.entries("start_stream")]
    assert starts == [("started", 1), ("started", 2), ("started", 3)]
    ended = [(entry["acquisition"], entry["reason"]) for entry in sim.entries("acquisition_ended")]
    assert ended[:2] == [(1, "stopped"), (2, "stopped")]
    summaries = [line for line in sim.log_text().splitlines() if "PVCAM acquisition ended: 2 frames captured" in line]
    assert len(summaries) == 1


def test_lost_before_numbering_is_told_in_the_acquisitions_summary(tmp_path: Path) -> None:
    with simulated(tmp_path, model="grid", faults=[{"kind": "drop_before_numbering", "frame": 2, "count": 3}]) as sim:
        running(sim, frames=6)
        sim.stop()
        until(lambda: "acquisition ended" in sim.log_text(), "the summary")
    (line,) = [line for line in sim.log_text().splitlines() if "PVCAM acquisition ended:" in line]
    assert " WARN " in line
    assert " 3 lost" in line


@pytest.mark.parametrize(
    ("fault", "since_ms", "produced", "expected"),
    [
        ({"after": 2.0}, 1999, 0, False),
        ({"after": 2.0}, 2000, 0, True),
        ({"after_bytes": 100}, 9999, 99, False),
        ({"after_bytes": 100}, 0, 100, True),
    ],
)
def test_when_a_locked_stall_is_due(fault: dict[str, Any], since_ms: int, produced: int, expected: bool) -> None:
    stall = Fault(kind="stall", **fault)
    assert due(stall, since_start_ns=since_ms * MS, produced_bytes=produced) is expected


def test_standing_faults_hold_from_their_frame_on_in_their_acquisition() -> None:
    table = FaultTable([Fault(kind="set_hangs", frame=3, acquisition=2), Fault(kind="slot_leak", subscriber=1)])
    held = [table.standing("set_hangs", acquisition, 3) is not None for acquisition in (1, 2, 3)]
    assert held == [False, True, False]
    assert table.standing("set_hangs", 2, 2) is None
    assert [table.standing("slot_leak", 1, 0, call=call) is not None for call in (0, 1)] == [False, True]


@pytest.mark.parametrize(
    ("directives", "level", "target", "passes"),
    [
        ("", "ERROR", "server::grpc", True),
        ("", "WARN", "server::grpc", False),
        ("info", "INFO", "any", True),
        ("info,server=debug", "DEBUG", "server::grpc::hardware_service", True),
        ("info,server=debug", "DEBUG", "daq_driver_pvcam", False),
        ("server=debug", "ERROR", "daq_driver_pvcam", False),
        ("debug,daq_driver_pvcam=off", "ERROR", "daq_driver_pvcam::components", False),
        ("server", "TRACE", "server", True),
        ("daq_pvcam=debug,daq_server=info", "ERROR", "server", False),
    ],
)
def test_rust_log_directives(directives: str, level: str, target: str, passes: bool) -> None:
    assert Filter(directives).passes(level, target) is passes


def test_steps_of_a_stalled_grid_show_in_the_stamps_alone(tmp_path: Path) -> None:
    fault = {"kind": "stall", "after": "150ms", "duration": "250ms"}
    with simulated(tmp_path, model="grid", faults=[fault]) as sim:
        stream = running(sim)
        frames = stream.take(12)
        assert np.diff([frame.timestamp_ns for frame in frames]).max() > 240 * MS
        assert set(np.diff([frame.frame_number for frame in frames])) == {1}
    (resumed,) = sim.entries("resumed")
    assert resumed["t_ns"] - resumed["since_ns"] > 230 * MS
