"""Runs Locust as a child in a session of its own, and hands back what the run came to.

Ctrl-C, SIGTERM and SIGHUP reach this process alone; it passes the first one on as an order to end, once the child has
said that it records (before that the order waits, so that every run leaves a report). The second one kills the child:
engines and collector then end by themselves, and the collector still writes what it has. A child that goes on long
after the plan's end gets both from here.
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
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

from pvload.errors import FormatError, PvloadError
from pvload.plan.check import Plan
from pvload.run.command import Wish, arguments, environment
from pvload.run.progress import Display, Rows, Stillness
from pvload.wire import live, run_directory
from pvload.wire.spools import remove_empty

TICK_S: Final = 0.1
LOOK_EVERY_S: Final = 0.5
"""At the live figures."""
INTERRUPTED_EXIT_CODE: Final = 3
INVALID_EXIT_CODE: Final = 4
REPORT_WAIT_S: Final = 15.0
SPOOL_WAIT_S: Final = 5.0
DAEMON_WAIT_S: Final = 10.0
"""From SIGINT to SIGKILL."""
FRAMES_PATIENCE_S: Final = 30.0
CAMERA_WARNING: Final = "the camera may still run: the next run will find it running"


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a child that does not end by itself is left alone; each is far longer than the child's own limits."""

    begin_s: float = 300.0
    """Until it says that it records."""
    over_s: float = 300.0
    """Beyond its plan."""
    order_s: float = 240.0
    """Once it was told to end."""


@dataclass(slots=True)
class Outcome:
    """What a run came to."""

    exit_code: int = INVALID_EXIT_CODE
    verdict: str = ""
    """Empty: there is none, see `errors`."""
    report: Path | None = None
    run_dir: Path | None = None
    errors: list[PvloadError] = field(default_factory=list)
    interrupted: bool = False
    """Somebody asked for its end before it came."""


class Supervisor:
    """One child, one run."""

    def __init__(
        self, wish: Wish, display: Display, plan: Plan, *, patience: Patience | None = None, rows: Rows = ()
    ) -> None:
        """rows: (label, value) that the progress shows beside the run's own figures."""
        self._rows = rows
        self._wish = wish
        self._display = display
        self._camera_stays = plan.profile.target.address != "sim" and not plan.profile.target.start
        frames = wish.frames or plan.profile.run.frames
        self._planned_s = 0.0 if frames else plan.profile.run.duration
        self._stall_s = plan.stall_threshold_s
        self._limit_s = limit_s(plan, frames)
        self._patience = patience if patience is not None else Patience()
        self._due_s = 0.0
        self._overdue = False
        self._spool: Path | None = None
        self._daemon = 0
        """Process and session of the daemon that the child started and has not ended yet; 0: none."""
        self._outcome = Outcome()
        self._lines: queue.Queue[bytes | None] = queue.Queue()
        self._interrupts = 0
        self._passed_on = False
        self._began_s = 0.0

    def run(self) -> Outcome:
        """Runs to the end and gives the outcome."""
        with self._signals():
            with tempfile.NamedTemporaryFile(prefix="pvload-locust-", suffix=".log", delete=False) as log:
                log_path = Path(log.name)
                child = self._start(log)
            try:
                with self._display:
                    ended = self._follow(child)
            finally:
                self._reap(child)
                self._end_daemon()
            kept = self._keep_log(log_path)
        if not ended:
            self._without_verdict(child.returncode, kept)
        self._outcome.interrupted = self._interrupts > 0
        return self._outcome

    def _start(self, log: IO[bytes]) -> subprocess.Popen[bytes]:
        self._began_s = time.monotonic()
        self._due_s = self._began_s + self._patience.begin_s
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
        with stdout:
            for line in stdout:
                self._lines.put(line)
        self._lines.put(None)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Counts Ctrl-C and SIGTERM while the child runs, and one SIGHUP: a terminal that closes sends several.

        A SIGHUP that nohup has switched off stays so.
        """

        def count(number: int, _frame: Any) -> None:
            if number != signal.SIGHUP or not self._interrupts:
                self._interrupts += 1

        numbers = [signal.SIGINT, signal.SIGTERM]
        numbers += [signal.SIGHUP] if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN else []
        before = {number: signal.signal(number, count) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _follow(self, child: subprocess.Popen[bytes]) -> bool:
        """Reads what the child says until it says no more; did it end with a verdict or a clear error?"""
        next_s, look_s = self._began_s + self._display.every_s, 0.0
        figures, still, waits_said = None, Stillness(self._stall_s), False
        while True:
            try:
                line = self._lines.get(timeout=TICK_S)
            except queue.Empty:
                line = b""
            if line is None:
                return bool(self._outcome.verdict or self._outcome.errors)
            if line:
                self._take(line)
            elif child.poll() is not None:
                return self._left_behind(child)
            self._pass_on(child)
            if self._interrupts and not waits_said and not self._passed_on:
                waits_said = True
                self._display.say("the run ends as soon as it records (once more to end at once)")
            if self._interrupts > 1:
                self._display.say("interrupted again: ending at once")
                return self._kill(child)
            now_s = time.monotonic()
            if now_s >= self._due_s and self._too_late(child, now_s):
                return self._kill(child)
            if now_s >= look_s:
                look_s = now_s + LOOK_EVERY_S
                figures = self._figures()
                still.rows(figures, now_s)
            if now_s >= next_s:
                next_s = now_s + self._display.every_s
                more = [*self._rows, *still.rows(figures, now_s)]
                self._display.show(figures, now_s - self._began_s, self._planned_s, more)

    def _left_behind(self, child: subprocess.Popen[bytes]) -> bool:
        """The child is gone, and others of its session that hold its stdout are not: nobody leads them any more."""
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        while line := self._lines.get():
            self._take(line)
        return bool(self._outcome.verdict or self._outcome.errors)

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
            self._spool = Path(fields["spool"])
            self._due_s = time.monotonic() + self._limit_s + self._patience.over_s
            self._display.say(f"recording in {outcome.run_dir}")
        elif what == "daemon":
            self._daemon = int(fields["pid"])
        elif what == "remark":
            self._display.say(f"note: {fields['message']}")
        elif what == "error":
            error = PvloadError(fields["message"], hint=fields["hint"])
            error.exit_code = outcome.exit_code = fields["exit_code"]
            outcome.errors.append(error)
        elif what == "ended":
            outcome.verdict, outcome.exit_code = fields["verdict"], fields["exit_code"]
            outcome.report = Path(fields["report"]) if fields["report"] else None

    def _pass_on(self, child: subprocess.Popen[bytes]) -> None:
        """The first interrupt, as soon as a report is certain."""
        if self._interrupts and not self._passed_on and self._outcome.run_dir is not None:
            self._passed_on = True
            self._display.say("ending the run in order (once more to end at once)")
            self._due_s = time.monotonic() + self._patience.order_s
            os.kill(child.pid, signal.SIGINT)

    def _too_late(self, child: subprocess.Popen[bytes], now_s: float) -> bool:
        """The child should have ended long ago: it is told to, the first time; is it to be killed?"""
        if self._overdue or self._interrupts or self._outcome.run_dir is None:
            self._display.say("the load process does not end: ending at once")
            self._overdue = True
            return True
        self._overdue = True
        self._due_s = now_s + self._patience.order_s
        self._display.say("the run goes on long after its planned end: ending it in order")
        os.kill(child.pid, signal.SIGINT)
        return False

    def _kill(self, child: subprocess.Popen[bytes]) -> bool:
        """The child and its workers are gone at once; the collector writes the report of what it has."""
        os.killpg(child.pid, signal.SIGKILL)
        self._outcome.exit_code = INVALID_EXIT_CODE if self._overdue else INTERRUPTED_EXIT_CODE
        folder = self._outcome.run_dir
        if folder is None:
            return False
        self._outcome.report = self._late_report(folder)
        self._outcome.verdict = "INCONCLUSIVE" if self._outcome.report is not None else ""
        return self._outcome.report is not None and not self._overdue

    def _late_report(self, folder: Path) -> Path | None:
        """What the collector, which is nobody's child now, writes of a run that was killed."""
        if self._camera_stays:
            self._display.say(CAMERA_WARNING)
        report = folder / run_directory.REPORT
        deadline_s = time.monotonic() + REPORT_WAIT_S
        while not report.exists() and time.monotonic() < deadline_s:
            time.sleep(TICK_S)
        self._clear_spool()
        return report if report.exists() else None

    def _clear_spool(self) -> None:
        """The engines, which end by themselves, empty their spools; nobody else is left to remove the folders."""
        if self._spool is None:
            return
        deadline_s = time.monotonic() + SPOOL_WAIT_S
        remove_empty(self._spool)
        while self._spool.exists() and time.monotonic() < deadline_s:
            time.sleep(TICK_S)
            remove_empty(self._spool)

    def _reap(self, child: subprocess.Popen[bytes]) -> None:
        """No child is left behind, whatever happened here."""
        try:
            child.wait(5.0)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGKILL)
            child.wait()

    def _end_daemon(self) -> None:
        """One whose starter was killed: the kernel told it to end, but not what it had started itself."""
        if not self._daemon:
            return
        self._display.say("ending the daemon that was started for the run")
        deadline_s = time.monotonic() + DAEMON_WAIT_S
        with suppress(ProcessLookupError):
            os.killpg(self._daemon, signal.SIGINT)
            while time.monotonic() < deadline_s:
                time.sleep(TICK_S)
                os.killpg(self._daemon, 0)
            os.killpg(self._daemon, signal.SIGKILL)

    def _keep_log(self, log: Path) -> Path:
        """Locust's own log belongs to the run, if there is room; gives where it stands."""
        folder = self._outcome.run_dir
        if folder is None or not folder.is_dir():
            if self._outcome.errors:
                log.unlink(missing_ok=True)
            return log
        kept = folder / run_directory.LOGS / "locust.log"
        try:
            shutil.move(log, kept)
        except OSError as exc:
            self._display.say(f"note: Locust's log stays in {log}: {exc.strerror}")
            return log
        return kept

    def _without_verdict(self, returncode: int, kept: Path) -> None:
        how = f"signal {-returncode}" if returncode < 0 else f"exit code {returncode}"
        text = "interrupted" if self._interrupts else f"the load process ended without a verdict ({how})"
        if self._overdue:
            text = "the load process did not end by itself, long after it should have, and was killed"
        folder = self._outcome.run_dir
        if folder is not None and folder.is_dir() and self._outcome.report is None:
            self._outcome.report = self._late_report(folder)
        interrupted = self._interrupts and not self._overdue
        self._outcome.exit_code = INTERRUPTED_EXIT_CODE if interrupted else INVALID_EXIT_CODE
        self._outcome.errors.append(PvloadError(text, hint=f"see {kept}"))

    def _figures(self) -> live.Live | None:
        if self._outcome.run_dir is None:
            return None
        try:
            return live.read_live(self._outcome.run_dir)
        except (FormatError, OSError):
            return None


def limit_s(plan: Plan, frames: int) -> float:
    """How long after it began to record the plan itself ends the run at the latest; frames that do not come are waited
    for twice as long, a daemon that the run starts as long as it may take."""
    target, duration_s = plan.profile.target, plan.profile.run.duration
    start_s = target.start_within if target.start else 0.0
    if not frames:
        return start_s + duration_s
    expected_s = frames / plan.rate_hz if plan.rate_hz else duration_s
    return start_s + 2 * expected_s + FRAMES_PATIENCE_S


def _free_port() -> int:
    """A port that nobody has now; workers find their master by it."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
