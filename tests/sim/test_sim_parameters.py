"""The simulated daemon's parameters against the recorded answers and events."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import json_format

from pvload._pb import daq_pb2
from pvload.sim import parameters
from pvload.sim.parameters import RefusalError
from simulated import DATA, Simulated, simulated, until

RECORDED = json.loads((DATA / "parameter-changes.json").read_text())
UNARY = json.loads((DATA / "unary-answers.json").read_text())


def answer(sim: Simulated, device: str, name: str, value: str) -> list[Any]:
    request = daq_pb2.SetParameterRequest(device_id=device, parameter_name=name, value=value)
    try:
        response = sim.stub.SetParameter(request, timeout=5)
    except grpc.RpcError as exc:
        return [exc.code().name, exc.details()]
    return ["OK", response.success, response.error_message, response.actual_value]


@pytest.fixture
def sim(tmp_path: Path) -> Any:
    with simulated(tmp_path) as found:
        yield found


@pytest.mark.parametrize("recorded", RECORDED["calls"], ids=lambda call: " ".join(call["set"][:3]))
def test_set_parameter_answers_as_recorded(sim: Simulated, recorded: dict[str, Any]) -> None:
    assert answer(sim, *recorded["set"]) == recorded["answer"]


def test_a_subscriber_sees_the_recorded_changes(sim: Simulated) -> None:
    """One `user` event a set, a `hardware` one after it for some types, texts as recorded."""
    for name, value in (("acquisition.exposure_ms", "20"), ("acquisition.roi", '{"x":0,"y":0,"width":64,"height":64}')):
        answer(sim, "prime_bsi", name, value)
    changes = sim.stub.StreamParameterChanges(daq_pb2.StreamParameterChangesRequest(), timeout=10)
    probe = daq_pb2.GetExposureRequest(device_id="prime_bsi")
    sim.stub.GetExposure(probe, timeout=5)
    seen: list[dict[str, Any]] = []

    def subscribed() -> bool:
        """Sets a parameter of no interest until its change comes: then the subscription stands."""
        answer(sim, "prime_bsi", "readout.adc_offset", "0")
        return next(changes).name == "readout.adc_offset"

    until(subscribed, "the subscription")
    for call in RECORDED["calls"]:
        answer(sim, *call["set"])
        if call["answer"][0] != "OK":
            continue
        wanted = [change for change in RECORDED["changes"] if change["decoded"]["name"] == call["set"][1]]
        for _ in wanted:
            change = json_format.MessageToDict(next(changes), preserving_proto_field_name=True)
            seen.append({key: value for key, value in change.items() if key != "timestamp_ns"})
    expected = [
        {key: value for key, value in change["decoded"].items() if key != "timestamp_ns"}
        for change in RECORDED["changes"]
    ]
    assert seen == expected
    changes.cancel()


@pytest.mark.parametrize("device", ["prime_bsi", "mock_camera"])
def test_parameter_lists_equal_the_recorded_ones(sim: Simulated, device: str) -> None:
    response = sim.stub.ListParameters(daq_pb2.ListParametersRequest(device_id=device), timeout=5)
    listed = {
        each["name"]: each
        for each in json_format.MessageToDict(response, preserving_proto_field_name=True)["parameters"]
    }
    recorded = {each["name"]: each for each in UNARY[f"ListParameters {device}"]["decoded"]["parameters"]}
    assert listed == recorded


def test_recorded_devices_are_listed_with_the_recorded_facts(sim: Simulated) -> None:
    response = sim.stub.ListDevices(daq_pb2.ListDevicesRequest(), timeout=5)
    listed = {
        device["id"]: device
        for device in json_format.MessageToDict(response, preserving_proto_field_name=True)["devices"]
    }
    for recorded in UNARY["ListDevices"]["decoded"]["devices"]:
        assert listed[recorded["id"]] == recorded
    assert listed["prime_95b"]["metadata"] == {"frame_width": 1200, "frame_height": 1200}


def test_get_parameter_carries_the_daemons_clock_at_the_answer(sim: Simulated) -> None:
    before = time.time_ns()
    value = sim.stub.GetParameter(
        daq_pb2.GetParameterRequest(device_id="prime_bsi", parameter_name="acquisition.roi"), timeout=5
    )
    assert before <= value.timestamp_ns <= time.time_ns()
    assert value.value == '{"height":2048,"width":2048,"x":0,"y":0}'


def test_head_takes_a_new_size_while_streaming_and_shows_it_after_a_restart(sim: Simulated) -> None:
    sim.camera(exposure_ms=30)
    stream = sim.open().opened()
    sim.start()
    stream.take(2)
    assert answer(sim, "prime_bsi", "acquisition.binning", "[2,2]")[0] == "OK"
    assert {(frame.width, frame.binning_x) for frame in stream.take(3)} == {(64, 1)}
    sim.stop()
    sim.start()
    until(lambda: next(stream.call).width == 32, "frames of the new size")


def test_guarded_refuses_a_new_size_while_streaming(tmp_path: Path) -> None:
    with simulated(tmp_path, parameters="guarded") as sim:
        sim.camera(exposure_ms=50)
        sim.start()
        assert answer(sim, "prime_bsi", "acquisition.binning", "[2,2]") == [
            "INVALID_ARGUMENT",
            "Failed to set parameter: Cannot change binning while streaming",
        ]
        assert answer(sim, "prime_bsi", "acquisition.exposure_ms", "60")[0] == "OK"
        sim.stop()
        assert answer(sim, "prime_bsi", "acquisition.binning", "[2,2]")[0] == "OK"


@pytest.mark.parametrize(
    ("name", "text", "reason"),
    [
        ("acquisition.exposure_ms", '"fast"', 'invalid type: string "fast", expected f64'),
        ("acquisition.exposure_ms", "true", "invalid type: boolean `true`, expected f64"),
        ("acquisition.armed", "1", "invalid type: integer `1`, expected a boolean"),
        ("readout.adc_offset", "40000", "invalid value: integer `40000`, expected i16"),
        ("readout.adc_offset", "1.5", "invalid type: floating point `1.5`, expected i16"),
        ("acquisition.binning", "[1]", "invalid length 1, expected a tuple of size 2"),
        ("acquisition.binning", "null", "invalid type: null, expected a tuple of size 2"),
        ("acquisition.roi", "[1]", "invalid type: sequence, expected struct Roi"),
        ("thermal.fan_speed", "{}", "invalid type: map, expected a string"),
        ("processing.host_summing_count", "0", "Value 0 out of range [1, 1000]"),
    ],
)
def test_a_wrong_value_is_refused_with_a_reason(name: str, text: str, reason: str) -> None:
    table = {each.name: each for each in parameters.pvcam(64, 64, 100.0)}
    with pytest.raises(RefusalError) as refused:
        parameters.parsed(table[name], text)
    assert refused.value.message == reason


@pytest.mark.parametrize(
    ("value", "shown"), [(10.0, "10"), (50.5, "50.5"), (True, "true"), ("Medium", "Medium"), (7, "7")]
)
def test_hardware_events_show_plain_text(value: object, shown: str) -> None:
    assert parameters.displayed(value) == shown
