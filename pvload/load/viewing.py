"""A viewer's stream, opened, followed to its end, and opened again.

Everything that happens to a subscriber comes into one inbox: the engine's answers about its call, the timeline's
orders, and the run's end. `Viewing` reads it in one place at a time, so no two greenlets ever act for one subscriber.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Final

import gevent
from gevent.queue import Empty, Queue

from pvload.load import messages
from pvload.load.children import ChildError
from pvload.load.churn import BackOff, Visit, visit
from pvload.load.engine_client import EngineClient, Lost, Mailbox
from pvload.load.orders import Orders
from pvload.load.station import Station, StationRun
from pvload.load.user import engine_of
from pvload.plan.share import seed_of
from pvload.profiles.users import Churn, Users
from pvload.wire import command

_log = logging.getLogger(__name__)
RESUBSCRIBE_PAUSE_S: Final = 0.05
PING_MS: Final = 10_000.0
"""The project's own client asks for a sign so often."""
CLOSE_WAIT_S: Final = 1.5
"""How long a killed user waits for its stream's end, so that a changed user count acts within 2 s."""


@dataclass(slots=True)
class CallEnd:
    """How one call went."""

    by: str = "lost"
    """As in wire.command.Ended, or `lost` when its engine died."""
    frames_came: bool = False
    frames: int = 0
    action: str = ""
    """What the watchdog was told to do, if it closed the call."""
    left: bool = False
    """It was left by plan: the churn's lifetime was over, or the timeline said so."""


class Viewing:
    """One subscriber in one run."""

    def __init__(self, station: Station, run: StationRun, population: Users, seat: messages.Seat) -> None:
        self._station = station
        self._run = run
        self._population = population
        self._ordinal = seat.ordinal
        self._number = seat.calls
        self._name = f"{population.name}/{seat.ordinal}"
        self._inbox: Any = Queue()
        self._back_off = BackOff(population.retry, seed_of(run.profile.run.seed, population.name, seat.ordinal))
        self._orders = Orders(station, run)

    def live(self) -> None:
        """Until the run or the profile says enough. The inbox is known to the station for so long."""
        seat = self._population.name, self._ordinal
        self._run.inboxes[seat] = self._inbox
        try:
            if self._by_timeline:
                self._follow_orders()
            else:
                self._come_and_go()
        finally:
            if self._run.inboxes.get(seat) is self._inbox:
                del self._run.inboxes[seat]

    def reconnect(self) -> None:
        """Leaves the call that is open, if any, and opens another with the back-off's pauses."""
        self._inbox.put(_RECONNECT)

    @property
    def _by_timeline(self) -> bool:
        return self._population.opens == "timeline"

    def _come_and_go(self) -> None:
        cycles = self._population.churn.cycles if self._population.churn is not None else 0
        calls = 0
        while not self._run.ending.is_set():
            drawn = self._visit()
            end = self._call(drawn.lifetime_s if drawn else None, drawn.style if drawn else "")
            calls += 1
            if end is None:
                continue
            if end.left and drawn is not None:
                if 0 < cycles <= calls:
                    return
                self._back_off.reset()
                self._pause(drawn.pause_s)
                continue
            pause_s = self._pause_after(end)
            if pause_s is None:
                return
            self._pause(pause_s)

    def _follow_orders(self) -> None:
        """Opens when the timeline says so, and again by itself only when a call ended that nobody left."""
        again = False
        while not self._run.ending.is_set():
            if not (again or self._orders.is_to_open):
                self._pause(None)
                continue
            again = False
            end = self._call(None, "killed" if self._may_be_killed else "")
            if end is None:
                continue
            pause_s = None if end.left else self._pause_after(end)
            if pause_s is None:
                self._orders.answer_opening(done=False, details="the call ended before it was accepted")
            else:
                again = self._pause(pause_s)

    def _visit(self) -> Visit | None:
        """What is drawn for the next call; None: this population stays."""
        if self._population.churn is None:
            return None
        seed = self._run.profile.run.seed
        name, number = self._population.name, self._number + 1
        return visit(self._population.churn, run_seed=seed, population=name, ordinal=self._ordinal, number=number)

    @property
    def _may_be_killed(self) -> bool:
        """Does the timeline ever kill this client? Then each of its calls is a viewer process's."""
        return any(
            one.action == "abort" and one.abort == "killed" and one.client == self._population.name
            for one in self._run.profile.timeline
        )

    def _pause_after(self, end: CallEnd) -> float | None:
        """Before the next call; None: there is none."""
        if end.frames_came:
            self._back_off.reset()
        if self._run.ending.is_set() or end.by in ("run_end", "engine"):
            return None
        if end.by == "lost":
            return 0.0
        if end.by == "watchdog":
            return RESUBSCRIBE_PAUSE_S if end.action == "resubscribe" else None
        if end.by == "order" and not end.left:
            done = messages.Done(
                run=self._run.id, population=self._population.name, ordinal=self._ordinal, at_ns=self._axis_ns()
            )
            self._station.tell(done)
            return None
        if not self._population.reconnect:
            return None
        if not end.frames_came and self._back_off.failed():
            self._give_up()
            return None
        return self._back_off.pause_s()

    def _give_up(self) -> None:
        text = f"{self._name} gave up after {self._back_off.failures} calls in a row without a frame"
        _log.error("%s", text)
        note = command.Note(note="gave_up", text=text, value=self._back_off.failures)
        engine_of(self._run).send(note)

    def _pause(self, length_s: float | None) -> bool:
        """Waits, or until an order to open; orders are answered meanwhile. None: for as long as it takes.

        Was it left alone? (The run's end and an order to leave say no.)
        """
        due_ns = None if length_s is None else self._station.clock.monotonic_ns() + int(length_s * 1e9)
        while not self._run.ending.is_set():
            left_s = None if due_ns is None else (due_ns - self._station.clock.monotonic_ns()) / 1e9
            if left_s is not None and left_s <= 0:
                return True
            word = self._next(left_s)
            if not isinstance(word, messages.Order):
                continue
            if word.action == "open" and self._by_timeline:
                self._orders.opening = word
                return True
            self._orders.answer(word, done=False, details="it has no stream open")
            if word.action in ("close", "abort") and self._by_timeline:
                return False
        return False

    def _next(self, timeout_s: float | None) -> Any:
        """The next word in the inbox; None in time of none, and at the run's end."""
        try:
            return self._inbox.get(timeout=timeout_s)
        except Empty:
            return None

    # One call.

    def _call(self, lifetime_s: float | None, style: str) -> CallEnd | None:
        """Opens the stream and follows it to its end; None: no engine lives to take it.

        lifetime_s: leave so long after the stream was accepted, in this `style`; None: stay.
        """
        viewers = self._run.viewers if style == "killed" else None
        engine = engine_of(self._run)
        if not engine.wait_up(1.0):
            return None
        if viewers is not None:
            try:
                engine = viewers.take()
            except ChildError as exc:
                _log.error("%s: %s", self._name, exc.message)
                self._run.ending.wait(1.0)
                return None
        mailbox = engine.open(self._inbox)
        self._run.streams[mailbox] = engine
        self._number += 1
        try:
            at_ns = self._axis_ns()
            if not engine.send(self._order(mailbox.id)):
                return CallEnd()
            opened = messages.Opened(
                run=self._run.id,
                population=self._population.name,
                ordinal=self._ordinal,
                number=self._number,
                at_ns=at_ns,
            )
            self._station.tell(opened)
            return self._follow(engine, mailbox, lifetime_s, style)
        finally:
            self._run.streams.pop(mailbox, None)
            engine.close(mailbox)
            self._orders.answer_marks()
            if viewers is not None:
                viewers.give_back(engine)

    def _order(self, id: int) -> command.Open:
        population, run = self._population, self._run
        return command.Open(
            id=id,
            population=population.name,
            ordinal=self._ordinal,
            number=self._number,
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
            read_fps=population.read_fps,
            pause_ms=1000 * population.pause_after_frame,
            droppable=self._droppable,
            ping_ms=PING_MS if population.kind == "gui-viewer" else 0.0,
        )

    @property
    def _droppable(self) -> bool:
        """May this population's calls be left by resetting their connections?"""
        churn, name = self._population.churn, self._population.name
        styles = ("dropped", "half_open")
        if churn is not None and any(getattr(churn.abort, style) for style in styles):
            return True
        return any(
            one.client == name and one.abort in styles and one.action == "abort" for one in self._run.profile.timeline
        )

    def _follow(self, engine: EngineClient, mailbox: Mailbox, lifetime_s: float | None, style: str) -> CallEnd:
        """The call's words, one after another, to its end."""
        end = CallEnd()
        over = False
        due_ns: int | None = None
        try:
            while not over:
                left_s = None if due_ns is None else max(0.0, (due_ns - self._station.clock.monotonic_ns()) / 1e9)
                word = self._next(left_s)
                if self._run.ending.is_set():
                    due_ns = None  # the station closes what is open
                if word is None and due_ns is not None and self._station.clock.monotonic_ns() >= due_ns:
                    self._leave(engine, mailbox, end, style, self._half_open_ms)
                    over = True
                elif isinstance(word, messages.Order):
                    over = self._obey(engine, mailbox, end, word)
                elif word is _RECONNECT:
                    self._close(engine, mailbox, end, "clean")
                    end.by, over = "server", True
                elif word is not None and word.id == mailbox.id:
                    if isinstance(word, command.Headers) and lifetime_s is not None and due_ns is None:
                        due_ns = self._station.clock.monotonic_ns() + int(lifetime_s * 1e9)
                    over = self._note(end, word)
        finally:
            if not over:  # killed by Locust: fewer users are wanted
                engine.send(command.Close(id=mailbox.id, by="run_end" if self._run.ending.is_set() else "order"))
                with gevent.Timeout(CLOSE_WAIT_S, False):
                    self._await_end(mailbox, end)
        return end

    def _obey(self, engine: EngineClient, mailbox: Mailbox, end: CallEnd, order: messages.Order) -> bool:
        """Carries out an order of the timeline while a call is open; is the call over?"""
        if order.action == "mark":
            self._orders.marks.append(order)
            engine.send(command.Mark(id=mailbox.id, frames=order.frames))
            return False
        if order.action == "open":
            self._orders.answer(order, done=False, details="its stream is open")
            return False
        if not self._by_timeline:
            self._orders.answer(order, done=False, details='only a population with opens = "timeline" is closed by it')
            return False
        style = order.style if order.action == "abort" else "clean"
        self._leave(engine, mailbox, end, style, order.linger_ms or self._half_open_ms)
        self._orders.answer(order, done=True, details="")
        return True

    @property
    def _half_open_ms(self) -> float:
        churn = self._population.churn
        return 1000 * (churn.half_open_for if churn is not None else Churn().half_open_for)

    def _leave(self, engine: EngineClient, mailbox: Mailbox, end: CallEnd, style: str, linger_ms: float) -> None:
        """Leaves the call in `style`, by plan."""
        viewers, main = self._run.viewers, engine_of(self._run)
        if style == "killed" and viewers is not None and engine is not main:
            left = command.Left(
                population=self._population.name,
                ordinal=self._ordinal,
                number=self._number,
                device=self._run.profile.target.device,
                style=style,
                at_ns=self._station.clock.monotonic_ns(),
            )
            main.send(left)
            viewers.kill(engine)
        else:
            self._close(engine, mailbox, end, style, linger_ms)
        end.by, end.left = "order", True

    def _close(self, engine: EngineClient, mailbox: Mailbox, end: CallEnd, style: str, linger_ms: float = 0.0) -> None:
        """Orders the call closed and waits for its end, but not for a half-open connection's."""
        half_open = style == "half_open"
        engine.send(command.Close(id=mailbox.id, style=style, linger_ms=linger_ms if half_open else 0.0))
        if not half_open:
            with gevent.Timeout(CLOSE_WAIT_S, False):
                self._await_end(mailbox, end)

    def _await_end(self, mailbox: Mailbox, end: CallEnd) -> None:
        """Reads on to the call's last word; orders that come meanwhile are answered."""
        while True:
            word = self._inbox.get()
            if isinstance(word, messages.Order):
                self._orders.answer(word, done=False, details="its stream is just being left")
            elif word is not None and word is not _RECONNECT and word.id == mailbox.id and self._note(end, word):
                return

    def _note(self, end: CallEnd, answer: Any) -> bool:
        """Takes one answer into `end`; was it the last?"""
        match answer:
            case command.Headers():
                self._orders.answer_opening(done=True, details="")
            case command.FirstFrame():
                end.frames_came = True
            case command.Reached():
                self._orders.answer_marks(answer)
            case command.Timeout():
                end.action = answer.action
                _log.warning("%s: no frame for %.1f s", self._name, answer.waited_ms / 1000)
            case command.Ended():
                end.by, end.frames = answer.by, answer.frames
                if answer.by == "server":
                    _log.warning("%s: the stream ended: %s %s", self._name, answer.status, answer.details)
                self._orders.answer_opening(done=False, details=f"{answer.status} {answer.details}".strip())
                return True
            case command.Failed():
                end.by = "server"
                _log.error("%s: the stream could not be ordered: %s", self._name, answer.reason)
                self._orders.answer_opening(done=False, details=answer.reason)
                return True
            case Lost():
                end.by = "lost"
                return True
        return False

    def _axis_ns(self) -> int:
        return self._station.clock.monotonic_ns() + engine_of(self._run).clock_offset_ns


_RECONNECT: Final = object()
"""In an inbox: leave the call and open another."""
