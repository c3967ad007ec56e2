"""The daemon's log, in its own format and words, so that a log witness has the real thing to read.

The daemon prints banners without a stamp and then stamped lines on stdout, warnings of its own and the [PVCAM ...]
lines on stderr. Here either goes to its stream, or both to one file in the order written, as when both are redirected
to it. Lines are written by a thread, at most FLUSH_S late.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol, TextIO

from pvload.clock import NS_PER_S, Clock
from pvload.errors import ConfigError

FLUSH_S: Final = 0.05
QUEUE_LINES: Final = 50_000
"""Lines waiting to be written; what does not fit is left out and counted in a last line."""
SERVICE: Final = "server::grpc::hardware_service"
ACQUISITION: Final = "daq_driver_pvcam::components::acquisition"
DRIVER: Final = "daq_driver_pvcam"
REGISTRY: Final = "hardware::registry"
LEVELS: Final = ("OFF", "ERROR", "WARN", "INFO", "DEBUG", "TRACE")
_COLOURS: Final = {"ERROR": 31, "WARN": 33, "INFO": 32, "DEBUG": 34, "TRACE": 35}


class Log(Protocol):
    """Where the daemon's lines go. Called on the frame path: must not block."""

    def line(self, level: str, target: str, message: str, *, span: str = "", **fields: object) -> None:
        """One stamped line on stdout; fields follow the message as key=value."""
        ...

    def raw(self, text: str) -> None:
        """One line as it is, on stdout: a banner."""
        ...

    def complaint(self, text: str) -> None:
        """One line as it is, on stderr."""
        ...


class NoLog:
    """Says nothing."""

    def line(self, level: str, target: str, message: str, *, span: str = "", **fields: object) -> None:
        """Forgets it."""

    def raw(self, text: str) -> None:
        """Forgets it."""

    def complaint(self, text: str) -> None:
        """Forgets it."""


class Filter:
    """Which stamped lines are printed, by the directives of RUST_LOG: `info,server=debug,daq_driver_pvcam=off`.

    A target's longest matching prefix decides, else the directive without a target, else nothing is printed. Empty
    directives print ERROR lines only, as the daemon does where RUST_LOG is not set. ConfigError for an unknown level.
    """

    def __init__(self, directives: str) -> None:
        self._limits: dict[str, int] = {}
        self._known: dict[tuple[str, str], bool] = {}
        for part in filter(None, (each.strip() for each in directives.split(","))):
            target, equals, level = part.partition("=")
            if not equals:
                target, level = ("", part) if part.upper() in LEVELS else (part, "TRACE")
            if level.upper() not in LEVELS:
                raise ConfigError(f"RUST_LOG: {part}: expected one of {', '.join(LEVELS).lower()}")
            self._limits[target] = LEVELS.index(level.upper())
        if not self._limits:
            self._limits[""] = LEVELS.index("ERROR")

    def passes(self, level: str, target: str) -> bool:
        """Whether a line of this level and target is printed."""
        key = (level, target)
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = LEVELS.index(level) <= self._limit(target)
        return known

    def _limit(self, target: str) -> int:
        fitting = [prefix for prefix in self._limits if target.startswith(prefix)]
        return self._limits[max(fitting, key=len)] if fitting else 0


ALL: Final = Filter("trace")


def formatted(wall_ns: int, level: str, target: str, message: str, *, span: str, fields: dict[str, object]) -> str:
    """A line as the daemon's log writer lays it out; a key `_name` gives a value in quotes under `name`."""
    where = f'{span}{{method="{span}"}}: ' if span else ""
    return f"{_stamp(wall_ns)} {level:>5} {where}{target}: {message}{_tail(fields)}"


def coloured(wall_ns: int, level: str, target: str, message: str, *, span: str, fields: dict[str, object]) -> str:
    """The same line with the escape sequences that the daemon's writer adds unless NO_COLOR is set."""
    where = f'\x1b[1m{span}\x1b[0m\x1b[1m{{\x1b[0m\x1b[3mmethod\x1b[0m\x1b[2m=\x1b[0m"{span}"' if span else ""
    where += "\x1b[1m}\x1b[0m\x1b[2m:\x1b[0m " if span else ""
    head = f"\x1b[2m{_stamp(wall_ns)}\x1b[0m \x1b[{_COLOURS[level]}m{level:>5}\x1b[0m "
    return f"{head}{where}\x1b[2m{target}\x1b[0m\x1b[2m:\x1b[0m {message}{_tail(fields)}"


def _stamp(wall_ns: int) -> str:
    second = datetime.fromtimestamp(wall_ns // NS_PER_S, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{second}.{wall_ns % NS_PER_S // 1000:06d}Z"


def _tail(fields: dict[str, object]) -> str:
    return "".join(
        f' {key[1:]}="{value}"' if key.startswith("_") else f" {key}={value}" for key, value in fields.items()
    )


class DaemonLog:
    """Writes to one file, or to stdout and stderr where no path is given."""

    def __init__(self, path: Path | None, clock: Clock, *, only: Filter = ALL, colours: bool = False) -> None:
        self._path = path
        self._clock = clock
        self._passes = only.passes
        self._layout = coloured if colours else formatted
        self._lines: deque[tuple[bool, str]] = deque()
        """(on stderr, text)."""
        self._left_out = 0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sim-log", daemon=True)

    def start(self) -> None:
        """Opens the file, appending as a redirected daemon would, and starts the writer."""
        if self._path is not None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._path.touch()
        self._thread.start()

    def line(self, level: str, target: str, message: str, *, span: str = "", **fields: object) -> None:
        """Queues a stamped line, if its level and target pass."""
        if self._passes(level, target):
            self.raw(self._layout(self._clock.wall_ns(), level, target, message, span=span, fields=fields))

    def raw(self, text: str) -> None:
        """Queues a line of stdout as it is."""
        self._queue(False, text)

    def complaint(self, text: str) -> None:
        """Queues a line of stderr as it is."""
        self._queue(True, text)

    def close(self) -> None:
        """Writes what is left and closes the file."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()

    def _queue(self, on_stderr: bool, text: str) -> None:
        if len(self._lines) >= QUEUE_LINES:
            self._left_out += 1
        else:
            self._lines.append((on_stderr, text))

    def _run(self) -> None:
        if self._path is None:
            self._follow(sys.stdout, sys.stderr)
            return
        with self._path.open("a", encoding="utf-8") as file:
            self._follow(file, file)

    def _follow(self, out: TextIO, err: TextIO) -> None:
        while not self._closing.wait(FLUSH_S):
            self._write(out, err)
        self._write(out, err)

    def _write(self, out: TextIO, err: TextIO) -> None:
        waiting = [self._lines.popleft() for _ in range(len(self._lines))]
        if self._left_out:
            waiting.append((True, f"simulator: {self._left_out} log lines left out"))
            self._left_out = 0
        if out is err:
            _print(out, (text for _, text in waiting))
            return
        _print(out, (text for on_stderr, text in waiting if not on_stderr))
        _print(err, (text for on_stderr, text in waiting if on_stderr))


def _print(file: TextIO, lines: Iterable[str]) -> None:
    text = "".join(f"{line}\n" for line in lines)
    if text:
        file.write(text)
        file.flush()
