"""The changes of a device that one sender was told of in advance, and when each one's effect is looked for."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, replace
from typing import Final

NS_PER_S: Final = 1_000_000_000
AROUND_NS: Final = NS_PER_S
"""Loss is counted from so long before a change to so long after its effect."""
ANSWER_NS: Final = 3 * NS_PER_S
"""The effect may take its time from the answer on, which is known elsewhere: so much is allowed for it."""
LEAST_PERIODS: Final = 4
LONGEST_NS: Final = 600 * NS_PER_S
"""No effect is waited for longer, however long a period may be."""
CHANGES: Final = 20_000
"""Most changes of a device that are looked for: a day of one in five seconds. Later ones are only counted."""


@dataclass(frozen=True, slots=True)
class Shows:
    """What full-quality frames show once a change is in effect; 0: it leaves that open."""

    width: int = 0
    height: int = 0
    binning_x: int = 0
    binning_y: int = 0
    exposure_ms: float = 0.0

    @property
    def visible(self) -> bool:
        """Whether frames can show it at all."""
        return bool(self.width or self.height or self.binning_x or self.exposure_ms)

    def contends(self, other: Shows) -> bool:
        """Whether both set the same figure."""
        return (
            bool(self.width and other.width)
            or bool(self.binning_x and other.binning_x)
            or bool(self.exposure_ms and other.exposure_ms)
        )


@dataclass(frozen=True, slots=True)
class Planned:
    """One CHANGE record, from `at_ns` on; it acts from earliest_ns at the earliest (see `hold`)."""

    number: int
    again: bool
    device: str
    kind: int
    text: str
    by: str
    at_ns: int
    earliest_ns: int
    shows: Shows
    rate_hz: float
    effect_ns: int

    @property
    def begin_ns(self) -> int:
        """Loss is counted from here."""
        return max(self.at_ns - AROUND_NS, self.earliest_ns)

    def waits_ns(self, rate_hz: float) -> int:
        """How long its effect may take, given the rate before it: four of the slower periods at least."""
        return min(max(self.effect_ns, self.periods_ns(LEAST_PERIODS, rate_hz)), LONGEST_NS)

    def periods_ns(self, count: int, rate_hz: float) -> int:
        """So many of the slower periods before and after it; 0 if no rate is known."""
        rates = [rate for rate in (rate_hz, self.rate_hz) if rate > 0]
        return round(min(count / min(rates), LONGEST_NS / NS_PER_S) * NS_PER_S) if rates else 0


class PlannedChanges:
    """In order of time; two at one moment in the order of their records."""

    __slots__ = ("changes", "more", "times")

    def __init__(self) -> None:
        self.changes: list[Planned] = []
        self.times: list[int] = []
        self.more = 0
        """Changes beyond the limit."""

    def told(self, change: Planned) -> None:
        """Appends the next change; none is earlier than the one told before it."""
        if len(self.changes) >= CHANGES:
            self.more += not change.again
            return
        if self.times and change.at_ns < self.times[-1]:
            change = replace(change, at_ns=self.times[-1])
        self.changes.append(change)
        self.times.append(change.at_ns)

    def from_time(self, at_ns: int) -> int:
        """Place of the first change at at_ns or later."""
        return bisect_left(self.times, at_ns)
