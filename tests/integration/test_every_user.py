"""Every kind of user in one run on two workers, and users that give up: what they did stands in the summary."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from drive import Command, pvload, sole_run, summary
from pvload.wire.codes import Abort
from pvload.wire.event import Kind, decode, rows_of
from pvload.wire.journal import JournalReader

EVERYBODY = """
[run]
name = "everybody"
duration = "6s"
warm_up = "1s"
workers = 2

[target]
address = "sim"
streams_per_client = 0

[camera]
roi = { x = 0, y = 0, width = 128, height = 128 }
exposure_ms = 50

[simulator]
streams_per_client = 0

[[users]]
name = "operator"
kind = "operator"

[[users]]
name = "steady"

[[users]]
name = "guest"
count = 2

[users.churn]
lifetime = "400ms"
pause = "200ms"
half_open_for = "300ms"
abort = { clean = 1, dropped = 1, half_open = 1, killed = 1 }

[[users]]
name = "screen"
kind = "gui-viewer"

[[users]]
name = "changer"
kind = "changer"
start_after = "20%"

[users.changes]
every = "1s"
effect_within = "400ms"
restart = true
steps = [{ exposure_ms = 40 }, { exposure_ms = 50 }]

[[users]]
name = "walker"
kind = "changer"

[users.changes]
mode = "walk"
every = "400ms"
parameters = ["thermal.setpoint", "thermal.fan_speed"]
ranges = { "thermal.setpoint" = [-20, -11] }

[[users]]
name = "storm"
kind = "changer"
count = 2
start_after = "20%"

[users.changes]
mode = "storm"
parameters = ["shutter.open_delay"]
rates_hz = [40, 80]
step = "2s"

[[users]]
name = "parameters"
kind = "parameter-watcher"
watch = { parameters = ["shutter.open_delay"] }

[[users]]
name = "state"
kind = "state-watcher"
watch = { rate_hz = 2 }

[[users]]
name = "observables"
kind = "observable-watcher"
watch = { observables = ["thermal.temperature"], rate_hz = 4 }

[[users]]
name = "health"
kind = "health-probe"

[[users]]
name = "stop"
kind = "stop-probe"
start_after = "70%"
watch = { rate_hz = 0.1 }
"""


@pytest.fixture
def started() -> Iterator[list[Command]]:
    """Commands put in here are killed, whatever a test comes to."""
    commands: list[Command] = []
    yield commands
    for command in commands:
        command.kill()


def test_every_user_does_its_part(tmp_path: Path, started: list[Command]) -> None:
    """One run with all of them: each leaves its records, nothing is lost or left behind, the camera is as before."""
    (tmp_path / "everybody.toml").write_text(EVERYBODY)
    command = pvload(tmp_path, "run", "./everybody.toml")
    started.append(command)
    command.wait()
    command.nothing_left()
    folder = sole_run(tmp_path)
    found = summary(folder)
    around = found["around"]
    rows = {(row["population"], row["method"]): row for row in around["calls"]}

    left = _styles(folder)
    assert set(left) == {"clean", "dropped", "half_open", "killed"}
    viewers = [row for row in found["accounting"]["senders"] if "viewer" in row["worker"] and row["frames"]]
    assert len(viewers) >= left["killed"] > 0
    assert sum(row["missing"] for row in found["accounting"]["senders"]) == 0

    changes = {row["by"]: row for row in around["changes"]["listed"]}
    assert changes["changer/0"]["effect_after_restart_ms"] is not None
    assert all(row["status"] == "OK" for row in around["changes"]["listed"] if row["by"] == "walker/0")
    assert any(row["by"] == "walker/0" for row in around["changes"]["listed"])

    (storm,) = around["storms"]
    assert sum(step["ok"] for step in storm["steps"]) == sum(step["due"] for step in storm["steps"]) > 100
    (watcher,) = around["watchers"]
    assert (watcher["lost"], watcher["first_counter"]) == (0, 0)
    assert watcher["counted"] == rows["storm", "SetParameter"]["count"]
    assert watcher["last_counter"] + 1 - watcher["counted"] in (0, 1)  # of two users one may have ended a call earlier

    assert around["states"][0]["pushes"] > 0
    assert around["states"][0]["polls"] > 0
    assert around["observed"][0]["values"] > 0
    assert {row["name"] for row in around["health"]} >= {"daemon", "daemon (grpc.health.v1)"}
    assert {row["call"] for row in around["stop_probes"]} == {"StopStream", "StartStream"}
    assert all(row["status"] == "OK" for row in around["stop_probes"])

    changed = json.loads((folder / "manifest.json").read_text())["camera_changed"]
    assert not {"shutter.open_delay", "thermal.setpoint", "thermal.fan_speed"} & set(changed)
    table = "\n".join(path.read_text() for path in (folder / "logs").glob("locust*.log"))
    for name in ("SetParameter  storm", "StreamParameterChanges  parameters", "GetSystemHealth  health"):
        assert re.search(rf"^{name} +[1-9]", table, re.MULTILINE), name


def test_a_subscriber_gives_up_as_its_retry_says(tmp_path: Path, started: list[Command]) -> None:
    """Turned away again and again, it makes three calls and no more; the run's notes say that it gave up."""
    profile = EVERYBODY[: EVERYBODY.index('[[users]]\nname = "guest"')].replace("workers = 2\n", "")
    profile = profile.replace("streams_per_client = 0\n\n[[users]]", "streams_per_client = 1\n\n[[users]]")
    profile += '[[users]]\nname = "late"\nstart_after = "20%"\nretry = { attempts = 3, delay = "100ms", factor = 1 }\n'
    (tmp_path / "retry.toml").write_text(profile.replace('duration = "6s"', 'duration = "4s"'))
    command = pvload(tmp_path, "run", "./retry.toml", "--force")
    started.append(command)
    command.wait()
    command.nothing_left()
    found = summary(sole_run(tmp_path))
    calls = [call for call in found["calls"] if call["subscriber"].startswith("late")]
    assert [call["number"] for call in calls] == [1, 2, 3]
    assert found["note_counts"]["gave_up"] == 1


def _styles(folder: Path) -> Counter[str]:
    """The ways in which calls were left, as the engines recorded them."""
    found: Counter[str] = Counter()
    with JournalReader.open(folder / "journal.sqlite") as journal:
        for sender in journal.senders():
            for _, _, records, _ in journal.batches(sender.sender):
                rows = rows_of(decode(records or b""), Kind.LEFT)
                found.update(Abort(int(code)).name.lower() for code in rows["code"])
    return found
