"""Seeded schedules whose stalls exceed the scenarios' own threshold of 2 s: the report equals the ledger."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from integration.test_against_the_ledger import AT_A_TIME, FAULTS_PER_100, FRAMES, differences, run_schedule
from pvload.profiles.simulated import Fault
from pvload.sim.faults import schedule

THRESHOLD_S = 2.0
SEEDS = range(100, 112)


def with_long_stalls(seed: int) -> tuple[Fault, ...]:
    """The seed's schedule, its stalls lengthened to 2.1 to 3 s; its last fault becomes one if it has none."""
    chance = random.Random(f"pvload-long-stalls-{seed}")
    faults = schedule(seed, FAULTS_PER_100, FRAMES)
    if not any(fault.kind == "stall" for fault in faults):
        faults = (*faults[:-1], Fault(kind="stall", frame=faults[-1].frame))
    return tuple(
        fault.model_copy(update={"duration": round(chance.uniform(2.1, 3.0), 3)}) if fault.kind == "stall" else fault
        for fault in faults
    )


def differences_of(seed: int, folder: Path) -> list[str]:
    """One seed's run against its ledger; a run without a stall is a difference too."""
    outcome = run_schedule(folder / str(seed), with_long_stalls(seed), threshold_s=THRESHOLD_S)
    wrong = differences(outcome)
    if not outcome.call["figures"]["stalls"]["count"]:
        wrong.append("no stall at all")
    return [f"seed {seed}: {line}" for line in wrong]


@pytest.mark.soak
@pytest.mark.parametrize("first", SEEDS[::AT_A_TIME])
def test_stalls_above_two_seconds_equal_the_ledger(first: int, tmp_path: Path) -> None:
    """Starts and lengths of the stalls, and every other figure of the ledger, for four seeds at once."""
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        found = pool.map(lambda seed: differences_of(seed, tmp_path), range(first, first + AT_A_TIME))
        assert [line for lines in found for line in lines] == []
