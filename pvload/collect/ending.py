"""When the collector's work is over: who must have said FIN, and until when it waits for them. Pure.

Orders come as JSON lines on stdin: `{"is":"end","at_ns":...,"reason":"duration","expect":[...],"deadline_ns":...}`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from pvload.clock import NS_PER_S
from pvload.errors import FormatError
from pvload.wire.journal import JournaledSender

LONGEST_WAIT_NS: Final = 10 * NS_PER_S
INTERRUPTED_WAIT_NS: Final = 2 * NS_PER_S
"""For senders that end together with us, when nobody is left to order the end."""
UNKNOWN_WAIT_NS: Final = 2 * NS_PER_S
"""For who is expected and never said HELLO: all the run long it had nothing to say, or no way to say it."""
_REASONS: Final = ("duration", "interrupted", "failed")


@dataclass(frozen=True, slots=True)
class End:
    """The order to end."""

    reason: str
    """duration | interrupted | failed"""
    deadline_ns: int
    """Monotonic: write the report then, whoever is missing."""
    expect: tuple[str, ...] = ()
    """Senders (hex) and workers (names) whose FIN is awaited; empty: every sender that is known."""
    unknown_deadline_ns: int = 0
    """Monotonic: until then one of `expect` of whom no sender is known is awaited too."""


def end_from_line(line: bytes, *, now_ns: int) -> End:
    """Reads an order; its deadline is at most LONGEST_WAIT_NS from now. FormatError names the line's fault."""
    try:
        values = json.loads(line)
    except ValueError as exc:
        raise FormatError(f"an order must be a JSON object: {line[:80]!r}") from exc
    if not isinstance(values, dict) or values.get("is") != "end":
        raise FormatError(f"the only order is 'end', got {line[:80]!r}")
    reason = values.get("reason", "interrupted")
    expect = values.get("expect", [])
    deadline_ns = values.get("deadline_ns") or now_ns + LONGEST_WAIT_NS
    if reason not in _REASONS:
        raise FormatError(f"end: reason {reason!r}, expected one of {', '.join(_REASONS)}")
    if not isinstance(expect, list) or not all(isinstance(name, str) for name in expect):
        raise FormatError("end: expect must be a list of senders and workers")
    if not isinstance(deadline_ns, int):
        raise FormatError("end: deadline_ns must be a whole number")
    return End(
        reason=reason,
        deadline_ns=min(deadline_ns, now_ns + LONGEST_WAIT_NS),
        expect=tuple(expect),
        unknown_deadline_ns=now_ns + UNKNOWN_WAIT_NS,
    )


def interrupted(*, now_ns: int) -> End:
    """What SIGTERM, or a parent that is gone, means."""
    return End(reason="interrupted", deadline_ns=now_ns + INTERRUPTED_WAIT_NS)


def awaited(end: End, senders: Iterable[JournaledSender], *, now_ns: int) -> tuple[str, ...]:
    """Whose end is worth waiting for at now_ns: senders by hex, workers by name, each until its end is known.

    A worker's end is known when all its senders have finished. Who never came is given up earlier than who did.
    """
    finished = {False: set[str](), True: set[str]()}
    everyone: list[str] = []
    for row in senders:
        done = finished[row.total is not None]
        done.add(row.sender.hex())
        done.add(row.hello.worker)
        everyone.append(row.sender.hex())
    expected = end.expect or tuple(everyone)
    unknown = now_ns < end.unknown_deadline_ns
    return tuple(name for name in expected if name in finished[False] or (unknown and name not in finished[True]))
