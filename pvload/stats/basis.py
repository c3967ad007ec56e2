"""What one sender's times are measured against: the window grid, the end of warm-up, the target's clock.

All of it is fixed by records that stand before the first frame that needs it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pvload.stats.camera_runs import CameraRuns
from pvload.stats.changes_seen import ChangesSeen
from pvload.stats.histogram import Int64s
from pvload.stats.tenths import Tenths
from pvload.stats.timeline import LATE_NS, Timeline


@dataclass(slots=True)
class Basis:
    """Origins of one sender's figures."""

    window_ns: int
    warm_up_ns: int
    successor: bool
    """It replaced another engine."""
    timeline: Timeline = field(default_factory=Timeline)
    origin_ns: int | None = None
    """Where windows begin: the first wanted moment told before the first stream was opened, else that opening."""
    warm_from_ns: int | None = None
    """Where warm-up begins: with this sender's first frame. One sender's records alone decide, so that no order of
    senders can matter. The frames of a replaced engine's successor are not young: for it the plan's first start is
    taken, if it was told before the first frame."""
    target_offset_ns: int = 0
    """Target's clock minus ours; without a probe before the first frame, what makes that frame's age 0."""
    offset_known: bool = False
    gaps: Tenths | None = None
    """Gaps between frames of any stream, where a storm makes them worth keeping."""
    runs: CameraRuns = field(default_factory=CameraRuns)
    seen: ChangesSeen = field(default_factory=ChangesSeen)

    def window(self, at_ns: int) -> int:
        """Number of the window that holds at_ns; may be negative."""
        return (at_ns - (self.origin_ns or 0)) // self.window_ns

    def windows(self, times: Int64s) -> Int64s:
        """The same for many."""
        return (times - (self.origin_ns or 0)) // self.window_ns

    def window_begin(self, index: int) -> int:
        """When window `index` begins."""
        return (self.origin_ns or 0) + index * self.window_ns

    def judged_from(self, by_ns: int, due_ns: int | None) -> int:
        """When warm-up is over, as far as by_ns can know; without a frame until then it counts from due_ns.

        If the engine was late at that moment, it is over where the lateness began: the frames that were due since then
        come in one burst after it, and cannot be told from those that were due before.
        """
        start = self.warm_from_ns
        if start is None or start > by_ns:
            start = due_ns if due_ns is not None else by_ns
        return max(start, self.timeline.late.since(start + self.warm_up_ns, LATE_NS))
