"""The live progress of a run: the collector's figures as a table on a terminal, or as a line now and then."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, suppress
from types import TracebackType
from typing import IO, Final, Protocol, Self, TypeAlias

from rich.console import Console
from rich.live import Live as RichLive
from rich.table import Table

from pvload.wire.live import Live

PLAIN_EVERY_S: Final = 5.0
TERMINAL_EVERY_S: Final = 0.5
SILENT_AFTER_S: Final = 2.0
"""The figures come once a second: less cannot be told."""
OLD_AFTER_S: Final = 5.0
Rows: TypeAlias = Sequence[tuple[str, str]]


class Display(AbstractContextManager["Display"], Protocol):
    """Where progress is shown. `every_s`: how often `show` is wanted."""

    every_s: float

    def show(self, live: Live | None, elapsed_s: float, planned_s: float, more: Rows = ()) -> None:
        """Shows the newest figures; None: there are none yet."""
        ...

    def say(self, text: str) -> None:
        """A line that stays."""
        ...


class Stillness:
    """Notices what one glance at the figures cannot show: that they do not change any more."""

    def __init__(self, stall_s: float) -> None:
        """stall_s: how long no frame may come until it is worth a word."""
        self._stall_s = max(stall_s, SILENT_AFTER_S)
        self._written_ns = 0
        self._written_s = 0.0
        self._frames = 0
        self._frames_s = 0.0

    def rows(self, live: Live | None, now_s: float) -> list[tuple[str, str]]:
        """(label, value) of what stands still at now_s; to be asked at least once a second."""
        if live is None:
            return []
        if live.wall_ns != self._written_ns:
            self._written_ns, self._written_s = live.wall_ns, now_s
        if live.figures.frames != self._frames:
            self._frames, self._frames_s = live.figures.frames, now_s
        if now_s - self._written_s >= OLD_AFTER_S:
            return [("these figures are", f"{now_s - self._written_s:.0f} s old")]
        silent_s = now_s - self._frames_s
        if live.figures.streams_open and self._frames and silent_s >= self._stall_s:
            return [("silent for", f"{silent_s:.1f} s")]
        return []


def display_on(stream: IO[str]) -> Display:
    """A table where `stream` is a terminal, lines elsewhere."""
    return TerminalDisplay(stream) if stream.isatty() else LineDisplay(stream)


def rows(live: Live | None, elapsed_s: float, planned_s: float, more: Rows = ()) -> list[tuple[str, str]]:
    """(label, value) of what a person wants to know of a running run."""
    if live is None:
        return [("elapsed", f"{_clock(elapsed_s)}, nothing recorded yet")]
    figures = live.figures
    shown = figures.elapsed_s if figures.elapsed_s > 0 else 0.0
    missing = f"{figures.missing:,}"
    stalls = f"{figures.stalls}" + (f", longest {figures.longest_stall_s:.1f} s" if figures.stalls else "")
    lines = [
        ("elapsed", f"{_clock(shown)} of {_clock(planned_s)}" if planned_s else _clock(shown)),
        ("streams", f"{figures.streams_open}"),
        ("frames", f"{figures.frames:,}"),
        ("fps", _figure(figures.fps, " in all" if figures.streams_open > 1 else "")),
        ("missing", missing),
        ("stalls", stalls),
        ("age p99", _figure(figures.age_p99_ms, " ms")),
        ("errors", f"{figures.errors}"),
        ("own lag", _figure(figures.lag_ms, " ms")),
        ("so far", live.verdict or "-"),
    ]
    lines += more
    return [*lines, ("trouble", live.trouble)] if live.trouble else lines


def line(live: Live | None, elapsed_s: float, planned_s: float, more: Rows = ()) -> str:
    """The same in one line."""
    return "  ".join(f"{label} {value}" for label, value in rows(live, elapsed_s, planned_s, more))


class LineDisplay:
    """A plain line every few seconds, for logs and pipes."""

    every_s = PLAIN_EVERY_S

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        return None

    def show(self, live: Live | None, elapsed_s: float, planned_s: float, more: Rows = ()) -> None:
        """One line."""
        self.say(line(live, elapsed_s, planned_s, more))

    def say(self, text: str) -> None:
        """One line; a reader that is gone does not matter."""
        with suppress(OSError):
            self._stream.write(text + "\n")
            self._stream.flush()


class TerminalDisplay:
    """A small table that is redrawn in place."""

    every_s = TERMINAL_EVERY_S

    def __init__(self, stream: IO[str]) -> None:
        self._console = Console(file=stream, highlight=False)
        self._live = RichLive(console=self._console, refresh_per_second=4, transient=True)

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        with suppress(OSError):  # the terminal has gone
            self._live.stop()

    def show(self, live: Live | None, elapsed_s: float, planned_s: float, more: Rows = ()) -> None:
        """Redraws the table."""
        grid = Table.grid(padding=(0, 2))
        for label, value in rows(live, elapsed_s, planned_s, more):
            grid.add_row(label, value)
        with suppress(OSError):
            self._live.update(grid)

    def say(self, text: str) -> None:
        """A line above the table."""
        with suppress(OSError):
            self._console.print(text, markup=False)


def _figure(value: float | None, unit: str) -> str:
    return "-" if value is None else f"{value:.1f}{unit}"


def _clock(seconds: float) -> str:
    whole = int(seconds)
    hours, rest = divmod(whole, 3600)
    return f"{hours}:{rest // 60:02d}:{rest % 60:02d}" if hours else f"{rest // 60}:{rest % 60:02d}"
