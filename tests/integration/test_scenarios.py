"""Every shipped profile at short length against the simulator, as it is and as documents say it ought to be.

What a person types, what they read first: each row runs one command, and holds its exit code and the report's head.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from drive import pvload

TINY = "camera.roi={x=0,y=0,width=256,height=256}"
ONCE = "run.repeat=1"
QUICKLY = tuple(f"timeline.{number}.within=800ms" for number in range(6))
"""Of scenario D: how long each of its changes may take to show."""
CALM = "criteria.isolation_periods=40"
"""Machines that run tests are busy: what others feel is judged elsewhere, by what the simulator sent."""
NOISE = ("camera.roi={x=0,y=0,width=640,height=640}", "simulator.images=noise", CALM)
"""Pictures that fill a receive window with one or two of them."""
PASS, FAIL, INCONCLUSIVE = 0, 1, 3


@dataclass(frozen=True)
class Case:
    """One command and what it must come to."""

    profile: str
    duration: str
    sets: tuple[str, ...]
    code: int
    says: tuple[str, ...]
    """Patterns, each of which the first ten lines must hold."""


CASES = {
    "C, every client by itself": Case("scenario-c", "14s", (ONCE, TINY), PASS, (r"per-client",)),
    "C, a disconnect stops all": Case(
        "scenario-c", "14s", (ONCE, TINY, "simulator.disconnect=stops-all"), PASS, (r"stops-all",)
    ),
    "C, a zombie": Case("scenario-c", "24s", (ONCE, TINY, "simulator.disconnect=zombie"), PASS, (r"zombie",)),
    "C, against what it ought to be": Case(
        "scenario-c",
        "14s",
        (ONCE, TINY, "simulator.disconnect=stops-all", "criteria.disconnect_policy=per-client"),
        FAIL,
        (r"stops-all", r"per-client"),
    ),
    "D, ignored until a restart": Case("scenario-d", "15s", QUICKLY, FAIL, (r"ignored",)),
    "D, ignored for good": Case("scenario-d", "15s", (*QUICKLY, "simulator.parameters=ignored"), FAIL, (r"ignored",)),
    "D, refused with a reason": Case(
        "scenario-d", "15s", (*QUICKLY, "simulator.parameters=guarded"), PASS, (r"refused", r"effective")
    ),
    "D, in effect at once": Case("scenario-d", "15s", (*QUICKLY, "simulator.parameters=live"), PASS, (r"effective",)),
    "B": Case("scenario-b-512-5ms", "8s", (), PASS, (r"drop|missing",)),
    "five hundred frames": Case("stall-500", "30s", (TINY,), PASS, (r"500",)),
    "a stall at frame 85": Case(
        "stall-500", "9s", (TINY, "run.frames=0", "simulator.faults=[{kind='stall', frame=85}]"), FAIL, (r"85",)
    ),
    "the first start differs": Case(
        "start-stop-cycles",
        "20s",
        (
            TINY,
            "timeline.0.count=3",
            "timeline.0.frames=50",
            "simulator.faults=[{kind='stall', frame=5, acquisition=1}]",
        ),
        FAIL,
        (r"first",),
    ),
    "starts and stops": Case(
        "start-stop-cycles", "30s", (TINY, "timeline.0.count=3", "timeline.0.frames=50"), PASS, (r"3 of 3",)
    ),
    "guests": Case("viewer-churn", "15s", (TINY, CALM), PASS, (r"periods",)),
    "a killed viewer": Case("gui-crash", "15s", (TINY, CALM), PASS, (r"killed", r"periods")),
    "slow readers are skipped": Case("slow-readers", "12s", NOISE, PASS, (r"skip",)),
    "slow readers hold up all": Case(
        "slow-readers", "12s", (*NOISE, "simulator.slow_readers=block"), FAIL, (r"block",)
    ),
    "slow readers are thrown out": Case(
        "slow-readers", "12s", (*NOISE, "simulator.slow_readers=disconnect"), FAIL, (r"disconnect",)
    ),
    "a storm of changes": Case(
        "parameter-storm", "14s", ("users.storm.changes.step=2s",), PASS, (r"10,?000", r"knee", r"p99", r"limit")
    ),
    "visitors": Case("reconnect-storm", "12s", (TINY, CALM), PASS, (r"first frame",)),
    "everything once": Case("smoke", "20s", (), PASS, (r"PASS",)),
    "for a pipeline": Case("ci", "15s", (CALM,), PASS, (r"PASS",)),
    "a short soak": Case("soak-24h", "12s", (TINY,), INCONCLUSIVE, (r"too short",)),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_a_profile_answers_its_question(tmp_path: Path, case: Case) -> None:
    """The exit code is the right one, the first ten lines say why, and nothing is left behind."""
    words = [word for one in case.sets for word in ("--set", one)]
    command = pvload(tmp_path, "run", case.profile, "--duration", case.duration, *words)
    code = command.wait()
    reports = sorted(tmp_path.glob("runs/*/report.txt"))
    assert reports, command.stderr
    head = "\n".join(reports[0].read_text().splitlines()[:10])
    assert code == case.code, f"{head}\n{command.stderr}"
    for pattern in case.says:
        assert re.search(pattern, head), f"{pattern!r} is not in\n{head}"
    summary = json.loads((reports[0].parent / "summary.json").read_text())
    assert summary["accounting"]["undelivered"] == 0
    command.nothing_left()
