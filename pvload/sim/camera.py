"""The simulated cameras: observers, settings, starts and stops, and what a change or a leaving client does to them.

All of a simulator runs on one event loop thread, so nothing here locks. Frames are made by `producer.Producer`; the
numbers they get are the camera's, whoever makes them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, Final, Literal

from pvload.profiles.simulated import Fault
from pvload.sim import acquisition as acquisitions
from pvload.sim.acquisition import Acquisition, Ending
from pvload.sim.daemonlog import ACQUISITION, SERVICE
from pvload.sim.images import View, check_size
from pvload.sim.pace import Settings, fits
from pvload.sim.parameters import ParameterSet
from pvload.sim.producer import Producer
from pvload.sim.world import Frame, Observer, Sensor, World

NO_CONSUMERS_S: Final = 5.0
"""So long after the last client's leaving the loop of a "zombie" ends."""
EXPOSURE: Final = "acquisition.exposure_ms"
ROI: Final = "acquisition.roi"
BINNING: Final = "acquisition.binning"
SHOWN: Final = frozenset({EXPOSURE, ROI, BINNING})
"""Parameters whose effect frames show."""
InEffect = Literal["next_start", "next_frame", "never", "stored"]
"""When a set shows on the frames; stored: no frame shows it."""


class Camera:
    """One camera of the daemon. Call its methods on the loop's thread only."""

    def __init__(self, sensor: Sensor, parameters: ParameterSet, world: World) -> None:
        self.sensor = sensor
        self.parameters = parameters
        self.observers: dict[int, Observer] = {}
        self._world = world
        self._prefix = "acquisition." if sensor.driver == "pvcam" else ""
        self._flag = f"{self._prefix}streaming"
        self._handles = 1 if sensor.driver == "pvcam" else 0
        self._made = 0
        self._ordinal = 0
        self._numbering = 0
        self._count = 0
        self._starts = 0
        self._current: Acquisition | None = None
        self._held: dict[str, Any] = {}
        """What the camera goes by where a set was ignored, by parameter."""
        self._waiting: dict[str, int] = {}
        """Numbers of the set calls that the next start puts into effect, by parameter."""
        self._lonely: asyncio.TimerHandle | None = None
        self._shown: View | None = None
        """Of the latest frame."""
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def streaming(self) -> bool:
        """The flag that the driver, GetDeviceState and the parameter of this name share."""
        return bool(self.parameters[self._flag])

    @property
    def armed(self) -> bool:
        """The plain flag."""
        return bool(self.parameters[f"{self._prefix}armed"])

    @armed.setter
    def armed(self, value: bool) -> None:
        self.parameters[f"{self._prefix}armed"] = value

    @property
    def exposure_ms(self) -> float:
        """The parameter's value now, whatever the frames show."""
        if self.sensor.driver == "pvcam":
            return float(self.parameters[EXPOSURE])
        return float(self.parameters["exposure_s"]) * 1000.0

    @property
    def silenced(self) -> bool:
        """Did a set call kill the stream?"""
        return self._current is not None and self._current.silenced

    def current_or(self, other: Acquisition) -> Acquisition:
        """The latest acquisition, to which all frames count: also those of a producer that its predecessor left."""
        return self._current or other

    def register(self, observer: Observer) -> int:
        """Adds an observer and gives its handle."""
        handle = self._handles
        self._handles += 1
        self.observers[handle] = observer
        if self._lonely is not None:
            self._lonely.cancel()
            self._lonely = None
        running = self.streaming and self._current is not None
        settings = self.settings_of(self._current) if running and self._current else self.taken()
        self._prepare(settings, observer.block)
        return handle

    def unregister(self, handle: int) -> None:
        """Removes an observer."""
        self.observers.pop(handle, None)

    def client_left(self) -> None:
        """An observer was removed because its client had gone: the disconnect policy says what follows."""
        policy, current = self._world.table.disconnect, self._current
        if policy == "per-client" or not self.streaming or current is None:
            return
        if policy == "stops-all":
            self.stop_on_order("disconnect", reason="client_left")
        elif not self.observers and not current.exited and self._lonely is None:
            acquisitions.log_alone(self._world.log, given_up=False)
            self._lonely = asyncio.get_running_loop().call_later(NO_CONSUMERS_S, self._exit_alone, current)

    def start(self, by: str) -> bool:
        """StartStream: False if the streaming flag was set already; ConfigError if an image would be too large."""
        settings = self.taken()
        check_size(settings.width, settings.height)
        already = self.streaming
        if self.sensor.driver == "pvcam":
            mode = self.parameters["acquisition.buffer_mode"]
            acquisitions.log_started(self._world.log, settings, roi=self._value(ROI), mode=mode, already=already)
        self._starts += not already
        self._world.ledger.note(
            "start_stream",
            device=self.sensor.device,
            outcome="already" if already else "started",
            acquisition=self._starts,
            exposure_ms=settings.exposure_ms,
            width=settings.width,
            height=settings.height,
            by=by,
        )
        if already:
            return False
        unseen = self._current.waiting if self._current is not None else {}
        self._current = Acquisition(
            number=self._starts,
            settings=settings,
            started_ns=self._world.clock.monotonic_ns(),
            locked_stalls=self._world.faults.locked_stalls(self._starts),
            waiting={**unseen, **self._waiting},
        )
        self._waiting = {}
        self.parameters[self._flag] = True
        self._ordinal = 0
        if self.sensor.driver == "pvcam":
            self.restart_numbers()
        self._prepare_all(settings)
        self.add_producer(self._current)
        return True

    def stop(self, by: str, *, reason: Ending = "stopped") -> int:
        """StopStream: the driver's frame counter, whether it was running or not."""
        self._end(reason)
        self.parameters[self._flag] = False
        self._world.ledger.note(
            "stop_stream",
            device=self.sensor.device,
            acquisition=self._starts,
            frames_captured=self._count,
            by=by,
        )
        return self._count

    def stop_on_order(self, by: str, *, reason: Ending = "stopped") -> int:
        """stop(), with the lines the daemon logs for the call."""
        log, device = self._world.log, self.sensor.device
        log.line("DEBUG", SERVICE, "stop_stream called", span="stop_stream", device_id=device)
        if self.sensor.driver == "pvcam":
            log.line("INFO", ACQUISITION, "stop_stream completed successfully", span="stop_stream")
        return self.stop(by, reason=reason)

    def stage(self) -> None:
        """Arms the mock camera and sets its counter back."""
        self.armed = True
        self.parameters["staged"] = True
        self.restart_numbers()

    def change(self, name: str, value: Any, *, number: int) -> InEffect:
        """Stores a value set by call `number` and says when frames will show it, by the switch `parameters`."""
        old = self.parameters[name]
        self.parameters[name] = value
        if name == "exposure_s":
            return self._next_frame(name, number)
        if name not in SHOWN:
            return "stored"
        mode = self._world.table.parameters
        if not self.streaming:
            self._held.pop(name, None)
        elif mode == "ignored":
            self._held.setdefault(name, old)
            return "never"
        elif mode == "live" or (mode == "guarded" and name == EXPOSURE):
            return self._next_frame(name, number)
        self._waiting[name] = number
        return "next_start"

    def would_fit(self, name: str, value: Any) -> None:
        """ConfigError for a change in effect at once whose images would be too large."""
        if self._world.table.parameters == "live" and self.streaming and name in (ROI, BINNING):
            settings = self._settings({name: value})
            check_size(settings.width, settings.height)

    def standing(self, kind: str, *, call: int = -1) -> Fault | None:
        """The fault of this kind that holds now."""
        return self._world.faults.standing(kind, self._starts, self._ordinal, call=call)

    def kill_stream(self) -> None:
        """The set call just taken silences the producer."""
        if self._current is not None:
            self._current.silenced = True

    def taken(self) -> Settings:
        """What a start would go by now."""
        return self._settings({})

    def settings_of(self, acquisition: Acquisition) -> Settings:
        """What an acquisition's next frame is made with."""
        mode = self._world.table.parameters
        if self.sensor.driver != "pvcam" or mode == "live":
            return self.taken()
        if mode == "guarded":
            return replace(acquisition.settings, exposure_ms=self.exposure_ms)
        return acquisition.settings

    def slow_calls(self) -> list[int]:
        """StreamFrames calls that have no room for another frame."""
        return [observer.call for observer in self.observers.values() if observer.behind]

    async def room(self) -> None:
        """Returns when no subscriber is behind."""
        for observer in tuple(self.observers.values()):
            await observer.room()

    async def close(self) -> None:
        """Ends all producers at once."""
        if self._lonely is not None:
            self._lonely.cancel()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # What producers call.

    def add_producer(self, acquisition: Acquisition) -> None:
        """One more that makes frames of it."""
        self._spawn(Producer(self, acquisition, self._world).run())

    def goes_on(self) -> bool:
        """Is there another frame to make?"""
        if not self.streaming:
            self._end("flag")
            return False
        return self._current is not None and not self._current.exited

    def next_period(self) -> tuple[int, int]:
        """Ordinal and `made` of the frame that is due."""
        self._ordinal += 1
        return self._ordinal - 1, self.skip_period()

    def skip_period(self) -> int:
        """`made` of a period without a frame."""
        self._made += 1
        return self._made - 1

    def restart_numbers(self) -> None:
        """frame_number starts over."""
        self._count = 0
        self._numbering += 1

    def give_up(self) -> None:
        """The driver stops a camera that gives nothing: the flag goes false, and nobody is told."""
        self._end("timeout")
        self.parameters[self._flag] = False

    def note_fault(self, kind: str, made: int) -> None:
        """Says in the ledger that a fault struck."""
        self._world.ledger.note(
            "fault", kind=kind, device=self.sensor.device, call=-1, made=made, acquisition=self._starts
        )

    def note_lost(self, acquisition: Acquisition, made: int, cause: str) -> None:
        """A frame that never got a number."""
        acquisition.lost += 1
        self._world.ledger.note(
            "dropped", device=self.sensor.device, made=made, stage="before_numbering", call=-1, cause=cause
        )

    def deliver(self, acquisition: Acquisition, settings: Settings, *, ordinal: int, made: int, dark: bool) -> None:
        """Numbers a frame and offers it to every observer."""
        acquisition = self.current_or(acquisition)
        number = self._count + self.sensor.first_number
        self._count += 1
        acquisition.captured += 1
        acquisition.produced_bytes += settings.pixels * 2
        view = self._view(settings, block=1, dark=dark)
        if view == self._shown:
            self._prepare_all(settings)
        self._shown = view
        frame = Frame(
            device=self.sensor.device,
            made=made,
            ordinal=ordinal,
            acquisition=acquisition.number,
            numbering=self._numbering,
            frame_number=number,
            source_ns=self._world.clock.wall_ns(),
            exposure_ms=settings.exposure_ms,
            view=view,
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
        if acquisition.waiting:
            self._note_effects(acquisition, frame)
        for observer in tuple(self.observers.values()):
            observer.offer(frame)

    # Own matters.

    def _value(self, name: str) -> Any:
        return self._held[name] if name in self._held else self.parameters[name]

    def _settings(self, instead: dict[str, Any]) -> Settings:
        if self.sensor.driver != "pvcam":
            return Settings(self.exposure_ms, self.sensor.width, self.sensor.height, 0, 0, None)
        roi = instead.get(ROI) or self._value(ROI)
        across, down = instead.get(BINNING) or self._value(BINNING)
        return Settings(
            float(self._value(EXPOSURE)),
            max(roi["width"] // max(across, 1), 1),
            max(roi["height"] // max(down, 1), 1),
            roi["x"],
            roi["y"],
            (across, down),
        )

    def _next_frame(self, name: str, number: int) -> InEffect:
        if not self.streaming or self._current is None:
            self._waiting[name] = number
            return "next_start"
        self._current.waiting[name] = number
        return "next_frame"

    def _note_effects(self, acquisition: Acquisition, frame: Frame) -> None:
        for name, number in acquisition.waiting.items():
            self._world.ledger.note(
                "in_effect",
                set=number,
                device=frame.device,
                name=name,
                acquisition=acquisition.number,
                made=frame.made,
                frame_number=frame.frame_number,
            )
        acquisition.waiting = {}

    def _end(self, reason: Ending) -> None:
        """The current acquisition is over; a second end of the same one changes nothing."""
        current = self._current
        if current is None:
            return
        current.stopped.set()
        if current.ended is not None:
            return
        current.ended = reason
        if self._lonely is not None:
            self._lonely.cancel()
            self._lonely = None
        self._world.ledger.note(
            "acquisition_ended",
            device=self.sensor.device,
            acquisition=current.number,
            reason=reason,
            captured=current.captured,
            lost=current.lost,
        )
        if self.sensor.driver == "pvcam":
            acquisitions.log_ended(self._world.log, current, self._ordinal)

    def _exit_alone(self, acquisition: Acquisition) -> None:
        self._lonely = None
        if acquisition is self._current and self.streaming and not self.observers:
            acquisitions.log_alone(self._world.log, given_up=True)
            self._end("no_consumers")

    def _view(self, settings: Settings, *, block: int, dark: bool = False) -> View:
        return View("black" if dark else self.sensor.painter, settings.width, settings.height, block)

    def _prepare_all(self, settings: Settings) -> None:
        for block in {1, *(observer.block for observer in self.observers.values())}:
            self._prepare(settings, block)

    def _prepare(self, settings: Settings, block: int) -> None:
        view = self._view(settings, block=block)
        if fits(settings) and self._world.images.lacks(view):
            self._spawn(self._prepare_in_thread(view))

    async def _prepare_in_thread(self, view: View) -> None:
        await asyncio.to_thread(self._world.images.prepare, view)

    def _spawn(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
