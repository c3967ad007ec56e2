"""One call: its frames in order of arrival, folded into the call's sums and its subscriber's windows and silence.

Everything here is driven by the times in the records, never by how many come at once.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from pvload.stats.arrivals import FRAMES, MISSING
from pvload.stats.basis import Basis
from pvload.stats.call_ages import CallAges
from pvload.stats.call_changes import CallChanges
from pvload.stats.call_gaps import CallGaps
from pvload.stats.call_grid import CallGrid
from pvload.stats.config import FoldConfig
from pvload.stats.due import Stretch, count_due
from pvload.stats.histogram import Int64s
from pvload.stats.opening import Opening, decimated
from pvload.stats.planned import check_plan
from pvload.stats.steps import Columns, Loss, Steps
from pvload.stats.streak import Streak
from pvload.stats.subscriber import SubscriberFold
from pvload.stats.tally import ServerNote, Tally
from pvload.stats.timeline import LATE_NS, Edges, Span, Timeline
from pvload.stats.windows import Windows
from pvload.wire.codes import FrameFlag, Payload
from pvload.wire.event import Records

RATE_SAMPLES: Final = 100
RATE_LEAST: Final = 10
NS_PER_S: Final = 1_000_000_000
LAG_REACH_NS: Final = NS_PER_S
MOST_FOLDED: Final = 2**32
"""No record stands for more frames than this."""
_METRICS: Final = int(FrameFlag.METRICS)
_CHECKS: Final = int(FrameFlag.CHECKED_SIZE | FrameFlag.CHECKED_PIXELS)
_PAYLOAD_NAMES: Final = {payload.value: payload.name.lower() for payload in Payload}


class CallFold:
    """The state of one call."""

    def __init__(self, opening: Opening, subscriber: SubscriberFold, basis: Basis, config: FoldConfig) -> None:
        self.opening = opening
        self.subscriber = subscriber
        self.windows = Windows()
        self.gaps = CallGaps(subscriber, self.windows, basis, call=opening.number, stall_ns=config.stall_ns)
        self.tally = Tally(gaps=self.gaps.tally)
        self.steps = Steps(decimating=opening.max_fps > 0)
        self.ages = CallAges(self.tally.age, self.windows)
        self.grid = CallGrid()
        self.streak = Streak()
        self.accepted = False
        self.accepted_ns = -1
        self.first_ns = -1
        """Arrival of the first frame."""
        self.told: tuple[int, int] = (-1, -1)
        """The server's frames_sent and frames_dropped with the last frame of all, -1: it told none."""
        self.arrived = 0
        """Frames of the call by its records, those after the run's end included."""
        self.first_number: int | None = None
        self.last_number: int | None = None
        self.last_ns = opening.opened_ns
        """No frame is later than this one that came before it."""
        self.cursor_ns = opening.opened_ns
        """Due time is settled up to here."""
        self._timeline: Timeline = basis.timeline
        self._edges: Edges = basis.timeline.edges(opening.device)
        self._operated = self._edges.known_before(opening.place)
        self._basis = basis
        self._config = config
        self._rates = np.zeros(0, np.int64)
        self._due_from: int | None = None
        self._changes = CallChanges(opening, subscriber.name, basis, config)

    def accept(self, at_ns: int) -> None:
        """The server accepted the call: by its headers or by the first frame, whichever came first."""
        if self.accepted:
            return
        self.accepted, self.accepted_ns = True, at_ns
        self.tally.connect.one(at_ns - self.opening.opened_ns)
        self.subscriber.accept(self.opening.opened_ns)

    def frames(self, rows: Records) -> None:
        """Takes the next FRAME rows of this call."""
        self.arrived += rows.size
        if rows["flags"][-1] & _METRICS:
            self.told = (int(rows["frames_sent"][-1]), int(rows["frames_dropped"][-1]))
        t_ns = rows["t_ns"].astype(np.int64)
        t_ns[0] = max(int(t_ns[0]), self.last_ns)
        if (t_ns[1:] < t_ns[:-1]).any():
            t_ns = np.maximum.accumulate(t_ns)
        if int(t_ns[-1]) > self._timeline.close_ns:
            inside = int(np.searchsorted(t_ns, self._timeline.close_ns, side="right"))
            rows, t_ns = rows[:inside], t_ns[:inside]
            if inside == 0:
                return
        self.accept(int(t_ns[0]))
        self.last_ns = int(t_ns[-1])
        columns = Columns(
            t_ns=t_ns,
            number=rows["frame_number"].astype(np.int64),
            source_ns=rows["source_ns"].astype(np.int64),
            sent=rows["frames_sent"].astype(np.int64),
            dropped=rows["frames_dropped"].astype(np.int64),
            metrics=(rows["flags"] & _METRICS) != 0,
        )
        self._count(rows, columns)
        loss = self.steps.add(columns)
        self._changes.frames(rows, columns, loss)
        self.grid.add(rows, columns, loss)
        self._windows(rows, columns)
        self._missing(loss)
        self._settle(self.last_ns, rows, columns, loss)
        self.streak.add(columns, self.gaps.stalled_at(), decimating=self.opening.max_fps > 0)
        self.subscriber.arrivals.cells.add(FRAMES, t_ns)

    def pack(self) -> None:
        """Takes less memory from now on, for no more frames will come."""
        self.tally.pack()
        self.ages.latest.pack()
        self.grid.close()
        self.steps.settled()

    def settle(self, until_ns: int) -> None:
        """Brings due time up to until_ns without a frame."""
        if self.accepted:
            self._settle(min(until_ns, self._timeline.close_ns), None, None, None)

    def close(self, at_ns: int, *, by_server: bool = False) -> None:
        """The call is over at at_ns, or the run before it: an open gap is cut there."""
        by_server &= at_ns <= self._timeline.close_ns
        at_ns = max(min(at_ns, self._timeline.close_ns), self.opening.opened_ns)
        self.settle(at_ns)
        if self.accepted:
            self._changes.close(at_ns, by_server=by_server)
        if self.gaps.since is not None:
            self._run_silent(at_ns)
            self.gaps.cut(max(at_ns, self.gaps.since))
        if self.accepted:
            self.tally.open_ns += at_ns - self.opening.opened_ns
        self._finish()

    def refuse(self) -> None:
        """The server turned the call away although it had answered: nothing was due on it."""
        self.subscriber.turned_away(self.opening.opened_ns, accepted=self.accepted)
        self.accepted = False
        self.tally = Tally()

    def folded(self, *, first_ns: int, last_ns: int, frames: int, longest_ns: int, message_bytes: int) -> None:
        """`frames` arrivals between first and last that are known only as a count."""
        self.arrived += frames
        if first_ns > self._timeline.close_ns or frames == 0:
            return
        first_ns = max(first_ns, self.last_ns)
        last_ns = max(last_ns, first_ns)
        self.accept(first_ns)
        self.tally.frames += frames
        self.tally.folded_frames += frames
        self.tally.message_bytes += message_bytes
        self.windows.window(self._basis.window(last_ns)).frames += frames
        for at_ns in (first_ns, last_ns):
            self.settle(at_ns)
            if self.gaps.since is not None:
                if at_ns == first_ns:
                    self.gaps.arrivals(np.array([first_ns]), np.array([-1]))
                elif last_ns > first_ns:
                    self.gaps.inside(first_ns, last_ns, min(longest_ns, last_ns - first_ns))
        if self.gaps.since is not None and last_ns >= self._judged_from(last_ns):
            self.tally.judged_frames += frames
        if self.first_ns < 0:
            self.first_ns = first_ns
        self.last_ns = last_ns
        self.streak.folded(frames)
        self.subscriber.arrivals.cells.add(FRAMES, np.array([last_ns]), np.array([min(frames, MOST_FOLDED)]))
        self.gaps.passed += frames
        self.gaps.number_before = -1
        self.ages.interrupted()

    def folded_counters(self, t_ns: int, frames: int, counters: tuple[int, int, int, int]) -> None:
        """The counters of the last of `frames` folded arrivals: number, source, sent, dropped."""
        loss = Loss()
        self.steps.folded(t_ns, frames, counters, loss)
        self._missing(loss)
        self.last_number = counters[0]
        if counters[2]:
            self.told = (counters[2], counters[3])
        self.grid.interrupted()

    # -- counting ------------------------------------------------------------------------------------------------

    def _count(self, rows: Records, columns: Columns) -> None:
        tally = self.tally
        if self.first_ns < 0:
            self.first_ns = int(columns.t_ns[0])
        if self.first_number is None:
            self.first_number = int(columns.number[0])
            begin = self.gaps.since if self.gaps.since is not None else self._first_due(int(columns.t_ns[0]))
            tally.first_frame.one(int(columns.t_ns[0]) - begin)
        self.last_number = int(columns.number[-1])
        tally.frames += len(columns)
        tally.message_bytes += int(rows["message_bytes"].sum(dtype=np.int64))
        tally.decoded_bytes += int(rows["uncompressed_bytes"].sum(dtype=np.int64))
        codes = rows["code"]
        checked = rows["flags"] & _CHECKS
        if codes.any() or checked.any():
            tally.payload_checked += int(np.count_nonzero((checked != 0) | (codes != 0)))
            for code, count in enumerate(np.bincount(codes)):
                if count and code > Payload.OK:
                    tally.payload_errors[_PAYLOAD_NAMES.get(code, f"code_{code}")] += int(count)

    def _first_due(self, at_ns: int) -> int:
        """When the stream was both open and wanted, as of a first frame at at_ns."""
        spans = self._edges.spans(self.opening.opened_ns, at_ns, operated=self._operated)
        begin = at_ns
        for span in reversed(spans):
            if not span.wanted:
                break
            begin = span.begin_ns
        return begin

    def _windows(self, rows: Records, columns: Columns) -> None:
        t_ns = columns.t_ns
        first, last = self._basis.window(int(t_ns[0])), self._basis.window(int(t_ns[-1]))
        start = 0
        for index in range(first, last + 1):
            stop = t_ns.size if index == last else int(np.searchsorted(t_ns, self._basis.window_begin(index + 1)))
            if stop > start:
                window = self.windows.window(index)
                window.frames += stop - start
                window.message_bytes += int(rows["message_bytes"][start:stop].sum(dtype=np.int64))
                told = columns.last_told(start, stop)
                if told is not None:
                    self.tally.server = _server_note(rows, columns, told)
                    window.told(self.tally.server)
            start = stop

    def _missing(self, loss: Loss) -> None:
        decimating = self.opening.max_fps > 0
        for times, missing, dropped in zip(loss.times, loss.missing, loss.dropped, strict=True):
            counted = missing if decimating else missing + dropped
            self.subscriber.arrivals.cells.add(MISSING, times, counted)
            indices = self._basis.windows(times)
            low, high = int(indices.min()), int(indices.max())
            if low == high:
                self.windows.window(low).missing += int(counted.sum())
                continue
            for index in np.unique(indices):
                self.windows.window(int(index)).missing += int(counted[indices == index].sum())

    # -- due time ------------------------------------------------------------------------------------------------

    def _settle(self, until_ns: int, rows: Records | None, columns: Columns | None, loss: Loss | None) -> None:
        """Goes from the cursor to until_ns, span by span; `columns` are the frames in between, the last at until_ns."""
        until_ns = max(until_ns, self.cursor_ns)
        spans = self._edges.spans(self.cursor_ns, until_ns + 1, operated=self._operated)
        start = 0
        for span in spans:
            if span.wanted and self.gaps.since is None:
                self.gaps.begin(span.begin_ns)
                self._due_from = span.begin_ns if self._due_from is None else self._due_from
                self.subscriber.due(span.begin_ns)
            elif not span.wanted and self.gaps.since is not None:
                self._run_silent(span.begin_ns)
                self.gaps.cut(span.begin_ns)
                self.subscriber.silence.stop(span.begin_ns)
            end_ns = min(span.end_ns, until_ns)
            if span.wanted:
                stretch = Stretch(span.begin_ns, end_ns, self._judged_from(end_ns), self._rate(span))
                count_due(stretch, self._basis, tally=self.tally, window=self.windows.window)
            if not span.wanted:
                self._stopped(span, columns, start)
            if columns is None or rows is None or loss is None:
                continue
            whole = span is spans[-1]
            stop = len(columns) if whole else int(np.searchsorted(columns.t_ns, span.end_ns))
            self._transits(columns, start, stop, wanted=span.wanted)
            if span.wanted and stop > start:
                self._wanted_frames(span, rows, columns, (start, stop), loss)
            if stop > start:
                self.gaps.passed += stop - start
                self.gaps.number_before = int(columns.number[stop - 1])
            start = stop
        self.cursor_ns = until_ns

    def _run(self, span: Span, columns: Columns, part: tuple[int, int], gaps: Int64s) -> None:
        """Frames [start, stop) of one wanted stretch, and the gaps between them."""
        if span.edge is None:
            return
        run = self._basis.runs.run(self.opening.device, span.edge.run, span.edge.run_ns)
        start, stop = part
        run.arrived(
            self.subscriber.name,
            stop - start,
            first_ns=int(columns.t_ns[start]),
            last_number=int(columns.number[start:stop].max()),
        )
        if gaps.size:
            run.longest_ns = max(run.longest_ns, int(gaps.max()))

    def _run_silent(self, until_ns: int) -> None:
        """No frame came any more until the stretch, or the call, ended."""
        edge = self._edges.at(until_ns - 1)
        if edge is not None and self.gaps.since is not None and self.gaps.is_inner:
            run = self._basis.runs.run(self.opening.device, edge.run, edge.run_ns)
            run.longest_ns = max(run.longest_ns, until_ns - self.gaps.since)

    def _stopped(self, span: Span, columns: Columns | None, start: int) -> None:
        """The camera is stopped by plan while the stream is open: frames may still come for a moment."""
        if span.edge is None:
            return
        last_ns = None
        if columns is not None:
            stop = int(np.searchsorted(columns.t_ns, span.end_ns))
            last_ns = int(columns.t_ns[stop - 1]) if stop > start else None
        self._basis.runs.stop(self.opening.device, span.edge.run, span.edge.run_ns, last_ns)

    def _judged_from(self, by_ns: int) -> int:
        """When warm-up is over, as far as by_ns can know; a sender without a frame counts from when it was due."""
        return self._basis.judged_from(by_ns, self._due_from)

    def _rate(self, span: Span) -> float:
        """Frames a second by the plan, after decimation; 0: not stated."""
        stated = span.edge.rate_hz if span.edge is not None else 0.0
        return decimated(stated, self.opening.max_fps)

    def _wanted_frames(self, span: Span, rows: Records, columns: Columns, part: tuple[int, int], loss: Loss) -> None:
        """Frames [start, stop) of a run, all in one wanted span."""
        start, stop = part
        t_ns = columns.t_ns[start:stop]
        inner_before = self.gaps.is_inner
        gaps = self.gaps.arrivals(t_ns, columns.number[start:stop])
        judged_from = self._judged_from(int(t_ns[-1]))
        judged = start + int(np.searchsorted(t_ns, judged_from))
        self._sample_rate(gaps, judged - start, first_is_inner=inner_before)
        self._judge(rows, columns, (judged, stop), loss)
        pending = self._changes.pending(int(t_ns[0]), int(t_ns[-1]))
        check_plan(rows[start:stop], t_ns, span, self.opening, self._config.plan, self.tally, pending)
        self._run(span, columns, part, gaps if inner_before else gaps[1:])
        if self.opening.max_fps == 0 and self._timeline.late.within(int(t_ns[0]) - LAG_REACH_NS, int(t_ns[-1]) + 1):
            self._lag_losses(span, t_ns, loss)

    def _judge(self, rows: Records, columns: Columns, part: tuple[int, int], loss: Loss) -> None:
        """Frames after warm-up: rate, coverage and age. Duplicates fill no place."""
        start, stop = part
        if stop <= start:
            return
        tally = self.tally
        again = np.array([row for row in loss.duplicates if start <= row < stop], np.int64)
        tally.judged_frames += stop - start - again.size
        tally.judged_bytes += int(rows["message_bytes"][start:stop].sum(dtype=np.int64))
        t_ns = columns.t_ns[start:stop]
        ages = t_ns + self._basis.target_offset_ns - columns.source_ns[start:stop]
        self.subscriber.last_age = (int(t_ns[-1]), int(ages[-1]))
        first, last = self._basis.window(int(t_ns[0])), self._basis.window(int(t_ns[-1]))
        low = 0
        for index in range(first, last + 1):
            high = t_ns.size if index == last else int(np.searchsorted(t_ns, self._basis.window_begin(index + 1)))
            if high > low:
                self.ages.add(index, ages[low:high])
                inside = again[(again >= start + low) & (again < start + high)]
                self.windows.window(index).judged_frames += high - low - int(inside.size)
            low = high

    def _transits(self, columns: Columns, start: int, stop: int, *, wanted: bool) -> None:
        """Frames [start, stop) of a run, all in one span."""
        if stop <= start:
            return
        t_ns = columns.t_ns[start:stop]
        judged = int(np.searchsorted(t_ns, self._judged_from(int(t_ns[-1])))) if wanted else None
        self.ages.transits(t_ns - columns.source_ns[start:stop], judged=judged)

    def _sample_rate(self, gaps: Int64s, judged: int, *, first_is_inner: bool) -> None:
        """Keeps the first inter-arrival times after warm-up."""
        first = max(judged, 0 if first_is_inner else 1)
        missing = RATE_SAMPLES - self._rates.size
        if missing > 0 and first < gaps.size:
            self._rates = np.concatenate((self._rates, gaps[first : first + missing]))

    def _lag_losses(self, span: Span, t_ns: Int64s, loss: Loss) -> None:
        rate = self._rate(span)
        period_ns = round(NS_PER_S / rate) if rate > 0 else LATE_NS
        for times, dropped in zip(loss.times, loss.dropped, strict=True):
            here = (times >= t_ns[0]) & (times <= t_ns[-1]) & (dropped > 0)
            if here.any():
                late = self._timeline.late.touched(times[here], LAG_REACH_NS, period_ns)
                self.tally.lag_losses += int(dropped[here][late].sum())

    # -- the end -------------------------------------------------------------------------------------------------

    def _finish(self) -> None:
        """Turns the state into sums."""
        tally = self.tally
        self.subscriber.longest_run = max(self.subscriber.longest_run, self.streak.longest)
        self.ages.close()
        counts = self.steps.counts
        tally.steps = counts
        self.steps.settled()
        tally.holes = self.steps.holes.of_call(self.subscriber.name, self.opening.number)
        if self.opening.max_fps > 0:
            tally.decimated = counts.dropped
            counts.dropped = 0
        tally.before_numbering, tally.late = self.grid.lost(), self.grid.late()
        if tally.server is not None:
            tally.frames_sent, tally.frames_dropped = tally.server.frames_sent, tally.server.frames_dropped
        unstated = tally.rates.pop((0.0, False), 0)
        if unstated:
            usual = float(np.median(self._rates)) if self._rates.size >= RATE_LEAST else 0.0
            measured = NS_PER_S / usual if usual > 0 else 0.0
            tally.rates[(measured, False)] += unstated


def _server_note(rows: Records, columns: Columns, row: int) -> ServerNote:
    """What the server said of itself with one frame."""
    return ServerNote(
        at_ns=int(columns.t_ns[row]),
        frames_sent=int(columns.sent[row]),
        frames_dropped=int(columns.dropped[row]),
        current_fps=float(rows["current_fps"][row]),
        avg_latency_ms=float(rows["avg_latency_ms"][row]),
    )
