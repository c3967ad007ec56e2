"""The gaps of one call within due time, put into the call's sums and its subscriber's windows and silence.

A gap is open from the moment the stream is open and wanted, or from a frame; it ends with the next frame, or is cut
where the call, the wanting or the run ends.
"""

from __future__ import annotations

import numpy as np

from pvload.stats.basis import Basis
from pvload.stats.gaps import Freezes, GapTally, StallNote
from pvload.stats.histogram import Int64s
from pvload.stats.subscriber import SubscriberFold
from pvload.stats.windows import Windows


class CallGaps:
    """The open gap of one call, and the sums of those that are over."""

    __slots__ = (
        "_basis",
        "_call",
        "_cut_at",
        "_freezes",
        "_stall_ns",
        "_subscriber",
        "_windows",
        "is_inner",
        "number_before",
        "passed",
        "since",
        "tally",
    )

    def __init__(self, subscriber: SubscriberFold, windows: Windows, basis: Basis, *, call: int, stall_ns: int) -> None:
        self.tally = GapTally()
        self.since: int | None = None
        """Where the open gap began; None: the device is not wanted."""
        self.is_inner = False
        """It began with a frame, not with the call or the wanting."""
        self.passed = 0
        """Frames of the call up to it."""
        self.number_before = -1
        """frame_number of the frame before it; -1: none, or not known."""
        self._subscriber = subscriber
        self._windows = windows
        self._basis = basis
        self._call = call
        self._stall_ns = stall_ns
        self._freezes = Freezes()
        self._cut_at: list[int] = []

    def begin(self, at_ns: int) -> None:
        """From here on frames are due."""
        self.since, self.is_inner = at_ns, False
        self._subscriber.silence.begin(at_ns)

    def arrivals(self, t_ns: Int64s, numbers: Int64s) -> Int64s:
        """Ends a gap with each of `t_ns`, the arrivals of frames with these numbers. Returns the gaps."""
        begin = self.since if self.since is not None else int(t_ns[0])
        begins = np.concatenate(([begin], t_ns[:-1]))
        gaps = t_ns - begins
        head = 0 if self.is_inner else 1
        longest = self.tally.between(gaps, begins, head=not self.is_inner)
        if gaps.size > head:
            self._subscriber.arrivals.longest.add(begins[head:], gaps[head:])
            self._freezes.add(gaps[head:], self.tally)
        if gaps[longest] > self._stall_ns:
            for at in np.flatnonzero(gaps > self._stall_ns):
                number = self.number_before if at == 0 else int(numbers[at - 1])
                self._stall(int(begins[at]), int(t_ns[at]), self.passed + int(at), number, censored=False)
        if longest == 0 and gaps.size > 1:
            longest = 1 + int(gaps[1:].argmax())
        inner = (int(gaps[longest]), int(begins[longest])) if longest else (0, 0)
        self._subscriber.silence.arrivals(int(t_ns[0]), int(t_ns[-1]), inner)
        self._window_gaps(gaps, begins, t_ns)
        self.since, self.is_inner = int(t_ns[-1]), True
        return gaps

    def inside(self, first_ns: int, last_ns: int, longest_ns: int) -> None:
        """The longest gap among folded arrivals; where it stood is not known, so it is put at their beginning."""
        self.tally.edge(longest_ns, first_ns)
        if longest_ns > self._stall_ns:
            self._stall(first_ns, first_ns + longest_ns, self.passed, -1, censored=False)
        self._subscriber.silence.arrivals(first_ns, last_ns, (longest_ns, first_ns))
        self.since, self.is_inner = last_ns, True

    def cut(self, at_ns: int) -> None:
        """The open gap ends here without a frame."""
        if self.since is None:
            return
        length = at_ns - self.since
        if length > 0:
            ends, begins = np.array([at_ns]), np.array([self.since])
            self.tally.edge(length, self.since)
            if length > self._stall_ns:
                self._stall(self.since, at_ns, self.passed, self.number_before, censored=True)
            self._window_gaps(ends - begins, begins, ends)
            if self.is_inner:
                self._subscriber.arrivals.longest.add(begins, ends - begins, cut=True)
        self.since, self.is_inner = None, False

    def stalled_at(self) -> list[int]:
        """The frames of the call before each stall that was found since this was last asked."""
        found, self._cut_at = self._cut_at, []
        return found

    def _stall(self, begin_ns: int, end_ns: int, index: int, number: int, *, censored: bool) -> None:
        note = StallNote(
            length_ns=end_ns - begin_ns,
            begin_ns=begin_ns,
            call=self._call,
            subscriber=self._subscriber.name,
            frame_index=index,
            last_number=number,
            censored=censored,
            uncertainty_ns=self._basis.timeline.late.within(begin_ns, end_ns),
        )
        self.tally.stalls.add(note)
        self._cut_at.append(index)
        for at in range(self._basis.window(begin_ns), self._basis.window(end_ns - 1) + 1):
            low, high = max(begin_ns, self._basis.window_begin(at)), min(end_ns, self._basis.window_begin(at + 1))
            self._windows.window(at).stalled_ns += high - low

    def _window_gaps(self, gaps: Int64s, begins: Int64s, ends: Int64s) -> None:
        """The longest gap of each window: a gap belongs to the window it ends in, and, cut, to those it fills."""
        if self._basis.gaps is not None:
            self._basis.gaps.longest(begins, ends, gaps)
        first, last = self._basis.window(int(begins[0])), self._basis.window(int(ends[-1]))
        if first == last:
            window = self._windows.window(first)
            window.longest_gap_ns = max(window.longest_gap_ns, int(gaps.max()))
            return
        start = 0
        for index in range(first, last + 1):
            low, high = self._basis.window_begin(index), self._basis.window_begin(index + 1)
            stop = int(np.searchsorted(ends, high))
            window = self._windows.window(index)
            if stop > start:
                window.longest_gap_ns = max(window.longest_gap_ns, int(gaps[start:stop].max()))
            if stop < ends.size and int(begins[stop]) < high:
                cut = high - max(int(begins[stop]), low)
                window.longest_gap_ns = max(window.longest_gap_ns, cut)
            start = stop
