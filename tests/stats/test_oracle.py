"""The vectorised fold against a slow one in plain Python, on small random runs of one call."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from pvload.stats.config import FoldConfig
from pvload.stats.fold import RunFold
from pvload.stats.summary import Figures
from pvload.wire.codes import EndedBy
from pvload.wire.event import Kind
from tests.stats.stream import MS, T0, Stream, cut, summary

STALL_MS = 500
HOLES_OF = {"back": "backpressure", "unseen": "unseen", "lost": "transport", "mixed": "unseen"}


@dataclass
class Truth:
    """A schedule of one call, and what was done in it."""

    frames: list[tuple[int, int, int, int, int]] = field(default_factory=list)
    """arrival_ms, frame_number, source_ms, frames_sent, frames_dropped."""
    backpressure: int = 0
    unseen: int = 0
    transport: int = 0
    duplicates: int = 0
    early: int = 0
    """Duplicates before numbering."""
    reorders: int = 0
    restarts: int = 0
    holes: list[tuple[int, int, int, int, str]] = field(default_factory=list)
    """arrival_ms of the frame after, number before, number after, frames, class of most of them."""


@st.composite
def truths(draw: Any) -> Truth:
    """Faults that can be told apart: each is followed by an ordinary frame."""
    truth, now, number, sent, dropped = Truth(), 1000, 5, 1, 0
    truth.frames.append((now, number, now - 3, sent, dropped))
    for what in draw(
        st.lists(
            st.sampled_from(
                ["plain", "back", "unseen", "lost", "twice", "early", "swap", "swap early", "restart", "pause", "mixed"]
            ),
            max_size=25,
        )
    ):
        now += draw(st.integers(20, 120))
        before, number, sent = number, number + 1, sent + 1
        n = draw(st.integers(1, 4))
        if what in ("back", "mixed"):
            number, dropped, truth.backpressure = number + n, dropped + n, truth.backpressure + n
        if what in ("unseen", "mixed"):
            number, truth.unseen = number + n, truth.unseen + n
        if what in ("lost", "mixed"):
            number, sent, truth.transport = number + n, sent + n, truth.transport + n
        if what == "twice":
            truth.frames.append((now - 1, number - 1, truth.frames[-1][2], sent - 1, dropped))
            truth.duplicates += 1
        if what == "early":
            truth.frames.append((now - 1, number - 1, truth.frames[-1][2], sent, dropped))
            sent, truth.early = sent + 1, truth.early + 1
        if what == "swap":
            truth.frames.append((now - 1, number + 1, now + 90, sent + 1, dropped))
            truth.frames.append((now, number, now - 3, sent, dropped))
            now, number, sent, truth.reorders = now + 100, number + 2, sent + 2, truth.reorders + 1
        if what == "swap early":
            truth.frames.append((now - 1, number + 1, now + 90, sent, dropped))
            truth.frames.append((now, number, now - 3, sent + 1, dropped))
            now, number, sent, truth.reorders = now + 100, number + 2, sent + 2, truth.reorders + 1
        if what == "restart":
            number, truth.restarts = 0, truth.restarts + 1
        if what == "pause":
            now += draw(st.sampled_from([300, 600, 5000]))
        truth.frames.append((now, number, now - 3, sent, dropped))
        if what in HOLES_OF:
            truth.holes.append((now, before, number, 3 * n if what == "mixed" else n, HOLES_OF[what]))
    return truth


@settings(max_examples=80, deadline=None)
@given(truth=truths())
def test_every_class_of_missing_frames_equals_what_was_done(truth: Truth) -> None:
    """No frame is counted twice or in two classes, whatever follows on what."""
    stream = Stream().open(0.9)
    for arrival, number, source, sent, dropped in truth.frames:
        stream.frame(T0 + arrival * MS, number, sent=sent, dropped=dropped, source=T0 + source * MS)
    run = summary(stream.end(T0 + (truth.frames[-1][0] + 10) * MS)).run
    assert run.frames == len(truth.frames)
    assert (run.missing.backpressure, run.missing.unseen, run.missing.transport, run.missing.undecided) == (
        truth.backpressure,
        truth.unseen,
        truth.transport,
        0,
    )
    assert (run.duplicates, run.duplicates_before_numbering) == (truth.duplicates, truth.early)
    assert (run.reorders, run.restarts) == (truth.reorders, truth.restarts)
    assert holes_of(run, 900) == first_and_largest(truth.holes)


def holes_of(run: Figures, start_ms: int) -> list[tuple[int, int, int, int, str]]:
    return [
        (round(one.at_s * 1000) + start_ms, one.number_before, one.number_after, one.count, one.loss_class)
        for one in run.holes
    ]


def first_and_largest(holes: list[tuple[int, int, int, int, str]]) -> list[tuple[int, int, int, int, str]]:
    largest = sorted(holes, key=lambda hole: (-hole[3], hole))[:20]
    return sorted({*holes[:1], *largest})


@settings(max_examples=40, deadline=None)
@given(
    gaps=st.lists(st.sampled_from([0, 0, 1, 2, 3, 9]), min_size=1, max_size=250),
    max_fps=st.sampled_from([0, 0, 5]),
    pieces=st.integers(1, 60),
    seed=st.integers(0, 2**32),
)
def test_the_first_hole_and_the_largest_are_kept_however_many_there_are(
    gaps: list[int], max_fps: int, pieces: int, seed: int
) -> None:
    """More of them than steps that a late frame can fill; odd ones are dropped by the server, even ones unseen."""
    stream, number, dropped, holes = Stream().open(0.0, max_fps=max_fps), 0, 0, []
    stream.frame(T0 + 10 * MS, 0, sent=1)
    for at, gap in enumerate(gaps, 2):
        before, number = number, number + gap + 1
        dropped += gap * (gap % 2)
        stream.frame(T0 + at * 10 * MS, number, sent=at, dropped=dropped)
        if gap and not (gap % 2 and max_fps):
            holes.append((at * 10, before, number, gap, "backpressure" if gap % 2 else "unseen"))
    stream.end(T0 + (len(gaps) + 5) * 10 * MS)
    whole, run = summary(stream), RunFold(FoldConfig())
    run.hello(stream.sender, stream.hello)
    size = stream.records.size
    for part in cut(stream, random.Random(seed).sample(range(size), k=min(pieces, size))):
        run.add(stream.sender, part)
        run.catch_up()
    run.finished(stream.sender, size)
    assert holes_of(run.summary().run, 0) == first_and_largest(holes)
    assert run.summary() == whole


def test_holes_of_several_senders_stand_on_the_runs_axis() -> None:
    """Whose they are, on which call, and when: the second sender's clock is 7 ms behind."""
    one = Stream().open(0.0).frames(0.1, 0.1, 5).frames(0.6, 0.1, 5, first=8)
    other = Stream(2, worker="w2")
    other.put(Kind.CLOCK, 0.0, offset_ns=7 * MS, round_trip_ns=1000)
    other.open(0.1, ordinal=1, number=3).frame(0.2, 0).frame(0.3, 6, sent=2, dropped=5)
    run = summary(one.end(2.0), other.end(2.0)).run
    assert [(hole.subscriber, hole.call, round(hole.at_s, 3), hole.count) for hole in run.holes] == [
        ("viewer/1", 3, 0.307, 5),
        ("viewer/0", 1, 0.6, 3),
    ]


@settings(max_examples=60, deadline=None)
@given(
    calls=st.lists(
        st.tuples(
            st.integers(0, 3000),
            st.integers(1, 3000),
            st.sampled_from([EndedBy.SERVER, EndedBy.WATCHDOG, EndedBy.ORDER]),
            st.sampled_from(["in", "in", "shut", "limit"]),
        ),
        min_size=1,
        max_size=6,
    ),
    toggles=st.lists(st.integers(1, 3000), max_size=4),
    warm_up=st.sampled_from([0, 700]),
    tail=st.integers(1, 3000),
)
def test_due_time_with_outages_equals_the_slow_fold(
    calls: list[tuple[int, int, EndedBy, str]], toggles: list[int], warm_up: int, tail: int
) -> None:
    """(pause before, length, who ended it, whether it was let in) of each call; due is counted millisecond by ms."""
    edges = [(0, True), *((1 + sum(toggles[: at + 1]), at % 2 == 1) for at in range(len(toggles)))]
    stream, now = Stream(), 10
    pending = list(edges)

    def plan(until: int) -> None:
        while pending and pending[0][0] < until:
            at, on = pending.pop(0)
            stream.wanted(T0 + at * MS, on=on, rate=10.0)

    open_ms: list[tuple[int, int]] = []
    owed: list[tuple[int, int]] = []
    since = None
    for number, (pause, length, by, how) in enumerate(calls, 1):
        begin, end = now + pause, now + pause + length
        plan(begin)
        stream.open(T0 + begin * MS, number, number=number, headers=how in ("in", "limit") and length % 3 > 0)
        if how == "in":
            stream.frame(T0 + begin * MS, 0, number)
            owed += [(since, begin)] if since is not None else []
            open_ms.append((begin, end))
            since = None if by is EndedBy.ORDER else end
        elif how == "limit":
            owed += [(since, begin)] if since is not None else []
            since = None
        plan(end)
        if how == "in":
            stream.ended(T0 + end * MS, number, by=by, status=14, frames=1)
        else:
            status, details = (8, "Maximum concurrent streams (3)") if how == "limit" else (14, "refused")
            stream.ended(T0 + end * MS, number, by=EndedBy.SERVER, status=status, details=details)
        now = end
    end = now + tail
    plan(end)
    owed += [(since, end)] if since is not None else []
    wanted, due, judged = True, 0, 0
    first = min((begin for begin, _ in open_ms), default=end)
    for ms in range(end):
        wanted = next((on for at, on in reversed(edges) if at <= ms), True)
        if wanted and any(low <= ms < high for low, high in (*open_ms, *owed)):
            due += 1
            judged += ms >= first + warm_up
    run = summary(stream.end(T0 + end * MS), config=FoldConfig(warm_up_ns=warm_up * MS)).run
    assert round(run.due_s * 1000) == due
    assert round(run.judged_s * 1000) == judged
    assert round(run.outages_s * 1000) == sum(high - low for low, high in owed)


@settings(max_examples=60, deadline=None)
@given(
    stretches=st.lists(st.tuples(st.integers(150, 1500), st.integers(101, 2600), st.booleans()), max_size=4),
    warm_up=st.sampled_from([0, 300, 900, 1500]),
    cut_at=st.integers(0, 200),
)
@example(stretches=[(150, 1300, False)], warm_up=1500, cut_at=0)  # the burst comes as warm-up ends
def test_frames_of_a_burst_after_lateness_never_give_more_than_was_due(
    stretches: list[tuple[int, int, bool]], warm_up: int, cut_at: int
) -> None:
    """(on time for, late for, told before the burst) in ms; a frame due while the engine is late comes at its end."""
    late, now = [], 150
    for pause, length, _ in stretches:
        late.append((now + pause, now + pause + length))
        now = late[-1][1]
    end, told = now + 2000, {until: first for (_, until), (_, _, first) in zip(late, stretches, strict=True)}
    due = range(100, end, 50)
    arrivals = [next((until for begin, until in late if begin <= at < until), at) for at in due]
    stream = Stream().wanted(T0, rate=20.0).open(T0 + 100 * MS)
    for number, (at, arrival) in enumerate(zip(due, arrivals, strict=True)):
        over = [until for until in told if until < arrival or (until == arrival and told[until])]
        for until in over:
            _late(stream, late, until)
            del told[until]
        stream.frame(T0 + arrival * MS, number, source=T0 + at * MS)
    for until in told:
        _late(stream, late, until)
    start = 100 + warm_up
    start = next((max(begin, 100) for begin, until in late if begin <= start <= until), start)
    config = FoldConfig(warm_up_ns=warm_up * MS, window_ns=1000 * MS)
    run = RunFold(config)
    run.hello(stream.sender, stream.hello)
    for part in cut(stream.end(T0 + end * MS), [min(cut_at, stream.records.size)]):
        run.add(stream.sender, part)
        run.catch_up()
    found = run.summary()
    assert round(found.run.judged_s * 1000) == end - start
    assert found.run.judged_frames == sum(arrival >= start for arrival in arrivals)
    assert found.run.coverage is not None
    assert abs(found.run.judged_frames - found.run.judged_s * 20) <= 1
    assert round(found.run.blind_s * 1000) == sum(until - begin for begin, until in late)
    assert round((found.run.due_s + found.run.blind_s) * 1000) == end - 100
    assert round(sum(window.due_s for window in found.subscribers[0].windows) * 1000) == end - 100


def _late(stream: Stream, late: list[tuple[int, int]], until: int) -> None:
    begin = next(begin for begin, stop in late if stop == until)
    stream.put(Kind.LAG, T0 + until * MS, lateness_ns=(until - begin) * MS, latest_ns=T0 + until * MS, interval_ns=MS)


@dataclass(frozen=True)
class Slow:
    """What the slow fold found, milliseconds."""

    due: int
    stalls: list[tuple[int, int, bool, int]]
    """begin, length, censored, frames before it."""
    silence: int
    gaps: list[int]
    weighted: int


def slow_fold(opened: int, arrivals: list[int], edges: list[tuple[int, bool]], end: int) -> Slow:
    """One millisecond after the other."""
    wanted = not edges
    due, silence, weighted = 0, 0, 0
    since: int | None = None
    since_frame = False
    stalls, gaps, seen = [], [], 0

    def close(now: int, *, censored: bool) -> None:
        nonlocal silence, weighted
        if since is None:
            return
        length = now - since
        silence, weighted = max(silence, length), weighted + length * length
        if length > STALL_MS:
            stalls.append((since, length, censored, seen))

    for now in range(end + 1):
        for at, on in edges:
            if at == now:
                if wanted and not on and now > opened:
                    close(now, censored=True)
                    since = None
                wanted = on
        if now >= opened and wanted and since is None:
            since, since_frame = now, False
        for _ in range(arrivals.count(now)):
            if wanted:
                close(now, censored=False)
                if since_frame and since is not None:
                    gaps.append(now - since)
                since, since_frame = now, True
            seen += 1
        if now == end:
            if wanted:
                close(now, censored=True)
        elif now >= opened and wanted:
            due += 1
    return Slow(due, stalls, silence, sorted(gaps), weighted)


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(st.sampled_from([0, 1, 40, 100, 499, 500, 501, 1300]), min_size=1, max_size=15),
    toggles=st.lists(st.integers(5, 900), max_size=4),
    tail=st.sampled_from([1, 400, 900, 2500]),
    recorded_late=st.integers(0, 1500),
)
def test_stalls_silence_and_due_time_equal_the_slow_fold(
    steps: list[int], toggles: list[int], tail: int, recorded_late: int
) -> None:
    """With the plan's edges at any moment, told up to 1.5 s after the fact."""
    opened = 50
    arrivals = [opened + 7 + sum(steps[: at + 1]) for at in range(len(steps))]
    edges = [(10, True), *((20 + sum(toggles[: at + 1]), at % 2 == 1) for at in range(len(toggles)))] if toggles else []
    end = arrivals[-1] + tail
    edges = [edge for edge in edges if edge[0] < end]
    slow = slow_fold(opened, arrivals, edges, end)
    stream = Stream()
    pending = list(edges)
    if pending:
        stream.wanted(T0 + pending[0][0] * MS, on=pending.pop(0)[1])
    stream.open(T0 + opened * MS)
    for number, arrival in enumerate(arrivals):
        while pending and pending[0][0] + recorded_late <= arrival:
            at, on = pending.pop(0)
            stream.wanted(T0 + at * MS, on=on)
        stream.frame(T0 + arrival * MS, number)
    for at, on in pending:
        stream.wanted(T0 + at * MS, on=on)
    stream.end(T0 + end * MS)
    run = summary(stream, config=FoldConfig(stall_ns=STALL_MS * MS)).run
    start = (edges[0][0] if edges else opened) / 1000
    found = [
        (round((s.at_s + start) * 1000), round(s.length_s * 1000), s.censored, s.frame_index) for s in run.stalls.listed
    ]
    assert found == slow.stalls
    assert round(run.due_s * 1000) == slow.due
    assert round(run.longest_silence_s * 1000) == slow.silence
    assert run.inter_arrival_ms.n == len(slow.gaps)
    if slow.gaps:
        assert run.inter_arrival_ms.max == slow.gaps[-1]
    if run.gaps.mean_s is not None and slow.due:
        assert abs(run.gaps.mean_s * 1000 - slow.weighted / slow.due) < 1e-6 * slow.weighted / slow.due + 1e-9
