"""`live.json`: what the collector knows of a running run, written once a second and replaced atomically.

For progress displays, the web UI and exporters. A reader always sees a whole file of one moment; nothing here is judged
and nothing is computed from it: the journal is the record, this is a glance. A figure that is not known is null.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Final, TypeVar

from pvload.errors import FormatError
from pvload.wire import run_directory

MAGIC: Final = "pvload.live"
VERSION: Final = 1
FILE_NAME: Final = run_directory.LIVE


@dataclass(frozen=True, slots=True, kw_only=True)
class LivePopulation:
    """One population, over all its streams; rates over about the last second or two."""

    name: str
    streams_open: int = 0
    frames: int = 0
    fps: float | None = None
    """Frames per second of all its streams together."""
    missing: int = 0
    """Missing frames of all classes but decimation."""
    stalls: int = 0
    longest_stall_s: float = 0.0
    errors: int = 0
    """Streams that ended without an order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveFigures:
    """What the fold can say at any moment, cheaply."""

    elapsed_s: float = 0.0
    """Since the run's first event on its axis; 0 before it."""
    streams_open: int = 0
    frames: int = 0
    fps: float | None = None
    """Frames per second of all streams together, over about the last second or two."""
    mb_per_s: float | None = None
    """Message bytes, 10^6 a second."""
    missing: int = 0
    """Missing frames of all classes but decimation."""
    stalls: int = 0
    """Stalls that are over, and those going on longer than the threshold."""
    longest_stall_s: float = 0.0
    age_p99_ms: float | None = None
    errors: int = 0
    """Streams that ended without an order."""
    lag_ms: float | None = None
    """The generator's worst lateness in the last heartbeat intervals of its engines."""
    lag_max_ms: float | None = None
    """The generator's worst lateness of the whole run."""
    populations: tuple[LivePopulation, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveAccounting:
    """Records by their numbers, over all senders."""

    delivered: int = 0
    missing: int = 0
    rejected: int = 0
    """Messages refused: junk, damaged, of another run, or out of the protocol."""
    senders: int = 0
    senders_finished: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """The whole file."""

    run: str
    """UUID of the run, hex."""
    state: str
    """running | ending | ended"""
    wall_ns: int
    """When it was written."""
    figures: LiveFigures
    accounting: LiveAccounting
    verdict: str = ""
    """While the run goes on: PASS, FAIL or INVALID with the criterion's name, or "open" (only the end decides).

    After it the verdict; empty before the first one."""
    trouble: str = ""
    """Why the collector can no longer do its work (such as a failed disk); empty when it can."""


def write_live(folder: Path, live: Live) -> None:
    """Replaces `folder`/live.json atomically; OSError if the folder cannot be written."""
    text = json.dumps({"magic": MAGIC, "version": VERSION, **asdict(live)}, indent=1, allow_nan=False)
    fresh = folder / f".{FILE_NAME}.{os.getpid()}"
    fresh.write_text(text + "\n", encoding="utf-8")
    fresh.replace(folder / FILE_NAME)


def read_live(folder: Path) -> Live | None:
    """The newest figures, or None if none were written yet; FormatError if the file is not this version's."""
    try:
        text = (folder / FILE_NAME).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    return live_from_json(text)


def live_from_json(text: str) -> Live:
    """Reads the file's text; FormatError says what is wrong with it."""
    try:
        values = json.loads(text)
    except ValueError as exc:
        raise FormatError(f"{FILE_NAME} is not JSON: {exc}") from exc
    if not isinstance(values, dict) or values.pop("magic", None) != MAGIC:
        raise FormatError(f"{FILE_NAME} does not say that it is {MAGIC}")
    version = values.pop("version", None)
    if version != VERSION:
        raise FormatError(f"{FILE_NAME} has version {version}, this pvload reads {VERSION}")
    try:
        figures = dict(values.pop("figures"))
        rows = tuple(_built(LivePopulation, row) for row in figures.pop("populations"))
        return _built(
            Live,
            {
                **values,
                "figures": _built(LiveFigures, {**figures, "populations": rows}),
                "accounting": _built(LiveAccounting, values["accounting"]),
            },
        )
    except (KeyError, TypeError, ValueError) as exc:
        raise FormatError(f"{FILE_NAME} lacks a field or has one too many: {exc}") from exc


_T = TypeVar("_T", Live, LiveFigures, LiveAccounting, LivePopulation)


def _built(kind: type[_T], values: dict[str, Any]) -> _T:
    """`kind` from exactly its fields; KeyError or TypeError names the first that is missing or unknown."""
    for item in fields(kind):
        if item.name not in values:
            raise KeyError(item.name)
    return kind(**values)
