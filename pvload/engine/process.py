"""The engine's core: one method a command, each stream and call a task of the loop."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, Final, Protocol, TypeVar

from pvload.engine.calls import Calls
from pvload.engine.context import Context
from pvload.engine.storm import Storm
from pvload.engine.stream import ON_SILENCE, Stream
from pvload.engine.told import Told, member
from pvload.engine.watching import Watching
from pvload.errors import FormatError, PvloadError
from pvload.wire import command
from pvload.wire.codes import Abort, EndedBy

log = logging.getLogger(__name__)

PAYLOAD_CHECKS: Final = ("off", "size", "decoded")
CLOSE_TIMEOUT_S: Final = 1.5
"""How long streams and calls may take to end in order, and then, once cancelled, to end at all."""
IDS_KEPT: Final = 65_536
"""Ids remembered, newest last, to refuse one that comes twice."""


class Engine:
    """Carries out commands; `closed` ends whatever is open."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._calls = Calls(context)
        self._streams: dict[int, Stream] = {}
        self._others: dict[int, Watching] = {}
        """Streams of events."""
        self._storms: dict[int, Storm] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._used: dict[int, None] = {}
        self._told = Told(context)

    @property
    def streams(self) -> int:
        """Streams open now."""
        return len(self._streams)

    def carry_out(self, order: command.Command) -> None:
        """Begins what is ordered; FormatError if the command does not belong here or names what does not exist."""
        match order:
            case command.Open():
                self._open(order)
            case command.Close():
                self._close(order)
            case command.Call():
                self._claim(order.id)
                request = self._context.protocol.unary(order.method, order.arguments)
                self._spawn(self._calls.make(order, request))
            case command.Probe():
                self._claim(order.id)
                request = self._context.protocol.probe(order.device, order.parameter)
                self._spawn(self._calls.probe(order, request))
            case command.Watch():
                request = self._context.protocol.watch(order.method, order.arguments)
                self._claim(order.id)
                watching = Watching(order, request=request, context=self._context)
                self._spawn(_kept(self._others, order.id, watching))
            case command.Storm():
                self._storm(order)
            case command.Mark():
                self._mark(order)
            case command.Wanted():
                self._told.wanted(order)
            case command.User():
                self._told.user(order)
            case command.Note():
                self._told.note(order)
            case command.Change():
                self._told.change(order)
            case command.Left():
                self._told.left(order)
            case command.Daemon():
                self._told.daemon(order)
            case command.Action():
                self._told.action(order)
            case command.RunEnd():
                self._told.run_end(order)
                for storm in self._storms.values():
                    storm.close()
            case _:
                raise FormatError(f"command {order.NAME!r} has no place here")

    async def closed(self) -> None:
        """Ends every stream and call, and returns when their ends are recorded, in twice CLOSE_TIMEOUT_S at most."""
        by = EndedBy.RUN_END if self._told.run_ended else EndedBy.ENGINE
        for stream in list(self._streams.values()):
            stream.close(by)
        for other in list(self._others.values()):
            other.close(by)
        for storm in self._storms.values():
            storm.close()
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=CLOSE_TIMEOUT_S)
            for task in late:
                log.warning("cancelled at the end: %s", task.get_name())
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=CLOSE_TIMEOUT_S)
        await self._calls.close()

    def _open(self, order: command.Open) -> None:
        ordered_ns = self._context.clock.monotonic_ns()
        if order.on_silence not in ON_SILENCE:
            raise FormatError(f"on_silence {order.on_silence!r}, expected one of {', '.join(ON_SILENCE)}")
        if order.payload not in PAYLOAD_CHECKS or order.payload_every < 1:
            raise FormatError(
                f"payload {order.payload!r} of every {order.payload_every}-th frame",
                hint=f"expected one of {', '.join(PAYLOAD_CHECKS)}, of every frame or every n-th",
            )
        request = self._context.protocol.stream(order)
        self._claim(order.id)
        stream = Stream(order, request=request, ordered_ns=ordered_ns, context=self._context)
        self._spawn(_kept(self._streams, order.id, stream))

    def _storm(self, order: command.Storm) -> None:
        setting = self._context.protocol.setting(order.device, order.parameter)
        storm = Storm(order, setting=setting, context=self._context)
        self._claim(order.id)
        self._spawn(_kept(self._storms, order.id, storm))

    def _close(self, order: command.Close) -> None:
        """Closes a stream; one that just ended by itself has been answered already."""
        style = Abort(member(Abort, order.style))
        stream, other = self._streams.get(order.id), self._others.get(order.id)
        by = EndedBy.RUN_END if order.by == "run_end" else EndedBy.ORDER
        if order.id in self._storms:
            self._storms[order.id].close()
        elif other is not None:
            other.close(by)
        elif stream is not None and by is EndedBy.RUN_END:
            stream.close(by)
        elif stream is not None:
            stream.leave(style, order.linger_ms)

    def _mark(self, order: command.Mark) -> None:
        stream = self._streams.get(order.id)
        if stream is None:
            raise FormatError(f"stream {order.id} is not open, so it reaches no {order.frames} frames")
        stream.mark(order.frames)

    def _claim(self, number: int) -> None:
        """Takes an id for good: the records of two calls must never meet under one."""
        if number in self._used or not 0 <= number < 2**32:
            raise FormatError(f"id {number} was used before, or is none")
        self._used[number] = None
        if len(self._used) > IDS_KEPT:
            del self._used[next(iter(self._used))]

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (exc := task.exception()) is not None:
            log.error("a stream or call failed inside the engine", exc_info=exc)


class _Work(Protocol):
    async def run(self) -> None: ...


_AnyWork = TypeVar("_AnyWork", bound=_Work)


def _kept(kept: dict[int, _AnyWork], number: int, work: _AnyWork) -> Coroutine[Any, Any, None]:
    """The work's life, in `kept` from now until its end."""
    kept[number] = work

    async def live() -> None:
        try:
            await work.run()
        finally:
            del kept[number]

    return live()


def reason(exc: PvloadError) -> str:
    """One line for a Failed answer."""
    return f"{exc.message} ({exc.hint})" if exc.hint else exc.message
