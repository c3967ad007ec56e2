"""Requests, answers and ends of the camera daemon, held against what a running one answered."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pvload._pb import daq_pb2
from pvload.errors import ConfigError, FormatError
from pvload.profiles.schema import Target
from pvload.protocols import protocol_named
from pvload.protocols.endpoint import checked_endpoint, endpoint
from pvload.protocols.rust_daq import RustDaq
from pvload.protocols.seam import Ending, frame_record
from pvload.wire.codes import Payload
from pvload.wire.command import Open
from pvload.wire.event import FRAME

ANSWERS: dict[str, Any] = json.loads((Path(__file__).parent.parent / "data" / "unary-answers.json").read_text())
RECORDED = {name: it for name, it in ANSWERS.items() if isinstance(it, dict) and "hex" in it}


def order(**changes: Any) -> Open:
    return Open(**{"id": 1, "population": "viewer", "ordinal": 0, "number": 1, "device": "prime_bsi"} | changes)


def test_a_stream_is_asked_for_with_quality_and_rate_limit() -> None:
    request = RustDaq().stream(order(quality="fast", max_fps=30))
    assert request.path == "/daq.HardwareService/StreamFrames"
    fields = daq_pb2.StreamFramesRequest.FromString(request.message)
    assert (fields.device_id, fields.quality, fields.max_fps) == ("prime_bsi", daq_pb2.STREAM_QUALITY_FAST, 30)


@pytest.mark.parametrize("changes", [{"quality": "best"}, {"max_fps": -1}], ids=["quality", "rate"])
def test_an_order_that_cannot_be_expressed_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(FormatError, match="cannot be asked for"):
        RustDaq().stream(order(**changes))


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("SetParameter", "/daq.HardwareService/SetParameter"),
        ("GetDaemonInfo", "/daq.ControlService/GetDaemonInfo"),
        ("GetSystemHealth", "/daq.HealthService/GetSystemHealth"),
    ],
    ids=["hardware", "control", "health"],
)
def test_a_method_finds_its_service(method: str, path: str) -> None:
    assert RustDaq().unary(method, {}).path == path


def test_arguments_become_the_request() -> None:
    request = RustDaq().unary("SetParameter", {"device_id": "d", "parameter_name": "p", "value": "[1,1]"})
    assert daq_pb2.SetParameterRequest.FromString(request.message).value == "[1,1]"


@pytest.mark.parametrize(
    ("method", "arguments", "complaint"),
    [
        ("Fly", {}, "no unary method 'Fly'"),
        ("StreamFrames", {}, "no unary method"),
        ("StopStream", {"colour": 1}, "colour"),
        ("StopStream", {"device_id": 1}, "device_id"),
    ],
    ids=["unknown", "a stream", "unknown argument", "wrong type"],
)
def test_a_wrong_call_is_refused_before_it_is_sent(method: str, arguments: dict[str, Any], complaint: str) -> None:
    with pytest.raises(FormatError, match=complaint):
        RustDaq().unary(method, arguments)


@pytest.mark.parametrize("name", RECORDED)
def test_every_recorded_answer_is_read(name: str) -> None:
    recorded = RECORDED[name]
    method = name.split()[0]
    answer = RustDaq().read_answer(method, bytes.fromhex(recorded["hex"]))
    for field, value in recorded["decoded"].items():
        if not isinstance(value, list | dict):
            assert str(answer.fields[field]) == str(value)
        else:
            assert len(answer.fields[field]) == len(value)


def test_the_remarks_of_an_answer_are_told() -> None:
    protocol = RustDaq()
    started = daq_pb2.StartStreamResponse(success=True, error_message="Already streaming").SerializeToString()
    stopped = daq_pb2.StopStreamResponse(success=True, frames_captured=2**40).SerializeToString()
    refused = daq_pb2.SetParameterResponse(success=False, error_message="no").SerializeToString()
    assert protocol.read_answer("StartStream", started).already
    assert not protocol.read_answer("StartStream", started).application_failed
    assert protocol.read_answer("StopStream", stopped).number == 2**40
    assert protocol.read_answer("SetParameter", refused).application_failed
    assert protocol.read_answer("SetParameter", refused).number == -1


def test_the_clock_probe_reads_the_answers_stamp() -> None:
    protocol = RustDaq()
    assert protocol.probe("d", "acquisition.exposure_ms").path == "/daq.HardwareService/GetParameter"
    assert protocol.probe_ns(daq_pb2.ParameterValue(timestamp_ns=17).SerializeToString()) == 17
    with pytest.raises(FormatError, match="ParameterValue"):
        protocol.probe_ns(b"\xff")


@pytest.mark.parametrize(
    ("status", "details", "ending"),
    [
        (0, "", Ending.CLEAN),
        (8, "Maximum concurrent streams (3) exceeded for client 127.0.0.1", Ending.REFUSED),
        (8, "maximum concurrent streams exceeded", Ending.REFUSED),
        (8, "Received message larger than max (5 vs. 4)", Ending.FAILED),
        (14, "Socket closed", Ending.FAILED),
    ],
    ids=["clean", "admission", "in other letters", "too large", "lost"],
)
def test_ends_are_told_apart(status: int, details: str, ending: Ending) -> None:
    assert RustDaq().ending(status, details) is ending


def test_values_that_no_record_can_hold_are_cut_to_its_limits() -> None:
    wild = daq_pb2.FrameData(
        timestamp_ns=2**64 - 1,
        binning_x=2**32 - 1,
        binning_y=1,
        metrics=daq_pb2.StreamingMetrics(current_fps=1e300, avg_latency_ms=-math.inf),
    )
    frame = RustDaq().read_frame(wild.SerializeToString())
    row = np.frombuffer(frame_record(frame, call=1, t_ns=1, payload=Payload.UNCHECKED, checked=0), dtype=FRAME)[0]
    assert (row["source_ns"], row["binning_x"]) == (2**63 - 1, 2**16 - 1)
    assert np.isfinite(row["current_fps"])


def test_what_is_no_frame_is_refused() -> None:
    with pytest.raises(FormatError, match="no FrameData"):
        RustDaq().read_frame(b"\x0a\x02\xff\xff")


def test_a_protocol_is_found_by_the_profiles_name() -> None:
    assert isinstance(protocol_named("rust-daq"), RustDaq)
    with pytest.raises(ConfigError, match="known: rust-daq"):
        protocol_named("x")


def test_an_endpoint_reads_its_files_and_its_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ca = tmp_path / "ca.pem"
    ca.write_bytes(b"PEM")
    monkeypatch.setenv("DAQ_TOKEN", "secret")
    found = endpoint({"address": "h:1", "token": "env:DAQ_TOKEN", "tls": {"ca_file": str(ca), "server_name": "daq"}})
    assert found.metadata == (("authorization", "Bearer secret"),)
    assert found.credentials is not None
    assert (found.credentials.ca, found.credentials.key, found.credentials.server_name) == (b"PEM", None, "daq")
    assert endpoint({"address": "h:1"}).credentials is None


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"address": "sim"}, "resolved"),
        ({"address": "h:1", "colour": 1}, "colour"),
        ({"address": "h:1", "token": "env:NOT_SET_ANYWHERE"}, "NOT_SET_ANYWHERE"),
        ({"address": "h:1", "tls": {"ca_file": "/nowhere/ca.pem"}}, "/nowhere/ca.pem"),
        ({"address": "h:1", "tls": {"certificate_file": "x"}}, "key_file"),
    ],
    ids=["sim", "unknown field", "unset token", "no file", "half a certificate"],
)
def test_an_endpoint_that_cannot_be_used_is_refused(fields: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        endpoint(fields)


def test_a_target_that_was_checked_before_is_taken_whole_or_not_at_all() -> None:
    whole = Target(address="h:1", token="t").model_dump(mode="json")
    assert checked_endpoint(whole) == endpoint({"address": "h:1", "token": "t"})
    with pytest.raises(ConfigError, match="lacks protocol, tls, token"):
        checked_endpoint({"address": "h:1"})


def test_a_prepared_setting_is_the_same_request_for_every_value() -> None:
    setting = RustDaq().setting("cam", "p")
    for value in ("1", "10.000123", "x" * setting.longest):
        whole = daq_pb2.SetParameterRequest(device_id="cam", parameter_name="p", value=value).SerializeToString()
        assert setting.message(value) == whole
    with pytest.raises(FormatError):
        setting.message("x" * (setting.longest + 1))
    answer = daq_pb2.SetParameterResponse
    assert setting.succeeded(answer(success=True).SerializeToString())
    assert not setting.succeeded(answer(error_message="no").SerializeToString())
    assert not setting.succeeded(b"\xff")
