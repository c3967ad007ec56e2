"""Figures in the text of a daemon's log line: PVCAM's error numbers, stall ticks, the end-of-stream account. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class DriverError:
    """What PVCAM said."""

    code: int | None
    """PVCAM's own number; None: the line has none."""
    message: str


@dataclass(frozen=True, slots=True)
class StallTick:
    """The driver waited for a frame in vain, once more."""

    timeouts: int
    """In a row; one every 2 s, the fifth ends the acquisition."""
    status: int
    """1: reads out, 0: the camera is stopped."""
    bytes_arrived: int
    buffers: int
    """Frames the driver's buffer holds that nobody took."""
    callbacks_pending: int
    """More than 0: a callback came and its consumer is stuck."""
    error: int


@dataclass(frozen=True, slots=True)
class StreamEnd:
    """The server's own account of one subscription."""

    device: str
    reason: str
    """client_disconnected, observer_channel_closed, ..."""
    sent: int
    dropped: int
    client: str
    """Address without port; empty: not said."""


_CODE: Final = (
    re.compile(r"PVCAM error\s*[#:]?\s*(\d+)"),
    re.compile(r"\berr(?:or)?[_ ]?code\s*[:=]\s*(\d+)", re.IGNORECASE),
    re.compile(r"\b(?:failed|error)\w*\b[^0-9]{0,24}?[:=(]\s*(\d+)\b", re.IGNORECASE),
    re.compile(r"\[PVCAM ERROR\s+(\d+)\]"),
)
_MARK: Final = re.compile(r"\[PVCAM ERROR[^\]]*\]\s*|^(?:TRACE|DEBUG|INFO|WARN|ERROR)\s+")
_SPAN: Final = re.compile(r"^(?:[\w:]+\{[^}]*\}:?)+\s*")
_TARGET: Final = re.compile(r"^(?:\w+(?:::\w+)+|daq_driver_\w+|pvcam(?:_\w+)?):\s+")
_TICK: Final = re.compile(
    r"Timeouts:\s*(?P<timeouts>\d+),\s*Status:\s*(?P<status>-?\d+),\s*Bytes:\s*(?P<bytes>\d+),"
    r"\s*BufferCnt:\s*(?P<buffers>\d+)(?:.*?callback_pending:\s*(?P<pending>\d+))?(?:.*?err_code:\s*(?P<error>-?\d+))?"
)
_FIELD: Final = re.compile(
    r'\b(?P<name>device_id|exit_reason|frames_sent|frames_dropped|client_ip)=(?P<value>"[^"]*"|\S+)'
)


def driver_error(text: str) -> DriverError:
    """Number and message of a line about a driver's error; the message is the line without level, spans and target."""
    message = text.strip()
    for part in (_MARK, _SPAN, _TARGET, _MARK):
        message = part.sub("", message, count=1)
    code = next((int(found[1]) for pattern in _CODE if (found := pattern.search(text))), None)
    return DriverError(code, message.strip())


def stall_tick(text: str) -> StallTick | None:
    """The figures of a `[PVCAM DEBUG] Timeouts: ...` line; None for any other line."""
    found = _TICK.search(text)
    if found is None:
        return None
    return StallTick(
        timeouts=int(found["timeouts"]),
        status=int(found["status"]),
        bytes_arrived=int(found["bytes"]),
        buffers=int(found["buffers"]),
        callbacks_pending=int(found["pending"] or 0),
        error=int(found["error"] or 0),
    )


def stream_end(text: str) -> StreamEnd | None:
    """The account of a `Tap-based frame stream forwarding task ended` line; None if it lacks the counters."""
    fields = {found["name"]: found["value"].strip('"') for found in _FIELD.finditer(text)}
    sent, dropped = fields.get("frames_sent", ""), fields.get("frames_dropped", "")
    if not sent.isdecimal() or not dropped.isdecimal():
        return None
    return StreamEnd(
        device=fields.get("device_id", ""),
        reason=fields.get("exit_reason", ""),
        sent=int(sent),
        dropped=int(dropped),
        client=fields.get("client_ip", ""),
    )
