"""The profile of a day and a night for two hours: nothing stalls, nothing is lost, and no process grows.

PVLOAD_SOAK_DURATION changes its length; the growth rule refuses to judge what is too short.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from drive import pvload
from pvload.profiles.values import parse_duration
from pvload.wire import run_directory

DURATION = os.environ.get("PVLOAD_SOAK_DURATION", "2h")
OURS = ("target", "collector", "engine", "locust", "monitor", "supervisor")

pytestmark = pytest.mark.soak


def test_two_hours_with_guests_and_watchers_leave_everything_flat(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """PASS, every record came, and RSS, threads and file descriptors of every process are flat by the growth rule."""
    command = pvload(tmp_path, "run", "soak-24h", "--duration", DURATION)
    code = command.wait(parse_duration(DURATION) + 300)
    (run,) = (tmp_path / "runs").iterdir()
    head = (run / run_directory.REPORT).read_text().partition("\n\n")[0]
    summary: dict[str, Any] = json.loads((run / run_directory.SUMMARY).read_text())
    growth = summary["around"]["growth"]
    with capsys.disabled():
        print(f"\n{head}\n")
        for one in growth:
            print(f"{one['process']:<14} {one['figure']:<8} {one['result']:<10} {one['first']} -> {one['last']}")
    assert code == 0, head
    assert summary["accounting"]["undelivered"] == 0
    assert {one["figure"] for one in growth} == {"rss", "fds", "threads"}
    for name in OURS:
        mine = [one for one in growth if one["process"].startswith(name)]
        assert mine, f"nobody watched {name}"
        assert {one["result"] for one in mine} == {"flat"}, mine
    command.nothing_left()
