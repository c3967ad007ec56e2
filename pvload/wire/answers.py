"""What gRPC's codes say of a call that was not answered OK: whether somebody said no, or nobody was there."""

from __future__ import annotations

from typing import Final

UNANSWERED: Final = frozenset({"DEADLINE_EXCEEDED", "CANCELLED"})
"""Nobody answered: the time was over, or the engine went before an answer came."""
FAILURES: Final = frozenset({"UNAVAILABLE", "UNKNOWN"})
"""Nobody said no: the daemon is away, or its connection went."""


def word_of(status: str) -> str:
    """What became of a call that was not well answered; status: the code's name, OK where `success` is false.

    >>> word_of("DEADLINE_EXCEEDED"), word_of("UNAVAILABLE"), word_of("OK")
    ('not answered', 'failed', 'refused')
    """
    if status in UNANSWERED:
        return "not answered"
    return "failed" if status in FAILURES else "refused"
