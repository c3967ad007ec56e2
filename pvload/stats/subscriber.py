"""One subscriber as one sender saw it: the sums of its calls, its windows, its silence and its outages."""

from __future__ import annotations

from dataclasses import dataclass

from pvload.stats.arrivals import Arrivals
from pvload.stats.basis import Basis
from pvload.stats.due import Stretch, count_due
from pvload.stats.opening import decimated
from pvload.stats.tally import Tally
from pvload.stats.timeline import Edges
from pvload.stats.windows import Windows


@dataclass(frozen=True, slots=True)
class SilenceNote:
    """Silence of one sender's part of a subscriber, to be put together with other parts in order of `begin_ns`."""

    begin_ns: int
    """When the part's first silence began."""
    first_ns: int
    """Its length: until the first arrival, or until the part was no longer due."""
    longest_ns: int
    longest_at_ns: int
    arrived: bool
    tail_ns: int
    """Length of the silence in which the sender's account ends, if nothing ended it (else 0)."""
    accepted: bool


class Silence:
    """The longest time without a frame while due, outages between calls included."""

    __slots__ = ("arrived", "first", "longest_at_ns", "longest_ns", "since")

    def __init__(self) -> None:
        self.since: int | None = None
        self.first: tuple[int, int] | None = None
        self.longest_ns = 0
        self.longest_at_ns = 0
        self.arrived = False

    def begin(self, at_ns: int) -> None:
        """The subscriber is due from here, unless it was already."""
        if self.since is None:
            self.since = at_ns

    def arrivals(self, first_ns: int, last_ns: int, inner: tuple[int, int]) -> None:
        """Frames from first to last; `inner`: longest gap between them, its length and its beginning."""
        if self.since is not None:
            self._note(first_ns - self.since, self.since)
        self._longest(*inner)
        self.arrived = True
        self.since = last_ns

    def stop(self, at_ns: int) -> None:
        """The subscriber is not due from here on."""
        if self.since is not None:
            self._note(at_ns - self.since, self.since)
        self.since = None

    def pass_to(self, at_ns: int, edges: Edges, *, operated: bool, outage_ns: int | None) -> None:
        """Goes over a time without a call: silence counts where the device was wanted.

        outage_ns: when the call before was lost, None: it was not. One that was lost while the device stood is silent
        from when the device is wanted again.
        """
        begin_ns = outage_ns if self.since is None else self.since
        if begin_ns is None:
            return
        for span in edges.spans(begin_ns, at_ns, operated=operated):
            if span.wanted:
                self.begin(span.begin_ns)
            else:
                self.stop(span.begin_ns)

    def _note(self, length_ns: int, at_ns: int) -> None:
        if self.first is None:
            self.first = (at_ns, length_ns)
        self._longest(length_ns, at_ns)

    def _longest(self, length_ns: int, at_ns: int) -> None:
        if length_ns > self.longest_ns or (length_ns == self.longest_ns and at_ns < self.longest_at_ns):
            self.longest_ns, self.longest_at_ns = length_ns, at_ns


class SubscriberFold:
    """(population, ordinal) in one sender."""

    __slots__ = (
        "_basis",
        "_due_from",
        "accepted",
        "arrivals",
        "calls",
        "device",
        "last_age",
        "longest_run",
        "max_fps",
        "name",
        "opened",
        "operated",
        "outage_from",
        "quality",
        "silence",
        "streaming",
        "tally",
        "windows",
    )

    def __init__(self, name: str, device: str, basis: Basis, *, operated: bool) -> None:
        self._basis = basis
        self._due_from: int | None = None
        """When a frame was first due."""
        self.name = name
        self.device = device
        self.operated = operated
        self.calls = 0
        self.opened = 0
        self.streaming = 0
        """Calls that were accepted and go on: for a moment two, where one is opened before the other has ended."""
        self.accepted = False
        self.max_fps = 0
        self.quality = 0
        self.tally = Tally()
        self.windows = Windows()
        """Of its closed calls, and of its outages."""
        self.silence = Silence()
        self.arrivals = Arrivals()
        self.longest_run = 0
        """Most frames in a row on one call without a stall and without one missing."""
        self.last_age: tuple[int, int] | None = None
        """When the last judged frame came, and its age in nanoseconds."""
        self.outage_from: int | None = None
        """When the last call ended without an order, if none has been accepted since."""

    def due(self, at_ns: int) -> None:
        """Frames are due from here on; the first such moment is kept."""
        self._due_from = at_ns if self._due_from is None else self._due_from

    def accept(self, opened_ns: int) -> None:
        """The server accepted a call that was opened at opened_ns."""
        self.opened += 1
        self.streaming += 1
        self.accepted = True
        self.silence.pass_to(opened_ns, self._edges, operated=self.operated, outage_ns=self.outage_from)
        self.end_outage(opened_ns)

    def turned_away(self, opened_ns: int, *, accepted: bool) -> None:
        """A call opened at opened_ns was refused for the stream limit: the plan asked for too much, nothing is due.

        accepted: it was taken for accepted before that.
        """
        if accepted:
            self.opened -= 1
            self.streaming -= 1
            self.accepted = self.opened > 0
        if not self.streaming:
            self.released(opened_ns)

    def lost(self, at_ns: int) -> None:
        """An accepted call ended without an order: from here to the next one is an outage."""
        if not self.streaming:
            self.outage_from = at_ns

    def end_outage(self, at_ns: int) -> None:
        """The outage that runs, if any, is over. Frames were due in it wherever the device was wanted."""
        if self.outage_from is None:
            return
        begin_ns, self.outage_from = self.outage_from, None
        if at_ns <= begin_ns:
            return
        self.tally.outage(at_ns - begin_ns)
        for span in self._edges.spans(begin_ns, at_ns, operated=self.operated):
            if not span.wanted:
                continue
            self.due(span.begin_ns)
            rate_hz = decimated(span.edge.rate_hz if span.edge is not None else 0.0, self.max_fps)
            judged_from = self._basis.judged_from(span.end_ns, self._due_from)
            stretch = Stretch(span.begin_ns, span.end_ns, judged_from, rate_hz)
            count_due(stretch, self._basis, tally=self.tally, window=self.windows.window)

    def released(self, at_ns: int) -> None:
        """Its user stopped, or closed the stream: it is not due until it opens again."""
        self.silence.pass_to(at_ns, self._edges, operated=self.operated, outage_ns=self.outage_from)
        self.silence.stop(at_ns)
        self.end_outage(at_ns)

    def close(self, at_ns: int, *, announced: bool) -> SilenceNote:
        """Ends the account; `announced`: by the run's end, which stops the silence for good."""
        self.silence.pass_to(at_ns, self._edges, operated=self.operated, outage_ns=self.outage_from)
        self.end_outage(at_ns)
        silence = self.silence
        tail = 0 if silence.since is None or announced else at_ns - silence.since
        arrived = silence.arrived
        silence.stop(at_ns)
        first = silence.first or (at_ns, 0)
        return SilenceNote(
            begin_ns=first[0],
            first_ns=first[1],
            longest_ns=silence.longest_ns,
            longest_at_ns=silence.longest_at_ns,
            arrived=arrived,
            tail_ns=tail,
            accepted=self.accepted,
        )

    @property
    def _edges(self) -> Edges:
        return self._basis.timeline.edges(self.device)
