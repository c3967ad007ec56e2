"""A station's turn at the camera: change it and look for the effect on the frames, stop it, start it.

Whoever changes, stops or starts the camera on purpose (a changer, the timeline) does it within `camera_turn`, so that
one change's effect is never taken for another's and no restart comes into another one's way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final

import gevent
from gevent.event import AsyncResult

from pvload.clock import NS_PER_MS, NS_PER_S
from pvload.load import messages
from pvload.load.camera import RESTART_MARGIN_S, CameraError
from pvload.load.children import ChildError
from pvload.load.engine_client import Caller, EngineClient, EngineDiedError
from pvload.load.station import Station, StationRun
from pvload.plan.changed import EXPOSURE, changed
from pvload.profiles.users import Change
from pvload.wire import command

TURN_TIMEOUT_S: Final = 300.0
CALL_TIMEOUT_S: Final = 10.0
"""Of a call that changes, stops or starts the camera; one that takes longer is hung."""
ENGINE_TIMEOUT_S: Final = 20.0
"""How long an engine that is being replaced is waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What became of one change, as far as its maker can know. The fold knows more."""

    number: int
    text: str
    """The change in words."""
    status: str
    """gRPC code name of the first call's answer."""
    details: str
    """What the daemon said: status details or the answer's error text."""
    accepted: bool
    """The first call was answered OK and well."""
    effect_ms: float | None = None
    """From the call's sending to the first frame that shows it; None: no frame did in time."""
    restarted: bool = False
    again_ms: float | None = None
    """After the restart: from StartStream's sending to the first frame that shows it; None: none did in time."""
    took_ms: float = 0.0
    """From the first call's sending to its answer."""

    @property
    def effective(self) -> bool:
        """Frames show it, be it after a restart."""
        return self.effect_ms is not None or self.again_ms is not None


@contextmanager
def camera_turn(station: Station, run: StationRun, *, population: str = "", ordinal: int = 0) -> Iterator[CameraTurn]:
    """Waits for the turn and gives it; ChildError if it is not given. The user it is for; empty: the timeline.

    A user that is killed within its turn leaves the camera as it found it: running, if it ran.
    """
    turn: messages.Turn = station.ask(lambda token: messages.AskTurn(run=run.id, token=token), timeout_s=TURN_TIMEOUT_S)
    try:
        with run.camera:
            if run.ending.is_set():
                raise ChildError("the run ended before its turn came")
            camera = CameraTurn(station, run, turn, population=population, ordinal=ordinal)
            try:
                yield camera
            except gevent.GreenletExit:
                if turn.running and not camera.running and population:
                    camera.start()
                raise
    finally:
        station.tell(messages.TurnOver(run=run.id, turn=turn.turn))


class CameraTurn:
    """What may be done while it is this station's turn. Every method waits for its end."""

    def __init__(
        self, station: Station, run: StationRun, turn: messages.Turn, *, population: str = "", ordinal: int = 0
    ) -> None:
        self.running = turn.running
        """The plan wants the camera to run."""
        self._station = station
        self._run = run
        self._exposure_ms = turn.exposure_ms
        self._stopped_ns = turn.stopped_ns
        self._joined = turn.joined
        self._population = population
        self._ordinal = ordinal

    def change(
        self,
        change: Change,
        *,
        within_s: float,
        via: str = "SetParameter",
        verify: bool = True,
        restart: bool = False,
        due_ns: int = 0,
    ) -> Made:
        """Makes the change and looks for its effect for within_s after the answer; ChildError without an engine.

        restart: without an effect the camera is stopped, set again if it had refused, and started; CameraError if that
        fails. due_ns: when the call was due, this host's monotonic clock; 0: now.
        """
        number = self._number(change, 0)
        planned = self._run.profile.camera
        words = changed(planned, planned, change)
        effect: AsyncResult = AsyncResult()
        self._run.effects[number, False] = effect
        try:
            answered, accepted = self._set(number, change, via, due_ns)
            looked = verify and words.shows and self.running
            seen_ns = self._seen(effect, within_s) if accepted and looked else 0
            made = Made(
                number=number,
                text=words.text,
                status=answered.status,
                details=said_of(answered),
                accepted=accepted,
                effect_ms=(seen_ns - answered.sent_ns) / NS_PER_MS if seen_ns else None,
                took_ms=(answered.answered_ns - answered.sent_ns) / NS_PER_MS,
            )
        finally:
            self._run.effects.pop((number, False), None)
        if seen_ns or not restart or not looked or self._joined or self._run.ending.is_set():
            return made
        again_ms = self._restart_for(made, change, via=via, within_s=within_s)
        return replace(made, restarted=True, again_ms=again_ms)

    def stop(self) -> command.Answered:
        """Stops the camera by plan; CameraError if it was not well answered: then it is wanted to run as before."""
        if self._joined:
            raise CameraError("info", "the camera ran before this run, which joined it and so never stops it")
        was_running, self.running = self.running, False
        self._wants(False)
        try:
            answered = self._stop_call()
            if not well(answered):
                raise CameraError("operator_failed", f"StopStream: {answered.status} {said_of(answered)}")
        except ChildError:
            self.running = was_running
            self._wants(was_running, went_on=was_running)
            raise
        self._stopped_ns = answered.answered_ns + self._engine.clock_offset_ns
        return answered

    def start(self, before: Callable[[], object] = lambda: None) -> command.Answered:
        """Starts the camera by plan, not sooner after its stop than it bears; CameraError if it was not well answered,
        or ran already. `before` is done when all engines know that frames are due."""
        pause_ns = self._stopped_ns + int((self._exposure_ms / 1000 + RESTART_MARGIN_S) * NS_PER_S) - self._now_ns()
        if self._stopped_ns:
            self._run.ending.wait(max(0, pause_ns) / NS_PER_S)
        if self._run.ending.is_set():
            raise CameraError("info", "the run ended before the camera was started again")
        self.running = True
        self._wants(True)
        before()
        answered = self._call("StartStream")
        if not well(answered):
            raise CameraError("operator_failed", f"StartStream: {answered.status} {said_of(answered)}")
        if "already streaming" in said_of(answered).lower():
            raise CameraError("camera_was_running", f"StartStream: {said_of(answered)}")
        return answered

    def away(self) -> None:
        """The daemon is about to be restarted by plan: nothing is due, and what ends or fails is nobody's failure."""
        self.running = False
        self._wants(False, away=True)
        self._stopped_ns = 0

    def back(self, *, running: bool) -> None:
        """What ends or fails from here on counts again; running: so do frames that do not come."""
        self.running = running
        self._wants(running)

    def restart(self) -> None:
        """Stops and starts it."""
        self.stop()
        self.start()

    def _restart_for(self, made: Made, change: Change, *, via: str, within_s: float) -> float | None:
        """Looks for the change again after a stop and a start; ms from the start, None: no frame showed it."""
        self.stop()
        if not made.accepted:
            self._set(made.number, change, via, 0)
        effect: AsyncResult = AsyncResult()
        self._run.effects[made.number, True] = effect
        try:
            started = self.start(before=lambda: self._number(change, made.number))
            seen_ns = self._seen(effect, within_s)
        finally:
            self._run.effects.pop((made.number, True), None)
        return (seen_ns - started.sent_ns) / NS_PER_MS if seen_ns else None

    def _number(self, change: Change, number: int) -> int:
        """Asks for a number, or to look for that number again."""
        values: dict[str, Any] = change.model_dump(mode="json")
        word: messages.ChangeNumber = self._station.ask(
            lambda token: messages.AskChange(
                run=self._run.id,
                token=token,
                change=values,
                population=self._population,
                ordinal=self._ordinal,
                number=number,
            )
        )
        return word.number

    def _set(self, number: int, change: Change, via: str, due_ns: int) -> tuple[command.Answered, bool]:
        """The call that changes; and was it well answered?"""
        planned = self._run.profile.camera
        words = changed(planned, planned, change)
        if via == "SetExposure" and words.parameter == EXPOSURE:
            answered = self._call("SetExposure", number, due_ns, exposure_ms=words.exposure_ms)
        else:
            answered = self._call("SetParameter", number, due_ns, parameter_name=words.parameter, value=words.value)
        accepted = well(answered)
        if accepted:
            self._exposure_ms = max(self._exposure_ms, words.exposure_ms)
        self._station.tell(messages.ChangeMade(run=self._run.id, number=number, accepted=accepted))
        return answered, accepted

    def _seen(self, effect: AsyncResult, within_s: float) -> int:
        """This host's monotonic clock when the first frame showed it; 0: none did in time, or the run ended."""
        deadline_ns = self._now_ns() + int(within_s * NS_PER_S)
        while not self._run.ending.is_set() and (left_ns := deadline_ns - self._now_ns()) > 0:
            try:
                at_ns: int = effect.get(timeout=min(left_ns / NS_PER_S, 0.25))
            except gevent.Timeout:
                continue
            return at_ns - self._engine.clock_offset_ns
        return 0

    def _wants(self, wanted: bool, *, away: bool = False, went_on: bool = False) -> None:
        word = messages.Wants(run=self._run.id, wanted=wanted, away=away, went_on=went_on, at_ns=self._now_ns())
        self._station.tell(word)

    def _stop_call(self) -> command.Answered:
        """A stop that an engine took with it is sent again: twice is as good as once."""
        try:
            return self._call("StopStream")
        except EngineDiedError:
            return self._call("StopStream")

    def _call(self, method: str, change: int = 0, due_ns: int = 0, **arguments: Any) -> command.Answered:
        caller = Caller(
            population=self._population, ordinal=self._ordinal, operator=not self._population, change=change
        )
        arguments["device_id"] = self._run.profile.target.device
        self._engine.wait_up(ENGINE_TIMEOUT_S)
        return self._engine.call_for(caller, method, arguments, timeout_s=CALL_TIMEOUT_S, due_ns=due_ns)

    def _now_ns(self) -> int:
        """Run axis."""
        return self._station.clock.monotonic_ns() + self._engine.clock_offset_ns

    @property
    def _engine(self) -> EngineClient:
        if self._run.engine is None:
            raise ChildError("the engine is not running")
        return self._run.engine


def well(answered: command.Answered) -> bool:
    """Status OK, and the answer itself does not say that it failed."""
    return answered.status == "OK" and answered.answer.get("success", True) is not False


def said_of(answered: command.Answered) -> str:
    """The daemon's words: of the status, or of the answer."""
    return answered.details or str(answered.answer.get("error_message", ""))
