"""Storms and other calls of load users, as one sender recorded them.

A step of a storm begins with the first OFFERED record of its rate. Those records are told in advance (`hold`), so that
the latency of each call is counted in the step that it was due in, whatever it waited. How many were sent, answered and
well answered in a step is by the time of that, as the engine counted it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from pvload.stats.histogram import Histogram, Int64s
from pvload.stats.summary import LIST_LIMIT
from pvload.stats.witness import EXAMPLES, Moment, Moments

STEPS: Final = 64
"""Most steps of one user's storm; later rates are counted in the last one."""
UNSTATED: Final = "success=false"


@dataclass(slots=True)
class CallTally:
    """Calls of one method by one population."""

    count: int = 0
    ok: int = 0
    refused: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    latency: Histogram = field(default_factory=Histogram)
    slowest: tuple[int, int] | None = None
    """Latency and when it was answered, negated, so that the earliest of equals is the greatest."""
    examples: Moments = field(default_factory=lambda: Moments(EXAMPLES))

    def took(self, latencies: Int64s, t_ns: Int64s) -> None:
        """Calls that took so long, answered then."""
        self.count += int(latencies.size)
        self.latency.add(latencies)
        longest = int(latencies.max())
        at = (longest, -int(t_ns[latencies == longest].min()))
        self.slowest = at if self.slowest is None else max(self.slowest, at)

    def example(self, at_ns: int, text: str) -> None:
        """Keeps one of what went wrong."""
        self.examples.add(Moment(at_ns, text))


@dataclass(slots=True)
class StepTally:
    """One rate of one user's storm."""

    rate_hz: float
    begin_ns: int
    acts_ns: int
    """Calls answered before this moment are not counted in it: they may have been folded before it was told."""
    end_ns: int = 0
    due: int = 0
    sent: int = 0
    answered: int = 0
    held_ns: int = 0
    late_ns: int = 0
    """Sum over its intervals of the worst lateness, each at most the interval."""
    lateness_ns: int = 0
    interval_ns: int = 0
    ok: int = 0
    latency: Histogram = field(default_factory=Histogram)


@dataclass(slots=True)
class StormTally:
    """The storm of one user."""

    population: str
    ordinal: int
    steps: list[StepTally] = field(default_factory=list)
    method: str = ""
    before: StepTally = field(default_factory=lambda: StepTally(0.0, 0, 0))
    """Calls before any step was told."""

    def offered(self, row: np.void, earliest_ns: int) -> None:
        """Takes one OFFERED record and the earliest time it may act from."""
        rate, t_ns, interval = float(row["rate_hz"]), int(row["t_ns"]), int(row["interval_ns"])
        begin_ns = t_ns - interval
        if not self.steps or (self.steps[-1].rate_hz != rate and len(self.steps) < STEPS):
            before = self.steps[-1] if self.steps else self.before
            begin_ns = max(begin_ns, before.begin_ns)
            self.steps.append(StepTally(rate, begin_ns, max(earliest_ns, before.acts_ns)))
        step, lateness = self.steps[-1], int(row["lateness_ns"])
        step.end_ns = max(step.end_ns, t_ns)
        step.due += int(row["due"])
        step.sent += int(row["sent"])
        step.answered += int(row["answered"])
        step.ok += int(row["ok"])
        step.held_ns += int(row["held_ns"])
        step.late_ns += min(lateness, interval)
        step.lateness_ns = max(step.lateness_ns, lateness)
        step.interval_ns += interval

    def called(self, *, due_ns: Int64s, t_ns: Int64s) -> None:
        """Takes answered calls, shape (n,) each."""
        begins = np.array([step.begin_ns for step in self.steps], np.int64)
        acts = np.array([step.acts_ns for step in self.steps], np.int64)
        # A call that was due a moment before the first step's stated begin is the first step's.
        own = np.maximum(np.searchsorted(begins, due_ns, side="right"), 1)
        own = np.minimum(own, np.searchsorted(acts, t_ns, side="right"))
        for at in np.unique(own):
            step = self.steps[int(at) - 1] if at else self.before
            mine = own == at
            step.latency.add((t_ns - due_ns)[mine])


class StormFold:
    """The storms and the load users' calls of one sender."""

    def __init__(self) -> None:
        self.calls: dict[tuple[str, str], CallTally] = {}
        """(population, method) -> its calls."""
        self.storms: dict[tuple[int, str, int], StormTally] = {}
        """(id, population, ordinal) -> its storm, the first thousand."""

    def storm(self, ref: int, population: str, ordinal: int) -> StormTally | None:
        """The storm of one user; None beyond the first thousand."""
        key = (ref, population, ordinal)
        found = self.storms.get(key)
        if found is None and len(self.storms) < LIST_LIMIT:
            found = self.storms[key] = StormTally(population, ordinal)
        return found

    def tally(self, population: str, method: str) -> CallTally:
        """The calls of one method by one population."""
        return self.calls.setdefault((population, method), CallTally())
