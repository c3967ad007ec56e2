"""A child process that speaks one JSON object a line, waited for without blocking Locust's other greenlets.

Locust has replaced `subprocess` and pipes by cooperative ones, so the plain calls below yield to other greenlets.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import gevent
from gevent.lock import RLock
from gevent.queue import Empty, Queue

from pvload.errors import PvloadError

INVALID_EXIT_CODE = 4


class ChildError(PvloadError):
    """A process of the run could not be started, or did not do its part in time."""

    exit_code = INVALID_EXIT_CODE


class LineChild:
    """One child in a session of its own; its stderr goes to a log file, its lines to a mailbox or a listener."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        *,
        log: Path,
        on_line: Callable[[bytes], None] | None = None,
        on_exit: Callable[[], None] | None = None,
    ) -> None:
        self.name = name
        self._arguments = [sys.executable, "-m", *arguments]
        self._log = log
        self._on_line = on_line
        self._on_exit = on_exit
        self._lines: Any = Queue()
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: gevent.Greenlet | None = None
        self._writing = RLock()

    @property
    def pid(self) -> int:
        """0 before `start`."""
        return self._process.pid if self._process is not None else 0

    @property
    def alive(self) -> bool:
        """Has been started and has not ended."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Starts the process; never called before Locust has forked. ChildError if it cannot be started."""
        try:
            self._log.parent.mkdir(parents=True, exist_ok=True)
            with self._log.open("ab") as stderr:
                self._process = subprocess.Popen(
                    self._arguments,
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=stderr,
                    start_new_session=True,
                )
        except OSError as exc:
            raise ChildError(f"{self.name} cannot be started: {exc}") from exc
        self._reader = gevent.spawn(self._read)

    def send(self, line: bytes) -> None:
        """Writes one line; ChildError if the child is not there to read it."""
        process = self._process
        if process is None or process.stdin is None:
            raise ChildError(f"{self.name} is not running")
        try:
            with self._writing:
                process.stdin.write(line)
                process.stdin.flush()
        except (OSError, ValueError) as exc:
            raise ChildError(f"{self.name} does not listen any more ({self._ending()})") from exc

    def expect(self, what: str, *, timeout_s: float) -> dict[str, Any]:
        """The next object whose `is` equals `what`; ChildError if it ends or does not say so in time."""
        fields: dict[str, Any] | None = None
        try:
            with gevent.Timeout(timeout_s, Empty):
                while (fields := self._lines.get()) is not None:
                    if fields.get("is") == what:
                        break
        except Empty:
            raise ChildError(f"{self.name} did not say {what!r} within {timeout_s:g} s", hint=self._hint()) from None
        if fields is not None:
            return dict(fields)
        raise ChildError(f"{self.name} ended before it said {what!r} ({self._ending()})", hint=self._hint())

    def end(self, *, timeout_s: float) -> None:
        """Closes its stdin and waits; kills it when it stays longer than timeout_s."""
        process = self._process
        if process is None:
            return
        if process.stdin is not None:
            try:
                with self._writing:
                    process.stdin.close()
            except OSError:
                pass  # it has gone already
        try:
            process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()
        if self._reader is not None:
            self._reader.join(1.0)

    def kill(self) -> None:
        """SIGKILL, and reap."""
        if self.alive:
            os.kill(self.pid, signal.SIGKILL)
        if self._process is not None:
            self._process.wait(5)

    def last_words(self) -> str:
        """The last line of its log, for a message to a person."""
        try:
            lines = self._log.read_text(errors="replace").strip().splitlines()
        except OSError:
            return ""
        return lines[-1][:500] if lines else ""

    def _read(self) -> None:
        process = self._process
        if process is None or process.stdout is None:
            return
        while line := process.stdout.readline():
            if self._on_line is not None:
                self._on_line(line)
            else:
                self._lines.put(_object(line))
        process.wait()
        self._hang_up(process)
        self._lines.put(None)
        if self._on_exit is not None:
            self._on_exit()

    def _hang_up(self, process: subprocess.Popen[bytes]) -> None:
        """Closes the pipes of a child that has gone: it stands in a circle of references, and is collected late."""
        with self._writing:
            for pipe in (process.stdin, process.stdout):
                with suppress(OSError):  # what was not written yet has no reader any more
                    if pipe is not None:
                        pipe.close()

    def _ending(self) -> str:
        code = self._process.poll() if self._process is not None else None
        return "still running" if code is None else f"signal {-code}" if code < 0 else f"exit code {code}"

    def _hint(self) -> str:
        words = self.last_words()
        return f"{words} (all of it: {self._log})" if words else f"see {self._log}"


def _object(line: bytes) -> dict[str, Any]:
    """The line's object; a line that is none says nothing."""
    try:
        fields = json.loads(line)
    except ValueError:
        return {}
    return dict(fields) if isinstance(fields, dict) else {}
