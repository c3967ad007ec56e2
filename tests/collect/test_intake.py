"""The intake: any interleaving, duplication, cutting and loss of messages delivers every record exactly once."""

from __future__ import annotations

import json
import random
import uuid

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pvload.collect.intake import RUN_ENDS, SILENT_NS, Intake, Step, joined
from pvload.wire.batch import Envelope, Hello, Message, pack
from pvload.wire.journal import BatchRow, FinishedRow, JournaledSender, RejectedRow, Row, SenderRow

RUN, OTHER_RUN = uuid.UUID(int=1).bytes, uuid.UUID(int=2).bytes
A, B = uuid.UUID(int=3).bytes, uuid.UUID(int=4).bytes
HELLO = Hello(role="engine", worker="w", incarnation=0, host="h", boot="b", pid=7)


def records(first: int, count: int) -> bytes:
    """Records that carry their own numbers."""
    rows = np.zeros((count, 12), "<i8")
    rows[:, 0] = np.arange(first, first + count)
    return rows.tobytes()


def message(
    kind: Message, sender: bytes = A, *, run: bytes = RUN, first: int = 0, count: int = 0, payload: bytes = b""
) -> bytes:
    return pack(Envelope(kind, run, sender, first=first, count=count, payload=payload))


def hello(sender: bytes = A) -> bytes:
    return message(Message.HELLO, sender, payload=HELLO.to_json())


def batch(first: int, count: int, sender: bytes = A) -> bytes:
    return message(Message.BATCH, sender, first=first, count=count, payload=records(first, count))


def missing(first: int, count: int, sender: bytes = A, reason: str = "lost") -> bytes:
    return message(Message.MISSING, sender, first=first, count=count, payload=json.dumps({"reason": reason}).encode())


def take(intake: Intake, data: bytes) -> Step:
    return intake.take(data, now_ns=77)


def answer(intake: Intake, data: bytes) -> tuple[Message, int]:
    reply = take(intake, data).answer
    assert reply is not None
    return reply.message, reply.count


class Sender:
    """A sender over a road that loses, doubles and delays: it believes answers alone, as the shipper does."""

    def __init__(self, name: bytes, total: int, chance: random.Random) -> None:
        self.name, self.total, self.chance = name, total, chance
        self.next = 0
        self.done = False

    def messages(self) -> list[bytes]:
        """A few batches from where it is, cut anyhow, some numbers stated missing; FIN behind the last."""
        out = [hello(self.name)] if self.chance.random() < 0.3 or self.next == 0 else []
        at = self.next
        for _ in range(self.chance.randint(1, 4)):
            count = min(self.chance.randint(1, 9), self.total - at)
            if count:
                out.append(missing(at, count, self.name) if at % 5 == 4 else batch(at, count, self.name))
                at += count
        if at == self.total:
            out.append(message(Message.FIN, self.name, count=self.total))
        return out

    def hear(self, reply: Envelope) -> None:
        if reply.sender == self.name and reply.message in (Message.ACK, Message.GAP):
            self.next = reply.count
        if reply.sender == self.name and reply.message is Message.FINISHED:
            self.done = True


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 2**32), totals=st.lists(st.integers(0, 60), min_size=1, max_size=3))
def test_every_record_is_journaled_or_stated_missing_exactly_once(seed: int, totals: list[int]) -> None:
    """Messages and answers are lost, doubled, reordered and late; the collector is killed between commits."""
    chance = random.Random(seed)
    senders = [Sender(uuid.UUID(int=10 + at).bytes, total, chance) for at, total in enumerate(totals)]
    journal: list[Row] = []
    intake = Intake(RUN)
    road: list[bytes] = []
    for _ in range(4000):
        if all(sender.done for sender in senders):
            break
        for sender in senders:
            road += sender.messages()
        chance.shuffle(road) if chance.random() < 0.5 else None
        group: list[Row] = []
        replies: list[Envelope] = []
        for _ in range(chance.randint(0, len(road))):
            data = road.pop(0)
            for _ in range(chance.choice((0, 1, 1, 1, 2))):
                step = take(intake, data)
                group += step.rows
                replies += [step.answer] if step.answer else []
        if chance.random() < 0.1:
            intake = Intake(RUN, journaled(journal))  # killed before the commit: the group is gone
            continue
        journal += joined(group)
        for reply in replies:
            if chance.random() < 0.8:
                for sender in senders:
                    sender.hear(reply)
        road = road[-20:]
    assert all(sender.done for sender in senders)
    for sender in senders:
        expected = 0
        for row in (row for row in journal if isinstance(row, BatchRow) and row.sender == sender.name):
            assert row.first == expected
            if row.records is not None:
                numbers = np.frombuffer(row.records, "<i8").reshape(-1, 12)[:, 0]
                assert numbers.tolist() == list(range(row.first, row.first + row.count))
            expected += row.count
        assert expected == sender.total
        assert [row.total for row in journal if isinstance(row, FinishedRow) and row.sender == sender.name] == [
            expected
        ]


def journaled(rows: list[Row]) -> list[JournaledSender]:
    """What a journal of `rows` knows of the senders."""
    known: dict[bytes, int] = {}
    totals: dict[bytes, int] = {}
    for row in rows:
        match row:
            case SenderRow(sender=sender):
                known[sender] = 0
            case BatchRow(sender=sender, first=first, count=count):
                known[sender] = first + count
            case FinishedRow(sender=sender, total=total):
                totals[sender] = total
    return [JournaledSender(sender, HELLO, count, totals.get(sender)) for sender, count in known.items()]


@settings(max_examples=300)
@given(data=st.one_of(st.binary(max_size=300), st.builds(lambda tail: b"PVLB\x01\x00" + tail, st.binary(max_size=200))))
def test_junk_is_refused_and_counted_and_changes_nothing(data: bytes) -> None:
    """Whatever arrives, the intake does not raise."""
    intake = Intake(RUN, [JournaledSender(A, HELLO, 3, None)])
    step = take(intake, data)
    assert isinstance(step.rows[0], RejectedRow)
    assert intake.rejected == 1
    assert intake.senders() == (JournaledSender(A, HELLO, 3, None),)


def test_the_conversation_from_hello_to_finished() -> None:
    """The answers a sender relies on, in their order."""
    intake = Intake(RUN, about=b'{"boot": "x"}')
    welcome = take(intake, hello())
    assert welcome.rows == (SenderRow(A, HELLO),)
    assert welcome.answer is not None
    assert (welcome.answer.count, welcome.answer.payload) == (0, b'{"boot": "x"}')
    assert answer(intake, batch(0, 4)) == (Message.ACK, 4)
    assert answer(intake, batch(6, 2)) == (Message.GAP, 4)
    assert answer(intake, message(Message.FIN, count=6)) == (Message.GAP, 4)
    overlapping = take(intake, batch(2, 4))
    assert overlapping.rows == (BatchRow(A, 4, 2, records(4, 2)),)
    assert take(intake, batch(0, 6)).rows == ()
    assert take(intake, missing(5, 3)).rows == (BatchRow(A, 6, 2, None, "lost"),)
    assert intake.missing == 2
    assert take(intake, message(Message.FIN, count=8)).rows == (FinishedRow(A, 8),)
    again = take(intake, message(Message.FIN, count=8))
    assert again.rows == ()
    assert answer(intake, message(Message.FIN, count=8)) == (Message.FINISHED, 8)
    assert answer(intake, hello()) == (Message.ACK, 8)
    assert intake.rejected == 0


def test_a_ping_is_answered_at_once_with_one_reading() -> None:
    """The answer must not wait for the disk."""
    step = Intake(RUN).take(pack(Envelope(Message.PING, RUN, A, a=5)), now_ns=77)
    assert step.at_once
    assert step.answer is not None
    assert (step.answer.message, step.answer.a, step.answer.b) == (Message.PONG, 5, 77)


@pytest.mark.parametrize(
    ("what", "data", "refused"),
    [
        ("another run", message(Message.HELLO, run=OTHER_RUN, payload=HELLO.to_json()), True),
        ("records before HELLO", batch(0, 1, B), False),
        ("an answer", message(Message.ACK), False),
        (
            "another process as the same sender",
            message(Message.HELLO, payload=HELLO.to_json().replace(b"7", b"8")),
            True,
        ),
        ("HELLO without sense", message(Message.HELLO, payload=b"{}"), True),
        ("FIN below what is known", message(Message.FIN, count=2), True),
        ("missing without reason", missing(3, 1)[:80] + b"", False),
        ("missing with nonsense", message(Message.MISSING, first=3, count=1, payload=b"[]"), False),
        ("a number out of range", message(Message.MISSING, first=2**63 - 1, count=2**63 - 1, payload=b"{}"), False),
    ],
)
def test_what_breaks_the_protocol_is_counted(what: str, data: bytes, refused: bool) -> None:
    """Refused senders are told, others are not: a wrong address must not be answered with noise."""
    intake = Intake(RUN, [JournaledSender(A, HELLO, 3, None)], rejected=4)
    step = take(intake, data)
    assert [type(row) for row in step.rows] == [RejectedRow]
    assert intake.rejected == 5
    assert (step.answer is not None and step.answer.message is Message.REFUSED) == refused


def test_nothing_follows_an_end() -> None:
    """Records beyond the stated total are refused; old ones are acknowledged again."""
    intake = Intake(RUN, [JournaledSender(A, HELLO, 3, 3)])
    assert isinstance(take(intake, batch(3, 1)).rows[0], RejectedRow)
    assert answer(intake, batch(1, 2)) == (Message.ACK, 3)


def test_joining_keeps_what_each_sender_said_in_order() -> None:
    """Neighbouring batches become one, bounded; a stated loss parts them; refusals are summed up."""
    rows: list[Row] = [
        SenderRow(A, HELLO),
        BatchRow(A, 0, 2, records(0, 2)),
        BatchRow(B, 0, 1, records(0, 1)),
        RejectedRow(1, "first"),
        BatchRow(A, 2, 1, records(2, 1)),
        BatchRow(A, 3, 1, None, "lost"),
        BatchRow(A, 4, 1, records(4, 1)),
        BatchRow(A, 5, 4096, records(5, 4096)),
        RejectedRow(1, "second"),
    ]
    assert joined(rows) == [
        SenderRow(A, HELLO),
        BatchRow(A, 0, 3, records(0, 3)),
        BatchRow(B, 0, 1, records(0, 1)),
        BatchRow(A, 3, 1, None, "lost"),
        BatchRow(A, 4, 1, records(4, 1)),
        BatchRow(A, 5, 4096, records(5, 4096)),
        RejectedRow(2, "first"),
    ]


def test_senders_are_told_that_the_run_ends_and_a_witness_is_waited_for_while_it_speaks() -> None:
    """In the answer to a PING; only a monitor that is heard and has not finished is worth a wait."""
    intake = Intake(RUN)
    witness = Hello(role="monitor", worker="far", incarnation=0, host="h", boot="b", pid=8)
    take(intake, hello(A))
    take(intake, message(Message.HELLO, B, payload=witness.to_json()))
    pong = intake.take(message(Message.PING, B), now_ns=7 * SILENT_NS).answer
    assert pong is not None
    assert pong.payload == b""
    intake.ends = True
    pong = intake.take(message(Message.PING, B), now_ns=8 * SILENT_NS).answer
    assert pong is not None
    assert pong.payload == RUN_ENDS
    assert intake.witnesses(9 * SILENT_NS - 1) == (B.hex(),)
    assert intake.witnesses(9 * SILENT_NS) == (), "it has gone silent"
    take(intake, message(Message.FIN, B))
    assert intake.witnesses(8 * SILENT_NS) == ()
