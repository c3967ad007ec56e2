"""The users: light greenlets that order streams from the engine and hear what becomes of them.

A user is never moved or copied: Locust makes it, this run's director gives it a seat (its ordinal), and when Locust
kills it, it closes what it opened and gives the seat back. All waiting is on mailboxes and events.
"""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import gevent
from locust import User, constant, task

from pvload.load import messages
from pvload.load.camera import CameraError, CameraSteps
from pvload.load.children import ChildError
from pvload.load.engine_client import EngineClient, Lost, Mailbox
from pvload.load.station import Station, StationRun
from pvload.plan.share import is_fixed, seed_of
from pvload.profiles.schema import Profile
from pvload.profiles.users import Users
from pvload.wire import command

_log = logging.getLogger(__name__)
FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 30.0
JITTER: Final = 0.25
RESUBSCRIBE_PAUSE_S: Final = 0.05
CLOSE_WAIT_S: Final = 1.5
"""How long a killed user waits for its stream's end, so that a changed user count acts within 2 s."""
PROBE_EVERY_S: Final = 30.0


class Placeholder:
    """Where the user classes find their process's station; filled in when Locust has forked and is ready."""

    def __init__(self) -> None:
        self._station: Station | None = None

    def fill(self, station: Station) -> None:
        """Sets it, once."""
        self._station = station

    def get(self) -> Station:
        """The station; ChildError before there is one."""
        if self._station is None:
            raise ChildError("users were started before Locust was ready")
        return self._station


class BackOff:
    """Pauses between calls: 1 s, doubled up to 30 s, each with up to a quarter more, by the subscriber's own seed."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._next_s = FIRST_PAUSE_S

    def reset(self) -> None:
        """After a call that gave frames."""
        self._next_s = FIRST_PAUSE_S

    def pause_s(self) -> float:
        """The next pause."""
        pause = self._next_s
        self._next_s = min(2 * pause, LONGEST_PAUSE_S)
        return pause * (1 + JITTER * self._chance.random())


@dataclass(slots=True)
class CallEnd:
    """How one call went."""

    by: str
    """As in wire.command.Ended, or `lost` when the engine died."""
    frames_came: bool
    frames: int
    action: str = ""
    """What the watchdog was told to do, if it closed the call."""


class PvloadUser(User):
    """What both kinds share: the wait for a run, and the rest after it."""

    abstract = True
    wait_time = constant(0)
    population: ClassVar[Users]
    place: ClassVar[Placeholder]

    @property
    def station(self) -> Station:
        """This process's."""
        return self.place.get()

    def _planned(self, run: StationRun) -> Users:
        """The population as this run has it: form fields may have changed what the class was made from."""
        return next((one for one in run.profile.users if one.name == self.population.name), self.population)

    def rest(self) -> None:
        """Nothing more to do: waits to be stopped."""
        while True:
            gevent.sleep(3600)


class StreamSubscriber(PvloadUser):
    """Watches the camera as a viewer does: one stream, opened again when it ends unasked."""

    abstract = True

    @task
    def watch(self) -> None:
        """The whole life of a subscriber."""
        run = self.station.wait_begun()
        try:
            seat: messages.Seat = self.station.ask(
                lambda token: messages.Claim(run=run.id, population=self.population.name, token=token)
            )
        except ChildError as exc:
            _log.error("%s: no seat: %s", self.population.name, exc.message)
            self.rest()
            return
        self._tell(run, seat.ordinal, "spawned")
        try:
            run.wanted.wait()
            self._subscribe(run, seat)
            self.rest()
        finally:
            self._tell(run, seat.ordinal, "stopped")
            self.station.tell(messages.Release(run=run.id, population=self.population.name, ordinal=seat.ordinal))

    def _subscribe(self, run: StationRun, seat: messages.Seat) -> None:
        """Call after call, until the run or the profile says enough."""
        back_off = BackOff(seed_of(run.profile.run.seed, self.population.name, seat.ordinal))
        number = seat.calls
        while not run.ending.is_set():
            engine = _engine(run)
            if not engine.wait_up(1.0):
                continue
            number += 1
            end = self._call(run, engine, seat.ordinal, number)
            pause_s = self._pause(run, seat.ordinal, end, back_off)
            if pause_s is None:
                return
            run.ending.wait(pause_s)

    def _pause(self, run: StationRun, ordinal: int, end: CallEnd, back_off: BackOff) -> float | None:
        """Before the next call; None: there is none."""
        if end.frames_came:
            back_off.reset()
        if run.ending.is_set() or end.by in ("run_end", "engine"):
            return None
        if end.by == "lost":
            return 0.0
        if end.by == "watchdog":
            return RESUBSCRIBE_PAUSE_S if end.action == "resubscribe" else None
        if end.by == "order":
            at_ns = self.station.clock.monotonic_ns() + _engine(run).clock_offset_ns
            done = messages.Done(run=run.id, population=self.population.name, ordinal=ordinal, at_ns=at_ns)
            self.station.tell(done)
            return None
        return back_off.pause_s() if self._planned(run).reconnect else None

    def _call(self, run: StationRun, engine: EngineClient, ordinal: int, number: int) -> CallEnd:
        """Opens the stream and follows it to its end."""
        population = self._planned(run)
        mailbox = engine.open()
        at_ns = self.station.clock.monotonic_ns() + engine.clock_offset_ns
        run.streams[mailbox.id] = mailbox
        try:
            opened = engine.send(
                command.Open(
                    id=mailbox.id,
                    population=population.name,
                    ordinal=ordinal,
                    number=number,
                    device=run.profile.target.device,
                    quality=population.quality,
                    max_fps=population.max_fps,
                    window_bytes=population.window_bytes,
                    silence_ms=1000 * population.silence,
                    on_silence=population.on_silence,
                    stall_ms=1000 * run.profile.criteria.stall_threshold_s,
                    payload=population.payload,
                    payload_every=population.payload_every,
                    stop_after_frames=run.begin.stop_after_frames,
                )
            )
            if not opened:
                return CallEnd(by="lost", frames_came=False, frames=0)
            words = messages.Opened(run=run.id, population=population.name, ordinal=ordinal, number=number, at_ns=at_ns)
            self.station.tell(words)
            return self._follow(run, engine, mailbox)
        finally:
            run.streams.pop(mailbox.id, None)
            engine.close(mailbox)

    def _follow(self, run: StationRun, engine: EngineClient, mailbox: Mailbox) -> CallEnd:
        end = CallEnd(by="lost", frames_came=False, frames=0)
        over = False
        try:
            while not over:
                over = _note(end, mailbox.get(), self.population.name)
        finally:
            if not over:  # killed by Locust: fewer users are wanted
                engine.send(command.Close(id=mailbox.id, by="run_end" if run.ending.is_set() else "order"))
                with gevent.Timeout(CLOSE_WAIT_S, False):
                    while not _note(end, mailbox.get(), self.population.name):
                        pass
        return end

    def _tell(self, run: StationRun, ordinal: int, change: str) -> None:
        _engine(run).send(command.User(population=self.population.name, ordinal=ordinal, change=change))


def _note(end: CallEnd, answer: Any, name: str) -> bool:
    """Takes one answer into `end`; was it the last?"""
    match answer:
        case command.FirstFrame():
            end.frames_came = True
        case command.Timeout():
            end.action = answer.action
            _log.warning("%s: no frame for %.1f s", name, answer.waited_ms / 1000)
        case command.Ended():
            end.by, end.frames = answer.by, answer.frames
            if answer.by == "server":
                _log.warning("%s: the stream ended: %s %s", name, answer.status, answer.details)
            return True
        case command.Failed():
            end.by = "server"
            _log.error("%s: the stream could not be ordered: %s", name, answer.reason)
            return True
        case Lost():
            end.by = "lost"
            return True
    return False


class CameraOperator(PvloadUser):
    """Sets the camera, starts it, reads its clock now and then; the director has it stopped at the end."""

    abstract = True
    fixed_count = 1

    @task
    def operate(self) -> None:
        """The whole life of the operator."""
        run = self.station.wait_begun()
        try:
            answer: messages.Camera = self.station.ask(lambda token: messages.AskCamera(run=run.id, token=token))
            steps = CameraSteps(_engine(run), run.profile, self.station.clock)
            if not answer.started:
                self._start(run, steps)
            while not run.ending.wait(PROBE_EVERY_S):
                steps.probe()
        except CameraError as exc:
            self._give_up(run, exc.note, exc.message)
        except ChildError as exc:
            self._give_up(run, "operator_failed", exc.message)
        self.rest()

    def _start(self, run: StationRun, steps: CameraSteps) -> None:
        offset_ns = _engine(run).clock_offset_ns
        with run.camera:
            stopped_ns = run.begin.stopped_ns - offset_ns if run.begin.stopped_ns else 0
            start = run.started = steps.begin(stopped_ns=stopped_ns, give_up=run.ending.is_set)
        if start is None:
            return
        at_ns = start.at_ns + offset_ns
        self.station.tell(messages.Started(run=run.id, at_ns=at_ns, joined=start.joined, parameters=start.parameters))

    def _give_up(self, run: StationRun, note: str, text: str) -> None:
        _log.error("the camera operator gives up: %s", text)
        _engine(run).send(command.Note(note=note, text=text))
        self.station.tell(messages.Failed(run=run.id, text=text))


def user_classes(profile: Profile, place: Placeholder) -> dict[str, type[PvloadUser]]:
    """A class for each population that has users, by the class's name; counts are weights, the operator is one."""
    made: dict[str, type[PvloadUser]] = {}
    for one in profile.users:
        if not one.count:
            continue
        parent = CameraOperator if one.kind == "operator" else StreamSubscriber
        name = "".join(part.capitalize() for part in one.name.replace("-", "_").split("_")) + parent.__name__
        fields: dict[str, Any] = {"abstract": False, "population": one, "place": place, "__module__": __name__}
        fields["host"] = profile.target.address
        fields |= {"fixed_count": 1} if is_fixed(one) else {"weight": one.count}
        made[name] = type(name, (parent,), fields)
    return made


def _engine(run: StationRun) -> EngineClient:
    if run.engine is None:
        raise ChildError("the engine is not running")
    return run.engine
