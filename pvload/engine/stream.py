"""One call of one subscriber, from its order to its end, on a connection of its own.

Whatever ends it, the call is cancelled and its channel closed before ENDED is recorded: a server keeps a stream whose
client merely stopped reading.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Final

import grpc
import grpc.aio

from pvload.clock import NS_PER_MS, NS_PER_S
from pvload.engine import reset
from pvload.engine.channels import connect, pings
from pvload.engine.context import Context
from pvload.engine.frames import FrameLine
from pvload.engine.pace import Pace
from pvload.errors import FormatError
from pvload.protocols.payload import Sampling
from pvload.protocols.seam import Ending, Frame, Request
from pvload.wire import command
from pvload.wire.codes import Abort, EndedBy, NoteClass, Quality
from pvload.wire.event import Kind

log = logging.getLogger(__name__)

_Frames = grpc.aio.UnaryStreamMultiCallable[bytes, bytes]

ON_SILENCE: Final = {"keep_waiting": 0, "resubscribe": 1, "end": 2}
"""`action` of a WAIT_TIMEOUT record."""
MARKS_LIMIT: Final = 64
REFUSAL_S: Final = 0.25
"""A refusal is headers and status in one, but is seen as one after the other; so long the second may take."""


class Stream:
    """A StreamFrames call; `run` is its whole life, `close` ends it early."""

    def __init__(self, order: command.Open, *, request: Request, ordered_ns: int, context: Context) -> None:
        self.order = order
        self._request = request
        self._ordered_ns = ordered_ns
        self._context = context
        self._tally = context.tally(order.population)
        self._line = FrameLine(
            order.id,
            protocol=context.protocol,
            recorder=context.recorder,
            sampling=Sampling(order.payload, order.payload_every),
            inspection=context.inspection,
        )
        self._ended_by = EndedBy.SERVER
        self._call: grpc.aio.UnaryStreamCall[bytes, bytes] | None = None
        self._damage = ""
        self._opened_ns = 0
        self._last_ns = 0
        self._silence_ns = round(order.silence_ms * NS_PER_MS)
        self._watchdog: asyncio.TimerHandle | None = None
        self._acceptance: asyncio.TimerHandle | None = None
        """Runs while headers came and neither a frame nor an end."""
        self._headers_ns = 0
        self._marks: set[int] = set()
        """Numbers of frames that somebody wants to be told of."""
        self._pace = Pace(read_fps=order.read_fps, pause_ms=order.pause_ms)
        self._mark = reset.new_mark() if order.droppable else 0
        self._held = bool(self._pace)
        """The next message is not asked for at once."""
        self._pausing = False
        self._asked_ns = 0
        """When a held reader last asked."""
        self._hanging = False
        self._linger: asyncio.TimerHandle | None = None
        self._gone = asyncio.Event()
        """Nobody reads from the call any more: it was cancelled, or its connection broken."""

    def __repr__(self) -> str:
        return f"Stream({self.order.id}, {self.order.population} {self.order.ordinal}, {self._line.frames} frames)"

    def close(self, by: EndedBy) -> None:
        """Cancels the call; the first reason given stands. May come at any time of the stream's life."""
        if self._ended_by is EndedBy.SERVER:
            self._ended_by = by
        if self._hanging:
            self._break()
        elif self._call is not None:
            self._accepted()
            self._gone.set()
            self._call.cancel()

    def leave(self, style: Abort, linger_ms: float) -> None:
        """Leaves by plan, and records it before it is done; FormatError where the connection cannot be reset."""
        if style is Abort.KILLED or (style is not Abort.CLEAN and not self.order.droppable):
            raise FormatError(
                f"stream {self.order.id} cannot be left {style.name.lower()}",
                hint="only a stream opened as droppable can be dropped or left half open, and no stream kills itself",
            )
        if self._ended_by is not EndedBy.SERVER:
            return
        self._accepted()  # what the server had said by then stands before what was done about it
        self._record_left(style)
        if style is Abort.CLEAN or self._call is None:
            self.close(EndedBy.ORDER)
            return
        self._ended_by = EndedBy.ORDER
        if style is Abort.DROPPED:
            self._break()
            return
        self._hanging = self._held = True
        if self._watchdog is not None:
            self._watchdog.cancel()
        self._linger = asyncio.get_running_loop().call_later(linger_ms / 1000, self._break)

    def _break(self) -> None:
        """Resets the connection under the call; nothing of it reaches the server in order."""
        reset.reset(self._mark)
        self._gone.set()
        if self._call is not None:
            self._call.cancel()

    async def run(self) -> None:
        """Opens, reads until the end, closes the connection, and says how it ended."""
        self._tally.open_streams += 1
        status, details = grpc.StatusCode.CANCELLED, ""
        try:
            if self._ended_by is EndedBy.SERVER:
                status, details = await self._opened_and_read()
            else:
                self._record_opened()
        finally:
            for timer in (self._watchdog, self._acceptance, self._linger):
                if timer is not None:
                    timer.cancel()
            self._tally.open_streams -= 1
            ended_ns = self._context.clock.monotonic_ns()
        await self._line.drained()
        self._record_ended(status, details, ended_ns)

    async def _opened_and_read(self) -> tuple[grpc.StatusCode, str]:
        more = reset.options(self._mark) if self._mark else pings(self.order.ping_ms, self.order.ping_timeout_ms)
        async with self._context.door:
            channel = connect(self._context.endpoint, self.order.window_bytes, more)
            await asyncio.sleep(0)
        try:
            call_type: _Frames = channel.unary_stream(self._request.path)
            self._record_opened()
            self._arm_watchdog(self._opened_ns)
            call = self._call = call_type(self._request.message, metadata=self._context.endpoint.metadata)
            if self._ended_by is not EndedBy.SERVER:
                call.cancel()
            try:
                return await self._read(call)
            except asyncio.CancelledError:
                if self._damage:
                    return grpc.StatusCode.INTERNAL, self._damage
                return grpc.StatusCode.CANCELLED, ""
            except grpc.aio.AioRpcError as exc:
                return exc.code(), exc.details() or ""
            except grpc.aio.BaseError as exc:
                return grpc.StatusCode.INTERNAL, f"{type(exc).__name__}: {exc}"
            finally:
                call.cancel()
        finally:
            self._call = None
            await channel.close()

    async def _read(self, call: grpc.aio.UnaryStreamCall[bytes, bytes]) -> tuple[grpc.StatusCode, str]:
        await call.initial_metadata()
        self._headers_ns = self._context.clock.monotonic_ns()
        self._acceptance = asyncio.get_running_loop().call_later(REFUSAL_S, self._accepted)
        now_ns = self._context.clock.monotonic_ns
        async for message in call:
            t_ns = now_ns()
            # Never left early: an iterator that is not exhausted keeps the call, and with it the connection, alive.
            if self._ended_by is EndedBy.SERVER and not self._damage:
                self._saw_message(message, t_ns)
            if self._held:
                await self._hold_back(t_ns)
        status = await call.code()
        if status is grpc.StatusCode.OK:
            self._accepted()
        return status, (await call.details()) or ""

    async def _hold_back(self, read_ns: int) -> None:
        """A slow reader's pause after a message, and a hanging one's until its connection breaks."""
        pause_ns = self._pace.next_ns(read_ns) - self._context.clock.monotonic_ns()
        if pause_ns > 0:
            self._pausing = True
            with suppress(TimeoutError):
                await asyncio.wait_for(self._gone.wait(), pause_ns / NS_PER_S)
            self._pausing = False
        if self._hanging:
            await self._gone.wait()
        self._asked_ns = self._context.clock.monotonic_ns()

    def _accepted(self) -> None:
        """The stream stands: its headers were no refusal, which comes as headers and status in one."""
        if self._acceptance is None:
            return
        self._acceptance.cancel()
        self._acceptance = None
        self._context.recorder.append(Kind.HEADERS, ref=self.order.id, t_ns=self._headers_ns)
        connect_ms = (self._headers_ns - self._opened_ns) / NS_PER_MS
        self._context.outbox.send(command.Headers(id=self.order.id, connect_ms=connect_ms))

    def _saw_message(self, message: bytes, t_ns: int) -> None:
        self._accepted()
        first = self._line.frames == 0
        try:
            frame = self._line.take(message, t_ns)
        except FormatError as exc:
            self._give_up(exc.message)
            return
        self._context.frames += 1
        self._tally.frame(len(message), -1 if first else t_ns - self._last_ns)
        self._last_ns = t_ns
        if first:
            after_ms = (t_ns - self._opened_ns) / NS_PER_MS
            self._context.outbox.send(command.FirstFrame(id=self.order.id, after_ms=after_ms))
            if frame.device != self.order.device:
                self._note_other_device(frame.device)
        if self.order.device in self._context.changes.devices:
            self._look_for_changes(frame, t_ns)
        if self._line.frames in self._marks:
            self._reached(t_ns)
        if self._line.frames == self.order.stop_after_frames:
            self.close(EndedBy.ORDER)

    def _look_for_changes(self, frame: Frame, t_ns: int) -> None:
        order = self.order
        for change in self._context.changes.shown(frame, device=order.device, quality=order.quality, t_ns=t_ns):
            self._context.outbox.send(
                command.Effect(
                    number=change.number,
                    again=change.again,
                    at_ns=t_ns,
                    population=order.population,
                    ordinal=order.ordinal,
                )
            )

    def mark(self, frames: int) -> None:
        """Answers Reached when so many frames have come, at once if they have; FormatError for too many marks.

        0: answers how many have come.
        """
        if self._line.frames >= frames:
            frames = frames or self._line.frames
            self._context.outbox.send(command.Reached(id=self.order.id, frames=frames, at_ns=self._last_ns))
        elif len(self._marks) < MARKS_LIMIT:
            self._marks.add(frames)
        else:
            raise FormatError(f"stream {self.order.id} has {MARKS_LIMIT} marks ahead of it already")

    def _reached(self, t_ns: int) -> None:
        self._marks.discard(self._line.frames)
        self._context.outbox.send(command.Reached(id=self.order.id, frames=self._line.frames, at_ns=t_ns))

    def _give_up(self, damage: str) -> None:
        """What came is no frame: the stream fails, as it does for every client that reads its messages."""
        self._damage = damage
        if self._call is not None:
            self._call.cancel()

    def _note_other_device(self, device: str) -> None:
        text = f"stream of {self.order.device} carries frames of {device!r}"
        recorder = self._context.recorder
        recorder.append(Kind.NOTE, code=NoteClass.CAMERA_NOT_AS_PLANNED, text=recorder.text_id(text))

    def _arm_watchdog(self, quiet_since_ns: int) -> None:
        if self._silence_ns > 0:
            left_ns = quiet_since_ns + self._silence_ns - self._context.clock.monotonic_ns()
            loop = asyncio.get_running_loop()
            self._watchdog = loop.call_later(max(left_ns, 0) / NS_PER_S, self._watch, quiet_since_ns)

    def _watch(self, quiet_since_ns: int) -> None:
        """Fires when the silence that began at quiet_since_ns would be long enough, unless something came since."""
        now_ns = self._context.clock.monotonic_ns()
        wanting = self._context.wanting.get(self.order.device)
        if self._pausing or (wanting is not None and not wanting.wanted):
            self._arm_watchdog(now_ns)
            return
        wanted_ns = 0 if wanting is None else wanting.at_ns
        quiet_ns = max(quiet_since_ns, self._last_ns, self._asked_ns, wanted_ns)
        if now_ns - quiet_ns < self._silence_ns:
            self._arm_watchdog(quiet_ns)
            return
        self._timed_out(now_ns, now_ns - max(self._last_ns, self._asked_ns, self._opened_ns, wanted_ns))
        self._arm_watchdog(now_ns)

    def _timed_out(self, now_ns: int, waited_ns: int) -> None:
        action = self.order.on_silence
        self._context.recorder.append(
            Kind.WAIT_TIMEOUT,
            ref=self.order.id,
            t_ns=now_ns,
            waited_ns=waited_ns,
            action=ON_SILENCE[action],
            frames=self._line.frames,
        )
        waited_ms = waited_ns / NS_PER_MS
        self._context.outbox.send(command.Timeout(id=self.order.id, waited_ms=waited_ms, action=action))
        if action != "keep_waiting":
            self.close(EndedBy.WATCHDOG)

    def _record_opened(self) -> None:
        order, recorder = self.order, self._context.recorder
        population, device = recorder.text_id(order.population), recorder.text_id(order.device)
        self._opened_ns = self._context.clock.monotonic_ns()
        recorder.append(
            Kind.OPENED,
            ref=order.id,
            t_ns=self._opened_ns,
            code=Quality[order.quality.upper()],
            ordered_ns=self._ordered_ns,
            population=population,
            device=device,
            ordinal=order.ordinal,
            number=order.number,
            max_fps=order.max_fps,
            window_bytes=order.window_bytes,
            stall_ns=round(order.stall_ms * NS_PER_MS),
        )

    def _record_left(self, style: Abort) -> None:
        order, recorder = self.order, self._context.recorder
        recorder.append(
            Kind.LEFT,
            code=style,
            population=recorder.text_id(order.population),
            ordinal=order.ordinal,
            number=order.number,
            device=recorder.text_id(order.device),
        )

    def _record_ended(self, status: grpc.StatusCode, details: str, ended_ns: int) -> None:
        number, name, recorder = status.value[0], status.name, self._context.recorder
        recorder.append(
            Kind.ENDED,
            ref=self.order.id,
            t_ns=ended_ns,
            code=self._ended_by,
            details=recorder.text_id(details),
            status=number,
            frames=self._line.frames,
            message_bytes=self._line.message_bytes,
        )
        by = self._ended_by.name.lower()
        self._context.outbox.send(
            command.Ended(id=self.order.id, by=by, status=name, details=details, frames=self._line.frames)
        )
        if self._ended_by is EndedBy.SERVER:
            log.info("%r ended by the server: %s %s", self, name, details)
            if self._context.protocol.ending(number, details) is not Ending.REFUSED:
                self._tally.error(name, details or "ended by the server")
