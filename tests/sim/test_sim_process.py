"""`python -m pvload.sim` as a process: its line, its end, its options."""

from __future__ import annotations

import json
import os
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
from simulated import OPTIONS, SMALL, WAIT_S, until

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


@pytest.mark.parametrize(
    ("number", "options"),
    [
        pytest.param(signal.SIGINT, [], id="SIGINT"),
        pytest.param(signal.SIGTERM, ["--parent-stdin"], id="SIGTERM from its parent"),
    ],
)
def test_a_signal_ends_it_in_order_and_soon(tmp_path: Path, number: signal.Signals, options: list[str]) -> None:
    with process(tmp_path, {}, *options) as (child, address), streaming(address) as call:
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


@contextmanager
def daemon(folder: Path, environment: dict[str, str]) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """The simulator as a profile's `target.start` runs it, its two streams in files; and its address."""
    with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
        child = subprocess.Popen(
            [sys.executable, "-m", "pvload.sim", "--port", "0", "--set", "model=grid"],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            env={**{key: value for key, value in os.environ.items() if key != "RUST_LOG"}, **environment},
        )
    ready = "DAQ gRPC server (with hardware) listening on "
    try:
        until(lambda: ready in (folder / "stdout").read_text() or child.poll() is not None, "the line that says ready")
        yield child, (folder / "stdout").read_text().partition(ready)[2].split()[0]
    finally:
        child.kill()
        child.wait(WAIT_S)


@pytest.mark.parametrize(
    ("environment", "shown", "hidden"),
    [
        pytest.param({"NO_COLOR": "1"}, [], ["INFO", "WARN", "\x1b"], id="only errors unless told"),
        pytest.param(
            {"NO_COLOR": "1", "RUST_LOG": "info,server=debug"},
            [" INFO daq_driver_pvcam: pvcam_sdk", "DEBUG server::grpc::hardware_service: Acquired stream slot"],
            ["\x1b"],
            id="levels by target",
        ),
        pytest.param({"RUST_LOG": "server=info"}, ["\x1b[32m INFO\x1b[0m"], ["daq_driver_pvcam"], id="colours"),
    ],
)
def test_as_a_daemon_it_logs_on_its_streams_what_rust_log_wants(
    tmp_path: Path, environment: dict[str, str], shown: list[str], hidden: list[str]
) -> None:
    with daemon(tmp_path, environment) as (child, address):
        with streaming(address) as call:
            next(call)
        child.send_signal(signal.SIGINT)
        assert child.wait(WAIT_S) == 0
    out, err = ((tmp_path / name).read_text() for name in ("stdout", "stderr"))
    assert "Shutdown signal received" in out
    assert out.rstrip().endswith("Daemon shutdown complete")
    assert "gRPC TLS is disabled" in err
    assert all(text in out for text in shown)
    assert not any(text in out for text in hidden)


def test_as_a_daemon_it_dies_of_sigterm_without_a_word(tmp_path: Path) -> None:
    with daemon(tmp_path, {}) as (child, _):
        child.terminate()
        assert child.wait(WAIT_S) == -signal.SIGTERM
    assert "Shutdown" not in (tmp_path / "stdout").read_text()


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
        (["--set", "parameters=none"], "--set parameters"),
        (["--set", "parameters"], "expected KEY=VALUE"),
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
