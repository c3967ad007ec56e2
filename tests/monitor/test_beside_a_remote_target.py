"""A monitor on another host joins a run by itself: another network, another clock, the same account."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from pvload.cli.main import main
from pvload.profiles.load import from_canonical, load
from pvload.wire import run_directory
from pvload.wire.codes import LogClass
from pvload.wire.event import Kind, Records, decode, rows_of
from pvload.wire.journal import JournaledSender, JournalReader
from rig import LineProcess

FAR_S = 86_400
"""The other host's monotonic clock is so far ahead of ours."""
STALL = "2026-11-21T11:23:05.5Z ERROR daq_driver_pvcam: Acquisition error (involuntary stop) error=Timeout\n"


def _works(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=10, check=False).returncode == 0
    except OSError:
        return False


@pytest.fixture
def other_host() -> Iterator[tuple[list[str], str]]:
    """How a command is run there, and our address as it is seen from there; over loopback where that is not allowed."""
    name = f"pv{uuid.uuid4().hex[:8]}"
    clock = ["unshare", "--time", "--monotonic", str(FAR_S)]
    if not _works(*clock, "true") or not _works("ip", "netns", "add", name):
        pytest.skip("no namespaces for this user")
    try:
        octet = 16 + os.getpid() % 200
        for words in (
            f"ip link add {name}a type veth peer name {name}b netns {name}",
            f"ip addr add 10.213.{octet}.1/30 dev {name}a",
            f"ip link set {name}a up",
            f"ip -n {name} addr add 10.213.{octet}.2/30 dev {name}b",
            f"ip -n {name} link set {name}b up",
        ):
            subprocess.run(words.split(), check=True, timeout=10)
        yield ["ip", "netns", "exec", name, *clock], f"10.213.{octet}.1"
    finally:
        subprocess.run(["ip", "netns", "del", name], check=False, timeout=10)


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[tuple[LineProcess, Path, str, int]]:
    """(process, run directory, run, port) of a collector that listens on every address."""
    folder, run = tmp_path / "run", uuid.uuid4().hex
    folder.mkdir()
    run_directory.replace_text(folder / run_directory.PROFILE, load("smoke").canonical_json.decode())
    assert from_canonical((folder / run_directory.PROFILE).read_bytes())
    run_directory.write_manifest(folder, run_directory.Manifest(run=run, name="x", created_wall_ns=time.time_ns()))
    arguments = ["-m", "pvload.collect", "--run-dir", str(folder), "--bind", "0.0.0.0"]
    process = LineProcess(arguments, stderr=tmp_path / "collector.log")
    try:
        port = int(process.expect("listening")["endpoint"].rpartition(":")[2])
        yield process, folder, run, port
    finally:
        process.close()


def end(process: LineProcess, *expect: str) -> None:
    process.send(json.dumps({"is": "end", "reason": "duration", "expect": expect}).encode() + b"\n")
    process.expect("result")


def journaled(folder: Path) -> list[tuple[JournaledSender, Records]]:
    with JournalReader.open(folder / run_directory.JOURNAL) as journal:
        return [
            (sender, decode(b"".join(records for _, _, records, _ in journal.batches(sender.sender) if records)))
            for sender in journal.senders()
        ]


def until(holds: object, process: subprocess.Popen[str], timeout_s: float = 30.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not holds():  # type: ignore[operator]
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def texts(records: Records) -> dict[int, str]:
    found: dict[int, bytes] = {}
    for row in rows_of(records, Kind.TEXT):
        found[int(row["ref"])] = found.get(int(row["ref"]), b"") + row["bytes"].item()[: int(row["code"])]
    return {number: data.decode() for number, data in found.items()}


def test_it_joins_over_the_network_and_ends_with_the_run(
    tmp_path: Path, other_host: tuple[list[str], str], collector: tuple[LineProcess, Path, str, int]
) -> None:
    """Its clock is measured, its last words are waited for though nobody ordered them, and it ends by itself."""
    prefix, address = other_host
    process, folder, run, port = collector
    log = tmp_path / "daemon.log"
    command = [*prefix, sys.executable, "-m", "pvload.cli", "monitor", "--collector", f"{address}:{port}", "--run", run]
    command += ["--log", str(log), "--process-name", "sleep-of-this-test", "--interval", "0.1"]
    far = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    target = subprocess.Popen(["sleep-of-this-test", "60"], executable="/bin/sleep")
    try:
        assert far.stdout is not None
        assert "watching for run" in far.stdout.readline()
        log.write_text(STALL)
        until(lambda: any((records["kind"] == Kind.CLOCK).any() for _, records in journaled(folder)), far)
        until(lambda: any((records["kind"] == Kind.LOG).any() for _, records in journaled(folder)), far)
        log.write_text(STALL * 2)
        end(process, "somebody else")
        assert far.wait(20) == 0, far.communicate()
    finally:
        for child in (far, target):
            child.kill()
            child.wait(10)
    ((sender, records),) = journaled(folder)
    assert sender.hello.role == "monitor"
    assert sender.total == sender.known == len(records), "every record came, once, and the end was heard"
    clock = rows_of(records, Kind.CLOCK)[-1]
    assert abs(int(clock["offset_ns"]) / 1e9 + FAR_S) < 0.5
    assert set(rows_of(records, Kind.LOG)["code"].tolist()) == {LogClass.STALL_END}
    named = texts(records)
    assert {named[int(row["name"])] for row in rows_of(records, Kind.PROCESS)} == {"target", "monitor"}
    assert target.pid in rows_of(records, Kind.PROCESS)["pid"].tolist()
    far.stdout.close()
    if far.stderr is not None:
        far.stderr.close()


def begin(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "pvload.cli", "monitor", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_ctrl_c_ends_it_and_the_run_goes_on(collector: tuple[LineProcess, Path, str, int]) -> None:
    """Exit code 0, everything delivered, and the collector does not wait for it any more."""
    process, folder, run, port = collector
    near = begin("--collector", f"127.0.0.1:{port}", "--run", run)
    until(lambda: any((records["kind"] == Kind.HOST).any() for _, records in journaled(folder)), near)
    near.send_signal(signal.SIGINT)
    said, complained = near.communicate(timeout=20)
    assert near.returncode == 0, complained
    assert "has reached the run" in said
    ((sender, records),) = journaled(folder)
    assert sender.total == len(records)
    end(process)


def test_another_run_is_refused_in_clear_words(collector: tuple[LineProcess, Path, str, int]) -> None:
    """Exit code 2, both runs named, and nothing is left behind."""
    _, _, run, port = collector
    other = uuid.uuid4().hex
    said = begin("--collector", f"127.0.0.1:{port}", "--run", other)
    _, complained = said.communicate(timeout=20)
    assert said.returncode == 2
    assert f"this collector serves run {run}, not {other}" in complained
    assert not Path(f"/dev/shm/pvload-{os.getuid()}/{other}").exists()


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--collector", "nonsense", "--run", "ab" * 16], "host:port"),
        (["--collector", "127.0.0.1:99999", "--run", "ab" * 16], "host:port"),
        (["--collector", "127.0.0.1:1", "--run", "xyz"], "32 hex digits"),
        (["--collector", "127.0.0.1:1", "--run", "ab" * 16, "--log-command", "ssh 'x"], "log command"),
    ],
)
def test_a_wrong_command_line_is_refused(
    arguments: list[str], expected: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 at once."""
    monkeypatch.setattr(sys, "argv", ["pvload", "monitor", *arguments])
    before = signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(SystemExit) as ended:
            main()
    finally:
        signal.signal(signal.SIGINT, before)
    assert ended.value.code == 2
    assert expected in capsys.readouterr().err
