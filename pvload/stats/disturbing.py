"""What a coming, a leaving or a death did to the subscribers that had no part in it.

A disturbance is known in one sender and the frames of the others in other senders, so each subscriber keeps its longest
gaps and its counts by cell (`arrivals`), and they meet here. All is done on arrays: pairs of a disturbance and another
subscriber can be millions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from pvload.stats.around import Disturbance, Disturbances, Undisturbed
from pvload.stats.arrivals import FRAMES, MISSING, Arrivals, Gaps
from pvload.stats.call_rows import End
from pvload.stats.comings import STYLES, Comings
from pvload.stats.figures import NS_PER_S, seconds
from pvload.stats.flag_after import flag_after
from pvload.stats.histogram import Int64s
from pvload.stats.merge import Whole
from pvload.stats.opening import decimated
from pvload.stats.sender import SenderFold
from pvload.stats.timeline import Edge

BEFORE_NS: Final = 1_000_000_000
AFTER_NS: Final = 2_000_000_000
SLOWEST_HZ: Final = 1e-3
FIRST_LISTED: Final = 100
WORST_LISTED: Final = 20
JOINED: Final = "joined"
SERVER: Final = "server"

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Events:
    """Disturbances in order of time, shape (n,) each."""

    at_ns: Int64s
    kind: Int64s
    """Place in KINDS."""
    subscriber: Int64s
    device: Int64s


KINDS: Final = (JOINED, *STYLES, SERVER)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What one subscriber felt of each of some events, shape (n,) each."""

    looked: Bools
    gap_ns: Int64s
    periods: Floats
    """NaN: no rate is known."""
    missing: Int64s
    after: Int64s
    silent: Bools


@dataclass(frozen=True, slots=True)
class _Part:
    """One subscriber in one sender, on the run's axis."""

    gaps: Gaps
    arrivals: Arrivals
    offset_ns: int
    edges: list[Edge]
    max_fps: int
    rate_hz: float
    """Measured; 0: not known."""


def events_of(there: Comings, end_ns: int) -> Events:
    """Every acceptance, leaving and end by the server, up to the run's end."""
    rows, styles = there.rows, there.styles
    joined = rows["accepted_ns"] >= 0
    left = joined & (rows["end"] == End.ORDER) & (rows["ended_ns"] >= 0)
    ended = joined & (rows["end"] == End.SERVER)
    at = np.concatenate((rows["accepted_ns"][joined], rows["ended_ns"][left], rows["ended_ns"][ended]))
    kind = np.concatenate(
        (
            np.zeros(np.count_nonzero(joined), np.int64),
            styles[left] + 1,
            np.full(np.count_nonzero(ended), len(KINDS) - 1),
        )
    )
    who = np.concatenate([rows["subscriber"][one] for one in (joined, left, ended)])
    device = np.concatenate([rows["device"][one] for one in (joined, left, ended)])
    order = np.lexsort((kind, who, at))
    order = order[at[order] <= end_ns]
    return Events(at[order], kind[order], who[order].astype(np.int64), device[order].astype(np.int64))


def disturbances_of(
    senders: list[SenderFold], there: Comings, wholes: list[Whole], start_ns: int, end_ns: int
) -> Disturbances | None:
    """None if never two subscribers had streams of one device."""
    rows = there.rows
    devices = [np.unique(rows["subscriber"][rows["device"] == at]).size for at in range(len(there.devices))]
    if max(devices, default=0) < 2:
        return None
    events = events_of(there, end_ns)
    parts = {name: _parts(name, senders, whole) for whole in wholes if (name := whole.name)}
    total = events.at_ns.size
    worst, periods = np.zeros(total, np.int64), np.full(total, np.nan)
    who, silenced = np.full(total, -1), np.zeros(total, np.bool_)
    looked = missing = 0
    for subscriber, name in enumerate(there.names):
        seen = _seen(subscriber, parts.get(name, []), there, events)
        longer = seen.looked & (seen.gap_ns > worst)
        worst[longer], who[longer] = seen.gap_ns[longer], subscriber
        periods[seen.looked] = np.fmax(periods[seen.looked], seen.periods[seen.looked])
        silenced |= seen.silent
        looked += int(np.count_nonzero(seen.looked))
        missing += int(seen.missing.sum())
    top = int(worst.argmax()) if total else 0
    known = bool(looked) and int(worst[top]) > 0
    listed = np.unique(np.concatenate((np.arange(min(total, FIRST_LISTED)), _longest(worst))))
    return Disturbances(
        count=total,
        worst_gap_s=int(worst[top]) / NS_PER_S if known else None,
        worst_periods=float(np.nanmax(periods)) if looked and not np.isnan(periods).all() else None,
        worst_gap_at_s=seconds(int(events.at_ns[top]), start_ns) if known else None,
        worst_subscriber=there.names[int(who[top])] if known else "",
        missing=missing,
        silenced=int(np.count_nonzero(silenced)),
        looked_at=looked,
        listed=_listed(listed, events, there, parts, senders, start_ns),
    )


def _longest(worst: Int64s) -> Int64s:
    order = np.lexsort((np.arange(worst.size), -worst))[:WORST_LISTED]
    found: Int64s = order[worst[order] > 0]
    return found


def _parts(name: str, senders: list[SenderFold], whole: Whole) -> list[_Part]:
    found = []
    for sender in senders:
        subscriber = sender.calls.subscribers.get(name)
        if subscriber is None:
            continue
        offset = sender.account.clock.axis_offset_ns
        gaps = subscriber.arrivals.longest.gaps()
        found.append(
            _Part(
                gaps=Gaps(gaps.begin + offset, gaps.end + offset, gaps.cut, gaps.others_ns),
                arrivals=subscriber.arrivals,
                offset_ns=offset,
                edges=sender.basis.timeline.edges(subscriber.device).edges,
                max_fps=subscriber.max_fps,
                rate_hz=whole.tally.frames * NS_PER_S / whole.tally.due_ns if whole.tally.due_ns else 0.0,
            )
        )
    return found


def _seen(subscriber: int, parts: list[_Part], there: Comings, events: Events) -> _Seen:
    """What this subscriber felt of each event that was not its own, while it had a stream of the device."""
    n = events.at_ns.size
    there_then = (events.subscriber != subscriber) & _was_there(subscriber, there, events)
    found = _Seen(
        np.zeros(n, np.bool_), np.zeros(n, np.int64), np.full(n, np.nan), np.zeros(n, np.int64), np.zeros(n, np.int64),
        np.zeros(n, np.bool_),
    )  # fmt: skip
    rows = np.flatnonzero(there_then)
    for part in parts:
        if rows.size:
            _felt(part, events.at_ns[rows], rows, found)
    return found


def _was_there(subscriber: int, there: Comings, events: Events) -> Bools:
    """Whether a call of the subscriber, begun a second before the event at the latest, went on beyond it."""
    calls = there.rows[there.of(subscriber)]
    calls = calls[calls["accepted_ns"] >= 0]
    if calls.size == 0:
        return np.zeros(events.at_ns.size, np.bool_)
    calls = calls[np.argsort(calls["accepted_ns"], kind="stable")]
    at = np.searchsorted(calls["accepted_ns"], events.at_ns - BEFORE_NS, side="right") - 1
    call = calls[np.maximum(at, 0)]
    goes_on = (call["ended_ns"] < 0) | (call["ended_ns"] > events.at_ns)
    found: Bools = (at >= 0) & goes_on & (call["device"] == events.device)
    return found


def _felt(part: _Part, at_ns: Int64s, rows: Int64s, found: _Seen) -> None:
    """Adds what one sender knows to the `rows` of `found`, whose events were at at_ns."""
    gaps, rates = part.gaps, _rates(part, at_ns)
    period = np.where(rates > SLOWEST_HZ, NS_PER_S / np.maximum(rates, SLOWEST_HZ), 0.0).astype(np.int64)
    low, high = at_ns - np.maximum(BEFORE_NS, 2 * period), at_ns + AFTER_NS
    # A gap that ends in the stretch or later, and begins in it or earlier; overlapping calls may disorder the ends.
    reached = np.maximum.accumulate(gaps.end) if gaps.end.size else gaps.end
    first = np.searchsorted(reached, low, side="right")
    last = np.searchsorted(gaps.begin, high, side="right")
    longest, until = _longest_between(gaps, first, last, low)
    known = (last > first) | (gaps.others_ns > 0)
    longest = np.where(last > first, longest, np.minimum(gaps.others_ns, AFTER_NS + BEFORE_NS))
    long = np.flatnonzero(gaps.cut & (gaps.end - gaps.begin > AFTER_NS))
    silent = np.zeros(at_ns.size, np.bool_)
    for at in long:
        begin, end = int(gaps.begin[at]), int(gaps.end[at])
        enough = np.maximum(AFTER_NS, 3 * period)
        silent |= (begin <= high) & (end - np.maximum(begin, at_ns) >= enough) & (end > low)
        known &= (begin >= low) | (end <= at_ns)  # what was silent already shows nothing of this event
    known &= rates >= 0
    found.looked[rows] |= known
    found.gap_ns[rows] = np.maximum(found.gap_ns[rows], np.where(known, longest, 0))
    in_periods = np.where(known & (period > 0), longest / np.maximum(period, 1), np.nan)
    found.periods[rows] = np.fmax(found.periods[rows], in_periods)
    until = np.maximum(until, high)
    shift, cells = part.offset_ns, part.arrivals.cells
    found.missing[rows] += np.where(known, cells.between(MISSING, low - shift, until - shift), 0)
    found.after[rows] += np.where(known, cells.between(FRAMES, at_ns - shift, until - shift), 0)
    found.silent[rows] |= known & silent


def _longest_between(gaps: Gaps, first: Int64s, last: Int64s, low: Int64s) -> tuple[Int64s, Int64s]:
    """For each pair, the longest of gaps [first, last), the part of one before `low` left out; and where it ends."""
    if gaps.begin.size == 0:
        return np.zeros(first.size, np.int64), low
    lengths = gaps.end - gaps.begin
    levels = [np.arange(lengths.size)]
    while 2 ** len(levels) <= lengths.size:
        half = 2 ** (len(levels) - 1)
        one, two = levels[-1][:-half], levels[-1][half:]
        levels.append(np.where(lengths[one] >= lengths[two], one, two))
    best = np.minimum(first, lengths.size - 1)
    inside = np.maximum(last - first - 1, 0)
    height = np.where(inside > 0, np.frexp(np.maximum(inside, 1))[1] - 1, 0)
    clipped = gaps.end[best] - np.maximum(gaps.begin[best], low)
    for level, table in enumerate(levels):
        here = np.flatnonzero((inside > 0) & (height == level))
        if here.size == 0:
            continue
        one, two = table[first[here] + 1], table[last[here] - 2**level]
        inner = np.where(lengths[one] >= lengths[two], one, two)
        longer = lengths[inner] > clipped[here]
        best[here[longer]] = inner[longer]
        clipped[here[longer]] = lengths[inner[longer]]
    return clipped, gaps.end[best]


def _rates(part: _Part, at_ns: Int64s) -> Floats:
    """Frames a second expected of the stream at each moment; 0: not known, -1: the device was not wanted."""
    if not part.edges:
        return np.full(at_ns.size, part.rate_hz)
    times = np.array([edge.at_ns for edge in part.edges], np.int64) + part.offset_ns
    rates = [(decimated(edge.rate_hz, part.max_fps) or part.rate_hz) if edge.wanted else -1.0 for edge in part.edges]
    before = part.rate_hz if not part.edges[0].wanted else -1.0
    return np.array([before, *rates])[np.searchsorted(times, at_ns, side="right")]


def _listed(
    which: Int64s,
    events: Events,
    there: Comings,
    parts: dict[str, list[_Part]],
    senders: list[SenderFold],
    start_ns: int,
) -> tuple[Disturbance, ...]:
    chosen = Events(events.at_ns[which], events.kind[which], events.subscriber[which], events.device[which])
    others: list[list[Undisturbed]] = [[] for _ in range(which.size)]
    for subscriber, name in enumerate(there.names):
        seen = _seen(subscriber, parts.get(name, []), there, chosen)
        for at in np.flatnonzero(seen.looked):
            others[at].append(
                Undisturbed(
                    subscriber=name,
                    longest_gap_s=int(seen.gap_ns[at]) / NS_PER_S,
                    periods=None if np.isnan(seen.periods[at]) else float(seen.periods[at]),
                    missing=int(seen.missing[at]),
                    frames_after=int(seen.after[at]),
                    silent=bool(seen.silent[at]),
                )
            )
    alone = _alone(there, chosen)
    flags = [
        flag_after(senders, there, int(device), int(at_ns))
        for device, at_ns in zip(chosen.device, chosen.at_ns, strict=True)
    ]
    return tuple(
        Disturbance(
            at_s=seconds(int(chosen.at_ns[at]), start_ns),
            kind=KINDS[int(chosen.kind[at])],
            subscriber=there.names[int(chosen.subscriber[at])],
            device=there.devices[int(chosen.device[at])],
            last=bool(alone[at]),
            streaming_after=None if (flag := flags[at]) is None else flag.streaming,
            streaming_after_s=None if flag is None else flag.after_ns / NS_PER_S,
            others=tuple(others[at]),
        )
        for at in range(which.size)
    )


def _alone(there: Comings, events: Events) -> Bools:
    """Whether no stream of another subscriber of the device was open then."""
    found = np.ones(events.at_ns.size, np.bool_)
    rows = there.rows[there.rows["accepted_ns"] >= 0]
    for at in range(events.at_ns.size):
        moment = int(events.at_ns[at])
        goes_on = (rows["ended_ns"] < 0) | (rows["ended_ns"] > moment)
        others = (rows["device"] == events.device[at]) & (rows["subscriber"] != events.subscriber[at])
        found[at] = not (others & goes_on & (rows["accepted_ns"] <= moment)).any()
    return found
