"""Times in which the daemon's runtime has no turn for anybody: unary calls wait, heartbeats are late."""

from __future__ import annotations

import asyncio

from pvload.clock import NS_PER_S, Clock


class Starvation:
    """The latest such time. Call on the loop's thread only."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._start_ns = 0
        self._end_ns = 0
        """Of CLOCK_MONOTONIC; -1: never."""

    def begin(self, length_s: float) -> None:
        """It starts now; length 0: it never ends."""
        self._start_ns = self._clock.monotonic_ns()
        self._end_ns = self._start_ns + round(length_s * NS_PER_S) if length_s else -1

    @property
    def now(self) -> bool:
        """Is everything held up at this moment?"""
        return self._end_ns < 0 or self._clock.monotonic_ns() < self._end_ns

    async def passed(self) -> None:
        """Waits until there is a turn again; at once where nothing is held up."""
        while self.now:
            left_s = (self._end_ns - self._clock.monotonic_ns()) / NS_PER_S if self._end_ns >= 0 else 3600.0
            await asyncio.sleep(max(left_s, 0.001))

    def last_beat_ns(self, now_ns: int, *, first_ns: int, every_ns: int) -> int:
        """When a module that beats every `every_ns` from first_ns on gave its last sign before now_ns."""
        beat_ns = now_ns - (now_ns - first_ns) % every_ns
        if self._start_ns == self._end_ns or beat_ns < self._start_ns:
            return beat_ns
        if self._end_ns < 0 or now_ns < self._end_ns:
            return self._start_ns - (self._start_ns - first_ns) % every_ns
        return max(beat_ns, self._end_ns)
