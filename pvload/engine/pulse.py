"""What an engine says once a second: that it lives, how late it was, how its clock stands, what came on its streams."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from typing import Final

from pvload.clock import NS_PER_S
from pvload.engine.context import Context
from pvload.engine.lag import LagMeter
from pvload.ship.axis import AxisNotes
from pvload.ship.shipper import Shipper
from pvload.wire.event import Kind

PERIOD_NS: Final = NS_PER_S


class Pulse:
    """Beats on absolute deadlines, and once more at the end."""

    def __init__(
        self, context: Context, *, sender: bytes, shipper: Shipper, lag: LagMeter, streams: Callable[[], int]
    ) -> None:
        self._context = context
        self._sender = sender
        self._shipper = shipper
        self._lag = lag
        self._streams = streams
        self._axis = AxisNotes(context.recorder)

    async def run(self) -> None:
        """Beats until it is cancelled. A late beat does not shift the later ones; missed ones are left out."""
        clock = self._context.clock
        due_ns = clock.monotonic_ns()
        while True:
            due_ns += PERIOD_NS * (1 + max(0, clock.monotonic_ns() - due_ns) // PERIOD_NS)
            await asyncio.sleep(max(0, due_ns - clock.monotonic_ns()) / NS_PER_S)
            self.beat()

    def beat(self) -> None:
        """Records LAG, CLOCK if it is news, and HEARTBEAT; sends the populations' aggregates."""
        context, recorder, clock = self._context, self._context.recorder, self._context.clock
        acknowledged = self._shipper.acknowledged(self._sender)
        depth = max(0, recorder.spool.count - acknowledged)
        recorder.append(Kind.LAG, spool_depth=depth, **asdict(self._lag.take()))
        self.record_clock()
        recorder.append(
            Kind.HEARTBEAT,
            t_ns=clock.monotonic_ns(),
            wall_ns=clock.wall_ns(),
            frames=context.frames,
            spool_records=recorder.spool.count,
            acknowledged=acknowledged,
            streams=self._streams(),
        )
        for tally in context.tallies.values():
            context.outbox.send(tally.take())

    def record_clock(self) -> None:
        """Records how this host's clock stands to the run's axis, whenever that is news."""
        self._axis.record(self._shipper.offset)
