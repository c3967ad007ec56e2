"""What came of each stretch in which the plan wanted a camera, and of each stop, over one sender's streams."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

RUNS: Final = 2000
"""Most stretches of a device kept, wanted and not: a thousand cycles."""
NAMES: Final = 64
"""Most subscribers of one stretch whose frames are counted apart."""


@dataclass(slots=True)
class WantedRun:
    """From a start to the stop after it."""

    begin_ns: int
    first_ns: int | None = None
    """The first frame of any stream."""
    frames: dict[str, int] = field(default_factory=dict)
    longest_ns: int = 0
    """The longest time without a frame on any stream that had one."""
    last_number: int | None = None
    """The highest frame_number."""

    def arrived(self, subscriber: str, count: int, *, first_ns: int, last_number: int) -> None:
        """Frames of one subscriber."""
        self.first_ns = first_ns if self.first_ns is None else min(self.first_ns, first_ns)
        self.last_number = last_number if self.last_number is None else max(self.last_number, last_number)
        if subscriber in self.frames or len(self.frames) < NAMES:
            self.frames[subscriber] = self.frames.get(subscriber, 0) + count


@dataclass(slots=True)
class StoppedRun:
    """From a stop to the start after it: streams were open, and the last frame that still came on any."""

    begin_ns: int
    last_ns: int | None = None


class CameraRuns:
    """By device and number of the stretch; the first RUNS of each device."""

    __slots__ = ("stopped", "wanted")

    def __init__(self) -> None:
        self.wanted: dict[tuple[str, int], WantedRun] = {}
        self.stopped: dict[tuple[str, int], StoppedRun] = {}

    def run(self, device: str, number: int, begin_ns: int) -> WantedRun:
        """The wanted stretch with this number; beyond the limit one that nobody reads."""
        if number >= RUNS:
            return WantedRun(begin_ns)
        return self.wanted.setdefault((device, number), WantedRun(begin_ns))

    def stop(self, device: str, number: int, begin_ns: int, last_ns: int | None) -> None:
        """A stream was open in this stopped stretch; last_ns: the last frame that came in it."""
        if number >= RUNS:
            return
        found = self.stopped.setdefault((device, number), StoppedRun(begin_ns))
        if last_ns is not None:
            found.last_ns = last_ns if found.last_ns is None else max(found.last_ns, last_ns)
