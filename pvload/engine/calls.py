"""Unary calls and clock probes, on one connection that all of them share and streams never touch."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any, Final

import grpc
import grpc.aio

from pvload.engine.channels import UNARY_WINDOW_BYTES, connect
from pvload.engine.context import Context
from pvload.engine.events import EventLog, Teller
from pvload.errors import FormatError
from pvload.protocols.seam import Request, UnaryAnswer
from pvload.wire import command
from pvload.wire.codes import UnaryFlag
from pvload.wire.event import Kind

_Unary = grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]

PROBE_TIMEOUT_S: Final = 5.0
TEXT_LIMIT: Final = 2000
"""Characters of a request or an answer that are recorded."""
_TIMES: Final = ("timestamp_ns", "trigger_timestamp_ns")
"""Left out of recorded answers: they would make each one a text of its own."""


@dataclass(frozen=True, slots=True)
class _Outcome:
    sent_ns: int
    answered_ns: int
    status: grpc.StatusCode
    details: str
    response: bytes = b""


class Calls:
    """Makes calls by command and records them."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._channel: grpc.aio.Channel | None = None

    async def make(self, order: command.Call, request: Request) -> None:
        """Carries out `order`, records UNARY, answers Answered."""
        outcome = await self._send(request, order.timeout_ms / 1000)
        answer = UnaryAnswer(fields={})
        status, details = outcome.status, outcome.details
        if status is grpc.StatusCode.OK:
            try:
                answer = self._context.protocol.read_answer(order.method, outcome.response)
            except FormatError as exc:
                status, details = grpc.StatusCode.INTERNAL, exc.message
        told = self._record_events(order, outcome) if status is grpc.StatusCode.OK else 0
        self._record(order, answer, outcome, status=status, details=details, with_answer=not told)
        self._context.outbox.send(
            command.Answered(
                id=order.id,
                status=status.name,
                details=details,
                answer=answer.fields,
                sent_ns=outcome.sent_ns,
                answered_ns=outcome.answered_ns,
            )
        )

    async def probe(self, order: command.Probe, request: Request) -> None:
        """Reads the target's clock `count` times one after another; answers with the last reading's status."""
        recorder = self._context.recorder
        device = recorder.text_id(order.device)
        now_ns = self._context.clock.monotonic_ns()
        last, good = _Outcome(now_ns, now_ns, grpc.StatusCode.OK, ""), 0
        for _ in range(order.count):
            last = await self._send(request, PROBE_TIMEOUT_S)
            wall_ns = self._context.clock.wall_ns()
            if last.status is not grpc.StatusCode.OK:
                break
            target_ns = self._probe_ns(last.response)
            if target_ns > 0:
                good += 1
                recorder.append(
                    Kind.PROBE,
                    t_ns=last.answered_ns,
                    sent_ns=last.sent_ns,
                    target_ns=target_ns,
                    wall_ns=wall_ns,
                    device=device,
                )
        self._context.outbox.send(
            command.Answered(
                id=order.id,
                status=last.status.name,
                details=last.details,
                answer={"probes": good},
                sent_ns=last.sent_ns,
                answered_ns=last.answered_ns,
            )
        )

    async def close(self) -> None:
        """Closes the connection."""
        channel, self._channel = self._channel, None
        if channel is not None:
            await channel.close()

    def _probe_ns(self, response: bytes) -> int:
        try:
            return self._context.protocol.probe_ns(response)
        except FormatError:
            return 0

    async def _send(self, request: Request, timeout_s: float) -> _Outcome:
        if self._channel is None:
            self._channel = connect(self._context.endpoint, UNARY_WINDOW_BYTES)
        channel, clock = self._channel, self._context.clock
        call_type: _Unary = channel.unary_unary(request.path)
        sent_ns = clock.monotonic_ns()
        try:
            response = await call_type(request.message, timeout=timeout_s, metadata=self._context.endpoint.metadata)
        except asyncio.CancelledError:
            return _Outcome(sent_ns, clock.monotonic_ns(), grpc.StatusCode.CANCELLED, "the engine ended")
        except grpc.aio.AioRpcError as exc:
            answered_ns = clock.monotonic_ns()
            if exc.code() is grpc.StatusCode.UNAVAILABLE:
                await self._give_up(channel)
            return _Outcome(sent_ns, answered_ns, exc.code(), exc.details() or "")
        return _Outcome(sent_ns, clock.monotonic_ns(), grpc.StatusCode.OK, "", bytes(response))

    async def _give_up(self, channel: grpc.aio.Channel) -> None:
        """Drops a connection that failed: a new one is not held back by the old one's pause between attempts."""
        if self._channel is channel:
            self._channel = None
        await channel.close(grace=1.0)

    def _record_events(self, order: command.Call, outcome: _Outcome) -> int:
        """Records the states and health that the answer tells, and says how many; it was read once already."""
        events = self._context.protocol.read_events(order.method, outcome.response)
        if events:
            teller = Teller(order.id, order.population, order.ordinal, sent_ns=outcome.sent_ns)
            told = EventLog(self._context.recorder, teller)
            for event in events:
                told.record(event, outcome.answered_ns)
        return len(events)

    def _record(
        self,
        order: command.Call,
        answer: UnaryAnswer,
        outcome: _Outcome,
        *,
        status: grpc.StatusCode,
        details: str,
        with_answer: bool,
    ) -> None:
        """with_answer: else it stands in records of its own, and would be one more distinct text each time."""
        recorder = self._context.recorder
        flags = UnaryFlag.OPERATOR if order.operator else UnaryFlag(0)
        flags |= UnaryFlag.APPLICATION_FAILED if answer.application_failed else UnaryFlag(0)
        flags |= UnaryFlag.ALREADY if answer.already else UnaryFlag(0)
        stable = {name: value for name, value in answer.fields.items() if name not in _TIMES}
        recorder.append(
            Kind.UNARY,
            ref=order.id,
            t_ns=outcome.answered_ns,
            flags=flags,
            due_ns=order.due_ns or outcome.sent_ns,
            sent_ns=outcome.sent_ns,
            status=status.value[0],
            method=recorder.text_id(order.method),
            details=recorder.text_id(details[:TEXT_LIMIT]),
            request=recorder.text_id(_compact(order.arguments)),
            answer=recorder.text_id(_compact(stable) if stable and with_answer else ""),
            device=recorder.text_id(str(order.arguments.get("device_id", ""))),
            number=answer.number,
            population=recorder.text_id(order.population),
            ordinal=order.ordinal,
            change=order.change,
        )


def _compact(fields: dict[str, Any]) -> str:
    return json.dumps(fields, separators=(",", ":"), ensure_ascii=False)[:TEXT_LIMIT]
