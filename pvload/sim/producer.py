"""A producer: makes the frames of an acquisition at the camera's pace, and does what the faults tell it.

It looks at the streaming flag only after its sleep: StopStream and StartStream within one exposure leave two of them,
both numbering from the camera's one counter, each with the settings of its own start.
"""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING, Final

from pvload.clock import NS_PER_S, Clock
from pvload.profiles.simulated import Fault
from pvload.sim.acquisition import Acquisition, log_error, log_given_up, log_tick
from pvload.sim.faults import due
from pvload.sim.pace import next_deadline, period_of, resumed_ns, sleep_until
from pvload.sim.world import World

if TYPE_CHECKING:
    from pvload.sim.camera import Camera

TICK_NS: Final = 2 * NS_PER_S
"""Between two complaints of the driver about a camera that gives nothing."""
TICKS_TO_GIVE_UP: Final = 5
"""Then the driver stops the camera, and the streaming flag goes false: no stall outlasts ten seconds."""


class Producer:
    """Runs until the streaming flag is false, or for good after a stall that ends the acquisition."""

    def __init__(self, camera: Camera, acquisition: Acquisition, world: World) -> None:
        self._camera = camera
        self._acquisition = acquisition
        self._world = world
        self._deadline_ns = 0
        self._period_ns = 0
        self._dark = False
        self._lost = False

    async def run(self) -> None:
        """One frame after another."""
        camera, clock, pace = self._camera, self._world.clock, self._camera.sensor.pace
        self._period_ns = period_of(pace, camera.settings_of(self._acquisition))
        self._deadline_ns = clock.monotonic_ns() + self._period_ns
        while True:
            await sleep_until(clock, self._deadline_ns)
            if not camera.goes_on():
                return
            ordinal, made = camera.next_period()
            if not await self._carry_out_faults(ordinal, made) or not await self._let_all_follow(made):
                return
            settings = camera.settings_of(self._acquisition)
            if self._lost:
                camera.note_lost(self._acquisition, made, "fault")
            else:
                camera.deliver(self._acquisition, settings, ordinal=ordinal, made=made, dark=self._dark)
            self._period_ns = period_of(pace, settings)
            now_ns = clock.monotonic_ns()
            self._deadline_ns, missed = next_deadline(pace, self._deadline_ns, now_ns=now_ns, period_ns=self._period_ns)
            for _ in range(missed):
                camera.note_lost(self._acquisition, camera.skip_period(), "overrun")

    async def _carry_out_faults(self, ordinal: int, made: int) -> bool:
        """What is wrong at this frame; False if the producer ends."""
        self._dark = self._lost = False
        for fault in self._faults(ordinal):
            self._camera.note_fault(fault.kind, made)
            if fault.kind == "stall":
                if not await self._stall(self._end_of(fault), made):
                    return False
            elif fault.kind == "stop":
                self._camera.stop_on_order("fault", reason="fault")
                return False
            elif fault.kind == "crash":
                os.kill(os.getpid(), signal.SIGKILL)
            else:
                self._do(fault)
        if not self._camera.silenced:
            return True
        return await self._stall(None, made)

    def _faults(self, ordinal: int) -> list[Fault]:
        acquisition = self._camera.current_or(self._acquisition)
        found = self._world.faults.of_producer(acquisition.number, ordinal)
        if acquisition.locked_stalls:
            since_ns = self._world.clock.monotonic_ns() - acquisition.started_ns
            come = [
                fault
                for fault in acquisition.locked_stalls
                if due(fault, since_start_ns=since_ns, produced_bytes=acquisition.produced_bytes)
            ]
            acquisition.locked_stalls = [fault for fault in acquisition.locked_stalls if fault not in come]
            found = [*found, *come]
        return found

    def _do(self, fault: Fault) -> None:
        """The faults that take no time."""
        if fault.kind == "counter_reset":
            self._camera.restart_numbers()
        elif fault.kind == "second_producer":
            self._camera.add_producer(self._acquisition)
        elif fault.kind == "starved":
            self._world.starvation.begin(fault.duration)
        elif fault.kind == "driver_error":
            log_error(self._world.log, fault.text)
        self._dark |= fault.kind == "zero_image"
        self._lost |= fault.kind == "drop_before_numbering"

    async def _let_all_follow(self, made: int) -> bool:
        """Under the policy "block": waits for the slowest; False if the acquisition was stopped meanwhile."""
        if self._world.table.slow_readers != "block" or not (slow := self._camera.slow_calls()):
            return True
        clock = self._world.clock
        since_ns = clock.monotonic_ns()
        self._world.ledger.note("blocking", device=self._camera.sensor.device, calls=slow, made=made)
        while self._camera.slow_calls():
            room = asyncio.ensure_future(self._camera.room())
            stopped = asyncio.ensure_future(self._acquisition.stopped.wait())
            try:
                await asyncio.wait((room, stopped), return_when=asyncio.FIRST_COMPLETED)
            finally:
                room.cancel()
                stopped.cancel()
            if self._acquisition.stopped.is_set():
                return False
        self._deadline_ns = clock.monotonic_ns()
        self._world.ledger.note("blocked", device=self._camera.sensor.device, calls=slow, made=made, since_ns=since_ns)
        return self._camera.goes_on()

    def _end_of(self, fault: Fault) -> int | None:
        """When a stall ends; None: never."""
        if not fault.duration:
            return None
        return resumed_ns(
            self._camera.sensor.pace,
            self._deadline_ns,
            stall_ns=round(fault.duration * NS_PER_S),
            period_ns=self._period_ns,
        )

    async def _stall(self, until_ns: int | None, made: int) -> bool:
        """Stands still until then; False if the acquisition was stopped meanwhile, by a client or by the driver."""
        clock, log = self._world.clock, self._world.log
        ticks, since_ns = 0, clock.monotonic_ns()
        tick_ns = since_ns + TICK_NS
        while until_ns is None or clock.monotonic_ns() < until_ns:
            wake_ns = tick_ns if until_ns is None else min(tick_ns, until_ns)
            if await _set_before(self._acquisition.stopped, clock, wake_ns):
                return False
            if clock.monotonic_ns() < tick_ns:
                continue
            ticks += 1
            tick_ns += TICK_NS
            log_tick(log, ticks)
            if ticks == TICKS_TO_GIVE_UP:
                log_given_up(log)
                self._camera.give_up()
                return False
        if until_ns is not None:
            self._deadline_ns = until_ns
        self._world.ledger.note("resumed", device=self._camera.sensor.device, made=made, since_ns=since_ns, ticks=ticks)
        return True


async def _set_before(event: asyncio.Event, clock: Clock, deadline_ns: int) -> bool:
    try:
        async with asyncio.timeout(max(deadline_ns - clock.monotonic_ns(), 0) / NS_PER_S):
            await event.wait()
    except TimeoutError:
        return False
    return True
