"""A real collector in a thread, with a fold that only counts."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from plain_collector import CountingFold
from pvload.clock import SystemClock
from pvload.collect.collector import Collector, about_collector
from pvload.collect.intake import Intake
from pvload.wire.journal import FILE_NAME, JournalError, JournalReader, JournalWriter, Row


class FailingJournal(JournalWriter):
    """Refuses every commit once `full` says so, as on a disk without room."""

    full: Callable[[], bool] = staticmethod(lambda: False)

    def commit(self, rows: Sequence[Row]) -> None:
        if rows and self.full():
            raise JournalError("the journal could not be committed: no room (a test)")
        super().commit(rows)


class Collecting:
    """`with Collecting(...) as it`: listens at `it.endpoint`; leaving ends it in order, `it.killed()` without."""

    def __init__(self, run_dir: Path, run: bytes, *, port: int = 0, fold: CountingFold | None = None) -> None:
        self.run_dir = run_dir
        self.fold = fold or CountingFold()
        self.endpoint = ""
        self.full = False
        """The journal's disk has no room."""
        self._run = run
        self._port = port
        self._listening = threading.Event()
        self._orders, self._commands = os.pipe()
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> Self:
        self.run_dir.mkdir(exist_ok=True)
        self._thread.start()
        assert self._listening.wait(20)
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.order({"is": "end", "reason": "duration", "deadline_ns": 1})
        self._thread.join(20)
        os.close(self._commands)
        os.close(self._orders)

    def _work(self) -> None:
        self.journal = FailingJournal.open(self.run_dir / FILE_NAME, run=self._run)
        self.journal.full = lambda: self.full
        self.intake = Intake(self._run, self.journal.senders(), about=about_collector())
        self.collector = Collector(
            run_dir=self.run_dir,
            intake=self.intake,
            journal=self.journal,
            fold=self.fold,
            clock=SystemClock(),
            figures=self.fold.live,
            verdict_so_far=lambda: "PASS",
            run=self._run,
        )
        try:
            self.endpoint = self.collector.listen("127.0.0.1", self._port)
            self._listening.set()
            self.collector.serve(self._orders)
        finally:
            self.collector.close()

    def order(self, line: dict[str, object]) -> None:
        os.write(self._commands, json.dumps(line).encode() + b"\n")

    def stored(self, sender: bytes) -> list[tuple[int, int, bytes | None, str]]:
        """What the journal holds of one sender by now."""
        with JournalReader.open(self.run_dir / FILE_NAME) as journal:
            return list(journal.batches(sender))
