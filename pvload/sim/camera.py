"""The simulated cameras: a producer that makes frames at its pace and offers each to every observer.

All of a simulator runs on one event loop thread, so nothing here locks. A producer looks at the streaming flag only
after its sleep: StopStream and StartStream within one exposure leave two producers, both numbering from one counter,
each with the settings of its own start.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Final, Literal, Protocol

from pvload.clock import NS_PER_S, Clock
from pvload.profiles.simulated import Fault
from pvload.sim.daemonlog import ACQUISITION, SERVICE, Log
from pvload.sim.faults import FaultTable
from pvload.sim.images import ImageBook, View, check_size
from pvload.sim.ledger import Ledger
from pvload.sim.pace import Pace, Settings, fits, next_deadline, period_of, resumed_ns, sleep_until
from pvload.sim.parameters import ParameterSet

TICK_NS: Final = 2 * NS_PER_S
"""Between two complaints of the driver about a camera that gives nothing."""
TICKS_TO_GIVE_UP: Final = 5
"""Then the driver stops a camera that never comes back, and the streaming flag goes false."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame as the driver hands it to the observers; the image itself is a number in a ring."""

    device: str
    made: int
    """Counts the device's frame periods, for ever."""
    ordinal: int
    """Counts the acquisition's frame periods from 0; faults go by it."""
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

    def offer(self, frame: Frame) -> None:
        """Takes the frame or loses it; never waits."""
        ...


@dataclass(frozen=True, slots=True)
class World:
    """What all parts of one simulator share."""

    clock: Clock
    ledger: Ledger
    log: Log
    faults: FaultTable
    images: ImageBook


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


class Camera:
    """One camera of the daemon. Call its methods on the loop's thread only."""

    def __init__(self, sensor: Sensor, parameters: ParameterSet, world: World) -> None:
        self.sensor = sensor
        self.parameters = parameters
        self.observers: dict[int, Observer] = {}
        self._world = world
        self._prefix = "acquisition." if sensor.driver == "pvcam" else ""
        self._handles = 1 if sensor.driver == "pvcam" else 0
        self._made = 0
        self._ordinal = 0
        self._numbering = 0
        self._count = 0
        self._stopped = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self.settings = self._settings()

    @property
    def streaming(self) -> bool:
        """The flag that the driver, GetDeviceState and the parameter of this name share."""
        return bool(self.parameters[f"{self._prefix}streaming"])

    @property
    def armed(self) -> bool:
        """The plain flag."""
        return bool(self.parameters[f"{self._prefix}armed"])

    @armed.setter
    def armed(self, value: bool) -> None:
        self.parameters[f"{self._prefix}armed"] = value

    @property
    def exposure_ms(self) -> float:
        """The parameter's value now; an acquisition keeps the one of its start."""
        if self.sensor.driver == "pvcam":
            return float(self.parameters["acquisition.exposure_ms"])
        return float(self.parameters["exposure_s"]) * 1000.0

    def register(self, observer: Observer) -> int:
        """Adds an observer and gives its handle."""
        handle = self._handles
        self._handles += 1
        self.observers[handle] = observer
        self._prepare(self.settings if self.streaming else self._settings(), observer.block)
        return handle

    def unregister(self, handle: int) -> None:
        """Removes an observer."""
        self.observers.pop(handle, None)

    def start(self, by: str) -> bool:
        """StartStream: False if the streaming flag was set already; ConfigError if an image would be too large."""
        settings = self._settings()
        check_size(settings.width, settings.height)
        self._log_start(settings)
        outcome = "already" if self.streaming else "started"
        self._world.ledger.note(
            "start_stream",
            device=self.sensor.device,
            outcome=outcome,
            exposure_ms=settings.exposure_ms,
            width=settings.width,
            height=settings.height,
            by=by,
        )
        if outcome == "already":
            return False
        self.settings = settings
        self.parameters[f"{self._prefix}streaming"] = True
        self._ordinal = 0
        if self.sensor.driver == "pvcam":
            self._restart_numbers()
        self._stopped = asyncio.Event()
        for block in {1, *(observer.block for observer in self.observers.values())}:
            self._prepare(settings, block)
        self._spawn(self._produce(settings, self._stopped))
        return True

    def stop(self, by: str) -> int:
        """StopStream: the driver's frame counter, whether it was running or not."""
        self.parameters[f"{self._prefix}streaming"] = False
        self._stopped.set()
        self._world.ledger.note("stop_stream", device=self.sensor.device, frames_captured=self._count, by=by)
        return self._count

    def stage(self) -> None:
        """Arms the mock camera and sets its counter back."""
        self.armed = True
        self.parameters["staged"] = True
        self._restart_numbers()

    async def close(self) -> None:
        """Ends all producers at once."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def view(self, settings: Settings, *, block: int, dark: bool = False) -> View:
        """The ring of images that these settings show."""
        return View("black" if dark else self.sensor.painter, settings.width, settings.height, block)

    def _settings(self) -> Settings:
        if self.sensor.driver != "pvcam":
            return Settings(self.exposure_ms, self.sensor.width, self.sensor.height, 0, 0, None)
        roi = self.parameters["acquisition.roi"]
        across, down = self.parameters["acquisition.binning"]
        return Settings(
            self.exposure_ms,
            max(roi["width"] // max(across, 1), 1),
            max(roi["height"] // max(down, 1), 1),
            roi["x"],
            roi["y"],
            (across, down),
        )

    def _restart_numbers(self) -> None:
        self._count = 0
        self._numbering += 1

    def _prepare(self, settings: Settings, block: int) -> None:
        if fits(settings):
            self._spawn(self._prepare_in_thread(self.view(settings, block=block)))

    async def _prepare_in_thread(self, view: View) -> None:
        await asyncio.to_thread(self._world.images.prepare, view)

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _produce(self, settings: Settings, stopped: asyncio.Event) -> None:
        clock, pace = self._world.clock, self.sensor.pace
        period_ns = period_of(pace, settings)
        deadline_ns = clock.monotonic_ns() + period_ns
        while True:
            await sleep_until(clock, deadline_ns)
            if not self.streaming:
                return
            ordinal, made = self._ordinal, self._made
            self._ordinal += 1
            self._made += 1
            dark = lost = False
            for fault in self._world.faults.of_producer(ordinal):
                self._world.ledger.note("fault", kind=fault.kind, device=self.sensor.device, call=-1, made=made)
                if fault.kind == "stall":
                    until_ns = self._end_of(fault, deadline_ns, period_ns)
                    if not await self._stall(until_ns, stopped):
                        return
                    deadline_ns = deadline_ns if until_ns is None else until_ns
                elif fault.kind == "stop":
                    self._log_stop()
                    self.stop("fault")
                    return
                elif fault.kind == "crash":
                    os.kill(os.getpid(), signal.SIGKILL)
                elif fault.kind == "counter_reset":
                    self._restart_numbers()
                dark |= fault.kind == "zero_image"
                lost |= fault.kind == "drop_before_numbering"
            if lost:
                self._note_lost(made, "fault")
            else:
                self._deliver(settings, ordinal=ordinal, made=made, dark=dark)
            now_ns = clock.monotonic_ns()
            deadline_ns, missed = next_deadline(pace, deadline_ns, now_ns=now_ns, period_ns=period_ns)
            for _ in range(missed):
                self._note_lost(self._made, "overrun")
                self._made += 1

    def _end_of(self, fault: Fault, deadline_ns: int, period_ns: int) -> int | None:
        """When a stall ends; None: never."""
        if not fault.duration:
            return None
        stall_ns = round(fault.duration * NS_PER_S)
        return resumed_ns(self.sensor.pace, deadline_ns, stall_ns=stall_ns, period_ns=period_ns)

    def _deliver(self, settings: Settings, *, ordinal: int, made: int, dark: bool) -> None:
        number = self._count + self.sensor.first_number
        self._count += 1
        frame = Frame(
            device=self.sensor.device,
            made=made,
            ordinal=ordinal,
            numbering=self._numbering,
            frame_number=number,
            source_ns=self._world.clock.wall_ns(),
            exposure_ms=settings.exposure_ms if self.sensor.driver == "pvcam" else self.exposure_ms,
            view=self.view(settings, block=1, dark=dark),
            roi_x=settings.roi_x,
            roi_y=settings.roi_y,
            binning=settings.binning,
        )
        self._world.ledger.note(
            "produced",
            device=frame.device,
            made=made,
            numbering=frame.numbering,
            frame_number=number,
            source_ns=frame.source_ns,
        )
        for observer in tuple(self.observers.values()):
            observer.offer(frame)

    def _note_lost(self, made: int, cause: str) -> None:
        self._world.ledger.note(
            "dropped", device=self.sensor.device, made=made, stage="before_numbering", call=-1, cause=cause
        )

    async def _stall(self, until_ns: int | None, stopped: asyncio.Event) -> bool:
        """Stands still until then; False if the acquisition was stopped meanwhile, by a client or by the driver."""
        clock, log = self._world.clock, self._world.log
        ticks = 0
        tick_ns = clock.monotonic_ns() + TICK_NS
        while until_ns is None or clock.monotonic_ns() < until_ns:
            wake_ns = tick_ns if until_ns is None else min(tick_ns, until_ns)
            if await _set_before(stopped, clock, wake_ns):
                return False
            if clock.monotonic_ns() < tick_ns:
                continue
            ticks += 1
            tick_ns += TICK_NS
            log.raw(
                f"[PVCAM DEBUG] Timeouts: {ticks}, Status: 0, Bytes: 0, BufferCnt: 0, streaming: true, "
                "callback_pending: 0, err_code: 0"
            )
            if until_ns is None and ticks == TICKS_TO_GIVE_UP:
                self._give_up()
                return False
        return True

    def _give_up(self) -> None:
        """The driver's involuntary stop: nobody ordered it, nobody is told."""
        log = self._world.log
        log.line("WARN", ACQUISITION, "Frame loop: max consecutive timeouts reached")
        log.raw("[PVCAM DEBUG] Breaking due to max consecutive timeouts")
        log.raw(f"[PVCAM DEBUG] Frame loop exited: iter={self._ordinal}")
        log.line("ERROR", ACQUISITION, "Acquisition error (involuntary stop)", error="Timeout")
        self.parameters[f"{self._prefix}streaming"] = False

    def _log_start(self, settings: Settings) -> None:
        if self.sensor.driver != "pvcam":
            return
        across, down = settings.binning or (1, 1)
        roi = self.parameters["acquisition.roi"]
        self._world.log.line(
            "INFO",
            ACQUISITION,
            f"start_stream: roi=({roi['x']},{roi['y']} {roi['width']}x{roi['height']}), binning=({across},{down}), "
            f"exposure={settings.exposure_ms}ms, mode={self.parameters['acquisition.buffer_mode'].replace(' ', '')}",
            span="start_stream",
        )
        text = "already streaming" if self.streaming else "pvcam_sdk NOT compiled - using mock stream"
        self._world.log.line("WARN", ACQUISITION, f"start_stream: {text}", span="start_stream")

    def _log_stop(self) -> None:
        log, device = self._world.log, self.sensor.device
        log.line("DEBUG", SERVICE, "stop_stream called", span="stop_stream", device_id=device)
        if self.sensor.driver == "pvcam":
            log.line("INFO", ACQUISITION, "stop_stream completed successfully", span="stop_stream")

    def stop_on_order(self, by: str) -> int:
        """stop(), with the lines the daemon logs for the call."""
        self._log_stop()
        return self.stop(by)


async def _set_before(event: asyncio.Event, clock: Clock, deadline_ns: int) -> bool:
    try:
        async with asyncio.timeout(max(deadline_ns - clock.monotonic_ns(), 0) / NS_PER_S):
            await event.wait()
    except TimeoutError:
        return False
    return True
