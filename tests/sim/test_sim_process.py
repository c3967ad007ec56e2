"""`python -m pvload.sim` as a process: its line, its end, its options."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from pvload._pb import daq_pb2, daq_pb2_grpc
from pvload.sim.__main__ import main
from pvload.sim.ledger import read_ledger
from pvload.sim.truth import call_truths
from rig import LineProcess
from simulated import OPTIONS, SMALL, WAIT_S

PROFILE = {"run": {"name": "sim", "duration": "5s"}, "users": [{"name": "viewer"}]}
"""The least a profile must say."""


@contextmanager
def process(folder: Path, simulator: dict[str, Any], *more: str) -> Iterator[tuple[LineProcess, str]]:
    profile = folder / "profile.json"
    profile.write_text(json.dumps({**PROFILE, "simulator": {"model": "grid", **simulator}}))
    arguments = ["-m", "pvload.sim", "--profile-json", str(profile), "--ledger", str(folder / "ledger.jsonl")]
    child = LineProcess([*arguments, "--log", str(folder / "sim.log"), *more], stderr=folder / "stderr.log")
    try:
        yield child, child.expect("listening")["address"]
    finally:
        child.kill()
        child.close()


@contextmanager
def streaming(address: str, exposure_ms: str = "20") -> Iterator[Any]:
    """A running camera and an open call."""
    with grpc.insecure_channel(address, options=OPTIONS) as channel:
        stub = daq_pb2_grpc.HardwareServiceStub(channel)
        for name, value in (("acquisition.exposure_ms", exposure_ms), ("acquisition.roi", SMALL)):
            stub.SetParameter(
                daq_pb2.SetParameterRequest(device_id="prime_bsi", parameter_name=name, value=value), timeout=WAIT_S
            )
        call = stub.StreamFrames(daq_pb2.StreamFramesRequest(device_id="prime_bsi"), timeout=WAIT_S)
        call.initial_metadata()
        stub.StartStream(daq_pb2.StartStreamRequest(device_id="prime_bsi"), timeout=WAIT_S)
        yield call


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_order_and_soon(tmp_path: Path, number: signal.Signals) -> None:
    with process(tmp_path, {}) as (child, address), streaming(address) as call:
        for _ in range(5):
            next(call)
        child.process.send_signal(number)
        ordered = time.monotonic()
        with pytest.raises(grpc.RpcError) as ended:
            list(call)
        assert ended.value.code() is grpc.StatusCode.UNAVAILABLE
        assert child.process.wait(WAIT_S) == 0
        assert time.monotonic() - ordered < 5.0
    assert "Daemon shutdown complete" in (tmp_path / "sim.log").read_text()
    (truth,) = call_truths(read_ledger(tmp_path / "ledger.jsonl"))
    assert truth.frames >= 5


def test_the_end_of_its_parents_pipe_ends_it(tmp_path: Path) -> None:
    with process(tmp_path, {}, "--parent-stdin") as (child, _):
        if child.process.stdin is not None:
            child.process.stdin.close()
        assert child.process.wait(WAIT_S) == 0


def test_crash_kills_it_and_the_ledger_stands_up_to_the_last_flush(tmp_path: Path) -> None:
    with process(tmp_path, {"faults": [{"kind": "crash", "frame": 20}]}) as (child, address):
        with streaming(address) as call, pytest.raises(grpc.RpcError) as ended:
            list(call)
        assert ended.value.code() is grpc.StatusCode.UNAVAILABLE
        assert child.process.wait(WAIT_S) == -signal.SIGKILL
    (truth,) = call_truths(read_ledger(tmp_path / "ledger.jsonl"))
    assert 1 <= truth.frames <= 20


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--profile", "nowhere.toml"], "cannot read nowhere.toml"),
        (["--tls-cert", "c.pem"], "--tls-cert and --tls-key go together"),
        (["--token", "env:PVLOAD_NO_SUCH_TOKEN"], "environment variable is not set"),
        (["--tls-cert", "c.pem", "--tls-key", "k.pem"], "cannot read"),
        (["--host", "192.0.2.1"], "cannot listen on 192.0.2.1"),
    ],
)
def test_what_cannot_be_used_is_said_in_one_line(
    arguments: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert text in captured.err
    assert "Traceback" not in captured.err


def test_a_profile_fault_names_its_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "p.toml"
    path.write_text('[run]\nname = "x"\nduration = "5s"\n[[users]]\nname = "v"\n[simulator]\nmodel = "fast"\n')
    assert main(["--profile", str(path)]) == 2
    assert "simulator.model" in capsys.readouterr().err


def test_help_lists_the_options() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pvload.sim", "--help"], capture_output=True, text=True, timeout=30, check=True
    )
    assert "--ledger" in done.stdout
