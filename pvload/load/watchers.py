"""Watchers: users that read a stream of events, and ask now and then.

All reading is the engine's; a watcher orders its stream, hears of its end, and orders it again with the back-off of its
population's `retry`.
"""

from __future__ import annotations

import logging
from typing import Any, ClassVar, Final

import gevent

from pvload.load import messages, statistics
from pvload.load.children import ChildError
from pvload.load.churn import BackOff
from pvload.load.engine_client import Caller, EngineClient, Lost, Mailbox
from pvload.load.pace import Beats
from pvload.load.station import StationRun
from pvload.load.user import SeatedUser, engine_of
from pvload.plan.share import seed_of
from pvload.profiles.users import Kind
from pvload.wire import command

_log = logging.getLogger(__name__)
CLOSE_WAIT_S: Final = 1.5
ACCEPTED_S: Final = 1.0
"""A stream that lived so long was accepted: the next pause is the first one again."""


class Watcher(SeatedUser):
    """One stream of events, opened again when it ends unasked."""

    abstract = True

    def work(self, run: StationRun, seat: messages.Seat) -> None:
        """Watch after watch, until the run or the profile says enough."""
        population = self.planned(run)
        back_off = BackOff(population.retry, seed_of(run.profile.run.seed, population.name, seat.ordinal))
        number = seat.calls
        while not run.ending.is_set():
            engine = engine_of(run)
            if not engine.wait_up(1.0):
                continue
            number += 1
            began_ns = self.station.clock.monotonic_ns()
            end = self._watched(run, engine, seat.ordinal, number)
            if run.ending.is_set() or not population.reconnect:
                return
            if isinstance(end, Lost):
                continue
            if self.station.clock.monotonic_ns() - began_ns > ACCEPTED_S * 1e9:
                back_off.reset()
            elif back_off.failed():
                text = f"{population.name}/{seat.ordinal} gave up after {back_off.failures} streams that ended at once"
                engine.send(command.Note(note="gave_up", text=text, value=back_off.failures))
                return
            run.ending.wait(back_off.pause_s())

    def order(self, run: StationRun) -> tuple[str, dict[str, Any]]:
        """(method, arguments) of the stream."""
        raise NotImplementedError

    def _watched(self, run: StationRun, engine: EngineClient, ordinal: int, number: int) -> Any:
        """Opens the stream and waits for its last word, which it gives."""
        population = self.planned(run)
        method, arguments = self.order(run)
        mailbox = engine.open()
        run.watches[mailbox] = engine
        order = command.Watch(
            id=mailbox.id,
            population=population.name,
            ordinal=ordinal,
            number=number,
            device=run.profile.target.device,
            method=method,
            arguments=arguments,
            window_bytes=population.window_bytes,
            pause_ms=1000 * population.watch.pause_after_event,
        )
        last: Any = None
        try:
            if not engine.send(order):
                return Lost(mailbox.id)
            self.station.tell(
                messages.Opened(
                    run=run.id,
                    population=population.name,
                    ordinal=ordinal,
                    number=number,
                    at_ns=self.station.clock.monotonic_ns() + engine.clock_offset_ns,
                )
            )
            last = _last_word(mailbox)
            return last
        finally:
            if last is None:  # killed by Locust: fewer users are wanted
                engine.send(command.Close(id=mailbox.id, by="run_end" if run.ending.is_set() else "order"))
                with gevent.Timeout(CLOSE_WAIT_S, False):
                    _last_word(mailbox)
            run.watches.pop(mailbox, None)
            engine.close(mailbox)


def _last_word(mailbox: Mailbox) -> Any:
    """Waits for the end of a stream."""
    while True:
        word = mailbox.get()
        if isinstance(word, command.Failed):
            _log.error("a stream could not be ordered: %s", word.reason)
        if isinstance(word, command.Ended | command.Failed | Lost):
            return word


class ParameterWatcher(Watcher):
    """Reads every change of the camera's parameters; what is lost shows by the counters in the values."""

    abstract = True
    kind: ClassVar[Kind] = "parameter-watcher"

    def order(self, run: StationRun) -> tuple[str, dict[str, Any]]:
        """All parameters, or those that the profile names."""
        names = list(self.planned(run).watch.parameters)
        return "StreamParameterChanges", {"device_id": run.profile.target.device, "parameter_names": names}


class ObservableWatcher(Watcher):
    """Reads observables at a rate."""

    abstract = True
    kind: ClassVar[Kind] = "observable-watcher"

    def order(self, run: StationRun) -> tuple[str, dict[str, Any]]:
        """Those that the profile names: an empty list means none."""
        watch = self.planned(run).watch
        return "StreamObservables", {
            "device_ids": [run.profile.target.device],
            "observable_names": list(watch.observables),
            "sample_rate_hz": max(1, round(watch.rate_hz)),
        }


class Asking(SeatedUser):
    """What asks with unary calls on a schedule."""

    abstract = True
    ask_timeout_s: ClassVar[float] = 5.0
    """How long an answer may take."""

    def ask_on_schedule(self, run: StationRun, ordinal: int, calls: list[tuple[str, dict[str, Any]]]) -> None:
        """Makes all `calls` at the population's rate until the run ends."""
        beats = Beats(self.station.clock, self.planned(run).watch.rate_hz)
        while due_ns := beats.wait(run):
            for method, arguments in calls:
                if run.ending.is_set():
                    return
                self.ask(run, ordinal, method, arguments, due_ns=due_ns)

    def ask(
        self, run: StationRun, ordinal: int, method: str, arguments: dict[str, Any], *, due_ns: int = 0
    ) -> command.Answered | None:
        """Makes one call and puts it into Locust's statistics; None: there was no engine to make it."""
        caller = Caller(population=self.population.name, ordinal=ordinal)
        try:
            answered = engine_of(run).call_for(caller, method, arguments, timeout_s=self.ask_timeout_s, due_ns=due_ns)
        except ChildError as exc:
            _log.error("%s/%d: %s", self.population.name, ordinal, exc.message)
            run.ending.wait(0.5)
            return None
        took_ms = (answered.answered_ns - answered.sent_ns) / 1e6
        fault = "" if answered.status == "OK" else f"{answered.status}: {answered.details[:80]}"
        statistics.call(self.environment.stats, self.population.name, method, took_ms, fault)
        return answered


class StateWatcher(Watcher, Asking):
    """Subscribes to the device's state, and asks for it besides."""

    abstract = True
    kind: ClassVar[Kind] = "state-watcher"

    def work(self, run: StationRun, seat: messages.Seat) -> None:
        """Both at once, where the profile wants both."""
        asking: gevent.Greenlet | None = None
        if self.planned(run).watch.poll:
            call = "GetDeviceState", {"device_id": run.profile.target.device}
            asking = gevent.spawn(self.ask_on_schedule, run, seat.ordinal, [call])
        try:
            super().work(run, seat)
            if asking is not None:
                asking.join()
        finally:
            if asking is not None:
                asking.kill(block=False)

    def order(self, run: StationRun) -> tuple[str, dict[str, Any]]:
        """With a snapshot first, at the population's rate at most."""
        return "SubscribeDeviceState", {
            "device_ids": [run.profile.target.device],
            "max_rate_hz": max(1, round(self.planned(run).watch.rate_hz)),
            "include_snapshot": True,
        }


class HealthProbe(Asking):
    """Asks both health services: the age of their modules' heartbeats tells a starved daemon."""

    abstract = True
    kind: ClassVar[Kind] = "health-probe"

    def work(self, run: StationRun, seat: messages.Seat) -> None:
        """Check, GetSystemHealth and GetModuleHealth, at the population's rate."""
        calls: list[tuple[str, dict[str, Any]]] = [("Check", {}), ("GetSystemHealth", {}), ("GetModuleHealth", {})]
        self.ask_on_schedule(run, seat.ordinal, calls)
