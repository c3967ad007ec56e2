"""What every stream and call of an engine shares."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from pvload.clock import Clock
from pvload.engine.changes import PendingChanges
from pvload.engine.frames import Inspection
from pvload.engine.outbox import Outbox
from pvload.engine.tally import Tally
from pvload.protocols.endpoint import Endpoint
from pvload.protocols.seam import StreamProtocol
from pvload.ship.recorder import Recorder


@dataclass(slots=True)
class Wanting:
    """What the engine was told last about a device: whether the plan wants it to run, and since when."""

    wanted: bool
    at_ns: int


@dataclass(slots=True)
class Context:
    """The engine's parts, made once at its start."""

    clock: Clock
    endpoint: Endpoint
    protocol: StreamProtocol
    recorder: Recorder
    outbox: Outbox
    inspection: Inspection
    tallies: dict[tuple[str, str], Tally] = field(default_factory=dict)
    """By population and method; frames have an empty one."""
    wanting: dict[str, Wanting] = field(default_factory=dict)
    """By device; a device nobody spoke of counts as wanted."""
    changes: PendingChanges = field(default_factory=PendingChanges)
    idle_ns: Callable[[], int] = time.monotonic_ns
    """How long the loop has had nothing to do; only differences count."""
    frames: int = 0
    """Frames of all streams since the start."""
    door: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while a connection is made: of many ordered at once, one a turn of the loop, so that frames get theirs."""

    def tally(self, population: str, method: str = "") -> Tally:
        """The population's tally of that method's calls or events (empty: of frames), made at first use."""
        found = self.tallies.get((population, method))
        if found is None:
            found = self.tallies[population, method] = Tally(population, method)
        return found
