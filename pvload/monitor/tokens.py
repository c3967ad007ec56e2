"""The daemon's log lines by class: literal tokens in a table, the first row that matches decides.

Pure: a line in, its class out. The tokens are the daemon's own words, so they are case-sensitive and stand here exactly
as it prints them; what the table does not know is OTHER, or ERROR if the line's own level says so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from pvload.clock import NS_PER_S
from pvload.wire.codes import LogClass


@dataclass(frozen=True, slots=True)
class Classified:
    """What one line is."""

    log_class: LogClass
    level: str
    """TRACE, DEBUG, INFO, WARN or ERROR; empty for a line that was printed without one."""
    stamp_wall_ns: int | None
    """The line's own UTC stamp; None if it has none."""
    text: str
    """The line without its stamp."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table: it matches a line that holds every token."""

    log_class: LogClass
    tokens: tuple[str, ...]


def _rows(log_class: LogClass, *tokens: str | tuple[str, ...]) -> list[Row]:
    return [Row(log_class, (token,) if isinstance(token, str) else token) for token in tokens]


TABLE: Final[tuple[Row, ...]] = (
    # Three lines a frame for the first ten frames of each stream: known, and of no interest.
    *_rows(LogClass.OTHER, "(early frame debug)"),
    *_rows(
        LogClass.READY,
        "DAQ gRPC server (with hardware) listening on",
        ("Registered ", " device(s)"),
        "Daemon running",
    ),
    *_rows(LogClass.SYNTHETIC, "pvcam_sdk feature enabled: false", "using mock mode", "using mock stream"),
    *_rows(LogClass.REGISTRATION, "Device registration failed"),
    *_rows(
        LogClass.SUBSCRIBE,
        "Registered gRPC stream observer",
        "Starting tap-based frame stream forwarding task",
    ),
    *_rows(
        LogClass.DISCONNECT,
        "Client disconnected from frame stream",
        "Unregistered observer after client disconnect",
    ),
    *_rows(LogClass.STREAM_END, "Tap-based frame stream forwarding task ended"),
    *_rows(
        LogClass.DROP,
        "GrpcStreamObserver dropping frame due to backpressure",
        "Skipping frame due to gRPC backpressure",
    ),
    *_rows(LogClass.BAD_FRAME, "Frame data size mismatch", "Frame compression task panicked"),
    *_rows(LogClass.LIMIT, "Client exceeded maximum concurrent streams"),
    *_rows(LogClass.PARAMETER_LAG, "Parameter change stream lagged, dropped"),
    *_rows(LogClass.ALREADY_STREAMING, "Device already streaming (idempotent success)"),
    *_rows(LogClass.ACQUISITION_STARTED, "start_stream: roi=("),
    *_rows(LogClass.ACQUISITION_STOPPED, "stop_stream completed successfully"),
    *_rows(LogClass.SLOW_OBSERVER, "exceeded timing budget"),
    *_rows(LogClass.STALL_TICK, ("[PVCAM DEBUG] Timeouts:", "BufferCnt:")),
    *_rows(
        LogClass.STALL_END,
        "max consecutive timeouts reached",
        "Breaking due to max consecutive timeouts",
        "Acquisition error (involuntary stop)",
    ),
    *_rows(LogClass.LOOP_EXIT, "[PVCAM DEBUG] Frame loop exited:"),
    *_rows(LogClass.RUN_SUMMARY, "PVCAM acquisition ended:"),
    *_rows(LogClass.POOL, "[PVCAM BACKPRESSURE]", "Buffer pool exhausted"),
    *_rows(
        LogClass.INTEGRITY,
        "duplicate frame detected",
        "Zero-frame detected",
        "Frame number discontinuity",
        "pending_frames desync",
    ),
    *_rows(LogClass.UNLOCK, "Unlock failed for frame", "PVCAM unlock failures"),
    *_rows(
        LogClass.NO_CONSUMERS,
        "starting 5 second disconnect timer",
        "No consumers for 5 seconds",
        "Dropping frame",
    ),
    *_rows(LogClass.MODE_FALLBACK, "retrying with CIRC_NO_OVERWRITE", "fell back to CIRC_NO_OVERWRITE"),
    *_rows(
        LogClass.CALLBACK,
        "[PVCAM CALLBACK ENTRY]",
        "[PVCAM CALLBACK] Frame",
        "static context is NULL",
        "Panic caught in EOF callback",
    ),
    *_rows(LogClass.DISK, "HDF5 flush error", "Disk quota exceeded"),
    *_rows(LogClass.PANIC, "panicked at"),
    *_rows(LogClass.DRIVER_ERROR, "[PVCAM ERROR", "PVCAM error"),
    *_rows(LogClass.SHUTDOWN, "Shutdown signal received", "Daemon shutdown complete"),
)
"""Order matters where a line holds tokens of two rows: the more particular one stands first."""

_ESCAPES: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])")
_STAMPED: Final = re.compile(
    r"(?P<second>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(?P<fraction>\d{1,9})\d*)?Z"
    r"\s+(?P<text>(?P<level>TRACE|DEBUG|INFO|WARN|ERROR)\s.*)",
    re.DOTALL,
)
_DRIVER_TARGET: Final = re.compile(r"\s(?:daq_driver_\w+|pvcam(?:_\w+)?)(?:::\w+)*:\s")


def strip_escapes(text: str) -> str:
    """`text` without ANSI escape sequences (colours, cursor movements, titles)."""
    return _ESCAPES.sub("", text) if "\x1b" in text else text


def classify(line: str) -> Classified:
    """The class, level and stamp of one line without escapes and line end."""
    level, stamp, text = "", None, line
    if match := _STAMPED.match(line):
        level, text = match["level"], match["text"]
        stamp = _wall_ns(match["second"], match["fraction"] or "")
    for row in TABLE:
        if all(token in text for token in row.tokens):
            return Classified(row.log_class, level, stamp, text)
    if level != "ERROR":
        return Classified(LogClass.OTHER, level, stamp, text)
    by_driver = _DRIVER_TARGET.search(text) is not None
    return Classified(LogClass.DRIVER_ERROR if by_driver else LogClass.ERROR, level, stamp, text)


def _wall_ns(second: str, fraction: str) -> int | None:
    """Nanoseconds since the epoch, exact; None for a stamp that is no time (second 61, month 13)."""
    try:
        moment = datetime.strptime(second, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return None
    return int(moment.timestamp()) * NS_PER_S + int(fraction.ljust(9, "0"))
