"""What one sender still owes the collector: pure bookkeeping of numbers, no I/O.

`acknowledged <= sent`, both counted in records from 0; what lies between is in flight, in batches, at most
WINDOW_BATCHES of them. The collector's word decides: an ACK moves `acknowledged` on, a GAP moves `sent` back.
"""

from __future__ import annotations

from collections import deque
from typing import Final

from pvload.clock import NS_PER_MS

WINDOW_BATCHES: Final = 16
REPEATED_GAP_NS: Final = 500 * NS_PER_MS
"""A GAP for the same number within this time is the echo of batches already in flight, not news."""


class Outbox:
    """Numbers of one sender while it talks to one collector."""

    def __init__(self) -> None:
        self.acknowledged = 0
        self.sent = 0
        self._ends: deque[int] = deque()
        self._gap_at_ns = -REPEATED_GAP_NS
        self._gap = -1

    def has_room(self) -> bool:
        """Whether another batch may be sent before an acknowledgement comes."""
        return len(self._ends) < WINDOW_BATCHES

    @property
    def in_flight(self) -> int:
        """Records sent and not acknowledged."""
        return self.sent - self.acknowledged

    def resume(self, known: int) -> None:
        """The collector answered HELLO: it knows `known` records, maybe fewer than before; nothing is in flight."""
        self.acknowledged = self.sent = known
        self._ends.clear()
        self._gap = -1

    def sent_upto(self, end: int) -> None:
        """A batch that ends before record `end` was sent."""
        self.sent = end
        self._ends.append(end)

    def acknowledge(self, known: int) -> bool:
        """Takes an ACK in; True if it was progress. What the collector knows besides, from another, is not sent."""
        if known <= self.acknowledged:
            return False
        self.acknowledged = known
        self.sent = max(self.sent, known)
        while self._ends and self._ends[0] <= known:
            self._ends.popleft()
        return True

    def go_back(self, known: int, now_ns: int) -> bool:
        """Takes a GAP in; True if sending must go on from `known`, False if that was already done."""
        if known > self.sent or known < self.acknowledged:
            return False
        if known == self._gap and now_ns - self._gap_at_ns < REPEATED_GAP_NS:
            return False
        self._gap, self._gap_at_ns = known, now_ns
        self.acknowledged = self.sent = known
        self._ends.clear()
        return True
