"""A worker's engine: started after Locust's fork, ordered by JSON lines, replaced when it dies.

One greenlet reads its answers and hands each to the mailbox of its id. When the engine dies, every open mailbox gets
`Lost`, and the next incarnation is started on the same spool folder: it ships what its predecessor left, and is told
what the predecessor knew (when the camera was wanted, that the run ended) before anybody can open a stream on it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import gevent
from gevent.event import AsyncResult, Event
from gevent.queue import Empty, Queue

from pvload.errors import FormatError
from pvload.load.children import ChildError, LineChild
from pvload.wire import command
from pvload.wire.command import Answer, Command

_log = logging.getLogger(__name__)
READY_TIMEOUT_S: Final = 20.0
FINISH_TIMEOUT_S: Final = 12.0
PAUSES_S: Final = (0.0, 0.2, 1.0, 2.0, 5.0)
"""Before each try to start the next incarnation; after the last one no more."""
SHORT_LIFE_S: Final = 5.0
SHORT_LIVES_LIMIT: Final = 5
"""So many lives in a row, each shorter than SHORT_LIFE_S: it would die for ever."""


@dataclass(frozen=True, slots=True)
class Lost:
    """The engine died while this id was open: nothing more will be heard of it."""

    id: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Caller:
    """For whom a unary call is made."""

    population: str = ""
    ordinal: int = 0
    """The load user; empty: the operator or pvload itself."""
    operator: bool = False
    change: int = 0
    """The change that the call carries out; 0: none."""


class EngineDiedError(ChildError):
    """The engine died with the call under way: whether the daemon took it is not known."""


class Mailbox:
    """Answers to one id, in order."""

    def __init__(self, id: int, answers: Any = None) -> None:
        """answers: a queue that takes other words too; None: one of its own."""
        self.id = id
        self._answers = Queue() if answers is None else answers

    def put(self, answer: Answer | Lost) -> None:
        """Hands over one answer."""
        self._answers.put(answer)

    def get(self, timeout_s: float | None = None) -> Answer | Lost | None:
        """The next answer; None if none came in time."""
        try:
            answer: Answer | Lost = self._answers.get(timeout=timeout_s)
        except Empty:
            return None
        return answer


class EngineClient:
    """The worker's one engine, whichever incarnation lives."""

    def __init__(
        self,
        start: command.Start,
        *,
        log: Path,
        on_aggregate: Callable[[command.Aggregate], None],
        on_given_up: Callable[[str], None],
        on_effect: Callable[[command.Effect], None] = lambda _effect: None,
        on_remembered: Callable[[Command], None] = lambda _message: None,
        replaced: bool = True,
    ) -> None:
        """replaced: start another when it dies."""
        self.ready: command.Ready | None = None
        """Of the living incarnation."""
        self.deaths = 0
        self._start = start
        self._log_path = log
        self._on_aggregate = on_aggregate
        self._on_given_up = on_given_up
        self._on_effect = on_effect
        self._on_remembered = on_remembered
        self._up = Event()
        self._child: LineChild | None = None
        self._mailboxes: dict[int, Mailbox] = {}
        self._remembered: list[Command] = []
        self._next_id = 1
        self._greeting: AsyncResult = AsyncResult()
        self._farewell: AsyncResult = AsyncResult()
        self._ending = False
        self._replaced = replaced
        self._short_lives = 0
        self._born_s = 0.0

    def start(self) -> command.Ready:
        """Starts the first incarnation; ChildError says why it cannot run."""
        self._launch()
        return self._await_ready()

    @property
    def clock_offset_ns(self) -> int:
        """Run axis minus this host's monotonic clock."""
        return self.ready.clock_offset_ns if self.ready is not None else 0

    @property
    def pid(self) -> int:
        """Of the living incarnation; 0: none lives."""
        return self._child.pid if self._child is not None and self._child.alive else 0

    def open(self, answers: Any = None) -> Mailbox:
        """A mailbox with a fresh id, for a command that is about to be sent. Close it when its answers are over.

        answers: the queue that its answers go to, where they are read beside other words; None: its own.
        """
        mailbox = Mailbox(self._next_id, answers)
        self._next_id += 1
        self._mailboxes[mailbox.id] = mailbox
        return mailbox

    def close(self, mailbox: Mailbox) -> None:
        """Forgets the mailbox; later answers to its id are dropped."""
        self._mailboxes.pop(mailbox.id, None)

    def wait_up(self, timeout_s: float) -> bool:
        """Waits for a living incarnation."""
        return bool(self._up.wait(timeout_s))

    def send(self, message: Command, *, remember: bool = False) -> bool:
        """Sends a command; False if no engine lives to take it.

        remember: tell every successor too; of what the plan wants of a device only the last word.
        """
        if remember:
            if isinstance(message, command.Wanted):
                self._remembered = [one for one in self._remembered if not _same_device(one, message)]
            self._remembered.append(message)
            self._on_remembered(message)
        child = self._child
        if child is None or not self._up.is_set():
            return False
        try:
            child.send(command.to_line(message))
        except ChildError:
            return False
        return True

    def call(
        self, method: str, *, timeout_s: float = 30.0, operator: bool = False, **arguments: Any
    ) -> command.Answered:
        """Makes a unary call and waits for its answer; ChildError if the engine did not bring one."""
        return self.call_for(Caller(operator=operator), method, arguments, timeout_s=timeout_s)

    def call_for(
        self, caller: Caller, method: str, arguments: dict[str, Any], *, timeout_s: float = 30.0, due_ns: int = 0
    ) -> command.Answered:
        """As `call`. due_ns: when the call was due, this host's monotonic clock; 0: when it is sent."""
        mailbox = self.open()
        message = command.Call(
            id=mailbox.id,
            method=method,
            arguments=arguments,
            timeout_ms=1000 * timeout_s,
            due_ns=due_ns,
            operator=caller.operator,
            population=caller.population,
            ordinal=caller.ordinal,
            change=caller.change,
        )
        return self._answered(mailbox, message, timeout_s=timeout_s + 5, what=method)

    def probe(self, device: str, parameter: str, *, count: int = 5) -> command.Answered:
        """Reads the target's clock `count` times."""
        mailbox = self.open()
        message = command.Probe(id=mailbox.id, device=device, parameter=parameter, count=count)
        return self._answered(mailbox, message, timeout_s=30.0, what="clock probe")

    def finish(self) -> command.Finished | None:
        """Orders the end and waits for it; None if the engine could not say that it shipped everything."""
        self._ending = True
        if not self.send(command.Finish()):
            self.kill()
            return None
        try:
            finished: command.Finished | None = self._farewell.get(timeout=FINISH_TIMEOUT_S)
        except gevent.Timeout:
            _log.error("the engine did not finish within %g s", FINISH_TIMEOUT_S)
            finished = None
        if self._child is not None:
            self._child.end(timeout_s=3.0)
        return finished

    def kill(self) -> None:
        """Ends the engine without a word; what it recorded stays in its spool."""
        self._ending = True
        self._disown()

    def _disown(self) -> None:
        child, self._child = self._child, None
        self._up.clear()
        if child is not None:
            child.kill()

    def _answered(self, mailbox: Mailbox, message: Command, *, timeout_s: float, what: str) -> command.Answered:
        try:
            if not self.send(message):
                raise ChildError(f"{what}: the engine is not running")
            answer = mailbox.get(timeout_s)
        finally:
            self.close(mailbox)
        if isinstance(answer, command.Answered):
            return answer
        if isinstance(answer, command.Failed):
            raise ChildError(f"{what}: {answer.reason}")
        if isinstance(answer, Lost):
            raise EngineDiedError(f"{what}: the engine died")
        raise ChildError(f"{what}: the engine did not answer")

    def _launch(self) -> None:
        self._greeting, self._farewell = AsyncResult(), AsyncResult()
        child = LineChild(
            "engine",
            ["pvload.engine"],
            log=self._log_path,
            on_line=self._take,
            on_exit=lambda: self._died(child),
        )
        child.start()
        self._child = child
        child.send(command.to_line(self._start))

    def _await_ready(self) -> command.Ready:
        try:
            greeting = self._greeting.get(timeout=READY_TIMEOUT_S)
        except gevent.Timeout:
            greeting = command.Failed(id=-1, reason=f"it was not ready within {READY_TIMEOUT_S:g} s")
        if not isinstance(greeting, command.Ready):
            self._disown()
            raise ChildError(f"the engine could not start: {greeting.reason}", hint=f"see {self._log_path}")
        self.ready = greeting
        self._born_s = time.monotonic()
        self._up.set()
        for message in self._remembered:
            self.send(message)
        return greeting

    def _take(self, line: bytes) -> None:
        """One line of the engine's stdout."""
        try:
            answer = command.answer_from_line(line)
        except FormatError as exc:
            _log.error("the engine said what nobody understands: %s", exc)
            return
        match answer:
            case command.Aggregate():
                self._on_aggregate(answer)
            case command.Ready():
                self._greeting.set(answer)
            case command.Finished():
                self._farewell.set(answer)
            case command.Failed(id=-1):
                self._greeting.set(answer)
            case command.Effect():
                self._on_effect(answer)
            case _:
                mailbox = self._mailboxes.get(answer.id)
                if mailbox is not None:
                    mailbox.put(answer)

    def _died(self, child: LineChild) -> None:
        """Its stdout ended: in order at the end of a run, else it died."""
        if not self._greeting.ready():
            self._greeting.set(command.Failed(id=-1, reason=child.last_words() or "it ended at once"))
        if not self._farewell.ready():
            self._farewell.set(None)
        if child is not self._child:
            return
        lived = self._up.is_set()
        self._up.clear()
        for mailbox in list(self._mailboxes.values()):
            mailbox.put(Lost(mailbox.id))
        if lived and not self._ending and self._replaced:
            gevent.spawn(self._replace)

    def _replace(self) -> None:
        """Starts the next incarnation, or gives up after too many short lives."""
        self.deaths += 1
        short = time.monotonic() - self._born_s < SHORT_LIFE_S
        self._short_lives = self._short_lives + 1 if short else 0
        _log.error("the engine died (incarnation %d), starting another", self._start.incarnation)
        for pause_s in PAUSES_S if self._short_lives <= SHORT_LIVES_LIMIT else ():
            gevent.sleep(pause_s)
            if self._ending:
                return
            self._start = replace(self._start, incarnation=self._start.incarnation + 1)
            try:
                self._launch()
                self._await_ready()
            except (ChildError, OSError) as exc:
                _log.error("%s", exc)
                continue
            text = f"engine incarnation {self._start.incarnation} took over"
            self.send(command.Note(note="engine_replaced", text=text))
            return
        self._on_given_up("the engine died and could not be started again")


def _same_device(remembered: Command, wanted: command.Wanted) -> bool:
    return isinstance(remembered, command.Wanted) and remembered.device == wanted.device
