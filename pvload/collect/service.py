"""The collector as a process: what it says on stdout, what it obeys, and how it ends.

stdout carries JSON lines: `listening` with the endpoint once it can be reached, `result` at the end. One collector
works in a run directory at a time (it holds a lock on the folder). An existing journal is continued: it is the only
memory, so a collector that was killed goes on where the last commit was.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pvload.clock import Clock
from pvload.collect.collector import Collector, about_collector
from pvload.collect.intake import Intake
from pvload.errors import PvloadError
from pvload.wire.journal import FILE_NAME, JournalReader, JournalWriter
from pvload.wire.live import LiveFigures
from pvload.wire.replay import Fold, refold


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the run came to, and where it is written."""

    verdict: str
    exit_code: int
    report: str
    """Empty: it could not be written."""


@dataclass(frozen=True, slots=True)
class Work:
    """What is done with the records: the seam between the collector and the statistics."""

    fold: Fold
    figures: Callable[[], LiveFigures]
    """What the fold knows at any moment; called once a second."""
    verdict_so_far: Callable[[], str]
    conclude: Callable[[str], Outcome]
    """Writes summary and report; its argument says why nothing was journaled any more, empty if all was."""


def serve(run_dir: Path, *, run: bytes, address: str, port: int, work: Work, clock: Clock, orders_fd: int) -> Outcome:
    """The whole life of one collector. PvloadError if it cannot begin."""
    with _lock(run_dir):
        path = run_dir / FILE_NAME
        journal = JournalWriter.open(path, run=run)
        with JournalReader.open(path) as written:
            refold(work.fold, written)
            intake = Intake(
                run, written.senders(), rejected=written.rejected, missing=written.missing, about=about_collector()
            )
        collector = Collector(
            run_dir=run_dir,
            intake=intake,
            journal=journal,
            fold=work.fold,
            clock=clock,
            figures=work.figures,
            verdict_so_far=work.verdict_so_far,
            run=run,
        )
        try:
            endpoint = collector.listen(address, port)
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: collector.interrupt())
            say({"is": "listening", "endpoint": endpoint})
            collector.serve(orders_fd)
            outcome = work.conclude(collector.trouble)
            collector.show_end(outcome.verdict)
        finally:
            collector.close()
    say({"is": "result", "verdict": outcome.verdict, "exit_code": outcome.exit_code, "report": outcome.report})
    return outcome


def say(line: dict[str, Any]) -> None:
    """One JSON line on stdout; a parent that is gone does not matter."""
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


@contextlib.contextmanager
def _lock(run_dir: Path) -> Iterator[None]:
    fd = os.open(run_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as exc:
            raise PvloadError(f"another collector works in {run_dir}") from exc
        yield
    finally:
        os.close(fd)
