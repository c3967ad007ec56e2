"""What a newcomer runs into: each ends with the right exit code, a clear message, a report where one is due."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from drive import (
    SMALL,
    SMALL_FOR_LOCUST,
    Command,
    free_port,
    live_frames,
    locust,
    pvload,
    run_dirs,
    sole_run,
    summary,
    until,
)
from pvload._pb import daq_pb2, daq_pb2_grpc
from pvload.load.spools import memory_place
from pvload.ship.stored import SpoolReader
from pvload.wire.journal import JournalReader
from pvload.wire.run_directory import read_manifest


@pytest.fixture
def started() -> Iterator[list[Command]]:
    """Commands put in here are killed, whatever a test comes to."""
    commands: list[Command] = []
    yield commands
    for command in commands:
        command.kill()


def test_ctrl_c_ends_the_run_in_order_with_a_report(tmp_path: Path, started: list[Command]) -> None:
    """INCONCLUSIVE, 3: the camera is stopped, every record came, nothing is left behind."""
    command = pvload(tmp_path, "run", "quick", *SMALL, "--duration", "60s")
    started.append(command)
    until(lambda: live_frames(tmp_path) > 20, 40, "frames")
    command.signal(signal.SIGINT)
    assert command.wait(30) == 3, command.stdout + command.stderr
    assert command.stdout.startswith("INCONCLUSIVE")
    found = summary(sole_run(tmp_path))
    assert found["facts"]["ended"] == "interrupted"
    assert found["accounting"]["undelivered"] == 0
    assert [one["method"] for one in found["unary"] if one["method"] == "StopStream"] == ["StopStream"]
    command.nothing_left()


def test_ctrl_c_at_once_still_ends_with_a_report(tmp_path: Path, started: list[Command]) -> None:
    """Before the first frame, while processes are being started: the order waits until a report is certain."""
    command = pvload(tmp_path, "run", "quick", "--duration", "60s")
    started.append(command)
    until(lambda: "Locust" in command.stderr or command.find("locust"), 20, "Locust was started")
    command.signal(signal.SIGTERM)
    assert command.wait(40) in (3, 4), command.stdout + command.stderr
    assert (sole_run(tmp_path) / "report.txt").exists()
    assert "Traceback" not in command.stderr
    command.nothing_left()


def _with_start(folder: Path, start: str) -> str:
    """The profile of a run that starts its daemon by this command."""
    folder.mkdir(exist_ok=True)
    target = f'address = "127.0.0.1:{free_port()}"\nstart = "{start}"\nstart_within = "60s"\ndevice = "prime_bsi"'
    users = '[[users]]\nname = "operator"\nkind = "operator"\n[[users]]\nname = "viewer"'
    (folder / "own.toml").write_text(f'[run]\nname = "own"\nduration = "30s"\n[target]\n{target}\n{users}\n')
    return "./own.toml"


def test_a_daemon_that_cannot_be_started_is_why_the_run_did_not_begin(tmp_path: Path, started: list[Command]) -> None:
    """4; manifest and report say why, now and when the report is made again."""
    command = pvload(tmp_path, "run", _with_start(tmp_path, "sh -c 'echo no camera; exit 3'"))
    started.append(command)
    assert command.wait(40) == 4, command.stdout + command.stderr
    assert "daemon.log: no camera" in command.stderr
    folder = sole_run(tmp_path)
    manifest = read_manifest(folder)
    assert manifest.ended == "failed"
    assert manifest.failure.endswith("ended by itself: exit status 3")
    assert f"the run did not begin: {manifest.failure}" in " ".join(command.stdout.split())
    before = (folder / "report.txt").read_bytes(), (folder / "summary.json").read_bytes()
    again = pvload(tmp_path / "again", "report", str(folder))
    assert again.wait(30) == 4
    assert ((folder / "report.txt").read_bytes(), (folder / "summary.json").read_bytes()) == before
    command.nothing_left()


def test_ctrl_c_while_the_daemon_does_not_answer_ends_at_once(tmp_path: Path, started: list[Command]) -> None:
    """It would have a minute to answer; nobody waits for that any more, and the report says who ended the run."""
    command = pvload(tmp_path, "run", _with_start(tmp_path, "sleep 100"))
    started.append(command)
    until(lambda: "recording in" in command.stderr, 30, "the collector runs")
    command.signal(signal.SIGINT)
    assert command.wait(25) == 3, command.stdout + command.stderr
    assert command.stdout.startswith("INCONCLUSIVE")
    assert "ended: it was interrupted" in command.stdout
    command.nothing_left()


def test_a_second_ctrl_c_ends_at_once(tmp_path: Path, started: list[Command]) -> None:
    """Nobody waits for anybody: the collector writes what it has, and nothing is left behind."""
    command = pvload(tmp_path, "run", "quick", *SMALL, "--duration", "60s")
    started.append(command)
    until(lambda: live_frames(tmp_path) > 20, 40, "frames")
    command.signal(signal.SIGINT)
    until(lambda: "ending the run in order" in command.stderr, 10, "the first one was passed on")
    command.signal(signal.SIGINT)
    assert command.wait(30) == 3, command.stdout + command.stderr
    command.nothing_left()
    run = json.loads((sole_run(tmp_path) / "manifest.json").read_text())["run"]
    assert not memory_place(run).exists() or any(path.is_file() for path in memory_place(run).rglob("*"))


def test_a_daemon_that_refuses_connections_is_invalid_and_soon(tmp_path: Path, started: list[Command]) -> None:
    """4, with the reason, and not after the planned half an hour."""
    command = pvload(tmp_path, "run", "scenario-a", "--target", f"127.0.0.1:{free_port()}")
    started.append(command)
    assert command.wait(40) == 4, command.stdout + command.stderr
    assert "does not answer" in command.stderr
    assert "UNAVAILABLE" in command.stderr
    assert "Traceback" not in command.stderr
    assert command.stdout.startswith("INVALID")
    command.nothing_left()


def test_an_unknown_device_ends_with_2_before_any_stream_is_opened(tmp_path: Path, started: list[Command]) -> None:
    """The message names what the target offers, once; nothing was measured, so no run directory is left."""
    command = pvload(tmp_path, "run", "quick", "--set", "target.device=prime_bsi_2", "--set", "simulator.port=0")
    started.append(command)
    code = command.wait(40)
    assert code == 2, command.stdout + command.stderr
    assert command.stderr.count("pvload: ") == 1
    assert "prime_bsi_2" in command.stderr
    assert "Traceback" not in command.stderr
    assert not command.stdout
    assert not run_dirs(tmp_path)
    command.nothing_left()


def test_plain_locust_says_an_unknown_device_once_too(tmp_path: Path, started: list[Command]) -> None:
    """2, and no verdict on anything."""
    command = locust(tmp_path, "--headless", "--pvload-profile", "quick", "--pvload-set", "target.device=prime_bsi_2")
    started.append(command)
    assert command.wait(40) == 2, command.stdout + command.stderr
    assert (command.stdout + command.stderr).count("prime_bsi_2") == 1
    assert "INVALID" not in command.stdout
    assert not run_dirs(tmp_path)
    command.nothing_left()


@pytest.mark.parametrize("arguments", [("run",), ("check",)])
def test_a_broken_profile_ends_with_2_and_names_the_fault(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """File, key, value and what was expected; nothing is started."""
    (tmp_path / "broken.toml").write_text('[run]\nname = "x"\nduration = "soon"\n[[users]]\nname = "v"\ncuont = 3\n')
    command = pvload(tmp_path, *arguments, "./broken.toml")
    assert command.wait(30) == 2
    assert "duration" in command.stderr
    assert "cuont" in command.stderr
    assert "Traceback" not in command.stderr
    assert not run_dirs(tmp_path)


def test_plain_locust_with_a_broken_profile_ends_with_2(tmp_path: Path) -> None:
    """One clear message instead of Locust's own failure to import."""
    command = locust(tmp_path, "--headless", "--pvload-profile", "no-such-profile")
    assert command.wait(30) == 2
    assert "no-such-profile" in command.stderr
    assert "Traceback" not in command.stderr


def test_a_fourth_subscriber_is_refused_and_if_forced_shown_as_admission(
    tmp_path: Path, started: list[Command]
) -> None:
    """2 from check's rule; with --force the daemon refuses it, which is INVALID and no error of the stream."""
    four = ("--set", "users.viewer.count=4", "--duration", "5s")
    refused = pvload(tmp_path / "refused", "run", "quick", *SMALL, *four)
    assert refused.wait(30) == 2
    assert "streams_per_client" in refused.stderr
    forced = pvload(tmp_path / "forced", "run", "quick", *SMALL, *four, "--force")
    started.append(forced)
    assert forced.wait() == 4, forced.stdout + forced.stderr
    verdict = {one["name"]: one["result"] for one in summary(sole_run(tmp_path / "forced"))["verdict"]["criteria"]}
    assert verdict["admission"] == "INVALID"
    assert verdict["grpc_errors"] == "PASS"
    forced.nothing_left()


def test_a_daemon_killed_in_the_middle_fails(tmp_path: Path, started: list[Command]) -> None:
    """FAIL, 1: the lost connection is an error and its outage a silence; the report says when."""
    crash = 'simulator.faults=[{kind="crash", frame=40}]'
    command = pvload(tmp_path, "run", "quick", *SMALL, "--duration", "7s", "--set", crash)
    started.append(command)
    assert command.wait() == 1, command.stdout + command.stderr
    assert command.stdout.startswith("FAIL")
    report = (sole_run(tmp_path) / "report.txt").read_text()
    assert "UNAVAILABLE" in report
    assert "the daemon died or was shut down" in report.split("\n\n")[0]
    run = summary(sole_run(tmp_path))["run"]
    assert run["coverage"] < 0.9
    assert run["due_s"] == pytest.approx(7.0, abs=1.0)
    command.nothing_left()


def test_a_camera_stopped_by_another_client_fails_with_the_moment(tmp_path: Path, started: list[Command]) -> None:
    """FAIL, 1: a StopStream that the plan did not order leaves the stream open and silent; the stall has its start."""
    stop = 'simulator.faults=[{kind="stop", frame=40}]'
    command = pvload(tmp_path, "run", "quick", *SMALL, "--duration", "7s", "--set", stop)
    started.append(command)
    assert command.wait() == 1, command.stdout + command.stderr
    stall = summary(sole_run(tmp_path))["run"]["stalls"]["listed"][0]
    assert stall["frame_index"] == pytest.approx(40, abs=2)
    assert stall["censored"]
    assert "another client stopped the camera, nobody here ordered it" in " ".join(command.stdout.split())
    assert re.search(r"\d s", command.stdout.split("worst")[1])
    command.nothing_left()


@pytest.fixture
def daemon(tmp_path: Path, started: list[Command]) -> str:
    """The address of a simulated daemon that outlives the runs."""
    sim = pvload(tmp_path / "sim", "sim", "--log", str(tmp_path / "daemon.log"), "--port", "0")
    started.append(sim)
    address: str = until(lambda: _address(sim), 20, "the simulator listens")
    return address


def test_a_daemon_of_ones_own_is_measured_and_left_as_it_was(tmp_path: Path, daemon: str) -> None:
    """`pvload devices` lists it; a run on it passes; a camera found running is refused, joined, or restarted."""
    listed = pvload(tmp_path / "devices", "devices", daemon)
    assert listed.wait(30) == 0, listed.stderr
    assert "prime_bsi" in listed.stdout
    base = ("run", "quick", *SMALL, "--target", daemon, "--set", f"target.log={tmp_path / 'daemon.log'}")
    assert pvload(tmp_path / "idle", *base, "--duration", "4s").wait() == 0

    _start_camera(daemon)
    refused = pvload(tmp_path / "refused", *base, "--duration", "4s")
    assert refused.wait() == 4, refused.stdout + refused.stderr
    assert "was running before" in refused.stderr
    assert _streaming(daemon)

    joined = pvload(tmp_path / "joined", *base, "--duration", "4s", "--set", "camera.if_running=join")
    assert joined.wait() == 0, joined.stdout + joined.stderr
    assert _streaming(daemon)

    restarted = pvload(tmp_path / "restarted", *base, "--duration", "4s", "--set", "camera.if_running=restart")
    assert restarted.wait() == 0, restarted.stdout + restarted.stderr
    assert not _streaming(daemon)


def test_another_worker_takes_the_operator_over_without_touching_the_camera(
    tmp_path: Path, started: list[Command], daemon: str
) -> None:
    """The worker with the operator leaves in the middle: one StartStream and one StopStream in all, nothing lost.

    The verdict depends on what the leaving worker had open (blind time), so only a tool at fault (4) is refused.
    """
    port = str(free_port())
    workers = [locust(tmp_path / name, "--worker", "--master-port", port) for name in ("one", "two")]
    master = locust(
        tmp_path / "master",
        *("--master", "--master-bind-port", port, "--expect-workers", "2"),
        *("--headless", "-u", "2", "-t", "12s", *SMALL_FOR_LOCUST, "--pvload-target", daemon),
        *("--pvload-set", f"target.log={tmp_path / 'daemon.log'}"),
    )
    started += [*workers, master]
    until(lambda: live_frames(tmp_path / "master") > 20, 40, "frames")
    run_dir = sole_run(tmp_path / "master")
    notes = {worker.find("pvload.engine"): worker for worker in workers}
    operator = _worker_of("StartStream", run_dir)
    leaving = next(worker for pid, worker in notes.items() if pid == operator)
    leaving.signal(signal.SIGTERM)
    assert leaving.wait(20) == 0, leaving.stderr
    assert master.wait() in (0, 1, 3), master.stdout + master.stderr
    found = summary(run_dir)
    counts = {one["method"]: one["count"] for one in found["unary"]}
    assert (counts["StartStream"], counts["StopStream"]) == (1, 1)
    assert found["accounting"]["undelivered"] == 0
    assert not _streaming(daemon)


def test_a_killed_engine_is_replaced_and_nothing_is_lost(tmp_path: Path, started: list[Command]) -> None:
    """The next incarnation ships what its predecessor left; the users open their streams again."""
    command = pvload(tmp_path, "run", "quick", *SMALL, "--duration", "8s")
    started.append(command)
    until(lambda: live_frames(tmp_path) > 20, 40, "frames")
    os.kill(command.find("pvload.engine"), signal.SIGKILL)
    command.wait()
    found = summary(sole_run(tmp_path))
    engines = [one for one in found["accounting"]["senders"] if one["role"] == "engine"]
    assert [one["incarnation"] for one in engines] == [0, 1]
    assert found["accounting"]["undelivered"] == 0
    assert [call["number"] for call in found["calls"]] == [1, 2]
    assert found["generator"]["blind_s"] > 0
    command.nothing_left()


def test_a_killed_collector_is_started_again_on_its_port(tmp_path: Path, started: list[Command]) -> None:
    """PASS, as if nothing had happened: the journal was the collector's only memory."""
    command = pvload(tmp_path, "run", "quick", *SMALL, "--duration", "8s")
    started.append(command)
    until(lambda: live_frames(tmp_path) > 20, 40, "frames")
    os.kill(command.find("pvload.collect"), signal.SIGKILL)
    assert command.wait() == 0, command.stdout + command.stderr
    assert summary(sole_run(tmp_path))["accounting"]["undelivered"] == 0
    command.nothing_left()


@pytest.mark.parametrize("victim", ["pvload.cli", "locust"])
def test_a_killed_parent_leaves_a_report_and_no_process(tmp_path: Path, started: list[Command], victim: str) -> None:
    """kill -9 of `pvload run` or of Locust: the others notice, and the collector still says what came."""
    command = pvload(tmp_path, "run", "quick", *SMALL, "--duration", "60s")
    started.append(command)
    until(lambda: live_frames(tmp_path) > 20, 40, "frames")
    os.kill(command.find(victim), signal.SIGKILL)
    code = command.wait(30)
    until(lambda: (sole_run(tmp_path) / "report.txt").exists(), 20, "a report")
    found = summary(sole_run(tmp_path))
    assert found["run"]["frames"] > 20
    assert found["verdict"]["result"] != "PASS"
    if victim == "locust":
        assert code == 4
        assert "ended without a verdict (signal 9)" in command.stderr
    command.nothing_left()


def test_what_a_run_killed_at_once_has_left_is_told_and_taken_into_its_report(
    tmp_path: Path, started: list[Command]
) -> None:
    """Nobody was left to ship: the spools stay, a later start names them, and the report takes every record in."""
    command = pvload(tmp_path, "run", "quick", *SMALL, "--duration", "60s")
    started.append(command)
    until(lambda: live_frames(tmp_path) > 20, 40, "frames")
    folder = sole_run(tmp_path)
    os.kill(command.find("pvload.collect"), signal.SIGSTOP)  # what is recorded from here on stays in the spools
    memory = memory_place(read_manifest(folder).run)
    place = memory if memory.exists() else folder / "spool"
    until(lambda: _unshipped(place, folder) > 20, 20, "records that the collector has not had")
    command.kill()
    told = pvload(tmp_path, "check", "quick")
    assert told.wait(30) == 0
    if place == memory:
        assert f"{place}: " in told.stderr
        assert f"pvload report runs/{folder.name}" in told.stderr
    again = pvload(tmp_path / "again", "report", str(folder))
    assert again.wait(30) in (3, 4)
    assert re.search(r"note: [\d,]+ records that were left in \S+ are in the run now", again.stderr), again.stderr
    assert not place.exists()
    accounting = summary(folder)["accounting"]
    assert accounting["recorded"] == accounting["delivered"] > 0
    assert (accounting["missing"], accounting["undelivered"]) == (0, 0)


def test_run_directories_that_cannot_be_made_end_with_2(tmp_path: Path) -> None:
    """A file stands in the way."""
    (tmp_path / "runs").write_text("")
    command = pvload(tmp_path, "run", "quick")
    assert command.wait(30) == 2
    assert "no run directory can be made" in command.stderr
    assert "Traceback" not in command.stderr


def test_ctrl_c_while_workers_are_awaited_ends_at_once(tmp_path: Path, started: list[Command]) -> None:
    """Nothing was begun, so there is nothing to report: 3, and no traceback."""
    port = str(free_port())
    master = locust(
        tmp_path, "--master", "--master-bind-port", port, "--headless", "--loglevel", "DEBUG", *SMALL_FOR_LOCUST
    )
    started.append(master)
    until(lambda: "Waiting for workers" in master.stderr, 20, "Locust waits")
    master.signal(signal.SIGINT)
    assert master.wait(20) == 3
    assert "Traceback" not in master.stderr


def _unshipped(place: Path, run_dir: Path) -> int:
    """Records in the spools of a run that its journal has not."""
    with JournalReader.open(run_dir / "journal.sqlite") as journal:
        known = {one.sender: one.known for one in journal.senders()}
    total = 0
    for page in place.rglob("*.spool"):
        with contextlib.closing(SpoolReader.open(page)) as reader:
            total += reader.count - known.get(reader.sender, 0)
    return total


def _address(sim: Command) -> str:
    for line in sim.stdout.splitlines():
        try:
            return str(json.loads(line)["address"])
        except (ValueError, KeyError):
            continue
    return ""


def _call(address: str, method: str, request: object) -> Any:
    """A unary call by hand, as another client makes it."""
    with grpc.insecure_channel(address, options=(("grpc.enable_http_proxy", 0),)) as channel:
        return getattr(daq_pb2_grpc.HardwareServiceStub(channel), method)(request, timeout=10)


def _start_camera(address: str) -> None:
    assert _call(address, "StartStream", daq_pb2.StartStreamRequest(device_id="prime_bsi")).success


def _streaming(address: str) -> bool:
    return bool(_call(address, "GetDeviceState", daq_pb2.DeviceStateRequest(device_id="prime_bsi")).streaming)


def _worker_of(method: str, run_dir: Path) -> int:
    """Pid of the engine that made the call, from the journal."""
    with JournalReader.open(run_dir / "journal.sqlite") as journal:
        for sender in journal.senders():
            records = [blob for _, _, blob, _ in journal.batches(sender.sender) if blob is not None]
            if sender.hello.role == "engine" and method.encode() in b"".join(records):
                return sender.hello.pid
    return 0
