"""How many lines of a class are recorded one by one, and how the others are still counted exactly.

Pure. Per class and second the first lines pass; the rest is held back as a count, and the last line held back goes out
with that count when its second is over. So the sum of 1 + suppressed over a class is the number of its lines.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from pvload.clock import NS_PER_S
from pvload.monitor.tokens import Classified
from pvload.wire.codes import LogClass

LINES_PER_S: Final = 20
"""Recorded one by one, for a class that the next table does not name."""
RATES_PER_S: Final[dict[LogClass, int]] = {
    LogClass.DRIVER_ERROR: 100,
    LogClass.PANIC: 100,
    LogClass.STALL_END: 100,
    LogClass.UNLOCK: 100,
    LogClass.DROP: 5,
    LogClass.SLOW_OBSERVER: 2,
    LogClass.CALLBACK: 2,
    LogClass.POOL: 5,
    LogClass.NO_CONSUMERS: 5,
}
"""More for what a run is judged by, less where the daemon prints a line for every frame or every few."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One line as it was read."""

    line: Classified
    number: int
    """Counts the lines read, from 1."""
    t_ns: int


@dataclass(frozen=True, slots=True)
class Admitted:
    """A line to record, and how many of its class were held back since the previous one."""

    seen: Seen
    suppressed: int


@dataclass(slots=True)
class _Second:
    index: int
    passed: int = 0
    held: int = 0
    last_held: Seen | None = None


class Allowance:
    """Admits lines within their class's rate. Memory: one entry a class."""

    def __init__(self) -> None:
        self.suppressed: Counter[LogClass] = Counter()
        """Lines that are in the records only as a count."""
        self._seconds: dict[LogClass, _Second] = {}

    def offer(self, seen: Seen) -> Iterator[Admitted]:
        """What to record now that `seen` was read; OTHER is never recorded. Times must not go back."""
        log_class = seen.line.log_class
        if log_class is LogClass.OTHER:
            return
        index = seen.t_ns // NS_PER_S
        second = self._seconds.get(log_class)
        if second is None or second.index != index:
            yield from self._close(log_class)
            second = self._seconds[log_class] = _Second(index)
        if second.passed < RATES_PER_S.get(log_class, LINES_PER_S):
            second.passed += 1
            yield Admitted(seen, 0)
        else:
            second.held += 1
            second.last_held = seen

    def over(self, now_ns: int) -> Iterator[Admitted]:
        """What was held back in seconds that ended before `now_ns`."""
        for log_class in [c for c, second in self._seconds.items() if second.index < now_ns // NS_PER_S]:
            yield from self._close(log_class)

    def rest(self) -> Iterator[Admitted]:
        """What is held back still, at the end."""
        for log_class in list(self._seconds):
            yield from self._close(log_class)

    def _close(self, log_class: LogClass) -> Iterator[Admitted]:
        second = self._seconds.pop(log_class, None)
        if second is not None and second.last_held is not None:
            self.suppressed[log_class] += second.held - 1
            yield Admitted(second.last_held, second.held - 1)
