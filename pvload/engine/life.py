"""An engine's life: the parts are made, commands are carried out, and everything ends in one order whatever ends it.

Begin: spool before shipper, shipper before the first stream. End: streams and calls, the inspection of what they
brought, the last beat, the spool (which states the total), the delivery, the answer Finished.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import socket
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pvload.clock import NS_PER_S, Clock, boot_id
from pvload.engine.context import Context
from pvload.engine.frames import Inspection
from pvload.engine.lag import LagMeter
from pvload.engine.outbox import Outbox, read_lines
from pvload.engine.process import Engine, reason
from pvload.engine.pulse import Pulse
from pvload.errors import FormatError, PvloadError
from pvload.protocols import protocol_named
from pvload.protocols.endpoint import checked_endpoint, endpoint
from pvload.ship.recorder import Recorder
from pvload.ship.shipper import Delivery, Shipper
from pvload.ship.spool import SEGMENT_BYTES, Spool
from pvload.wire import command
from pvload.wire.batch import Hello
from pvload.wire.codes import NoteClass
from pvload.wire.event import Kind

log = logging.getLogger(__name__)

VIEWER: Final = "viewer"
ROLES: Final = ("engine", VIEWER)
VIEWER_SEGMENT_BYTES: Final = 256 * 1024
"""A viewer is killed after some hundred frames, and its segments may lie beside those of many others."""
CONNECT_TIMEOUT_NS: Final = 2 * NS_PER_S
"""How long Ready waits for the collector's answer and clock; without them the spool keeps what is recorded."""
DELIVERY_TIMEOUT_S: Final = 6.0
"""With the streams' own time to end this stays within the ten seconds that the end of a run gives."""
OUTBOX_TIMEOUT_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Parts:
    """What is made at the start and taken apart at the end."""

    sender: bytes
    context: Context
    shipper: Shipper
    lag: LagMeter


def make(start: command.Start, *, clock: Clock, outbox: Outbox, idle_ns: Callable[[], int]) -> Parts:
    """Everything that `start` asks for, nothing of it running yet; PvloadError says what cannot be had."""
    if start.version != command.VERSION:
        raise FormatError(f"start has version {start.version}, this engine speaks {command.VERSION}")
    if start.role not in ROLES:
        raise FormatError(f"role {start.role!r}, expected one of {', '.join(ROLES)}")
    viewer = start.role == VIEWER
    target = checked_endpoint(start.target) if viewer else endpoint(start.target)
    try:
        run = uuid.UUID(start.run).bytes
    except ValueError as exc:
        raise FormatError(f"run {start.run!r} is no UUID") from exc
    sender, folder = uuid.uuid4().bytes, Path(start.spool)
    hello = Hello(
        role=start.role,
        worker=start.worker,
        incarnation=start.incarnation,
        host=socket.gethostname(),
        boot=boot_id(),
        pid=os.getpid(),
    )
    spool = Spool.create(
        folder,
        run=run,
        sender=sender,
        hello=hello,
        limit_bytes=start.spool_bytes,
        segment_bytes=VIEWER_SEGMENT_BYTES if viewer else SEGMENT_BYTES,
    )
    context = Context(
        clock=clock,
        endpoint=target,
        protocol=protocol_named(target.protocol),
        recorder=Recorder(spool, clock),
        outbox=outbox,
        inspection=Inspection(),
        idle_ns=idle_ns,
    )
    shipper = Shipper(start.collector, folder, run=run, clock=clock, own=sender)
    return Parts(sender=sender, context=context, shipper=shipper, lag=LagMeter(clock))


class Life:
    """One engine process from its first line to its exit code."""

    def __init__(self, *, clock: Clock, commands_fd: int, outbox: Outbox, idle_ns: Callable[[], int]) -> None:
        """idle_ns: how long the loop has had nothing to do."""
        self._clock = clock
        self._idle_ns = idle_ns
        self._commands_fd = commands_fd
        self._outbox = outbox
        self._engine: Engine | None = None
        self._lines: asyncio.Queue[bytes | None] = asyncio.Queue()
        self._ending = asyncio.Event()

    async def live(self) -> int:
        """Lives; the exit code is 0 after an orderly end, 2 if it could not start."""
        loop = asyncio.get_running_loop()
        threading.Thread(
            target=read_lines,
            args=(
                self._commands_fd,
                lambda line: loop.call_soon_threadsafe(self._take, line),
                lambda: loop.call_soon_threadsafe(self._take, None),
            ),
            name="commands",
            daemon=True,
        ).start()
        self._outbox.start()
        first = await self._lines.get()
        if first is None:
            return 0
        try:
            start = command.command_from_line(first)
            if not isinstance(start, command.Start):
                raise FormatError(f"the first command must be start, got {start.NAME!r}")
            parts = make(start, clock=self._clock, outbox=self._outbox, idle_ns=self._idle_ns)
        except PvloadError as exc:
            log.error("cannot start: %s", exc)
            self._outbox.send(command.Failed(id=-1, reason=reason(exc)))
            self._outbox.close(OUTBOX_TIMEOUT_S)
            return exc.exit_code
        await self._run(parts)
        return 0

    def end(self) -> None:
        """Orders the end, as EOF on stdin does."""
        self._ending.set()
        if self._engine is None:
            self._lines.put_nowait(None)

    def _take(self, line: bytes | None) -> None:
        """A line came: carried out at once when the engine runs, kept in order before."""
        if self._engine is None:
            self._lines.put_nowait(line)
        elif line is None:
            self.end()
        else:
            self._carry_out(self._engine, line)

    async def _run(self, parts: Parts) -> None:
        context, shipper = parts.context, parts.shipper
        engine = Engine(context)
        pulse = Pulse(context, sender=parts.sender, shipper=shipper, lag=parts.lag, streams=lambda: engine.streams)
        # What exists now stays for good: no collection need look at it again.
        gc.collect()
        gc.freeze()
        parts.lag.start()
        shipper.start()
        await self._connected(shipper)
        pulse.record_clock()
        sender = parts.sender.hex()
        offset = shipper.offset
        self._outbox.send(
            command.Ready(pid=os.getpid(), sender=sender, clock_offset_ns=0 if offset is None else offset.offset_ns)
        )
        log.info("engine %s runs, target %s", sender[:8], context.endpoint.address)
        beating = asyncio.create_task(pulse.run())
        self._engine = engine
        while not self._lines.empty():
            self._take(self._lines.get_nowait())
        await self._ending.wait()
        await engine.closed()
        context.inspection.close()
        beating.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await beating
        pulse.beat()
        parts.lag.stop()
        if self._outbox.dropped:
            text = context.recorder.text_id("the worker did not read its engine's answers: some were dropped")
            context.recorder.append(Kind.NOTE, code=NoteClass.INFO, text=text, value=self._outbox.dropped)
        context.recorder.close()
        delivery = await asyncio.to_thread(_deliver, shipper)
        log.info("engine %s ended: %d records, %d delivered", sender[:8], delivery.records, delivery.delivered)
        self._outbox.send(command.Finished(records=delivery.records, delivered=delivery.delivered))
        await asyncio.to_thread(self._outbox.close, OUTBOX_TIMEOUT_S)

    async def _connected(self, shipper: Shipper) -> None:
        deadline_ns = self._clock.monotonic_ns() + CONNECT_TIMEOUT_NS
        while shipper.offset is None and self._clock.monotonic_ns() < deadline_ns and not self._ending.is_set():
            await asyncio.sleep(0.005)

    def _carry_out(self, engine: Engine, line: bytes) -> None:
        if self._ending.is_set():
            return
        number = -1
        try:
            order = command.command_from_line(line)
            if isinstance(order, command.Finish):
                self.end()
                return
            number = getattr(order, "id", -1)
            engine.carry_out(order)
        except (PvloadError, ValueError, OverflowError, TypeError) as exc:
            text = reason(exc) if isinstance(exc, PvloadError) else str(exc)
            log.warning("command refused: %s", text)
            self._outbox.send(command.Failed(id=number, reason=text))


def _deliver(shipper: Shipper) -> Delivery:
    delivery = shipper.finish(DELIVERY_TIMEOUT_S)
    shipper.stop()
    return delivery
