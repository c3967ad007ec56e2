"""A subscriber's own decisions: open again after an end, give up or subscribe again after a silence, join and leave."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from drive import LOCUSTFILE, SMALL, SMALL_FOR_LOCUST, Command, free_port, locust, pvload, sole_run, summary


@pytest.fixture
def started() -> Iterator[list[Command]]:
    """Commands put in here are killed, whatever a test comes to."""
    commands: list[Command] = []
    yield commands
    for command in commands:
        command.kill()


def _run(folder: Path, started: list[Command], *overrides: str, duration: str = "7s") -> tuple[int, dict[str, Any]]:
    words = [word for override in overrides for word in ("--set", override)]
    command = pvload(folder, "run", "quick", *SMALL, "--duration", duration, *words)
    started.append(command)
    code = command.wait()
    command.nothing_left()
    return code, summary(sole_run(folder))


def test_a_stream_that_ends_unasked_is_opened_again_after_a_pause(tmp_path: Path, started: list[Command]) -> None:
    """The first pause is 1 s and up to a quarter more; the error and the outage are in the record."""
    fault = 'simulator.faults=[{kind="status_error", frame=30, code="INTERNAL", text="injected"}]'
    code, found = _run(tmp_path, started, fault)
    assert code == 1
    first, second = found["calls"]
    assert (first["number"], first["ended_by"], first["status"]) == (1, "server", "INTERNAL")
    assert (second["number"], second["ended_by"]) == (2, "run_end")
    assert 1.0 <= second["opened_at_s"] - first["ended_at_s"] <= 1.6
    assert found["subscribers"][0]["figures"]["outages"] == 1


def test_without_reconnect_a_subscriber_stays_away(tmp_path: Path, started: list[Command]) -> None:
    """One call, and the silence after it counts."""
    fault = 'simulator.faults=[{kind="clean_end", frame=30}]'
    code, found = _run(tmp_path, started, fault, "users.viewer.reconnect=false")
    assert code == 1
    assert [(call["number"], call["status"]) for call in found["calls"]] == [(1, "OK")]
    assert found["run"]["unexpected_ends"] == 1


@pytest.mark.parametrize(("action", "calls"), [("keep_waiting", 1), ("end", 1), ("resubscribe", 2)])
def test_what_a_silence_leads_to(tmp_path: Path, started: list[Command], action: str, calls: int) -> None:
    """The stall is the camera's whatever the subscriber does about it."""
    fault = 'simulator.faults=[{kind="stop", frame=30}]'
    silence = ("users.viewer.silence=2.5", f"users.viewer.on_silence={action}")
    code, found = _run(tmp_path, started, fault, *silence)
    assert code == 1
    assert found["run"]["wait_timeouts"] >= 1
    ended_by = [call["ended_by"] for call in found["calls"]]
    assert len(ended_by) >= calls
    assert ended_by[0] == ("run_end" if action == "keep_waiting" else "watchdog")
    assert found["run"]["longest_silence_s"] > 2


def test_a_run_without_an_operator_is_due_from_the_first_open(tmp_path: Path, started: list[Command]) -> None:
    """Nobody starts the simulated camera, so nothing comes: open and silent when due is FAIL."""
    code, found = _run(tmp_path, started, 'users=[{name="viewer"}]', duration="5s")
    assert code == 1
    assert found["facts"]["ended"] == "duration"
    assert found["run"]["frames"] == 0
    assert not [one for one in found["unary"] if one["method"] in ("StartStream", "StopStream")]


def test_a_worker_of_another_version_is_refused(tmp_path: Path, started: list[Command]) -> None:
    """With both versions and what to do; its exit code is 2."""
    port = str(free_port())
    old = tmp_path / "old.py"
    old.write_text(
        "import pvload.load.station as station\n"
        "station.pvload_version = lambda: '0.0.1'\n" + LOCUSTFILE.read_text().split('"""')[2]
    )
    master = locust(tmp_path / "master", "--master", "--headless", "--master-bind-port", port, *SMALL_FOR_LOCUST)
    worker = Command(["locust", "-f", str(old), "--worker", "--master-port", port], tmp_path / "worker").start()
    started += [master, worker]
    assert worker.wait(30) == 2
    assert "this worker has pvload 0.0.1" in worker.stderr
    master.signal(signal.SIGTERM)
    master.wait(30)
