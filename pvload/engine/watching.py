"""One call that streams events, from its order to its end, on a connection of its own."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

import grpc
import grpc.aio

from pvload.clock import NS_PER_MS, NS_PER_S
from pvload.engine.channels import connect
from pvload.engine.context import Context
from pvload.engine.events import EventLog, Teller
from pvload.engine.pace import Pace
from pvload.errors import FormatError
from pvload.protocols.seam import Request
from pvload.wire import command
from pvload.wire.codes import EndedBy
from pvload.wire.event import Kind

log = logging.getLogger(__name__)

_Events = grpc.aio.UnaryStreamMultiCallable[bytes, bytes]


class Watching:
    """A call that streams events; `run` is its whole life, `close` ends it early."""

    def __init__(self, order: command.Watch, *, request: Request, context: Context) -> None:
        self.order = order
        self.events = 0
        self._request = request
        self._context = context
        teller = Teller(call=order.id, population=order.population, ordinal=order.ordinal)
        self._tally = context.tally(order.population, order.method)
        self._log = EventLog(context.recorder, teller)
        self._pace = Pace(read_fps=0.0, pause_ms=order.pause_ms)
        self._ended_by = EndedBy.SERVER
        self._call: grpc.aio.UnaryStreamCall[bytes, bytes] | None = None
        self._gone = asyncio.Event()
        self._damage = ""

    def __repr__(self) -> str:
        return f"Watching({self.order.id}, {self.order.method}, {self.events} events)"

    def close(self, by: EndedBy) -> None:
        """Cancels the call; the first reason given stands."""
        if self._ended_by is EndedBy.SERVER:
            self._ended_by = by
        self._gone.set()
        if self._call is not None:
            self._call.cancel()

    async def run(self) -> None:
        """Opens, reads until the end, closes the connection, and says how it ended."""
        status, details = grpc.StatusCode.CANCELLED, ""
        opened_ns = self._record_opened()
        try:
            if self._ended_by is EndedBy.SERVER:
                status, details = await self._read(opened_ns)
        finally:
            ended_ns = self._context.clock.monotonic_ns()
        self._record_ended(status, details, ended_ns)

    async def _read(self, opened_ns: int) -> tuple[grpc.StatusCode, str]:
        async with self._context.door:
            channel = connect(self._context.endpoint, self.order.window_bytes)
            await asyncio.sleep(0)
        try:
            call_type: _Events = channel.unary_stream(self._request.path)
            call = self._call = call_type(self._request.message, metadata=self._context.endpoint.metadata)
            if self._ended_by is not EndedBy.SERVER:
                call.cancel()
            try:
                await call.initial_metadata()
                connect_ms = (self._context.clock.monotonic_ns() - opened_ns) / NS_PER_MS
                self._context.outbox.send(command.Headers(id=self.order.id, connect_ms=connect_ms))
                # Never left early: an iterator that is not exhausted keeps the call alive.
                async for message in call:
                    await self._saw(message)
                return await call.code(), (await call.details()) or ""
            except asyncio.CancelledError:
                return (grpc.StatusCode.INTERNAL if self._damage else grpc.StatusCode.CANCELLED), self._damage
            except grpc.aio.AioRpcError as exc:
                return exc.code(), exc.details() or ""
            except grpc.aio.BaseError as exc:
                return grpc.StatusCode.INTERNAL, f"{type(exc).__name__}: {exc}"
            finally:
                call.cancel()
        finally:
            self._call = None
            await channel.close()

    async def _saw(self, message: bytes) -> None:
        t_ns = self._context.clock.monotonic_ns()
        if self._ended_by is not EndedBy.SERVER or self._damage:
            return
        try:
            events = self._context.protocol.read_events(self.order.method, message)
        except FormatError as exc:
            self._damage = exc.message
            if self._call is not None:
                self._call.cancel()
            return
        self.events += 1
        self._tally.frame(len(message), -1)
        for event in events:
            self._log.record(event, t_ns)
        if self._pace:
            pause_ns = self._pace.next_ns(t_ns) - self._context.clock.monotonic_ns()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._gone.wait(), max(pause_ns, 0) / NS_PER_S)

    def _record_opened(self) -> int:
        order, recorder = self.order, self._context.recorder
        method, device = recorder.text_id(order.method), recorder.text_id(order.device)
        population = recorder.text_id(order.population)
        now_ns = self._context.clock.monotonic_ns()
        recorder.append(
            Kind.WATCHING,
            ref=order.id,
            t_ns=now_ns,
            method=method,
            device=device,
            population=population,
            ordinal=order.ordinal,
            number=order.number,
        )
        return now_ns

    def _record_ended(self, status: grpc.StatusCode, details: str, ended_ns: int) -> None:
        self._context.recorder.append(
            Kind.WATCHED,
            ref=self.order.id,
            t_ns=ended_ns,
            code=self._ended_by,
            details=self._context.recorder.text_id(details),
            status=status.value[0],
            events=self.events,
        )
        by = self._ended_by.name.lower()
        self._context.outbox.send(
            command.Ended(id=self.order.id, by=by, status=status.name, details=details, frames=self.events)
        )
        if self._ended_by is EndedBy.SERVER:
            log.info("%r ended by the server: %s %s", self, status.name, details)
