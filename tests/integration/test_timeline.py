"""The timeline and the daemon as a child, in whole runs: what was done when, what it came to, what is left behind."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from drive import free_port, live_frames, pvload, sole_run, summary, until
from pvload.wire.run_directory import read_manifest

HEAD = """
[run]
name = "told"
duration = "40s"
ends = "{ends}"
[camera]
roi = {{ x = 768, y = 768, width = 256, height = 256 }}
exposure_ms = 50
[[users]]
name = "operator"
kind = "operator"
[[users]]
name = "viewer"
{more}
"""
OF_EVERY_KIND = """
[[users]]
name = "b"
opens = "timeline"
[simulator]
parameters = "{parameters}"
[[timeline]]
after = "10 frames"
action = "set"
change = { exposure_ms = 25 }
within = "600ms"
restart = true
[[timeline]]
action = "expect"
effect = true
[[timeline]]
action = "open"
client = "b"
[[timeline]]
when = "b has 10 frames"
action = "abort"
client = "b"
[[timeline]]
action = "set"
change = { binning = [2, 2] }
within = "600ms"
[[timeline]]
action = "expect"
error = "Cannot change binning"
[[timeline]]
action = "stop"
[[timeline]]
action = "expect"
state = "idle"
[[timeline]]
action = "cycle"
count = 2
frames = 15
pause = "150ms"
"""
DAEMON = """
[target]
address = "127.0.0.1:{port}"
start = "{python} -m pvload.cli sim --port {port}"
[monitor]
interval = "100ms"
[[timeline]]
after = "10 frames"
action = "restart_daemon"
[[timeline]]
when = "viewer has 10 frames"
action = "wait"
pause = "50ms"
"""


def _profile(folder: Path, more: str) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "told.toml").write_text(HEAD.format(more=more, ends="timeline" if "[[timeline]]" in more else "duration"))
    return "./told.toml"


def _actions(told: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one["text"], one["outcome"]) for one in told["around"]["actions"]]


@pytest.mark.parametrize(("parameters", "workers"), [("guarded", "2"), ("head", "0")])
def test_a_timeline_is_carried_out_in_its_order_wherever_its_clients_sit(
    tmp_path: Path, parameters: str, workers: str
) -> None:
    """Guarded: the exposure shows at once and binning is refused; head: it shows after the restart, and is accepted."""
    profile = _profile(tmp_path, OF_EVERY_KIND.replace("{parameters}", parameters))
    command = pvload(tmp_path, "run", profile, "--workers", workers)
    command.wait()
    command.nothing_left()
    told = summary(sole_run(tmp_path))
    guarded = parameters == "guarded"
    assert _actions(told) == [
        ("set exposure 25 ms", "done"),
        ("expect the effect of the last set", "done"),
        ("open b", "done"),
        ("abort b (dropped)", "done"),
        ("set binning 2x2", "done"),
        ('expect the last set refused with "Cannot change binning"', "done" if guarded else "unmet"),
        ("stop the camera", "done"),
        ("expect state idle", "done"),
        ("start, 15 frames, stop", "done"),
        ("start, 15 frames, stop", "done"),
    ]
    exposure, binning = told["around"]["changes"]["listed"]
    assert (exposure["by"], exposure["kind"], binning["kind"]) == ("timeline", "exposure", "binning")
    assert (exposure["effect_after_ms"] is not None) is guarded
    assert (exposure["effect_after_restart_ms"] is None) is guarded
    assert exposure["outcome"] == ("effective" if guarded else "ignored_until_restart")
    assert told["facts"]["ended"] == "duration"
    (note,) = [one for one in told["notes"] if "acquisition.exposure_ms = 25" in one and "at the start" in one]
    assert ("acquisition.binning" in note) is not guarded
    counts = told["note_counts"]
    assert (counts["not_restored"], counts["put_back"], counts.get("not_put_back")) == (1, 1, None)
    assert set(read_manifest(sole_run(tmp_path)).camera_changed) == {"acquisition.roi"}, "only the operator's own"


def test_what_the_run_had_no_time_for_was_not_reached(tmp_path: Path) -> None:
    more = '[[timeline]]\nafter = "1 frames"\naction = "wait"\npause = "9s"\n[[timeline]]\naction = "stop"\n'
    command = pvload(tmp_path, "run", _profile(tmp_path, more), "--duration", "2s")
    command.wait()
    told = summary(sole_run(tmp_path))
    assert _actions(told) == [("wait 9 s", "not_reached"), ("stop the camera", "not_reached")]


def test_the_daemon_is_started_restarted_and_stopped_by_the_run(tmp_path: Path) -> None:
    """Its two lives are in the record with their exit statuses, each was watched, and nothing is left of it.

    The stream that ended with the first is nobody's error: the timeline wanted it so.
    """
    command = pvload(tmp_path, "run", _profile(tmp_path, DAEMON.format(port=free_port(), python=sys.executable)))
    command.wait()
    command.nothing_left()
    run_dir = sole_run(tmp_path)
    told = summary(run_dir)
    assert _actions(told) == [("restart the daemon", "done"), ("wait 0.05 s", "done")], command.stderr
    lives = told["around"]["daemon"]
    assert [one["exit_status"] for one in lives if one["exit_status"] is not None] == [0, 0]
    assert len({one["pid"] for one in lives}) == 2
    watched = {one["pid"]: one["samples"] for one in told["processes"] if one["name"] == "target"}
    assert set(watched) == {one["pid"] for one in lives}
    assert min(watched.values()) >= 3, watched
    assert told["calls"][0]["ended_by"] == "restart"
    assert (told["run"]["errors"], told["run"]["unexpected_ends"]) == ({}, 0)
    assert "the timeline restarted the daemon" in (run_dir / "report.txt").read_text()
    assert "Daemon shutdown complete" in (run_dir / "daemon.log").read_text()
    assert "the daemon was stopped: exit status 0" in command.stderr


def test_a_daemon_that_dies_ends_the_run_and_says_how(tmp_path: Path) -> None:
    target = f'[target]\naddress = "127.0.0.1:{{port}}"\nstart = "{sys.executable} -m pvload.cli sim --port {{port}}"\n'
    more = (
        target.replace("{port}", str(free_port()))
        + '[[timeline]]\naction = "wait"\npause = "30s"\n[criteria]\ngrpc_errors = 0\n'
    )
    command = pvload(tmp_path, "run", _profile(tmp_path, more))
    until(lambda: live_frames(tmp_path) > 5, 40.0, "frames came")
    os.kill(_sim(command), signal.SIGKILL)
    assert command.wait() == 1
    assert "ended by itself: signal SIGKILL" in command.stderr
    command.nothing_left()


def _sim(command: Any) -> int:
    """The daemon's process: the one that was started with `sim`."""
    for pid in command.survivors():
        if b"sim" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
            return int(pid)
    raise AssertionError("the daemon does not run")
