"""One acquisition, from StartStream to whatever ends it, and what the driver says of it in the log."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from typing import Final, Literal

from pvload.profiles.simulated import Fault
from pvload.sim.daemonlog import ACQUISITION, Log
from pvload.sim.pace import Settings

Ending = Literal["stopped", "client_left", "no_consumers", "timeout", "flag", "fault"]
"""stopped: StopStream; client_left and no_consumers: the disconnect policy; timeout: five waits of 2 s in vain; flag:
acquisition.streaming was set false; fault: a stop that nobody here ordered."""
UNNUMBERED_ERROR: Final = 185
"""PVCAM's number (invalid configuration) where a fault's text brings none."""
_NUMBER: Final = re.compile(r"(?:error\s+)?(\d+)[:\s]\s*(.+)", re.IGNORECASE | re.DOTALL)


@dataclass(slots=True)
class Acquisition:
    """What is true of it so far. Its producers look at it before every frame."""

    number: int
    """From 1, since the daemon's start, per camera."""
    settings: Settings
    """Of its start."""
    started_ns: int
    locked_stalls: list[Fault]
    """Still to come, by time or bytes."""
    waiting: dict[str, int]
    """Numbers of set calls, by parameter, that its next frame puts into effect."""
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    ended: Ending | None = None
    silenced: bool = False
    """A set call killed the producer: it stands still until somebody stops it."""
    captured: int = 0
    lost: int = 0
    """Frames that never were numbered."""
    discontinuities: int = 0
    produced_bytes: int = 0
    """Raw."""

    @property
    def exited(self) -> bool:
        """The frame loop is over although the flag says otherwise."""
        return self.ended == "no_consumers"


def log_started(log: Log, settings: Settings, *, roi: dict[str, int], mode: str, already: bool) -> None:
    """The driver's lines of a start."""
    across, down = settings.binning or (1, 1)
    log.line(
        "INFO",
        ACQUISITION,
        f"start_stream: roi=({roi['x']},{roi['y']} {roi['width']}x{roi['height']}), binning=({across},{down}), "
        f"exposure={settings.exposure_ms}ms, mode={mode.replace(' ', '')}",
        span="start_stream",
    )
    text = "already streaming" if already else "pvcam_sdk NOT compiled - using mock stream"
    log.line("WARN", ACQUISITION, f"start_stream: {text}", span="start_stream")


def log_tick(log: Log, ticks: int) -> None:
    """The complaint of every two seconds in which the camera gave nothing."""
    log.complaint(
        f"[PVCAM DEBUG] Timeouts: {ticks}, Status: 0, Bytes: 0, BufferCnt: 0, streaming: true, "
        "callback_pending: 0, err_code: 0"
    )


def log_given_up(log: Log) -> None:
    """The driver's involuntary stop: nobody ordered it, nobody is told."""
    log.line("WARN", ACQUISITION, "Frame loop: max consecutive timeouts reached")
    log.complaint("[PVCAM DEBUG] Breaking due to max consecutive timeouts")
    log.line("ERROR", ACQUISITION, "Acquisition error (involuntary stop)", error="Timeout")


def log_alone(log: Log, *, given_up: bool) -> None:
    """The last client left; and, five seconds later, what becomes of it."""
    if not given_up:
        log.line("INFO", ACQUISITION, "All consumers gone, starting 5 second disconnect timer")
        return
    log.line("WARN", ACQUISITION, "No consumers for 5 seconds, stopping the frame loop")
    log.complaint("[PVCAM DEBUG] No receivers. Dropping frame")


def log_ended(log: Log, acquisition: Acquisition, frames: int) -> None:
    """The frame loop's last words and its summary, the only place where hardware loss is told."""
    log.complaint(f"[PVCAM DEBUG] Frame loop exited: iter={frames}")
    level = "WARN" if acquisition.lost or acquisition.discontinuities else "INFO"
    log.line(
        level,
        ACQUISITION,
        f"PVCAM acquisition ended: {acquisition.captured} frames captured, {acquisition.lost} lost, "
        f"{acquisition.discontinuities} discontinuities, 0 dropped",
    )


def log_error(log: Log, text: str) -> None:
    """A driver error with PVCAM's number: `text` may bring it, as in "151 frame readout failed"."""
    found = _NUMBER.fullmatch(text)
    number, message = (int(found[1]), found[2]) if found else (UNNUMBERED_ERROR, text)
    log.line("ERROR", ACQUISITION, f"PVCAM error {number}: {message}")
