"""How this host's monotonic clock stands to the run's axis, which is the collector's, and when a reader must be told.

The exchange with the smallest round trip is off by at most half of it, whatever the two ways took. Two clocks drift
apart by some microseconds a second, so an exchange is believed for WINDOW_NS and no longer.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

from pvload.clock import NS_PER_S
from pvload.ship.recorder import Recorder
from pvload.wire.event import Kind

WINDOW_NS: Final = 600 * NS_PER_S
_SLOT_NS: Final = WINDOW_NS // 10
"""Of each such stretch the best exchange is kept: at most eleven of them."""


class Offset(NamedTuple):
    """Run axis = our monotonic clock + offset_ns, off by at most half of round_trip_ns."""

    offset_ns: int
    round_trip_ns: int


class _Exchange(NamedTuple):
    at_ns: int
    offset: Offset


class ClockExchange:
    """The exchanges of the last WINDOW_NS. One thread answers, any may read."""

    def __init__(self) -> None:
        self.best: Offset | None = None
        """None before the first exchange."""
        self._slots: deque[_Exchange] = deque()
        self._shared = False

    def share(self) -> None:
        """Both processes run on one boot of one host: one clock."""
        self._shared = True
        self.best = Offset(0, 0)

    def answered(self, *, sent_ns: int, collector_ns: int, now_ns: int) -> None:
        """An exchange ended now; the collector read its clock between our two readings."""
        round_trip_ns = now_ns - sent_ns
        if self._shared or round_trip_ns < 0:
            return
        fresh = _Exchange(now_ns, Offset(collector_ns - (sent_ns + now_ns) // 2, round_trip_ns))
        if not self._slots or self._slots[-1].at_ns // _SLOT_NS != now_ns // _SLOT_NS:
            self._slots.append(fresh)
        elif round_trip_ns < self._slots[-1].offset.round_trip_ns:
            self._slots[-1] = fresh
        while self._slots[0].at_ns < now_ns - WINDOW_NS:
            self._slots.popleft()
        self.best = min((slot.offset for slot in self._slots), key=lambda offset: offset.round_trip_ns)


def is_news(found: Offset, told: Offset | None) -> bool:
    """Whether a reader who was told `told` must be told `found`: it lies elsewhere, or is twice as well known."""
    if told is None:
        return True
    moved_ns = abs(found.offset_ns - told.offset_ns)
    return 2 * moved_ns > found.round_trip_ns or 2 * found.round_trip_ns < told.round_trip_ns


class AxisNotes:
    """Writes CLOCK records into a sender's own stream."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._told: Offset | None = None

    def record(self, found: Offset | None) -> None:
        """Records what is known now, if it is news."""
        if found is not None and is_news(found, self._told):
            self._told = found
            self._recorder.append(Kind.CLOCK, offset_ns=found.offset_ns, round_trip_ns=found.round_trip_ns)
