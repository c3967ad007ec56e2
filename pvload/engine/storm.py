"""A storm: calls at moments fixed in advance, whatever the server does, on connections of their own.

`in_flight` places send calls; a call that finds all places taken waits, and its latency counts from when it was due.
The backlog is a number. What stands between a call and its place is told apart: while all places are taken and the
loop has nothing to do, the server holds it up (`held_ns`); a call sent late though a place was free is the engine's
own doing (`lateness_ns`), and so is the work of a loop that has no rest any more. A turn of the loop starts BURST calls
at most, so that the frames of other streams get their stamps in between. A call costs 200 us of CPU (grpcio 1.85, of
which this file is a tenth): 5,000 a second on a core of its own.
"""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass
from typing import Final

import grpc
import grpc.aio

from pvload.clock import NS_PER_MS, NS_PER_S
from pvload.engine.channels import UNARY_WINDOW_BYTES, connect
from pvload.engine.context import Context
from pvload.engine.schedule import Schedule
from pvload.errors import FormatError
from pvload.protocols.counter import Template
from pvload.protocols.seam import Setting
from pvload.wire import command
from pvload.wire.codes import UnaryFlag
from pvload.wire.event import CALLED_STRUCT, Kind

_Unary = grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]
_CALLED: Final = struct.Struct(CALLED_STRUCT)

_STATUS_NAMES: Final = {one.value[0]: one.name for one in grpc.StatusCode}
PLACES_LIMIT: Final = 4096
PLACES_PER_CONNECTION: Final = 64
"""Servers admit some hundred calls at once on a connection; beyond it a call would wait in the client unseen."""
_RECONNECT: Final = (("grpc.initial_reconnect_backoff_ms", 100), ("grpc.max_reconnect_backoff_ms", 1000))
"""A daemon that comes back finds the storm there; gRPC's own pauses grow to two minutes."""
BURST: Final = 16
ACCOUNT_NS: Final = NS_PER_S
SATURATED_REST: Final = 0.1
"""A loop that rested less than this share of the time is the limit itself."""
DRAIN_S: Final = 0.5
"""How long a storm that ends waits for answers."""


@dataclass(slots=True)
class Account:
    """Since the last OFFERED."""

    since_ns: int
    sent: int = 0
    answered: int = 0
    ok: int = 0
    """Of those answered."""
    held_ns: int = 0
    """All places taken, and the loop had nothing to do: it waited for the server."""
    busy_ns: int = 0
    """All places taken, and the loop was at work."""
    lateness_ns: int = 0

    def full(self, length_ns: int, idle_ns: int) -> None:
        """All places were taken for so long, idle_ns of it without work."""
        self.held_ns += max(0, min(idle_ns, length_ns))
        self.busy_ns += max(0, length_ns - idle_ns)

    @property
    def own_lateness_ns(self) -> int:
        """The worst lateness; a loop without rest while the places were taken made its calls wait by itself."""
        saturated = self.held_ns < SATURATED_REST * (self.held_ns + self.busy_ns)
        return max(self.lateness_ns, self.busy_ns if saturated else 0)


class Storm:
    """One user's storm; `run` is its whole life, `close` ends it. FormatError for an order that cannot be kept."""

    def __init__(self, order: command.Storm, *, setting: Setting, context: Context) -> None:
        if not 1 <= order.in_flight <= PLACES_LIMIT or order.stride < 1 or order.first < 0 or not order.values:
            raise FormatError(
                f"storm {order.id}: in_flight {order.in_flight}, first {order.first}, stride {order.stride}, "
                f"{len(order.values)} values",
                hint=f"in_flight is 1 to {PLACES_LIMIT}, counters count up from 0 or more, and there is a value",
            )
        self.order = order
        self._context = context
        self._setting = setting
        self._templates = [Template(value) for value in order.values]
        self._message(0)
        self._schedule = Schedule(
            begin_ns=order.begin_ns, step_ns=round(order.step_ms * NS_PER_MS), rates_hz=order.rates_hz
        )
        recorder = context.recorder
        self._population = recorder.text_id(order.population)
        self._method, self._device = recorder.text_id(setting.method), recorder.text_id(order.device)
        self._tally = context.tally(order.population, setting.method)
        self._next = 0
        self._busy = 0
        self._answered = self._ok = 0
        self._idle: list[asyncio.Future[None]] = []
        """Places that wait for a call to become due."""
        self._places: set[asyncio.Task[None]] = set()
        self._full_since_ns = 0
        self._idle_since_ns = 0
        """When the last place was taken, and the loop's idle time then."""
        self._free_since_ns = 0
        self._account = Account(order.begin_ns)
        self._under_way: dict[int, tuple[int, grpc.aio.UnaryUnaryCall[bytes, bytes]]] = {}
        """By number, in the order of sending: when it was sent, and the call. At most in_flight."""
        self._end_ns = 0
        """When it was closed; 0: it goes on."""
        self._waker: asyncio.Future[None] | None = None
        """Set while the storm sleeps."""
        self._full = False
        """Calls are due and all places are taken: the first one that finds nothing to do any more says so."""

    def __repr__(self) -> str:
        return f"Storm({self.order.id}, {self._next} sent, {self._busy} under way)"

    def close(self) -> None:
        """Sends no more calls but those that were due before and find a free place."""
        self._end_ns = self._end_ns or self._context.clock.monotonic_ns()
        self._nudge()

    async def run(self) -> None:
        """Until it is closed; answers Answered with totals: due, sent, answered, ok."""
        connections = -(-self.order.in_flight // PLACES_PER_CONNECTION)
        channels = [connect(self._context.endpoint, UNARY_WINDOW_BYTES, _RECONNECT) for _ in range(connections)]
        try:
            calls: list[_Unary] = [channel.unary_unary(self._setting.path) for channel in channels]
            await self._offer(calls)
            self._wake(self._schedule.due_by(self._end_ns - 1) - self._next, calls)
            for waiting in self._idle:
                waiting.cancel()
            if self._places:
                await asyncio.wait(self._places, timeout=DRAIN_S)
        finally:
            for place in self._places:
                place.cancel()
            if self._places:
                await asyncio.wait(self._places)
            for channel in channels:
                await channel.close()
        self._record_offered(self._end_ns)
        self._say_totals()

    async def _offer(self, calls: list[_Unary]) -> None:
        """Gives due calls to free places until the storm is over, and accounts for it once a second."""
        clock = self._context.clock
        account_ns = self._schedule.boundary_ns(self.order.begin_ns, ACCOUNT_NS)
        while not self._end_ns:
            now_ns = clock.monotonic_ns()
            while now_ns >= account_ns:
                self._expire(now_ns)
                self._record_offered(account_ns)
                account_ns = self._schedule.boundary_ns(account_ns, ACCOUNT_NS)
            behind = self._schedule.due_by(now_ns) - self._next
            woken = self._wake(min(behind, BURST), calls)
            if woken and behind > woken:
                await asyncio.sleep(0)
                continue
            self._full = behind > woken
            until_ns = account_ns
            if behind <= woken:
                until_ns = min(account_ns, self._schedule.due_ns(self._next + woken))
            await self._sleep((until_ns - now_ns) / NS_PER_S)

    async def _sleep(self, seconds: float) -> None:
        """Until then, or until there is something to do before."""
        loop = asyncio.get_running_loop()
        self._waker = loop.create_future()
        handle = loop.call_later(max(seconds, 0.0), self._nudge)
        try:
            await self._waker
        finally:
            handle.cancel()
            self._waker = None

    def _nudge(self) -> None:
        if self._waker is not None and not self._waker.done():
            self._waker.set_result(None)

    def _wake(self, wanted: int, calls: list[_Unary]) -> int:
        """Wakes places for so many calls, new ones where none waits, and says for how many there was one."""
        woken = 0
        while woken < wanted:
            if self._idle:
                self._idle.pop().set_result(None)
            elif len(self._places) < self.order.in_flight:
                place = asyncio.get_running_loop().create_task(self._place(calls[len(self._places) % len(calls)]))
                self._places.add(place)
            else:
                break
            woken += 1
        return woken

    async def _place(self, call: _Unary) -> None:
        """Takes due calls one after another, and waits to be woken when there is none. One that is woken takes one,
        though the storm be over by then."""
        clock, schedule = self._context.clock, self._schedule
        sent = False
        while not (self._end_ns and sent):
            due_ns = schedule.due_ns(self._next)
            now_ns = clock.monotonic_ns()
            if self._end_ns and due_ns >= self._end_ns:
                return
            if due_ns > now_ns:
                waiting = asyncio.get_running_loop().create_future()
                self._idle.append(waiting)
                if self._full:
                    self._nudge()
                await waiting
                sent = False
                continue
            number = self._next
            self._next = number + 1
            await self._send(call, number, due_ns, now_ns)
            sent = True

    async def _send(self, multicallable: _Unary, number: int, due_ns: int, sent_ns: int) -> None:
        context, account = self._context, self._account
        message, counter = self._message(number)
        account.sent += 1
        account.lateness_ns = max(account.lateness_ns, sent_ns - max(due_ns, self._free_since_ns))
        self._busy += 1
        if self._busy == self.order.in_flight:
            self._full_since_ns, self._idle_since_ns = sent_ns, context.idle_ns()
        status, flags, ok = 0, 0, False
        # Without a deadline of gRPC's own, which costs a fifth of a call; `_expire` keeps it.
        call = multicallable(message, metadata=context.endpoint.metadata or None)
        self._under_way[number] = (sent_ns, call)
        try:
            response = await call
            ok = self._setting.succeeded(response)
            flags = 0 if ok else int(UnaryFlag.APPLICATION_FAILED)
        except grpc.aio.AioRpcError as exc:
            status = exc.code().value[0]
        except asyncio.CancelledError:
            if number in self._under_way:
                raise
            status = grpc.StatusCode.DEADLINE_EXCEEDED.value[0]
        finally:
            answered_ns = context.clock.monotonic_ns()
            self._under_way.pop(number, None)
            if self._busy == self.order.in_flight:
                self._account.full(answered_ns - self._full_since_ns, context.idle_ns() - self._idle_since_ns)
                self._free_since_ns = answered_ns
            self._busy -= 1
        self._answered += 1
        self._ok += ok
        self._account.answered += 1
        self._account.ok += ok
        self._tally.frame(0, answered_ns - due_ns)
        if status or flags:
            self._tally.error("refused" if flags else _STATUS_NAMES[status], "")
        values = (due_ns, sent_ns, counter, status, self._population, self.order.ordinal, self._method, self._device)
        record = _CALLED.pack(Kind.CALLED, flags, 0, self.order.id, answered_ns, *values)
        context.recorder.packed(Kind.CALLED, self.order.id, record)

    def _expire(self, now_ns: int) -> None:
        """Cancels the calls that have been under way for longer than they may; looked at once an account."""
        oldest_ns = now_ns - round(self.order.timeout_ms * NS_PER_MS)
        while self._under_way:
            number, (sent_ns, call) = next(iter(self._under_way.items()))
            if sent_ns > oldest_ns:
                return
            del self._under_way[number]
            call.cancel()

    def _message(self, number: int) -> tuple[bytes, int]:
        """The request of a call, and the counter that its value carries."""
        template = self._templates[number % len(self._templates)]
        value, counter = template.value(self.order.first + number * self.order.stride)
        return self._setting.message(value), counter

    def _record_offered(self, t_ns: int) -> None:
        account = self._account
        if t_ns <= account.since_ns:
            return
        if self._busy == self.order.in_flight:
            now_ns, idle_ns = self._context.clock.monotonic_ns(), self._context.idle_ns()
            account.full(now_ns - self._full_since_ns, idle_ns - self._idle_since_ns)
            self._full_since_ns, self._idle_since_ns = now_ns, idle_ns
        self._context.recorder.append(
            Kind.OFFERED,
            ref=self.order.id,
            t_ns=t_ns,
            interval_ns=t_ns - account.since_ns,
            rate_hz=self._schedule.rate_hz(t_ns - 1),
            due=self._schedule.due_by(t_ns - 1) - self._schedule.due_by(account.since_ns - 1),
            sent=account.sent,
            answered=account.answered,
            ok=account.ok,
            held_ns=min(account.held_ns, t_ns - account.since_ns),
            lateness_ns=account.own_lateness_ns,
            population=self._population,
            ordinal=self.order.ordinal,
        )
        self._account = Account(t_ns)

    def _say_totals(self) -> None:
        due = self._schedule.due_by(self._end_ns - 1)
        totals = {"due": due, "sent": self._next, "answered": self._answered, "ok": self._ok}
        self._context.outbox.send(
            command.Answered(
                id=self.order.id,
                status=grpc.StatusCode.OK.name,
                details="",
                answer=totals,
                sent_ns=self.order.begin_ns,
                answered_ns=self._end_ns,
            )
        )
