"""Runs Locust as a child in a session of its own, and hands back what the run came to.

Ctrl-C and SIGTERM reach this process alone; it passes the first one on as an order to end, once the child has said that
it records (before that the order waits, so that every run leaves a report). The second one kills the child: engines and
collector then end by themselves, and the collector still writes what it has.
"""

from __future__ import annotations

import json
import os
import queue
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

from pvload.errors import FormatError, PvloadError
from pvload.run.command import Wish, arguments, environment
from pvload.run.progress import Display
from pvload.wire import live, run_directory

TICK_S: Final = 0.1
INTERRUPTED_EXIT_CODE: Final = 3
INVALID_EXIT_CODE: Final = 4
REPORT_WAIT_S: Final = 15.0


@dataclass(slots=True)
class Outcome:
    """What a run came to."""

    exit_code: int = INVALID_EXIT_CODE
    verdict: str = ""
    """Empty: there is none, see `errors`."""
    report: Path | None = None
    run_dir: Path | None = None
    errors: list[PvloadError] = field(default_factory=list)


class Supervisor:
    """One child, one run."""

    def __init__(self, wish: Wish, display: Display, *, planned_s: float) -> None:
        self._wish = wish
        self._display = display
        self._planned_s = planned_s
        self._outcome = Outcome()
        self._lines: queue.Queue[bytes | None] = queue.Queue()
        self._interrupts = 0
        self._passed_on = False
        self._began_s = 0.0

    def run(self) -> Outcome:
        """Runs to the end and gives the outcome."""
        with tempfile.NamedTemporaryFile(prefix="pvload-locust-", suffix=".log", delete=False) as log:
            log_path = Path(log.name)
            child = self._start(log)
        try:
            with self._signals(), self._display:
                ended = self._follow(child)
        finally:
            self._reap(child)
        self._keep_log(log_path)
        if not ended:
            self._without_verdict(child.returncode, log_path)
        return self._outcome

    def _start(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        self._began_s = time.monotonic()
        child = subprocess.Popen(
            arguments(self._wish, port=_free_port() if self._wish.workers else 0),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            env=environment(os.environ),
            start_new_session=True,
        )
        threading.Thread(target=self._read, args=(child.stdout,), daemon=True).start()
        return child

    def _read(self, stdout: IO[bytes]) -> None:
        for line in stdout:
            self._lines.put(line)
        self._lines.put(None)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Counts Ctrl-C and SIGTERM while the child runs."""

        def count(_number: int, _frame: Any) -> None:
            self._interrupts += 1

        before = {number: signal.signal(number, count) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _follow(self, child: subprocess.Popen[bytes]) -> bool:
        """Reads what the child says until it says no more; did it end with a verdict or a clear error?"""
        next_s = self._began_s + self._display.every_s
        while True:
            try:
                line = self._lines.get(timeout=TICK_S)
            except queue.Empty:
                line = b""
            if line is None:
                return bool(self._outcome.verdict or self._outcome.errors)
            if line:
                self._take(line)
            self._pass_on(child)
            if self._interrupts > 1:
                self._display.say("interrupted again: ending at once")
                return self._kill(child)
            now_s = time.monotonic()
            if now_s >= next_s:
                next_s = now_s + self._display.every_s
                self._display.show(self._figures(), now_s - self._began_s, self._planned_s)

    def _take(self, line: bytes) -> None:
        """One line of the child."""
        try:
            fields = json.loads(line)
            what = fields["is"]
        except (ValueError, TypeError, KeyError):
            return
        outcome = self._outcome
        if what == "began":
            outcome.run_dir = Path(fields["run_dir"])
            self._display.say(f"recording in {outcome.run_dir}")
        elif what == "remark":
            self._display.say(f"note: {fields['message']}")
        elif what == "error":
            error = PvloadError(fields["message"], hint=fields["hint"])
            error.exit_code = outcome.exit_code = fields["exit_code"]
            outcome.errors.append(error)
        elif what == "ended":
            outcome.verdict, outcome.exit_code = fields["verdict"], fields["exit_code"]
            outcome.report = Path(fields["report"])

    def _pass_on(self, child: subprocess.Popen[bytes]) -> None:
        """The first interrupt, as soon as a report is certain."""
        if self._interrupts and not self._passed_on and self._outcome.run_dir is not None:
            self._passed_on = True
            self._display.say("ending the run in order (once more to end at once)")
            os.kill(child.pid, signal.SIGINT)

    def _kill(self, child: subprocess.Popen[bytes]) -> bool:
        """The child and its workers are gone at once; the collector writes the report of what it has."""
        os.killpg(child.pid, signal.SIGKILL)
        self._outcome.exit_code = INTERRUPTED_EXIT_CODE
        folder = self._outcome.run_dir
        if folder is None:
            return False
        report = folder / run_directory.REPORT
        deadline_s = time.monotonic() + REPORT_WAIT_S
        while not report.exists() and time.monotonic() < deadline_s:
            time.sleep(TICK_S)
        self._outcome.report = report if report.exists() else None
        self._outcome.verdict = "INCONCLUSIVE" if report.exists() else ""
        return report.exists()

    def _reap(self, child: subprocess.Popen[bytes]) -> None:
        """No child is left behind, whatever happened here."""
        try:
            child.wait(5.0)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()

    def _keep_log(self, log: Path) -> None:
        """Locust's own log belongs to the run."""
        folder = self._outcome.run_dir
        if folder is not None:
            shutil.move(log, folder / run_directory.LOGS / "locust.log")
        elif self._outcome.errors:
            log.unlink()

    def _without_verdict(self, returncode: int, log: Path) -> None:
        folder = self._outcome.run_dir
        kept = folder / run_directory.LOGS / "locust.log" if folder is not None else log
        how = f"signal {-returncode}" if returncode < 0 else f"exit code {returncode}"
        text = "interrupted" if self._interrupts else f"the load process ended without a verdict ({how})"
        self._outcome.exit_code = INTERRUPTED_EXIT_CODE if self._interrupts else INVALID_EXIT_CODE
        self._outcome.errors.append(PvloadError(text, hint=f"see {kept}"))

    def _figures(self) -> live.Live | None:
        if self._outcome.run_dir is None:
            return None
        try:
            return live.read_live(self._outcome.run_dir)
        except (FormatError, OSError):
            return None


def _free_port() -> int:
    """A port that nobody has now; workers find their master by it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
