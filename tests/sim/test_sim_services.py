"""The unary and side services: texts and codes of refusals, state, health, commands."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import grpc
import pytest
from google.protobuf import json_format

from pvload._pb import daq_pb2, daq_pb2_grpc, health_pb2, health_pb2_grpc
from pvload.clock import SystemClock
from pvload.sim.changes import RING, SLOTS, Changes
from pvload.sim.daemonlog import NoLog, formatted
from simulated import Simulated, simulated


@pytest.fixture(scope="module")
def sim(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with simulated(tmp_path_factory.mktemp("sim")) as found:
        yield found


def refusal(call: Any, request: Any) -> tuple[str, str]:
    with pytest.raises(grpc.RpcError) as refused:
        call(request, timeout=5)
    return refused.value.code().name, refused.value.details() or ""


@pytest.mark.parametrize(
    ("method", "request_", "code", "text"),
    [
        (
            "StartStream",
            daq_pb2.StartStreamRequest(device_id="x"),
            "NOT_FOUND",
            "Device 'x' not found or not a frame producer",
        ),
        ("GetDeviceState", daq_pb2.DeviceStateRequest(device_id="x"), "NOT_FOUND", "Device not found: x"),
        ("ListParameters", daq_pb2.ListParametersRequest(device_id="x"), "NOT_FOUND", "Device 'x' not found"),
        (
            "GetParameter",
            daq_pb2.GetParameterRequest(device_id="prime_bsi", parameter_name="p"),
            "NOT_FOUND",
            "Device 'prime_bsi' does not support parameter 'p'",
        ),
        (
            "SetExposure",
            daq_pb2.SetExposureRequest(device_id="prime_bsi", exposure_ms=0.01),
            "INVALID_ARGUMENT",
            "Invalid exposure value: 0.01",
        ),
        (
            "SetExposure",
            daq_pb2.SetExposureRequest(device_id="mock_camera", exposure_ms=0),
            "INTERNAL",
            "Exposure must be positive",
        ),
        (
            "GetExposure",
            daq_pb2.GetExposureRequest(device_id="mock_stage"),
            "NOT_FOUND",
            "Device 'mock_stage' not found or has no exposure control",
        ),
        ("Trigger", daq_pb2.TriggerRequest(device_id="prime_95b"), "FAILED_PRECONDITION", "Camera not armed"),
        (
            "StageDevice",
            daq_pb2.StageDeviceRequest(device_id="prime_bsi"),
            "NOT_FOUND",
            "Device 'prime_bsi' not found or not stageable",
        ),
        (
            "ListDevices",
            daq_pb2.ListDevicesRequest(capability_filter="exposure_controllable"),
            "INVALID_ARGUMENT",
            "Unknown capability filter: exposure_controllable",
        ),
        (
            "ExecuteDeviceCommand",
            daq_pb2.DeviceCommandRequest(device_id="mock_stage", command="home"),
            "UNIMPLEMENTED",
            "Device 'mock_stage' does not support commands",
        ),
        (
            "ExecuteDeviceCommand",
            daq_pb2.DeviceCommandRequest(device_id="prime_bsi", command="nothing"),
            "INVALID_ARGUMENT",
            "Invalid command: nothing",
        ),
    ],
)
def test_a_refusal_has_the_daemons_code_and_text(
    sim: Simulated, method: str, request_: Any, code: str, text: str
) -> None:
    assert refusal(getattr(sim.stub, method), request_) == (code, text)


def test_filters_miss_the_mock_camera(sim: Simulated) -> None:
    found = sim.stub.ListDevices(daq_pb2.ListDevicesRequest(capability_filter="frame_producer"), timeout=5)
    assert [device.id for device in found.devices] == ["prime_bsi", "prime_95b"]


def test_exposure_goes_by_either_road(sim: Simulated) -> None:
    sim.stub.SetExposure(daq_pb2.SetExposureRequest(device_id="mock_camera", exposure_ms=50), timeout=5)
    assert sim.stub.GetExposure(daq_pb2.GetExposureRequest(device_id="mock_camera"), timeout=5).exposure_ms == 50.0
    sim.set("acquisition.exposure_ms", "20", "prime_95b")
    state = json_format.MessageToDict(sim.state("prime_95b"), preserving_proto_field_name=True)
    assert state == {
        "device_id": "prime_95b",
        "online": True,
        "armed": False,
        "streaming": False,
        "exposure_ms": 20.0,
    }


def test_trigger_tells_the_daemons_clock(sim: Simulated) -> None:
    assert sim.stub.Arm(daq_pb2.ArmRequest(device_id="mock_camera"), timeout=5).armed
    before = time.time_ns()
    answer = sim.stub.Trigger(daq_pb2.TriggerRequest(device_id="mock_camera"), timeout=5)
    assert before <= answer.trigger_timestamp_ns <= time.time_ns()


def test_state_subscription_gives_a_snapshot_and_then_changes(sim: Simulated) -> None:
    request = daq_pb2.DeviceStateSubscribeRequest(device_ids=["prime_bsi"], max_rate_hz=100, include_snapshot=True)
    updates = sim.stub.SubscribeDeviceState(request, timeout=10)
    first = next(updates)
    assert first.is_snapshot
    assert first.fields_json["streaming"] == "false"
    sim.set("acquisition.armed", "true")
    changed = next(updates)
    assert dict(changed.fields_json) == {"armed": "true"}
    assert changed.version == first.version + 1
    updates.cancel()


def test_observables_end_at_once(sim: Simulated) -> None:
    assert list(sim.stub.StreamObservables(daq_pb2.StreamObservablesRequest(), timeout=5)) == []


def test_commands_of_a_pvcam_camera(sim: Simulated) -> None:
    for command, args in (("reset_pp", ""), ("upload_smart_stream", '{"exposures":[1,2]}')):
        request = daq_pb2.DeviceCommandRequest(device_id="prime_bsi", command=command, args=args)
        assert sim.stub.ExecuteDeviceCommand(request, timeout=5).success


def test_daemon_and_health_services_answer(sim: Simulated) -> None:
    info = daq_pb2_grpc.ControlServiceStub(sim.channel).GetDaemonInfo(daq_pb2.DaemonInfoRequest(), timeout=5)
    assert (info.version, list(info.available_hardware)) == ("0.1.0", ["MockStage", "MockCamera"])
    health = daq_pb2_grpc.HealthServiceStub(sim.channel)
    assert health.GetSystemHealth(daq_pb2.GetSystemHealthRequest(), timeout=5).healthy_modules == 2
    modules = health.GetModuleHealth(daq_pb2.GetModuleHealthRequest(), timeout=5).modules
    assert [module.name for module in modules] == ["system_metrics", "hardware_registry"]
    assert health.GetErrorHistory(daq_pb2.GetErrorHistoryRequest(), timeout=5).total_error_count == 0
    updates = health.StreamHealthUpdates(daq_pb2.StreamHealthUpdatesRequest(update_interval_ms=20), timeout=5)
    assert [next(updates).system_status for _ in range(3)] == [daq_pb2.SYSTEM_HEALTH_HEALTHY] * 3
    updates.cancel()


def test_standard_health_is_serving_and_its_watch_ends(sim: Simulated) -> None:
    stub = health_pb2_grpc.HealthStub(sim.channel)
    known = health_pb2.HealthCheckRequest(service="daq.HardwareService")
    assert stub.Check(known, timeout=5).status == health_pb2.HealthCheckResponse.SERVING
    assert len(list(stub.Watch(known, timeout=5))) == 1
    assert refusal(stub.Check, health_pb2.HealthCheckRequest(service="x"))[0] == "NOT_FOUND"


async def lagging() -> tuple[list[str], list[str]]:
    """A subscriber that reads nothing while 1000 changes pass."""
    lines: list[str] = []

    class Kept(NoLog):
        def line(self, level: str, target: str, message: str, *, span: str = "", **fields: object) -> None:
            lines.append(message)

    changes = Changes(SystemClock(), Kept())
    seen = changes.subscribe("", frozenset())
    first = asyncio.ensure_future(anext(seen))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    changes.user("d", "p", old="-1", new="0")
    values = [(await first).new_value]
    for number in range(1, 1001):
        changes.user("d", "p", old=str(number - 1), new=str(number))
        if number <= SLOTS + 1:
            await asyncio.sleep(0)
    while values[-1] != "1000":
        values.append((await anext(seen)).new_value)
    await seen.aclose()
    return values, lines


def test_a_slow_subscriber_of_changes_loses_the_oldest_and_only_the_log_says_so() -> None:
    values, lines = asyncio.run(lagging())
    assert values[:SLOTS] == [str(number) for number in range(SLOTS)]
    assert values[-RING:] == [str(number) for number in range(1001 - RING, 1001)]
    lost = 1001 - len(values)
    assert lost > 0
    assert lines == [f"Parameter change stream lagged, dropped {lost} messages"]


def test_log_line_is_laid_out_as_the_daemons() -> None:
    line = formatted(
        1_795_260_185_511_150_000, "INFO", "a::b", "Done", span="start_stream", fields={"n": 3, "_why": "so"}
    )
    assert line == '2026-11-21T11:23:05.511150Z  INFO start_stream{method="start_stream"}: a::b: Done n=3 why="so"'
