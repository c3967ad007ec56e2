"""`pvload run --repeat`: runs in turn in one directory, judged as a set whatever became of each."""

from __future__ import annotations

import io
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pvload.errors import PvloadError
from pvload.plan.check import Plan, check
from pvload.profiles.load import load
from pvload.run.command import Wish
from pvload.run.progress import Display, LineDisplay
from pvload.run.repeats import SetOutcome, run_set
from pvload.run.supervisor import Outcome


class _Supervised:
    """Stands in for a supervisor whose child ends as it is told to; which one is asked for is noted."""

    def __init__(self, outcomes: list[Callable[[Path], Outcome]]) -> None:
        self.outcomes = outcomes
        self.rows: list[Any] = []

    def __call__(self, wish: Wish, display: Display, plan: Plan, *, rows: Any) -> Any:
        del display, plan
        self.rows.append(rows)
        outcome = self.outcomes[len(self.rows) - 1]

        class Run:
            def run(self) -> Outcome:
                return outcome(wish.runs)

        return Run()


def _set(folder: Path, *outcomes: Callable[[Path], Outcome], times: int = 3) -> tuple[SetOutcome, _Supervised, str]:
    said = io.StringIO()
    supervised = _Supervised(list(outcomes))
    plan = check(load("scenario-a").profile)
    wish = Wish(profile="scenario-a", runs=folder)
    made = run_set(wish, plan, times, lambda: LineDisplay(said), supervise=supervised, wall_ns=10**18)
    return made, supervised, said.getvalue()


def _broken(runs: Path) -> Outcome:
    """A run directory without a journal: whatever was said, nothing of it can be proved."""
    run_dir = runs / "run"
    run_dir.mkdir(exist_ok=True)
    return Outcome(exit_code=0, verdict="PASS", run_dir=run_dir)


def _no_verdict(_runs: Path) -> Outcome:
    return Outcome(exit_code=4, errors=[PvloadError("the daemon did not answer")])


def _interrupted(_runs: Path) -> Outcome:
    return Outcome(exit_code=3, errors=[PvloadError("interrupted")], interrupted=True)


def _refused(_runs: Path) -> Outcome:
    return Outcome(exit_code=2, errors=[PvloadError("no device")])


def test_a_repeat_that_could_not_run_is_a_failure_and_the_next_is_tried(tmp_path: Path) -> None:
    made, supervised, said = _set(tmp_path, _no_verdict, _broken, _no_verdict)
    assert made.exit_code == 1
    assert supervised.rows == [(("repeat", f"{number} of 3"),) for number in (1, 2, 3)]
    assert "repeat 2 of 3" in said
    document = json.loads((made.folder / "set.json").read_text())
    assert document["result"] == "FAIL"
    assert [one["result"] for one in document["runs"]] == ["COULD NOT RUN"] * 3
    assert document["runs"][0]["why"] == ["the daemon did not answer"]
    assert made.folder.name == "20010909T014640Z-scenario-a-set"
    assert "the daemon did not answer" in (made.folder / "set.txt").read_text()


def test_an_interrupt_ends_the_set_with_what_there_is(tmp_path: Path) -> None:
    made, supervised, _ = _set(tmp_path, _interrupted, times=5)
    assert len(supervised.rows) == 1
    document = json.loads((made.folder / "set.json").read_text())
    assert (document["planned"], document["result"], document["runs"]) == (5, "INCONCLUSIVE", [])
    assert made.exit_code == 3


def test_an_interrupt_between_two_runs_ends_the_set(tmp_path: Path) -> None:
    def then_interrupted(runs: Path) -> Outcome:
        os.kill(os.getpid(), signal.SIGINT)
        return _no_verdict(runs)

    before = signal.getsignal(signal.SIGINT)
    made, supervised, _ = _set(tmp_path, then_interrupted)
    assert len(supervised.rows) == 1
    assert made.report is not None
    assert signal.getsignal(signal.SIGINT) is before


def test_a_set_whose_first_run_is_refused_is_not_made(tmp_path: Path) -> None:
    made, supervised, _ = _set(tmp_path, _refused)
    assert (made.exit_code, made.report, len(supervised.rows)) == (2, None, 1)
    assert not made.folder.exists()


@pytest.mark.parametrize("taken", [1, 2])
def test_two_sets_of_one_second_have_directories_of_their_own(tmp_path: Path, taken: int) -> None:
    for number in range(taken):
        made, _, _ = _set(tmp_path, _interrupted)
        assert made.folder.name.endswith("-set" if number == 0 else f"-set-{number + 1}")
