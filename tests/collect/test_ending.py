"""When the collector may end: orders, deadlines, and whose FIN is awaited."""

from __future__ import annotations

import json

import pytest

from pvload.clock import NS_PER_S
from pvload.collect.ending import (
    INTERRUPTED_WAIT_NS,
    LONGEST_WAIT_NS,
    UNKNOWN_WAIT_NS,
    End,
    awaited,
    end_from_line,
    interrupted,
)
from pvload.errors import FormatError
from pvload.wire.batch import Hello
from pvload.wire.journal import JournaledSender


def sender(name: int, worker: str, *, done: bool) -> JournaledSender:
    hello = Hello(role="engine", worker=worker, incarnation=0, host="h", boot="b", pid=1)
    return JournaledSender(bytes([name]) * 16, hello, known=5, total=5 if done else None)


SENDERS = (sender(1, "w0", done=True), sender(2, "w0", done=False), sender(3, "w1", done=True))


@pytest.mark.parametrize(
    ("what", "expect", "left"),
    [
        ("nobody named: everybody known", (), ("02" * 16,)),
        ("a worker with a predecessor that is not done", ("w0",), ("w0",)),
        ("a worker that is done", ("w1",), ()),
        ("one sender", ("01" * 16,), ()),
        ("a worker that never came", ("w1", "w9"), ("w9",)),
        ("a sender that never came", ("09" * 16,), ("09" * 16,)),
    ],
)
def test_who_is_awaited(what: str, expect: tuple[str, ...], left: tuple[str, ...]) -> None:
    """A worker is done when all of its senders are, and at least one came."""
    end = End(reason="duration", deadline_ns=9, expect=expect, unknown_deadline_ns=5)
    assert awaited(end, SENDERS, now_ns=4) == left


def test_who_never_came_is_given_up_sooner_than_who_did() -> None:
    """A worker without a single sender holds the report up for two seconds, one that is still sending for ten."""
    line = json.dumps({"is": "end", "reason": "duration", "expect": ["w0", "w9", "09" * 16]}).encode()
    end = end_from_line(line, now_ns=0)
    assert awaited(end, SENDERS, now_ns=UNKNOWN_WAIT_NS - 1) == ("w0", "w9", "09" * 16)
    assert awaited(end, SENDERS, now_ns=UNKNOWN_WAIT_NS) == ("w0",)


def test_without_senders_nobody_is_awaited() -> None:
    """A run that never began ends at once."""
    assert awaited(End(reason="duration", deadline_ns=9, unknown_deadline_ns=5), (), now_ns=0) == ()


def test_an_order_waits_ten_seconds_at_most() -> None:
    """However far its deadline is."""
    line = json.dumps({"is": "end", "reason": "failed", "expect": ["w0"], "deadline_ns": 10**18}).encode()
    assert end_from_line(line, now_ns=5) == End(
        reason="failed",
        deadline_ns=5 + LONGEST_WAIT_NS,
        expect=("w0",),
        unknown_deadline_ns=5 + UNKNOWN_WAIT_NS,
    )
    assert end_from_line(b'{"is": "end"}', now_ns=5).deadline_ns == 5 + 10 * NS_PER_S
    assert interrupted(now_ns=5).deadline_ns == 5 + INTERRUPTED_WAIT_NS


@pytest.mark.parametrize(
    "line",
    [
        b"end",
        b"[]",
        b'{"is": "stop"}',
        b'{"is": "end", "reason": "bored"}',
        b'{"is": "end", "expect": "w0"}',
        b'{"is": "end", "expect": [1]}',
        b'{"is": "end", "deadline_ns": "soon"}',
    ],
)
def test_an_order_that_is_none_is_refused(line: bytes) -> None:
    """A run must not end because of a misprint."""
    with pytest.raises(FormatError):
        end_from_line(line, now_ns=0)
