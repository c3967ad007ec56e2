"""What stands beside the frames in a sender's records: lag, host, processes, log, unary calls, users, notes, clocks.

All lists are bounded and keep the first ones or the worst; all sums are integers.
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Final

from pvload.stats.histogram import Histogram
from pvload.stats.summary import LIST_LIMIT

MINUTE_NS: Final = 60_000_000_000
SAMPLES: Final = 4096
"""Most samples kept of a minute of one process."""
EXAMPLES: Final = 10
FIRST_LINES: Final = 40
LAST_LINES: Final = 20
"""Log lines kept of each class, which stay below a thousand in all."""
LONGEST_READING_NS: Final = 10_000_000_000
"""A line that was read later than this after its stamp, or before it, has a stamp of another clock."""


@dataclass(frozen=True, slots=True, order=True)
class Moment:
    """Something worth a line, at a time of the sender's clock."""

    at_ns: int
    text: str
    kind: str = ""


class Moments:
    """The first `limit` moments in order of recording; the rest is only counted."""

    __slots__ = ("count", "kept", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.count = 0
        self.kept: list[Moment] = []

    def add(self, moment: Moment) -> None:
        """Counts one and keeps it if there is room."""
        self.count += 1
        if len(self.kept) < self.limit:
            self.kept.append(moment)


@dataclass(slots=True)
class LagTally:
    """The generator's own lateness and cost, by LAG records."""

    lateness: Histogram = field(default_factory=Histogram)
    worst: tuple[int, int] = (0, 0)
    """Lateness and when it ended."""
    late_intervals: int = 0
    late: list[tuple[int, int, int]] = field(default_factory=list)
    """(begin, end, lateness) of blind times, the first thousand."""
    interval_ns: int = 0
    cpu_ns: int = 0
    run_queue_ns: int = 0
    pressure_ns: int = 0
    steal_ns: int = 0
    gc_pause_ns: int = 0
    rss_bytes: int = 0
    spool_depth: int = 0
    open_fds: int = 0


@dataclass(slots=True)
class ProcessTally:
    """One watched process."""

    name: str
    pid: int
    samples: int = 0
    first_ns: int = 0
    last_ns: int = 0
    cpu_ns: int = 0
    """Since the first sample."""
    rss_max: int = 0
    threads_max: int = 0
    fds_max: int = 0
    early: list[int] = field(default_factory=list)
    """Resident bytes of the first two minutes."""
    second: list[int] = field(default_factory=list)
    """Of the second minute."""
    recent: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=SAMPLES))

    def sample(self, at_ns: int, cpu_ns: int, rss: int, threads: int, fds: int) -> None:
        """Takes one sample."""
        if self.samples == 0:
            self.first_ns = at_ns
        else:
            self.cpu_ns += cpu_ns
        self.samples += 1
        self.last_ns = at_ns
        self.rss_max, self.threads_max = max(self.rss_max, rss), max(self.threads_max, threads)
        self.fds_max = max(self.fds_max, fds)
        age = at_ns - self.first_ns
        if age < 2 * MINUTE_NS and len(self.early) < 2 * SAMPLES:
            self.early.append(rss)
            if age >= MINUTE_NS:
                self.second.append(rss)
        self.recent.append((at_ns, rss))
        while self.recent[0][0] <= at_ns - MINUTE_NS:
            self.recent.popleft()

    def medians(self) -> tuple[int, int]:
        """Resident bytes, median of the second minute (of all before there is a third one) and of the last minute."""
        first = self.second if self.last_ns - self.first_ns >= 2 * MINUTE_NS and self.second else self.early
        return _median(first), _median([rss for _, rss in self.recent])


def _median(values: list[int]) -> int:
    ordered = sorted(values)
    return ordered[(len(ordered) - 1) // 2] if ordered else 0


@dataclass(slots=True)
class HostTally:
    """One host; increments of the first sample belong to a time before the run and are left out."""

    name: str
    samples: int = 0
    first_ns: int = 0
    last_ns: int = 0
    cores: int = 0
    cpu_ns: int = 0
    pressure_ns: int = 0
    steal_ns: int = 0
    memory_used_max: int = 0
    memory_total: int = 0
    load_1_max: float = 0.0


@dataclass(slots=True)
class UnaryTally:
    """All calls of one method by one sender."""

    method: str
    count: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    """Of the errors: changes that were refused with a reason."""
    latency: Histogram = field(default_factory=Histogram)
    examples: Moments = field(default_factory=lambda: Moments(EXAMPLES))


@dataclass(frozen=True, slots=True)
class ProbeNote:
    """The target's clock against ours."""

    at_ns: int
    offset_ns: int
    """Target's clock minus our monotonic clock."""
    round_trip_ns: int
    wall_offset_ns: int
    """Target's clock minus our wall clock."""


@dataclass(slots=True)
class ClockTally:
    """Probes of the target and pairs with the run's axis."""

    probes: int = 0
    best: ProbeNote | None = None
    """Smallest round trip before the first frame: the offset that ages are counted with."""
    first: ProbeNote | None = None
    last: ProbeNote | None = None
    worst_change_ns: int = 0
    """Largest distance of a later probe's offset from the best one's."""
    steps: Moments = field(default_factory=lambda: Moments(LIST_LIMIT))
    axis_offset_ns: int = 0
    axis_round_trip_ns: int | None = None


@dataclass(slots=True)
class LogTally:
    """Lines of the daemon's log by class."""

    lines: Counter[str] = field(default_factory=Counter)
    driver_errors: int = 0
    examples: Moments = field(default_factory=lambda: Moments(EXAMPLES * 2))
    first: dict[str, list[Moment]] = field(default_factory=dict)
    """The first lines of each class that may explain what befell a stream."""
    latest: dict[str, deque[Moment]] = field(default_factory=dict)
    """And the last ones."""
    wall_offset_ns: int | None = None
    """Wall clock minus monotonic clock of the sender's host, by its last heartbeat."""
    present: bool = False
    """By the last note of its witness."""

    def line(self, moment: Moment) -> None:
        """Keeps it among the first or the last of its class."""
        first = self.first.setdefault(moment.kind, [])
        if len(first) < FIRST_LINES:
            first.append(moment)
        else:
            self.latest.setdefault(moment.kind, deque(maxlen=LAST_LINES)).append(moment)

    def lines_kept(self) -> list[Moment]:
        """All lines kept, in no particular order."""
        return [one for kept in (*self.first.values(), *self.latest.values()) for one in kept]

    def stamped_ns(self, read_ns: int, logged_wall_ns: int) -> int:
        """When a line was written, on the sender's monotonic clock; when it was read, if nothing else is known."""
        if not logged_wall_ns or self.wall_offset_ns is None:
            return read_ns
        written_ns = logged_wall_ns - self.wall_offset_ns
        return written_ns if 0 <= read_ns - written_ns <= LONGEST_READING_NS else read_ns
