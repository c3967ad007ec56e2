"""The daemon's log lines by class: literal tokens in a table, the first row that matches decides.

Pure: a line in, its class out. The tokens are the daemon's own words, so they are case-sensitive and stand here exactly
as it prints them; what the table does not know is judged by the line's own level: an error, a warning, or OTHER.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from pvload.monitor.stamps import stamped
from pvload.wire.codes import LogClass


@dataclass(frozen=True, slots=True)
class Classified:
    """What one line is."""

    log_class: LogClass
    level: str
    """TRACE, DEBUG, INFO, WARN or ERROR; empty for a line that was printed without one."""
    stamp_wall_ns: int | None
    """When the line says it was written, since the epoch; None if it does not."""
    text: str
    """The line without its stamp and a journal's prefix."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table: it matches a line that holds every token."""

    log_class: LogClass
    tokens: tuple[str, ...]


def _rows(log_class: LogClass, *tokens: str | tuple[str, ...]) -> list[Row]:
    return [Row(log_class, (token,) if isinstance(token, str) else token) for token in tokens]


BUILD: Final = "pvcam_sdk feature enabled: "
"""Begins what the daemon says of its build, at each start."""
SYNTHETIC_BUILDS: Final = ("pvcam_sdk feature enabled: false", "using mock mode", "using mock stream")

TABLE: Final[tuple[Row, ...]] = (
    # Three lines a frame for the first ten frames of each stream: known, and of no interest.
    *_rows(LogClass.OTHER, "(early frame debug)"),
    *_rows(
        LogClass.READY,
        "DAQ gRPC server (with hardware) listening on",
        ("Registered ", " device(s)"),
        "Daemon running",
    ),
    *_rows(LogClass.SYNTHETIC, *SYNTHETIC_BUILDS),
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

_ROWS: Final = tuple((row.tokens[0], row.tokens[1:], row.log_class) for row in TABLE)
_ESCAPES: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\^_])")
_DRIVER_TARGET: Final = re.compile(r"\s(?:daq_driver_\w+|pvcam(?:_\w+)?)(?:::\w+)*:\s")


def strip_escapes(text: str) -> str:
    """`text` without ANSI escape sequences (colours, cursor movements, titles)."""
    return _ESCAPES.sub("", text) if "\x1b" in text else text


def classify(line: str) -> Classified:
    """The class, level and stamp of one line without escapes and line end."""
    parts = stamped(line)
    return Classified(_class_of(parts.text, parts.level), parts.level, parts.wall_ns, parts.text)


def _class_of(text: str, level: str) -> LogClass:
    for first, rest, log_class in _ROWS:
        if first in text and all(token in text for token in rest):
            return log_class
    if level == "WARN":
        return LogClass.DAEMON_WARNING
    if level != "ERROR":
        return LogClass.OTHER
    return LogClass.DRIVER_ERROR if _DRIVER_TARGET.search(text) is not None else LogClass.ERROR
