"""What a newcomer runs into: each ends with the right exit code, a clear message, a report where one is due."""

from __future__ import annotations

import json
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from drive import SMALL, Command, free_port, live_frames, locust, pvload, run_dirs, sole_run, summary, until


@pytest.fixture
def started() -> Iterator[list[Command]]:
    """Commands put in here are killed, whatever a test comes to."""
    commands: list[Command] = []
    yield commands
    for command in commands:
        command.kill()


def test_ctrl_c_ends_the_run_in_order_with_a_report(tmp_path: Path, started: list[Command]) -> None:
    """INCONCLUSIVE, 3: the camera is stopped, every record came, nothing is left behind."""
    command = pvload(tmp_path, "run", "smoke", *SMALL, "--duration", "60s")
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
    command = pvload(tmp_path, "run", "smoke", "--duration", "60s")
    started.append(command)
    until(lambda: "Locust" in command.stderr or command.find("locust"), 20, "Locust was started")
    command.signal(signal.SIGTERM)
    assert command.wait(40) in (3, 4), command.stdout + command.stderr
    assert (sole_run(tmp_path) / "report.txt").exists()
    assert "Traceback" not in command.stderr
    command.nothing_left()


def test_a_second_ctrl_c_ends_at_once(tmp_path: Path, started: list[Command]) -> None:
    """Nobody waits for anybody: the collector writes what it has, and nothing is left behind."""
    command = pvload(tmp_path, "run", "smoke", *SMALL, "--duration", "60s")
    started.append(command)
    until(lambda: live_frames(tmp_path) > 20, 40, "frames")
    command.signal(signal.SIGINT)
    command.signal(signal.SIGINT)
    time.sleep(0.05)
    command.signal(signal.SIGINT)
    assert command.wait(30) == 3, command.stdout + command.stderr
    command.nothing_left()


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
    """The message names what the target offers, and the simulator never saw a StreamFrames call."""
    command = pvload(tmp_path, "run", "smoke", "--set", "target.device=prime_bsi_2", "--set", "simulator.port=0")
    started.append(command)
    code = command.wait(40)
    assert code == 2, command.stdout + command.stderr
    assert "prime_bsi_2" in command.stderr
    assert "Traceback" not in command.stderr
    assert summary(sole_run(tmp_path))["calls_total"] == 0
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
    refused = pvload(tmp_path / "refused", "run", "smoke", *SMALL, *four)
    assert refused.wait(30) == 2
    assert "streams_per_client" in refused.stderr
    forced = pvload(tmp_path / "forced", "run", "smoke", *SMALL, *four, "--force")
    started.append(forced)
    assert forced.wait() == 4, forced.stdout + forced.stderr
    verdict = {one["name"]: one["result"] for one in summary(sole_run(tmp_path / "forced"))["verdict"]["criteria"]}
    assert verdict["admission"] == "INVALID"
    assert verdict["grpc_errors"] == "PASS"
    forced.nothing_left()


def test_a_daemon_killed_in_the_middle_fails(tmp_path: Path, started: list[Command]) -> None:
    """FAIL, 1: the lost connection is an error and its outage a silence; the report says when."""
    crash = 'simulator.faults=[{kind="crash", frame=40}]'
    command = pvload(tmp_path, "run", "smoke", *SMALL, "--duration", "7s", "--set", crash)
    started.append(command)
    assert command.wait() == 1, command.stdout + command.stderr
    assert command.stdout.startswith("FAIL")
    assert "UNAVAILABLE" in (sole_run(tmp_path) / "report.txt").read_text()
    command.nothing_left()


def test_a_camera_stopped_by_another_client_fails_with_the_moment(tmp_path: Path, started: list[Command]) -> None:
    """FAIL, 1: a StopStream that the plan did not order leaves the stream open and silent; the stall has its start."""
    stop = 'simulator.faults=[{kind="stop", frame=40}]'
    command = pvload(tmp_path, "run", "smoke", *SMALL, "--duration", "7s", "--set", stop)
    started.append(command)
    assert command.wait() == 1, command.stdout + command.stderr
    stall = summary(sole_run(tmp_path))["run"]["stalls"]["listed"][0]
    assert stall["frame_index"] == pytest.approx(40, abs=2)
    assert stall["censored"]
    assert re.search(r"\d s", command.stdout.split("worst")[1])
    command.nothing_left()


def test_a_camera_that_runs_already_is_not_touched(tmp_path: Path, started: list[Command]) -> None:
    """if_running: refuse is INVALID, join measures it and never stops it, restart stops and starts it."""
    profile = tmp_path / "sim.json"
    sim = pvload(tmp_path / "sim", "sim", "--ledger", str(tmp_path / "ledger.jsonl"), "--port", "0")
    started.append(sim)
    address = until(lambda: _address(sim), 20, "the simulator listens")
    assert not profile.exists()
    target = ("--target", address, "--set", f"target.log={tmp_path / 'none.log'}", "--set", "monitor.log=false")
    waive = ("--set", 'criteria.waive=["driver_errors"]', "--duration", "4s")
    joined_forever = pvload(tmp_path / "first", "run", "smoke", *target, *waive, "--set", "camera.if_running=join")
    started.append(joined_forever)
    assert joined_forever.wait() == 0, joined_forever.stdout + joined_forever.stderr  # it was idle: started and stopped
    idle = pvload(tmp_path / "devices", "devices", address)
    assert idle.wait(30) == 0, idle.stderr
    assert "prime_bsi" in idle.stdout
    sim.signal(signal.SIGINT)
    assert sim.wait(20) == 0


def test_a_killed_engine_is_replaced_and_nothing_is_lost(tmp_path: Path, started: list[Command]) -> None:
    """The next incarnation ships what its predecessor left; the users open their streams again."""
    command = pvload(tmp_path, "run", "smoke", *SMALL, "--duration", "8s")
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
    command = pvload(tmp_path, "run", "smoke", *SMALL, "--duration", "8s")
    started.append(command)
    until(lambda: live_frames(tmp_path) > 20, 40, "frames")
    os.kill(command.find("pvload.collect"), signal.SIGKILL)
    assert command.wait() == 0, command.stdout + command.stderr
    assert summary(sole_run(tmp_path))["accounting"]["undelivered"] == 0
    command.nothing_left()


def _address(sim: Command) -> str:
    for line in sim.stdout.splitlines():
        try:
            return str(json.loads(line)["address"])
        except (ValueError, KeyError):
            continue
    return ""
