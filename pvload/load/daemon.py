"""The daemon as a child: started before the run, watched, stopped in order at its end, started again when told to.

It lives in a session of its own and does not outlive the process that started it. Its stdout and stderr go to two
files of the run directory, which the monitor follows. What happens to it is kept until an engine can record it.
"""

from __future__ import annotations

import os
import shlex
import signal
import socket
import struct
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import gevent

from pvload.clock import NS_PER_S, Clock
from pvload.lifeline import end_with_parent
from pvload.load.children import ChildError
from pvload.profiles.schema import Target
from pvload.wire import run_directory
from pvload.wire.log_level import RUST_LOG

STOP_TIMEOUT_S: Final = 10.0
"""From SIGINT to SIGKILL."""
BEAT_S: Final = 0.05
WATCH_BEAT_S: Final = 0.1
LAST_LINES: Final = 5
_BY_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER: no time to linger."""
LAST_BYTES: Final = 16_384
"""Of each log, in which the last lines are looked for."""
STARTED, ANSWERS, ASKED_TO_STOP, GONE = range(4)
"""Codes of DAEMON records."""


@dataclass(frozen=True, slots=True)
class Happened:
    """One thing that happened to the daemon."""

    code: int
    pid: int
    at_ns: int
    """CLOCK_MONOTONIC of this host, which is the run's axis."""
    details: str = ""
    exit_status: int = 0
    """Of one that is gone; negative: the signal that ended it."""


def _in_the_child() -> None:
    """It ends with pvload, and hears SIGINT: a shell's background command, pvload itself perhaps, is deaf to it."""
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Daemon:
    """One run's."""

    def __init__(
        self,
        target: Target,
        folder: Path,
        clock: Clock,
        *,
        on_event: Callable[[Happened], None],
        on_gone: Callable[[ChildError], None],
        is_over: Callable[[], bool] = lambda: False,
    ) -> None:
        """on_gone: it ended though nobody here had told it to. is_over: nobody waits for it to answer any more."""
        self._target = target
        self._folder = folder
        self._clock = clock
        self._on_event = on_event
        self._on_gone = on_gone
        self._is_over = is_over
        self._process: subprocess.Popen[bytes] | None = None
        self._stopping = False
        self._watching: gevent.Greenlet | None = None

    @property
    def pid(self) -> int:
        """0: it does not live."""
        process = self._process
        return process.pid if process is not None and process.poll() is None else 0

    def start(self) -> None:
        """Starts it and waits until its address takes connections; ChildError says what it did instead."""
        host, _, port = self._target.address.rpartition(":")
        if _connects(host, int(port)):
            raise ChildError(
                f"something listens on {self._target.address} already, so the daemon cannot be started there",
                hint="stop it, or leave target.start out and measure it as it is",
            )
        self._launch()
        self._stopping = False
        deadline_ns = self._clock.monotonic_ns() + int(self._target.start_within * NS_PER_S)
        while not _connects(host, int(port)):
            if self._is_over():
                self.stop()
                raise ChildError(f"the daemon ({self._target.start}) was not waited for any longer: the run ends")
            if not self.pid:
                raise self._ended_early()
            if self._clock.monotonic_ns() >= deadline_ns:
                self.stop()
                raise ChildError(
                    f"the daemon ({self._target.start}) does not listen on {self._target.address} "
                    f"{self._target.start_within:g} s after its start",
                    hint=self._last_lines(),
                )
            gevent.sleep(BEAT_S)
        self._tell(ANSWERS)
        self._watching = gevent.spawn(self._watch, self._process)

    def stop(self) -> int:
        """SIGINT, and SIGKILL when that does not end it in time; its exit status, 0 if it does not live."""
        process = self._process
        if process is None or process.poll() is not None:
            return process.returncode if process is not None else 0
        self._stopping = True
        self._tell(ASKED_TO_STOP, "SIGINT")
        _signal(process, signal.SIGINT)
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._tell(ASKED_TO_STOP, f"SIGKILL: it had not ended {STOP_TIMEOUT_S:g} s after SIGINT")
            _signal(process, signal.SIGKILL)
            process.wait()
        self._gone(process)
        return int(process.returncode)

    def restart(self) -> int:
        """Stops it and starts another; the exit status of the one that was stopped."""
        status = self.stop()
        self.start()
        return status

    def _launch(self) -> None:
        try:
            with (
                (self._folder / run_directory.DAEMON_LOG).open("ab") as stdout,
                (self._folder / run_directory.DAEMON_STDERR).open("ab") as stderr,
            ):
                self._process = subprocess.Popen(
                    shlex.split(self._target.start),
                    stdin=subprocess.DEVNULL,
                    stdout=stdout,
                    stderr=stderr,
                    env=environment(os.environ, self._target),
                    start_new_session=True,
                    preexec_fn=_in_the_child,
                )
        except (OSError, ValueError) as exc:
            raise ChildError(f"the daemon ({self._target.start}) cannot be started: {exc}") from exc
        self._tell(STARTED, self._target.start)

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        """Tells if it ends by itself."""
        while process.poll() is None:
            gevent.sleep(WATCH_BEAT_S)
        if process is self._process and not self._stopping:
            self._on_gone(self._ended_early())

    def _ended_early(self) -> ChildError:
        """It is gone though nobody told it to."""
        process = self._process
        if process is None:
            return ChildError("the daemon was not started")
        self._gone(process)
        return ChildError(
            f"the daemon ({self._target.start}) ended by itself: {ending(process.returncode)}", hint=self._last_lines()
        )

    def _gone(self, process: subprocess.Popen[bytes]) -> None:
        _signal(process, signal.SIGKILL)  # what it had started and left behind
        happened = Happened(
            GONE, process.pid, self._clock.monotonic_ns(), ending(process.returncode), process.returncode
        )
        self._on_event(happened)

    def _tell(self, code: int, details: str = "") -> None:
        pid = self._process.pid if self._process is not None else 0
        self._on_event(Happened(code, pid, self._clock.monotonic_ns(), details))

    def _last_lines(self) -> str:
        """The end of its logs, for a message to a person."""
        said = []
        for name in (run_directory.DAEMON_LOG, run_directory.DAEMON_STDERR):
            with (self._folder / name).open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - LAST_BYTES))
                lines = log.read().decode(errors="replace").strip().splitlines()
            said += [f"{name}: {line[:300]}" for line in lines[-LAST_LINES:]]
        return "\n".join(said) or "it printed nothing"


def environment(variables: Mapping[str, str], target: Target) -> dict[str, str]:
    """The daemon's: this process's, the log levels that the witness needs, and what the profile says."""
    return {**variables, "RUST_LOG": RUST_LOG, "NO_COLOR": "1", **target.env}


def ending(status: int) -> str:
    """How a process ended, in words."""
    return f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    """To it and to all that it started in its session, as Ctrl-C in a terminal does."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _connects(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host.strip("[]"), port), timeout=1.0) as connection:
            if not is_its_own_peer(connection):
                return True
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _BY_RESET)
    except OSError:
        pass
    return False


def is_its_own_peer(connection: socket.socket) -> bool:
    """Whether nobody listens there: the kernel had given our end the very port that we looked for.

    Ports as high as 50051 are such ports, and one try in some ten thousand is connected to itself. Closed by a reset it
    leaves the port free for the daemon at once.
    """
    return bool(connection.getsockname()[:2] == connection.getpeername()[:2])
