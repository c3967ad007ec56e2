"""One conversation with the collector about one spool, from HELLO until the spool is settled or the collector lost.

The socket is new for every session, so a message that a lost collector never took dies with it. Whatever the collector
says it knows, in its answer to HELLO, is where sending goes on.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from enum import Enum
from types import TracebackType
from typing import Final, Self

import zmq
from zmq.utils.monitor import recv_monitor_message

from pvload.clock import NS_PER_MS, NS_PER_S, Clock
from pvload.errors import FormatError
from pvload.ship.axis import ClockExchange
from pvload.ship.outbox import Outbox
from pvload.ship.stored import Lost, SpoolReader
from pvload.wire.batch import MAX_BATCH_RECORDS, Envelope, Message, pack, unpack

_log = logging.getLogger(__name__)

FLUSH_NS: Final = 25 * NS_PER_MS
"""A batch that is not full waits this long at most for more records."""
_TICK_MS: Final = 20
_PING_EVERY_NS: Final = NS_PER_S
_SEND_QUEUE: Final = 64
"""Messages; more than the window, HELLO, FIN and the PINGs of one patience together."""


class Over(Enum):
    """How a session ended."""

    FINISHED = "the collector confirmed the spool's end"
    REFUSED = "the collector refused the sender"
    LOST = "the collector was lost"
    INTERRUPTED = "the shipper stops, or another spool goes first"


class Session:
    """Use as a context: the socket lives inside it."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        endpoint: str,
        *,
        reader: SpoolReader,
        clock: Clock,
        exchange: ClockExchange,
        boot: str,
        patience_ns: int,
    ) -> None:
        self.outbox = Outbox()
        self.connected = False
        self.welcomed = False
        """HELLO was answered: the outbox's numbers are the collector's word."""
        self.run_ends = False
        """The collector said that the run ends."""
        self.collector_version = ""
        """Of pvload, as the collector says it; empty: not yet."""
        self.refusal = ""
        """Why the collector refused the sender."""
        self._context = context
        self._endpoint = endpoint
        self.reader = reader
        self._clock = clock
        self._exchange = exchange
        self._boot = boot
        self._patience_ns = patience_ns
        self._over: Over | None = None
        self._heard_ns = 0
        self._progress_ns = 0
        self._pinged_ns = 0
        self._flushed_ns = 0
        self._fin_sent = False

    def __enter__(self) -> Self:
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.SNDHWM, _SEND_QUEUE)
        self._events = self._socket.get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self._socket.connect(self._endpoint)
        self._poller = zmq.Poller()
        self._poller.register(self._socket, zmq.POLLIN)
        self._poller.register(self._events, zmq.POLLIN)
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.connected = False
        self._socket.disable_monitor()
        self._events.close(linger=0)
        self._socket.close(linger=0)

    def hold(self, *, progress: Callable[[Session], bool]) -> Over:
        """Talks until it is over. `progress` is called some fifty times a second; True from it interrupts."""
        now_ns = self._heard_ns = self._progress_ns = self._clock.monotonic_ns()
        self._say(Message.HELLO, payload=self.reader.hello.to_json())
        while self._over is None:
            if progress(self):
                return Over.INTERRUPTED
            if self.connected:
                self._send_due(now_ns)
            self._listen()
            now_ns = self._clock.monotonic_ns()
            if self._is_lost(now_ns):
                return Over.LOST
        return self._over

    def _is_lost(self, now_ns: int) -> bool:
        if self._over is not None:
            return False
        if now_ns - self._heard_ns > self._patience_ns:
            return True
        return self._owes() and now_ns - self._progress_ns > self._patience_ns

    def _owes(self) -> bool:
        """Whether the collector's answer to something is due."""
        return not self.connected or self.outbox.in_flight > 0 or self._fin_sent

    def _send_due(self, now_ns: int) -> None:
        if now_ns - self._pinged_ns >= _PING_EVERY_NS:
            self._pinged_ns = now_ns
            self._say(Message.PING, a=self._clock.monotonic_ns())
        total = self.reader.total
        committed = self.reader.count
        while self._over is None and self.outbox.has_room() and self.outbox.sent < committed:
            ripe = committed - self.outbox.sent >= MAX_BATCH_RECORDS or total is not None
            if not ripe and now_ns - self._flushed_ns < FLUSH_NS:
                break
            self._flushed_ns = now_ns
            self._send_next()
        if total is not None and self.outbox.sent >= total and not self._fin_sent:
            self._fin_sent = True
            self._progress_ns = self._clock.monotonic_ns()
            self._say(Message.FIN, count=total)

    def _send_next(self) -> None:
        piece = self.reader.read(self.outbox.sent, MAX_BATCH_RECORDS)
        if piece is None:
            return
        if not self.outbox.in_flight:
            self._progress_ns = self._clock.monotonic_ns()
        if isinstance(piece, Lost):
            _log.error("records %d to %d are lost: %s", piece.first, piece.first + piece.count - 1, piece.reason)
            reason = json.dumps({"reason": piece.reason}).encode()
            self._say(Message.MISSING, first=piece.first, count=piece.count, payload=reason)
        else:
            now_ns = self._clock.monotonic_ns()
            self._say(Message.BATCH, first=piece.first, count=piece.count, a=now_ns, payload=piece.records)
        self.outbox.sent_upto(piece.first + piece.count)

    def _listen(self) -> None:
        ready = dict(self._poller.poll(_TICK_MS))
        while self._over is None and self._socket.poll(0):
            self._take(self._socket.recv_multipart(zmq.NOBLOCK))
        if self._events in ready:
            recv_monitor_message(self._events)
            if self._over is None and self.connected:
                self._over = Over.LOST

    def _take(self, frames: list[bytes]) -> None:
        now_ns = self._clock.monotonic_ns()
        try:
            answer = unpack(frames[-1])
        except FormatError as exc:
            _log.warning("an answer of %s was ignored: %s", self._endpoint, exc)
            return
        if answer.run != self.reader.run or answer.sender != self.reader.sender:
            return
        self._heard_ns = now_ns
        match answer.message:
            case Message.ACK if not self.connected:
                self._welcomed(answer, now_ns)
            case Message.ACK:
                if self.outbox.acknowledge(answer.count):
                    self._progress_ns = now_ns
            case Message.GAP if self.connected:
                if self.outbox.go_back(answer.count, now_ns):
                    self._progress_ns = now_ns
                    self._fin_sent = False
            case Message.PONG:
                self._exchange.answered(sent_ns=answer.a, collector_ns=answer.b, now_ns=now_ns)
                self.run_ends = self.run_ends or bool(answer.payload)
            case Message.FINISHED:
                self.outbox.acknowledge(answer.count)
                self._over = Over.FINISHED
            case Message.REFUSED:
                self.refusal = _reason(answer.payload)
                _log.error("sender %s was refused: %s", self.reader.sender.hex(), self.refusal)
                self._over = Over.REFUSED
            case _:
                _log.warning("%s sent a %s, which is no answer", self._endpoint, answer.message.name)

    def _welcomed(self, answer: Envelope, now_ns: int) -> None:
        self.connected = self.welcomed = True
        self._progress_ns = now_ns
        self.outbox.resume(answer.count)
        self.collector_version = _field(answer.payload, "version")
        collector_boot = _field(answer.payload, "boot")
        if collector_boot and collector_boot == self._boot:
            self._exchange.share()

    def _say(self, message: Message, *, first: int = 0, count: int = 0, a: int = 0, payload: bytes = b"") -> None:
        envelope = Envelope(
            message=message,
            run=self.reader.run,
            sender=self.reader.sender,
            first=first,
            count=count,
            a=a,
            payload=payload,
        )
        try:
            self._socket.send(pack(envelope), zmq.NOBLOCK)
        except zmq.Again:
            self._over = Over.LOST


def _field(payload: bytes, name: str) -> str:
    """One text of an answer's JSON payload; empty if it is not there."""
    try:
        values = json.loads(payload) if payload else {}
    except ValueError:
        return ""
    value = values.get(name, "") if isinstance(values, dict) else ""
    return value if isinstance(value, str) else ""


def _reason(payload: bytes) -> str:
    return _field(payload, "reason") or "no reason given"
