"""When the next of a row of paced deeds is due: absolute times, so that what one takes does not shift the next."""

from __future__ import annotations

from pvload.clock import NS_PER_S, Clock
from pvload.load.station import StationRun


class Beats:
    """Due times at a fixed rate. A beat that has passed while the one before was under way is left out, not made up."""

    def __init__(self, clock: Clock, rate_hz: float) -> None:
        self._clock = clock
        self._period_ns = max(1, round(NS_PER_S / rate_hz))
        self._due_ns = clock.monotonic_ns()

    def wait(self, run: StationRun) -> int:
        """When the beat that is now due was due, this host's monotonic clock; 0: the run ends."""
        now_ns = self._clock.monotonic_ns()
        if now_ns - self._due_ns > self._period_ns:
            self._due_ns += (now_ns - self._due_ns) // self._period_ns * self._period_ns
        due_ns, self._due_ns = self._due_ns, self._due_ns + self._period_ns
        if run.ending.wait(max(0.0, (due_ns - now_ns) / NS_PER_S)):
            return 0
        return due_ns
