"""Every way of running Locust records and judges, and ends with pvload's verdict as its exit code."""

from __future__ import annotations

import json
import os
import signal
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path

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

FILES = {
    "manifest.json",
    "profile.json",
    "journal.sqlite",
    "live.json",
    "summary.json",
    "report.txt",
    "daemon.log",
    "sim-ledger.jsonl",
    "logs",
}


@pytest.fixture
def started() -> Iterator[list[Command]]:
    """Commands put in here are killed, whatever a test comes to."""
    commands: list[Command] = []
    yield commands
    for command in commands:
        command.kill()


@pytest.mark.alone
def test_scenario_a_passes_at_full_size(tmp_path: Path, started: list[Command]) -> None:
    """2048x2048 at 100 ms from the simulator, by the letter of the scenario but for its length."""
    command = pvload(tmp_path, "run", "scenario-a", "--duration", "8s")
    started.append(command)
    assert command.wait() == 0, command.stdout + command.stderr
    device = summary(sole_run(tmp_path))["devices"][0]
    assert device["figures"]["decoded_bytes"] == device["figures"]["frames"] * 2048 * 2048 * 2


def test_pvload_run_ends_with_pass_and_leaves_a_whole_run_directory(tmp_path: Path, started: list[Command]) -> None:
    """`pvload run`: exit code 0, every file, the repeatable command, no process left behind."""
    command = pvload(tmp_path, "run", "quick", "--duration", "6s", "--label", "bench=none")
    started.append(command)
    assert command.wait() == 0, command.stdout + command.stderr
    run_dir = sole_run(tmp_path)
    assert {path.name for path in run_dir.iterdir()} >= FILES
    assert command.stdout.startswith("PASS")
    assert str(run_dir / "report.txt") in command.stdout
    manifest = json.loads((run_dir / "manifest.json").read_text())
    assert manifest["verdict"] == "PASS"
    assert manifest["ended"] == "duration"
    assert manifest["labels"] == {"bench": "none"}
    assert manifest["command"] == ["pvload", "run", "quick", "--duration", "6s", "--label", "bench=none"]
    assert manifest["run"][12] == "7"
    assert "acquisition.exposure_ms" in manifest["camera_at_start"]
    assert "acquisition.exposure_ms" in manifest["camera_at_end"]
    assert summary(run_dir)["facts"]["length_s"] == pytest.approx(6.0, abs=1e-6)
    command.nothing_left()
    before = (run_dir / "summary.json").read_bytes(), (run_dir / "report.txt").read_bytes()
    again = pvload(tmp_path / "again", "report", str(run_dir))
    assert again.wait() == 0, again.stderr
    assert (run_dir / "summary.json").read_bytes() == before[0]


def test_pvload_run_with_workers_and_frames_ends_after_exactly_so_many(tmp_path: Path, started: list[Command]) -> None:
    """--workers 2 --frames 40: every stream has 40 frames, and the run is not short of its plan."""
    command = pvload(
        tmp_path, "run", "quick", *SMALL, "--frames", "40", "--workers", "2", "--set", "users.viewer.count=2"
    )
    started.append(command)
    assert command.wait() == 0, command.stdout + command.stderr
    calls = summary(sole_run(tmp_path))["calls"]
    assert [call["figures"]["frames"] for call in calls] == [40, 40]
    command.nothing_left()


@pytest.mark.parametrize("more", [(), ("--processes", "2")], ids=["one process", "two workers"])
def test_plain_locust_is_judged_like_pvload_run(tmp_path: Path, started: list[Command], more: tuple[str, ...]) -> None:
    """`locust --headless -u 4 -t 6s`: operator and three subscribers, the verdict as exit code, Locust's own table."""
    port = str(free_port())
    ports = ("--master-port", port, "--master-bind-port", port) if more else ()
    command = locust(tmp_path, "--headless", "-u", "4", "-t", "6s", *more, *ports, *SMALL_FOR_LOCUST)
    started.append(command)
    assert command.wait() == 0, command.stdout + command.stderr
    found = summary(sole_run(tmp_path))
    assert sorted(one["name"] for one in found["subscribers"]) == ["viewer/0", "viewer/1", "viewer/2"]
    frames = found["run"]["frames"]
    row = next(line for line in reversed(command.stderr.splitlines()) if line.startswith("STREAM   viewer"))
    shown = [
        int(line.split()[2])
        for line in command.stderr.splitlines()
        if line.startswith("STREAM   viewer") and "(" in line
    ]
    assert abs(shown[-1] - frames) <= 0.2 * frames, row
    report = (sole_run(tmp_path) / "report.txt").read_text().split("\n\n")[0]
    assert command.stdout.rstrip().endswith(f"{report}\n\nreport     {sole_run(tmp_path) / 'report.txt'}")
    assert "Traceback" not in command.stderr
    command.nothing_left()


def test_workers_started_by_hand_in_other_folders(tmp_path: Path, started: list[Command]) -> None:
    """The master's profile and run directory are used, whatever folder and profile a worker was started with."""
    port = str(free_port())
    workers = [
        locust(tmp_path / name, "--worker", "--master-port", port, "--pvload-profile", profile)
        for name, profile in (("one", "scenario-a"), ("two", "quick"))
    ]
    master = locust(
        tmp_path / "master",
        *("--master", "--master-bind-port", port, "--expect-workers", "2"),
        *("--headless", "-u", "3", "-t", "6s", *SMALL_FOR_LOCUST),
    )
    started += [*workers, master]
    assert master.wait() == 0, master.stdout + master.stderr
    assert [worker.wait(30) for worker in workers] == [0, 0]
    found = summary(sole_run(tmp_path / "master"))
    assert {one["worker"] for one in found["accounting"]["senders"]} == {"worker-0", "worker-1", "monitor"}
    assert not run_dirs(tmp_path / "one")
    assert not run_dirs(tmp_path / "two")
    for command in started:
        command.nothing_left()


def test_web_ui_started_stopped_and_started_again(tmp_path: Path, started: list[Command]) -> None:
    """Each start is a run of its own; form fields count; a changed user count acts in 2 s; the worst code is kept."""
    port = free_port()
    command = locust(tmp_path, "--web-port", str(port), *SMALL_FOR_LOCUST)
    started.append(command)
    base = f"http://127.0.0.1:{port}"
    page = until(lambda: _get(base + "/"), 30, "the web UI answers")
    for field in ("pvload_exposure_ms", "pvload_roi", "pvload_quality", "pvload_duration"):
        assert field in page

    _post(base + "/swarm", user_count=2, spawn_rate=10, pvload_exposure_ms="40", pvload_duration="4s")
    until(lambda: len(run_dirs(tmp_path)) == 1 and (run_dirs(tmp_path)[0] / "report.txt").exists(), 40, "first report")
    until(lambda: json.loads(_get(base + "/stats/requests"))["state"] == "stopped", 10, "Locust stopped")
    first = run_dirs(tmp_path)[0]
    profile = json.loads((first / "profile.json").read_text())
    assert profile["camera"]["exposure_ms"] == 40
    assert profile["run"]["duration"] == 4
    assert json.loads((first / "manifest.json").read_text())["verdict"] == "PASS"

    _post(base + "/swarm", user_count=2, spawn_rate=10, pvload_exposure_ms="", pvload_duration="60s")
    until(lambda: len(run_dirs(tmp_path)) == 2 and live_frames(tmp_path) > 20, 40, "frames of the second run")
    asked = time.monotonic()
    _post(base + "/swarm", user_count=3, spawn_rate=10)
    until(lambda: _streams(tmp_path) == 2, 10, "a second stream")
    rows = json.loads(_get(base + "/stats/requests"))["stats"]
    assert any(row["name"] == "viewer" and row["num_requests"] > 0 for row in rows)
    _post(base + "/stop")
    until(lambda: (run_dirs(tmp_path)[1] / "report.txt").exists(), 30, "second report")
    second = json.loads((run_dirs(tmp_path)[1] / "manifest.json").read_text())
    assert (second["ended"], second["verdict"]) == ("interrupted", "INCONCLUSIVE")
    found = summary(run_dirs(tmp_path)[1])
    opened = max(found["facts"]["start_ns"] / 1e9 + call["opened_at_s"] for call in found["calls"])
    assert 0 < opened - asked < 2
    command.signal(2)
    assert command.wait() == 3
    command.nothing_left()


def test_web_ui_refuses_a_start_that_breaks_a_rule(tmp_path: Path, started: list[Command]) -> None:
    """check's rules hold at every start: too many users are refused in the log, and the next start is not harmed."""
    port = free_port()
    command = locust(tmp_path, "--web-port", str(port), *SMALL_FOR_LOCUST)
    started.append(command)
    base = f"http://127.0.0.1:{port}"
    until(lambda: _get(base + "/"), 30, "the web UI answers")
    _post(base + "/swarm", user_count=9, spawn_rate=10)
    until(lambda: "streams_per_client" in command.stderr, 10, "the refusal")
    assert not run_dirs(tmp_path)
    _post(base + "/swarm", user_count=2, spawn_rate=10, pvload_duration="3s")
    until(lambda: run_dirs(tmp_path) and (run_dirs(tmp_path)[0] / "report.txt").exists(), 40, "a report")
    command.signal(2)
    command.wait()
    command.nothing_left()


@pytest.mark.parametrize(
    ("more", "number", "whole_group"),
    [
        pytest.param(("--headless",), signal.SIGTERM, False, id="SIGTERM, one process"),
        pytest.param(("--headless",), signal.SIGHUP, False, id="a terminal that closes"),
        pytest.param(("--headless", "--processes", "2"), signal.SIGTERM, False, id="SIGTERM, two workers"),
        pytest.param(("--headless", "--processes", "2"), signal.SIGINT, True, id="Ctrl-C reaches all at once"),
        pytest.param(("--autostart",), signal.SIGINT, False, id="Ctrl-C, web UI"),
    ],
)
def test_plain_locust_ends_in_order_when_it_is_told_to(
    tmp_path: Path, started: list[Command], more: tuple[str, ...], number: int, whole_group: bool
) -> None:
    """T_end first, then streams, camera, engines; every record comes, whoever else got the signal."""
    port, web = str(free_port()), str(free_port())
    ports = ("--master-port", port, "--master-bind-port", port, "--web-port", web)
    command = locust(tmp_path, *more, "-u", "3", "-t", "60s", *ports, *SMALL_FOR_LOCUST)
    started.append(command)
    until(lambda: live_frames(tmp_path) > 20, 40, "frames")
    if whole_group:
        os.killpg(command.pid, number)
    else:
        command.signal(number)
    assert command.wait(40) == 3, command.stdout + command.stderr
    found = summary(sole_run(tmp_path))
    assert found["facts"]["ended"] == "interrupted"
    assert found["accounting"]["undelivered"] == 0
    assert {call["ended_by"] for call in found["calls"]} == {"run_end"}
    assert sum(one["count"] for one in found["unary"] if one["method"] == "StopStream") == 1
    assert "Traceback" not in command.stderr
    command.nothing_left()


def _get(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            text: str = answer.read().decode()
            return text
    except OSError:
        return ""


def _post(url: str, **fields: object) -> None:
    data = urllib.parse.urlencode({name: str(value) for name, value in fields.items()}).encode()
    with urllib.request.urlopen(url, data=data, timeout=60) as answer:
        assert answer.status == 200


def _streams(folder: Path) -> int:
    try:
        return int(json.loads((run_dirs(folder)[-1] / "live.json").read_text())["figures"]["streams_open"])
    except (OSError, ValueError):
        return 0
