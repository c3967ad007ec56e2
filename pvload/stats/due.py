"""Due time: how long frames were due, in all and after warm-up, and at what rate.

A call counts it from its opening to its end. Between an end that nobody here ordered and the next accepted opening (an
outage) frames are due as well: to the subscriber, though to none of its calls. Time in which the engine was late is
blind time and not due, for silence must not be held against the service; but frames that it could not take then wait in
its sockets, come in a burst afterwards and count, so the time that rate and coverage are over keeps it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from pvload.stats.basis import Basis
from pvload.stats.tally import Tally, WindowTally
from pvload.stats.timeline import LATE_NS


@dataclass(frozen=True, slots=True)
class Stretch:
    """[begin, end) in which the camera was wanted all the time."""

    begin_ns: int
    end_ns: int
    judged_from_ns: int
    """When warm-up is over."""
    rate_hz: float
    """Expected of the stream by the plan; 0: not stated."""


def count_due(stretch: Stretch, basis: Basis, *, tally: Tally, window: Callable[[int], WindowTally]) -> None:
    """Adds one stretch to the sums of a scope and to the windows of its subscriber."""
    begin_ns, end_ns = stretch.begin_ns, stretch.end_ns
    if end_ns <= begin_ns:
        return
    blind = basis.timeline.late.within(begin_ns, end_ns, LATE_NS)
    tally.due_ns += end_ns - begin_ns - blind
    tally.blind_ns += blind
    judged_from = max(begin_ns, stretch.judged_from_ns)
    judged = max(0, end_ns - judged_from)
    tally.judged_ns += judged
    tally.rates[(stretch.rate_hz, stretch.rate_hz > 0)] += judged
    for index in range(basis.window(begin_ns), basis.window(end_ns - 1) + 1):
        low = max(begin_ns, basis.window_begin(index))
        high = min(end_ns, basis.window_begin(index + 1))
        found = window(index)
        found.due_ns += high - low
        found.judged_ns += max(0, high - max(low, judged_from))
