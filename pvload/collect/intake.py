"""What the collector does with a message, decided without doing it: message in, journal rows and answers out.

The rule that nothing is counted twice and nothing is lost unsaid stands here and nowhere else. A sender is known to
`known` records (its last number + 1), from the journal at the start and from the rows handed out since. Of a batch,
what lies below `known` is old and is only acknowledged again; what lies from `known` on is new; one that begins beyond
`known` is answered with GAP. Answers may be sent only after the rows handed out up to then are in the journal.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from pvload.clock import NS_PER_S
from pvload.errors import FormatError
from pvload.wire.batch import MAX_BATCH_RECORDS, Envelope, Hello, Message, unpack
from pvload.wire.event import RECORD_BYTES
from pvload.wire.journal import BatchRow, FinishedRow, JournaledSender, RejectedRow, Row, SenderRow

SENDERS_LIMIT: Final = 10_000
"""Senders of one run, incarnations counted."""
SILENT_NS: Final = 5 * NS_PER_S
"""A witness that said nothing for so long is not waited for: its host or its network is gone."""
RUN_ENDS: Final = b'{"is":"end"}'
"""What the answer to a PING carries once the end was ordered."""
REASON_LIMIT: Final = 1_000
"""Characters of a stated reason that are kept."""
_LARGEST: Final = 2**62
_ANSWERS: Final = frozenset({Message.ACK, Message.GAP, Message.REFUSED, Message.FINISHED, Message.PONG})


@dataclass(frozen=True, slots=True)
class Step:
    """What one message asks for."""

    rows: tuple[Row, ...] = ()
    """To be journaled, in order."""
    answer: Envelope | None = None
    """To be sent back where the message came from, once `rows` and all rows before them are journaled."""
    at_once: bool = False
    """The answer promises nothing about records: it need not wait for the journal."""


@dataclass(slots=True)
class _Known:
    """The account of one sender."""

    hello: Hello
    known: int
    total: int | None
    heard_ns: int = 0
    """When it last said anything."""


class Intake:
    """The account of all senders of one run."""

    def __init__(
        self,
        run: bytes,
        journaled: Iterable[JournaledSender] = (),
        *,
        rejected: int = 0,
        missing: int = 0,
        about: bytes = b"",
    ) -> None:
        """about: JSON that the answer to a HELLO carries (who the collector is)."""
        self.rejected = rejected
        """Messages refused so far."""
        self.missing = missing
        """Records stated missing so far, over all senders."""
        self.ends = False
        """Senders are told that the run ends."""
        self._run = run
        self._about = about
        self._senders = {row.sender: _Known(hello=row.hello, known=row.known, total=row.total) for row in journaled}

    def take(self, data: bytes, *, now_ns: int) -> Step:
        """Decides about one message; never raises, whatever the bytes are. now_ns: the collector's monotonic clock."""
        try:
            message = unpack(data)
        except FormatError as exc:
            return self._reject(str(exc))
        if message.run != self._run:
            return self._refuse(message, f"this collector serves run {self._run.hex()}, not {message.run.hex()}")
        if max(message.first, message.count) > _LARGEST:
            return self._reject(f"record number {message.first} or count {message.count} is out of range")
        if message.message is Message.HELLO:
            return self._hello(message)
        if message.message is Message.PING:
            self._heard(message.sender, now_ns)
            word = RUN_ENDS if self.ends else b""
            answer = self._answer(message, Message.PONG, 0, a=message.a, b=now_ns, payload=word)
            return Step(answer=answer, at_once=True)
        if message.message in _ANSWERS:
            return self._reject(f"{message.message.name} is for the collector to send")
        account = self._senders.get(message.sender)
        if account is None:
            return self._reject(f"{message.message.name} of sender {message.sender.hex()} came before its HELLO")
        if message.message is Message.FIN:
            return self._fin(message, account)
        return self._records(message, account)

    def senders(self) -> tuple[JournaledSender, ...]:
        """All senders as they are known now, in the order of their first HELLO."""
        return tuple(
            JournaledSender(sender, account.hello, account.known, account.total)
            for sender, account in self._senders.items()
        )

    def witnesses(self, now_ns: int) -> tuple[str, ...]:
        """Monitors (hex) that joined, have not finished and were heard of lately: their last words are worth a wait."""
        return tuple(
            sender.hex()
            for sender, account in self._senders.items()
            if account.hello.role == "monitor" and account.total is None and now_ns - account.heard_ns < SILENT_NS
        )

    def _heard(self, sender: bytes, now_ns: int) -> None:
        if sender in self._senders:
            self._senders[sender].heard_ns = now_ns

    def _hello(self, message: Envelope) -> Step:
        try:
            hello = Hello.from_json(message.payload)
        except FormatError as exc:
            return self._refuse(message, str(exc))
        account = self._senders.get(message.sender)
        rows: tuple[Row, ...] = ()
        if account is None:
            if len(self._senders) >= SENDERS_LIMIT:
                return self._refuse(message, f"a run has at most {SENDERS_LIMIT} senders")
            account = self._senders[message.sender] = _Known(hello=hello, known=0, total=None)
            rows = (SenderRow(sender=message.sender, hello=hello),)
        if account.hello != hello:
            return self._refuse(message, f"another process is known as sender {message.sender.hex()}")
        return Step(rows=rows, answer=self._answer(message, Message.ACK, account.known, payload=self._about))

    def _records(self, message: Envelope, account: _Known) -> Step:
        """BATCH or MISSING."""
        end = message.first + message.count
        if account.total is not None and end > account.total:
            return self._reject(f"sender {message.sender.hex()} sent record {end - 1} after its end at {account.total}")
        if message.first > account.known:
            return Step(answer=self._answer(message, Message.GAP, account.known))
        reason = ""
        if message.message is Message.MISSING:
            try:
                reason = str(json.loads(message.payload)["reason"])[:REASON_LIMIT]
            except (ValueError, TypeError, LookupError) as exc:
                return self._reject(f"MISSING without a reason: {exc}")
        old = self._already_known(message, account)
        rows: tuple[Row, ...] = ()
        if old < message.count:
            records = message.payload[old * RECORD_BYTES :] if message.message is Message.BATCH else None
            rows = (BatchRow(message.sender, message.first + old, message.count - old, records, reason),)
            self.missing += message.count - old if records is None else 0
            account.known = end
        return Step(rows=rows, answer=self._answer(message, Message.ACK, account.known))

    def _already_known(self, message: Envelope, account: _Known) -> int:
        """The dedupe rule: how many of the message's records, from its first on, are old."""
        return min(account.known - message.first, message.count)

    def _fin(self, message: Envelope, account: _Known) -> Step:
        total = message.count
        if total > account.known:
            return Step(answer=self._answer(message, Message.GAP, account.known))
        if total < account.known or (account.total is not None and account.total != total):
            return self._refuse(message, f"FIN states {total} records, {account.known} are known")
        rows: tuple[Row, ...] = ()
        if account.total is None:
            account.total = total
            rows = (FinishedRow(message.sender, total),)
        return Step(rows=rows, answer=self._answer(message, Message.FINISHED, account.known))

    def _reject(self, reason: str) -> Step:
        self.rejected += 1
        return Step(rows=(RejectedRow(1, reason[:REASON_LIMIT]),))

    def _refuse(self, message: Envelope, reason: str) -> Step:
        payload = json.dumps({"reason": reason}).encode()
        return Step(rows=self._reject(reason).rows, answer=self._answer(message, Message.REFUSED, 0, payload=payload))

    def _answer(
        self, message: Envelope, kind: Message, count: int, *, a: int = 0, b: int = 0, payload: bytes = b""
    ) -> Envelope:
        return Envelope(message=kind, run=message.run, sender=message.sender, count=count, a=a, b=b, payload=payload)


def joined(rows: Sequence[Row]) -> list[Row]:
    """`rows` with each sender's neighbouring batches made one of at most MAX_BATCH_RECORDS, and all refusals one.

    How records are cut into batches has no meaning; fewer and longer ones are cheaper to journal and to fold. What one
    sender said stays in its order.
    """
    out: list[Row | _Run] = []
    growing: dict[bytes, _Run] = {}
    refused: list[RejectedRow] = []
    for row in rows:
        if isinstance(row, RejectedRow):
            refused.append(row)
        elif not isinstance(row, BatchRow) or row.records is None:
            growing.pop(row.sender, None)
            out.append(row)
        else:
            run = growing.get(row.sender)
            if run is None or run.count + row.count > MAX_BATCH_RECORDS:
                run = growing[row.sender] = _Run(sender=row.sender, first=row.first)
                out.append(run)
            run.count += row.count
            run.parts.append(row.records)
    if refused:
        out.append(RejectedRow(sum(row.count for row in refused), refused[0].reason))
    return [row.whole() if isinstance(row, _Run) else row for row in out]


@dataclass(slots=True)
class _Run:
    """Neighbouring batches of one sender."""

    sender: bytes
    first: int
    count: int = 0
    parts: list[bytes] = field(default_factory=list)

    def whole(self) -> BatchRow:
        return BatchRow(self.sender, self.first, self.count, b"".join(self.parts))
