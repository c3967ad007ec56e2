"""The daemon's log, in its own format and words, so that a log witness has the real thing to read.

One file takes what the daemon prints on stdout (banners without a stamp, then stamped lines) and on stderr (the
[PVCAM ...] lines), as when both are redirected to it. Lines are written by a thread, at most FLUSH_S late.
"""

from __future__ import annotations

import sys
import threading
from collections import deque
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Protocol, TextIO

from pvload.clock import NS_PER_S, Clock

FLUSH_S: Final = 0.05
QUEUE_LINES: Final = 50_000
"""Lines waiting to be written; what does not fit is left out and counted in a last line."""
SERVICE: Final = "server::grpc::hardware_service"
ACQUISITION: Final = "daq_driver_pvcam::components::acquisition"
DRIVER: Final = "daq_driver_pvcam"
REGISTRY: Final = "hardware::registry"


class Log(Protocol):
    """Where the daemon's lines go. Called on the frame path: must not block."""

    def line(self, level: str, target: str, message: str, *, span: str = "", **fields: object) -> None:
        """One stamped line; fields follow the message as key=value."""
        ...

    def raw(self, text: str) -> None:
        """One line as it is: a banner of stdout, or one of stderr."""
        ...


class NoLog:
    """Says nothing."""

    def line(self, level: str, target: str, message: str, *, span: str = "", **fields: object) -> None:
        """Forgets it."""

    def raw(self, text: str) -> None:
        """Forgets it."""


def formatted(wall_ns: int, level: str, target: str, message: str, *, span: str, fields: dict[str, object]) -> str:
    """A line as the daemon's log writer lays it out; a key `_name` gives a value in quotes under `name`."""
    stamp = datetime.fromtimestamp(wall_ns // NS_PER_S, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    where = f'{span}{{method="{span}"}}: ' if span else ""
    tail = "".join(
        f' {key[1:]}="{value}"' if key.startswith("_") else f" {key}={value}" for key, value in fields.items()
    )
    return f"{stamp}.{wall_ns % NS_PER_S // 1000:06d}Z {level:>5} {where}{target}: {message}{tail}"


class DaemonLog:
    """Writes to a file, or to stderr where no path is given."""

    def __init__(self, path: Path | None, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._lines: deque[str] = deque()
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
        """Queues a stamped line."""
        self.raw(formatted(self._clock.wall_ns(), level, target, message, span=span, fields=fields))

    def raw(self, text: str) -> None:
        """Queues a line as it is."""
        if len(self._lines) >= QUEUE_LINES:
            self._left_out += 1
            return
        self._lines.append(text)

    def close(self) -> None:
        """Writes what is left and closes the file."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        if self._path is None:
            self._follow(sys.stderr)
            return
        with self._path.open("a", encoding="utf-8") as file:
            self._follow(file)

    def _follow(self, file: TextIO) -> None:
        while not self._closing.wait(FLUSH_S):
            self._write(file)
        self._write(file)

    def _write(self, file: Any) -> None:
        lines = []
        while self._lines:
            lines.append(self._lines.popleft())
        if self._left_out:
            lines.append(f"simulator: {self._left_out} log lines left out")
            self._left_out = 0
        if lines:
            file.write("\n".join(lines) + "\n")
            file.flush()
