"""What the parts of one simulator hand each other: frames, observers, sensors, and the world they share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from pvload.clock import Clock
from pvload.profiles.simulated import Simulator as SimulatorTable
from pvload.sim.daemonlog import Log
from pvload.sim.faults import FaultTable
from pvload.sim.images import ImageBook, View
from pvload.sim.ledger import Ledger
from pvload.sim.pace import Pace
from pvload.sim.starvation import Starvation


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame as the driver hands it to the observers; the image itself is a number in a ring."""

    device: str
    made: int
    """Counts the device's frame periods, for ever."""
    ordinal: int
    """Counts the acquisition's frame periods from 0; faults go by it."""
    acquisition: int
    """From 1, since the daemon's start."""
    numbering: int
    """Grows when frame_number starts over."""
    frame_number: int
    source_ns: int
    exposure_ms: float
    view: View
    roi_x: int
    roi_y: int
    binning: tuple[int, int] | None


class Observer(Protocol):
    """One subscriber at the driver's side."""

    block: int
    """Its downsampling: 1, 2 or 4."""
    call: int

    @property
    def behind(self) -> bool:
        """Has it no room for another frame, though its client is there?"""
        ...

    def offer(self, frame: Frame) -> None:
        """Takes the frame or loses it; never waits."""
        ...

    async def room(self) -> None:
        """Returns when it is not behind any more."""
        ...


@dataclass(frozen=True, slots=True)
class World:
    """What all parts of one simulator share."""

    clock: Clock
    ledger: Ledger
    log: Log
    faults: FaultTable
    images: ImageBook
    table: SimulatorTable
    starvation: Starvation


@dataclass(frozen=True, slots=True)
class Sensor:
    """What a camera is."""

    device: str
    driver: Literal["pvcam", "mock_camera"]
    width: int
    height: int
    pace: Pace
    painter: str
    first_number: int
    """frame_number of the first frame: pvcam without SDK counts from 0, the mock camera from 1."""
