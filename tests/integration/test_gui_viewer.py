"""The viewer at a screen, from a locustfile of one's own: a dragged exposure, and a connection that is lost."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from drive import Command, sole_run, summary

PROFILE = """
[run]
name = "screen"
duration = "9s"
warm_up = "1s"

[camera]
roi = { x = 0, y = 0, width = 128, height = 128 }
exposure_ms = 20

[[users]]
name = "operator"
kind = "operator"

[[users]]
name = "viewer"

[[users]]
name = "screen"
kind = "gui-viewer"
retry = { delay = "300ms" }

[simulator]
parameters = "live"

[[simulator.faults]]
kind = "starved"
frame = 150
duration = "3s"
"""
LOCUSTFILE = """
from pvload.load.plugin import install
from pvload.load.users import GuiViewer


class Screen(GuiViewer):
    health_every_s = 0.2
    ask_timeout_s = 0.4

    def at_the_screen(self, run):
        run.ending.wait(0.5)
        for exposure_ms in (31, 32, 33, 34):
            self.expose(exposure_ms)
            run.ending.wait(0.02)


globals().update(install(Screen))
"""


@pytest.fixture
def started() -> Iterator[list[Command]]:
    """Commands put in here are killed, whatever a test comes to."""
    commands: list[Command] = []
    yield commands
    for command in commands:
        command.kill()


def test_a_person_drags_the_exposure_and_a_lost_connection_is_made_again(
    tmp_path: Path, started: list[Command]
) -> None:
    """Four values within 200 ms are one SetExposure, of the last. Two questions without an answer in a row, and the
    stream is left and opened again, by order: nothing of it is the daemon's failure but the calls. The other viewer
    asks nothing and stays."""
    (tmp_path / "screen.toml").write_text(PROFILE)
    (tmp_path / "mine.py").write_text(LOCUSTFILE)
    arguments = ("-f", "mine.py", "--headless", "--pvload-profile", "./screen.toml")
    command = Command(["locust", *arguments], tmp_path).start()
    started.append(command)
    command.wait()
    command.nothing_left()
    found = summary(sole_run(tmp_path))
    (change,) = found["around"]["changes"]["listed"]
    assert (change["by"], change["text"], change["outcome"]) == ("screen/0", "exposure 34 ms", "effective")
    calls = {row["method"]: row for row in found["around"]["calls"] if row["population"] == "screen"}
    assert calls["SetExposure"]["count"] == 1
    assert calls["GetDaemonInfo"]["failed"]["DEADLINE_EXCEEDED"] >= 2
    own = [call for call in found["calls"] if call["subscriber"] == "screen/0"]
    assert len(own) >= 2
    assert {call["ended_by"] for call in own[:-1]} == {"order"}
    assert own[-1]["ended_by"] == "run_end"
    assert all(call["figures"]["frames"] for call in own)
    assert own[1]["opened_at_s"] - own[0]["ended_at_s"] >= 0.3
    assert [call["ended_by"] for call in found["calls"] if call["subscriber"] == "viewer/0"] == ["run_end"]
    assert found["run"]["errors"] == {}
