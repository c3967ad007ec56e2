"""Everything counted about one call, one subscriber, one device or the run: integers and histograms that add up.

`merge` is associative and commutative in every field, so the order in which calls and senders are put together does not
matter. Times are nanoseconds of the sender's monotonic clock; whoever merges senders shifts them to the run's axis.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from pvload.stats.gaps import GapTally
from pvload.stats.histogram import Histogram, Int64s
from pvload.stats.holes import HoleList
from pvload.stats.steps import Counts


@dataclass(slots=True)
class AgeTally:
    """Frame age against one offset, nanoseconds."""

    ages: Histogram = field(default_factory=Histogram)
    negative: int = 0
    jitter_ns: int = 0
    jitter_n: int = 0

    def jitter(self, changes: Int64s) -> None:
        """Counts changes of transit."""
        self.jitter_ns += int(np.abs(changes).sum())
        self.jitter_n += changes.size

    def merge(self, other: AgeTally) -> None:
        """Adds another scope's ages (against the same or another sender's offset)."""
        self.ages.merge(other.ages)
        self.negative += other.negative
        self.jitter_ns += other.jitter_ns
        self.jitter_n += other.jitter_n


@dataclass(slots=True)
class WindowTally:
    """One window of one subscriber."""

    frames: int = 0
    judged_frames: int = 0
    due_ns: int = 0
    judged_ns: int = 0
    missing: int = 0
    stalled_ns: int = 0
    longest_gap_ns: int = 0
    age_p99_ns: float | None = None
    message_bytes: int = 0
    server: ServerNote | None = None
    """The last one in the window."""

    def merge(self, other: WindowTally) -> None:
        """Adds another part of the same window; percentiles of parts are not added but the worse one is kept."""
        self.frames += other.frames
        self.judged_frames += other.judged_frames
        self.due_ns += other.due_ns
        self.judged_ns += other.judged_ns
        self.missing += other.missing
        self.stalled_ns += other.stalled_ns
        self.longest_gap_ns = max(self.longest_gap_ns, other.longest_gap_ns)
        self.aged(other.age_p99_ns)
        self.message_bytes += other.message_bytes
        if other.server is not None:
            self.told(other.server)

    def aged(self, p99_ns: float | None) -> None:
        """Keeps the worse 99th percentile."""
        if p99_ns is not None and (self.age_p99_ns is None or p99_ns > self.age_p99_ns):
            self.age_p99_ns = p99_ns

    def told(self, note: ServerNote) -> None:
        """Keeps the later of the server's own figures."""
        if self.server is None or note > self.server:
            self.server = note


@dataclass(frozen=True, slots=True, order=True)
class ServerNote:
    """The server's own figures as of one frame."""

    at_ns: int
    frames_sent: int
    frames_dropped: int
    current_fps: float
    avg_latency_ms: float


@dataclass(slots=True)
class Tally:
    """The sums of one scope."""

    frames: int = 0
    message_bytes: int = 0
    decoded_bytes: int = 0
    open_ns: int = 0
    due_ns: int = 0
    judged_ns: int = 0
    blind_ns: int = 0
    judged_frames: int = 0
    judged_bytes: int = 0
    rates: Counter[tuple[float, bool]] = field(default_factory=Counter)
    """(frames a second expected of the stream, stated by the plan) -> judged nanoseconds; rate 0: not known."""
    gaps: GapTally = field(default_factory=GapTally)
    steps: Counts = field(default_factory=Counts)
    decimated: int = 0
    before_numbering: int | None = None
    late: int = 0
    lag_losses: int = 0
    frames_sent: int = 0
    frames_dropped: int = 0
    age: AgeTally = field(default_factory=AgeTally)
    connect: Histogram = field(default_factory=Histogram)
    first_frame: Histogram = field(default_factory=Histogram)
    payload_checked: int = 0
    payload_errors: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    unexpected_ends: int = 0
    refused_ends: int = 0
    """Ends by the server before any call of the subscriber was accepted: they become unexpected if one was."""
    admission_refused: int = 0
    wait_timeouts: int = 0
    outages: int = 0
    outages_ns: int = 0
    longest_outage_ns: int = 0
    folded_frames: int = 0
    not_as_planned: int = 0
    not_as_planned_first: tuple[int, str] | None = None
    server: ServerNote | None = None
    worst_window_fps: float | None = None
    holes: HoleList = field(default_factory=HoleList)

    def merge(self, other: Tally) -> None:
        """Adds another scope."""
        for name in _SUMS:
            # Most of them are 0 in a short call.
            if more := getattr(other, name):
                setattr(self, name, getattr(self, name) + more)
        for name in _COUNTERS:
            if more := getattr(other, name):
                getattr(self, name).update(more)
        for name in _PARTS:
            getattr(self, name).merge(getattr(other, name))
        for name in Counts.__slots__:
            if more := getattr(other.steps, name):
                setattr(self.steps, name, getattr(self.steps, name) + more)
        self.longest_outage_ns = max(self.longest_outage_ns, other.longest_outage_ns)
        if other.before_numbering is not None:
            self.before_numbering = (self.before_numbering or 0) + other.before_numbering
        if other.not_as_planned_first is not None:
            self.example(*other.not_as_planned_first)
        if other.server is not None and (self.server is None or other.server > self.server):
            self.server = other.server
        if other.worst_window_fps is not None:
            self.worst_window(other.worst_window_fps)

    def pack(self) -> None:
        """Takes less memory from now on, for a scope to which nothing will be added."""
        for histogram in (self.gaps.inter_arrival, self.gaps.edges, self.age.ages, self.connect, self.first_frame):
            histogram.pack()

    def worst_window(self, fps: float) -> None:
        """Keeps the lower rate."""
        self.worst_window_fps = fps if self.worst_window_fps is None else min(self.worst_window_fps, fps)

    def example(self, at_ns: int, text: str) -> None:
        """Keeps the first frame that was not as planned."""
        if self.not_as_planned_first is None or (at_ns, text) < self.not_as_planned_first:
            self.not_as_planned_first = (at_ns, text)

    def outage(self, length_ns: int) -> None:
        """Counts one."""
        self.outages += 1
        self.outages_ns += length_ns
        self.longest_outage_ns = max(self.longest_outage_ns, length_ns)


_SUMS = (
    "frames",
    "message_bytes",
    "decoded_bytes",
    "open_ns",
    "due_ns",
    "judged_ns",
    "blind_ns",
    "judged_frames",
    "judged_bytes",
    "decimated",
    "late",
    "lag_losses",
    "frames_sent",
    "frames_dropped",
    "payload_checked",
    "unexpected_ends",
    "refused_ends",
    "admission_refused",
    "wait_timeouts",
    "outages",
    "outages_ns",
    "folded_frames",
    "not_as_planned",
)
_COUNTERS = ("rates", "payload_errors", "errors", "refused")
_PARTS = ("gaps", "age", "connect", "first_frame", "holes")
