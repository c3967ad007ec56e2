"""Follows the daemon's log through a command, such as `ssh HOST journalctl -fu rust-daq`: its stdout and stderr.

The command runs in a session of its own and is started again when it ends, later and later. What it prints again then,
and what it prints of the time before the run, is left out: such commands begin with the last lines they have.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import subprocess
from collections import deque
from typing import Final

from pvload.clock import NS_PER_S, Clock
from pvload.errors import ConfigError
from pvload.monitor.follow import LineAssembler
from pvload.monitor.tokens import classify
from pvload.wire.codes import LogClass

FIRST_PAUSE_NS: Final = NS_PER_S
LONGEST_PAUSE_NS: Final = 60 * NS_PER_S
PROVEN_NS: Final = 60 * NS_PER_S
"""A command that lived so long is started again after the first pause."""
OLD_NS: Final = 2 * NS_PER_S
"""A line of the first burst that was stamped so long before the start is not the run's."""
BURST_NS: Final = 10 * NS_PER_S
"""The first burst begins so early, or there is none; and it lasts no longer."""
KNOWN_LINES: Final = 512
"""Lines remembered, by which a repetition is known."""
END_S: Final = 1.0
_CHUNK_BYTES: Final = 64 * 1024
_CHUNKS_PER_POLL: Final = 32


def words_of(command: str) -> list[str]:
    """The words of a command line as a shell would take it apart; ConfigError if it cannot be."""
    try:
        words = shlex.split(command)
    except ValueError as exc:
        raise ConfigError(f"the log command {command!r} cannot be read: {exc}") from exc
    if not words:
        raise ConfigError("the log command is empty")
    return words


class CommandFollower:
    """The lines of a command. `poll` starts it again when that is due."""

    def __init__(self, command: str, clock: Clock) -> None:
        """ConfigError if it cannot be taken apart; it is not given to a shell."""
        self.name = command
        self.opened = False
        """A line that can only be the daemon's has come since the command was started last."""
        self.trouble = ""
        """How it ended, the last time that it did."""
        self.starts = 0
        self._words = words_of(command)
        self._clock = clock
        self._process: subprocess.Popen[bytes] | None = None
        self._assembler = LineAssembler()
        self._cut = 0
        self._known: deque[str] = deque(maxlen=KNOWN_LINES)
        self._repeats = False
        self._burst_began_ns, self._burst_over = 0, False
        self._last_old: bool | None = None
        """Of the burst's lines so far; None: none had a stamp."""
        self._start_wall_ns = 0
        self._started_ns = 0
        self._due_ns = 0
        self._pause_ns = FIRST_PAUSE_NS

    @property
    def cut(self) -> int:
        """Lines longer than is kept."""
        return self._cut + self._assembler.cut

    @property
    def pid(self) -> int:
        """Of the running command; 0: it does not run."""
        return self._process.pid if self._process is not None else 0

    def start(self) -> None:
        """Starts the command; what it prints of the time before is old."""
        self._start_wall_ns = self._clock.wall_ns()
        self._launch()

    def poll(self) -> list[str]:
        """New lines of the daemon since the last poll."""
        if self._process is None:
            if self._clock.monotonic_ns() < self._due_ns:
                return []
            self._launch()
        lines, ended = self._read()
        fresh = self._fresh(lines)
        if ended:
            fresh += self._fresh(self._assembler.flush())
            self._ended()
        return fresh

    def close(self) -> list[str]:
        """Ends the command; gives what it printed last."""
        process = self._process
        if process is None:
            return []
        self._signal(signal.SIGTERM)
        lines, _ = self._read()
        try:
            process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._signal(signal.SIGKILL)
            process.wait()
        self._process = None
        if process.stdout is not None:
            process.stdout.close()
        return self._fresh(lines + self._assembler.flush())

    def _launch(self) -> None:
        self.starts += 1
        self._started_ns = self._clock.monotonic_ns()
        self._repeats = self.starts > 1
        self._cut += self._assembler.cut
        self._assembler = LineAssembler()
        try:
            process = subprocess.Popen(
                self._words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as exc:
            self._later(f"{self._words[0]} cannot be started: {exc.strerror}")
            return
        self._process = process
        if process.stdout is not None:
            os.set_blocking(process.stdout.fileno(), False)

    def _read(self) -> tuple[list[str], bool]:
        """Lines that are there, and whether the command has closed its output."""
        lines: list[str] = []
        if self._process is None or self._process.stdout is None:
            return lines, False
        for _ in range(_CHUNKS_PER_POLL):
            try:
                data = os.read(self._process.stdout.fileno(), _CHUNK_BYTES)
            except BlockingIOError:
                return lines, False
            if not data:
                return lines, True
            lines += self._assembler.feed(data)
        return lines, False

    def _fresh(self, lines: list[str]) -> list[str]:
        """`lines` without repetitions and without what is older than the run."""
        seen = [classify(line) for line in lines]
        self.opened = self.opened or any(one.level or one.log_class is not LogClass.OTHER for one in seen)
        old = self._old([one.stamp_wall_ns for one in seen]) if self._in_burst(bool(lines)) else [False] * len(lines)
        fresh = []
        for line, is_old in zip(lines, old, strict=True):
            if is_old or (self._repeats and line in self._known):
                continue
            self._repeats = False
            self._known.append(line)
            fresh.append(line)
        return fresh

    def _in_burst(self, something: bool) -> bool:
        """Whether lines read now may be of the time before the run.

        What such commands begin with comes at once: until the first poll that brings nothing after something came,
        and not for ever: a host whose clock is behind and whose daemon never pauses would say nothing at all.
        """
        if self.starts > 1 or self._burst_over:
            return False
        now_ns = self._clock.monotonic_ns()
        late = now_ns - (self._burst_began_ns or self._started_ns) > BURST_NS
        self._burst_over = late or (self._burst_began_ns > 0 and not something)
        self._burst_began_ns = self._burst_began_ns or (now_ns if something else 0)
        return not self._burst_over

    def _old(self, stamps: list[int | None]) -> list[bool]:
        """Which lines of the burst are old: by their stamps; one without is as old as its neighbour with one."""
        limit_ns = self._start_wall_ns - OLD_NS
        known = [stamp < limit_ns for stamp in stamps if stamp is not None]
        if self._last_old is None:
            self._last_old = known[0] if known else None
        old = []
        for stamp in stamps:
            self._last_old = self._last_old if stamp is None else stamp < limit_ns
            old.append(self._last_old is not False)
        return old

    def _ended(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        if process.stdout is not None:
            process.stdout.close()
        try:
            code = process.wait(END_S)
        except subprocess.TimeoutExpired:  # it closed its output and goes on: nothing can come of it
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            code = process.wait()
        if self._clock.monotonic_ns() - self._started_ns >= PROVEN_NS:
            self._pause_ns = FIRST_PAUSE_NS
        how = f"signal {-code}" if code < 0 else f"exit code {code}"
        said = f', its last line was "{self._known[-1][:200]}"' if self._known and not self.opened else ""
        self._later(f"{self._words[0]} ended ({how}{said})")

    def _later(self, why: str) -> None:
        self.opened = False
        self.trouble = f"{why}; started again after {self._pause_ns // NS_PER_S} s"
        self._due_ns = self._clock.monotonic_ns() + self._pause_ns
        self._pause_ns = min(2 * self._pause_ns, LONGEST_PAUSE_NS)

    def _signal(self, number: int) -> None:
        """To the command and what it started: its session is its own."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def __repr__(self) -> str:
        return f"CommandFollower({self.name!r}, {'running' if self._process is not None else 'waiting'})"
