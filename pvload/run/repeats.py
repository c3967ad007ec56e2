"""The same run again and again: each with its own run directory in the set's, and then the set judged as a whole.

Ctrl-C ends the run that is on, in order, and the set with what there is. A repeat that could not run is a failure, and
the next one is tried nevertheless; only where the first one was refused for its configuration there is no use in more.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pvload.errors import PvloadError, RunDirectoryError
from pvload.plan.check import Plan
from pvload.report.sets import Ran, SetReport, report_set
from pvload.run.command import Wish
from pvload.run.progress import Display
from pvload.run.supervisor import Outcome, Supervisor


@dataclass(frozen=True, slots=True)
class SetOutcome:
    """What a set came to."""

    exit_code: int
    folder: Path
    report: SetReport | None
    """None: the first run was refused, see `refused`."""
    refused: Outcome | None = None


def run_set(
    wish: Wish,
    plan: Plan,
    times: int,
    display_of: Callable[[], Display],
    *,
    supervise: Callable[..., Supervisor] = Supervisor,
    wall_ns: int | None = None,
) -> SetOutcome:
    """Runs `times` times and judges the set. display_of: a fresh display for each run."""
    folder = _folder(wish.runs, plan.profile.run.name, time.time_ns() if wall_ns is None else wall_ns)
    ran: list[Ran] = []
    with _interrupts() as asked:
        for number in range(1, times + 1):
            if asked:
                break
            display, turn = display_of(), f"{number} of {times}"
            supervisor = supervise(replace(wish, runs=folder), display, plan, rows=(("repeat", turn),))
            display.say(f"repeat {turn}")
            outcome = supervisor.run()
            if number == 1 and outcome.exit_code == PvloadError.exit_code:
                _remove_empty(folder)
                return SetOutcome(outcome.exit_code, folder, None, outcome)
            if outcome.verdict or not outcome.interrupted:
                ran.append(_ran(outcome))  # one that was interrupted before it recorded says nothing
            display.say(f"repeat {turn}: {outcome.verdict or 'could not run'}")
            if outcome.interrupted:
                break
    report = report_set(folder, ran, plan.profile.criteria, name=plan.profile.run.name, planned=times)
    return SetOutcome(report.exit_code, folder, report)


def _ran(outcome: Outcome) -> Ran:
    there = outcome.run_dir if outcome.run_dir is not None and outcome.run_dir.is_dir() else None
    if outcome.verdict:
        return Ran(there)
    return Ran(there, "; ".join(one.message for one in outcome.errors) or "it ended without a verdict")


def _folder(runs: Path, name: str, wall_ns: int) -> Path:
    """A fresh set directory; RunDirectoryError if it cannot be made."""
    stamp = datetime.fromtimestamp(wall_ns / 1e9, UTC).strftime("%Y%m%dT%H%M%SZ")
    for number in range(1, 1000):
        folder = runs / (f"{stamp}-{name}-set" if number == 1 else f"{stamp}-{name}-set-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as exc:
            raise RunDirectoryError(f"no directory for the set can be made in {runs}: {exc.strerror}") from exc
        return folder
    raise RunDirectoryError(f"{runs} has a thousand sets of this second")


def _remove_empty(folder: Path) -> None:
    if not any(folder.iterdir()):
        folder.rmdir()


@contextmanager
def _interrupts() -> Iterator[list[int]]:
    """Signals that came between two runs, where no supervisor listens."""
    asked: list[int] = []

    def note(number: int, _frame: Any) -> None:
        asked.append(number)

    numbers = [signal.SIGINT, signal.SIGTERM]
    numbers += [signal.SIGHUP] if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN else []
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
