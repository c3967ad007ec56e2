"""When the calls of a storm are due: pure arithmetic, so that a backlog of any length needs no memory."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from typing import Final

from pvload.errors import FormatError

_PARTS_HZ: Final = 1_000_000
"""Rates count in millionths of a hertz, so that no rounding adds up."""
_SECOND: Final = 1_000_000_000 * _PARTS_HZ


class Schedule:
    """Steps of equal length, each with its rate; the last rate stays for good. Calls count from 0.

    FormatError for a schedule that has no steps or no rate.
    """

    def __init__(self, *, begin_ns: int, step_ns: int, rates_hz: Sequence[float]) -> None:
        self._begin_ns = begin_ns
        self._step_ns = step_ns
        self._rates = [round(rate * _PARTS_HZ) for rate in rates_hz]
        if step_ns <= 0 or not self._rates or min(self._rates) <= 0:
            raise FormatError(f"steps of {step_ns} ns at {list(rates_hz)} calls a second are no schedule")
        lengths = [_within(step_ns, rate) for rate in self._rates[:-1]]
        self._first = [0, *accumulate(lengths)]

    def due_ns(self, call: int) -> int:
        """When a call is due."""
        step = bisect_right(self._first, call) - 1
        return self._begin_ns + step * self._step_ns + (call - self._first[step]) * _SECOND // self._rates[step]

    def due_by(self, t_ns: int) -> int:
        """How many calls are due at or before t_ns; so the next one's number."""
        if t_ns < self._begin_ns:
            return 0
        step = self._step(t_ns)
        return self._first[step] + _within(t_ns + 1 - self._begin_ns - step * self._step_ns, self._rates[step])

    def rate_hz(self, t_ns: int) -> float:
        """The rate offered at t_ns; the first one's before the beginning."""
        return self._rates[self._step(max(t_ns, self._begin_ns))] / _PARTS_HZ

    def boundary_ns(self, t_ns: int, every_ns: int) -> int:
        """The first moment after t_ns at which an account is due: a multiple of every_ns, or a step's end."""
        since_ns = max(t_ns - self._begin_ns, 0)
        regular_ns = (since_ns // every_ns + 1) * every_ns
        step = since_ns // self._step_ns + 1
        if step < len(self._rates):
            regular_ns = min(regular_ns, step * self._step_ns)
        return self._begin_ns + regular_ns

    def _step(self, t_ns: int) -> int:
        return min((t_ns - self._begin_ns) // self._step_ns, len(self._rates) - 1)


def _within(length_ns: int, rate: int) -> int:
    """Calls due in the first length_ns of a step: those whose offset, rounded down, is less."""
    return -(-length_ns * rate // _SECOND)
