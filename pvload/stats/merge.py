"""Puts the parts of a subscriber that several senders saw together, on the run's axis."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from pvload.stats.basis import Basis
from pvload.stats.gaps import StallList
from pvload.stats.sender import SenderFold
from pvload.stats.subscriber import SilenceNote, SubscriberFold
from pvload.stats.tally import AgeTally, Tally, WindowTally
from pvload.stats.windows import Windows


@dataclass(slots=True)
class Whole:
    """A subscriber over all senders."""

    name: str
    device: str
    tally: Tally = field(default_factory=Tally)
    calls: int = 0
    opened: int = 0
    max_fps: int = 0
    quality: int = 0
    silence_ns: int = 0
    silence_at_ns: int | None = None
    offset_known: bool = True
    unaged: bool = False
    """All its frames came to viewers that were never told the target's clock: it has no ages, and spoils nobody's."""
    age_uncertainty_ns: int = 0
    longest_run: int = 0
    """Most frames in a row on one call without a stall and without one missing."""
    last_age: tuple[int, int] | None = None
    """When the last judged frame came, and its age in nanoseconds."""
    windows: dict[tuple[int, int], WindowTally] = field(default_factory=dict)
    """(begin on the run's axis, length) -> sums."""


@dataclass(frozen=True, slots=True)
class _Part:
    begin_ns: int
    end_ns: int
    sender: SenderFold
    subscriber: SubscriberFold
    silence: SilenceNote


def wholes(senders: list[SenderFold]) -> list[Whole]:
    """All subscribers by name, from senders that are finished."""
    parts: dict[str, list[_Part]] = {}
    for sender in senders:
        offset = sender.account.clock.axis_offset_ns
        end_ns = sender.account_end_ns or 0
        for name, subscriber in sender.calls.subscribers.items():
            note = sender.silences[name]
            part = _Part(note.begin_ns + offset, end_ns + offset, sender, subscriber, note)
            parts.setdefault(name, []).append(part)
    return [_whole(name, parts[name]) for name in sorted(parts)]


def _whole(name: str, parts: list[_Part]) -> Whole:
    parts.sort(key=lambda part: (part.begin_ns, part.sender.sender))
    whole = Whole(name, next((part.subscriber.device for part in parts if part.subscriber.device != "?"), "?"))
    accepted, carried, carried_at = False, 0, 0
    framed = aged = False
    before: _Part | None = None
    for part in parts:
        subscriber, note = part.subscriber, part.silence
        offset = part.sender.account.clock.axis_offset_ns
        tally = shifted(subscriber.tally, offset)
        unaged = part.sender.is_viewer and not part.sender.basis.offset_known
        if unaged:
            tally.age = AgeTally()
        framed |= tally.frames > 0
        aged |= tally.frames > 0 and not unaged
        if accepted and not subscriber.accepted:
            tally.errors.update({code: n for code, n in tally.refused.items() if code != "OK"})
            tally.refused.clear()
            tally.unexpected_ends += tally.refused_ends
        if before is not None and before.silence.tail_ns > 0:
            tally.blind_ns += max(0, part.begin_ns - before.end_ns)
        whole.tally.merge(tally)
        whole.calls += subscriber.calls
        whole.opened += subscriber.opened
        whole.max_fps, whole.quality = subscriber.max_fps, subscriber.quality
        whole.longest_run = max(whole.longest_run, subscriber.longest_run)
        if subscriber.last_age is not None and not unaged:
            at_ns, age = subscriber.last_age
            whole.last_age = max(whole.last_age or (at_ns + offset, age), (at_ns + offset, age))
        accepted |= subscriber.accepted
        _silence(whole, note.longest_ns, note.longest_at_ns + offset)
        if carried:
            _silence(whole, carried + note.first_ns, carried_at)
        if note.tail_ns:
            if note.arrived or not carried:
                carried, carried_at = note.tail_ns, part.end_ns - note.tail_ns
            else:
                carried += note.tail_ns
        elif note.accepted:
            carried = 0
        if not unaged:
            _clock(whole, part)
        _windows(whole, part, offset, aged=not unaged)
        before = part
    whole.unaged = framed and not aged
    whole.offset_known &= not whole.unaged
    _unstated(whole)
    _worst_window(whole)
    return whole


def _unstated(whole: Whole) -> None:
    """Outages in which no rate was stated are due at the mean rate of the subscriber's own calls."""
    rates = whole.tally.rates
    known = sorted((rate, ns) for (rate, _), ns in rates.items() if rate > 0)
    weight = sum(ns for _, ns in known)
    if weight and (0.0, False) in rates:
        rates[(sum(rate * ns for rate, ns in known) / weight, False)] += rates.pop((0.0, False))


def _silence(whole: Whole, length_ns: int, at_ns: int) -> None:
    if length_ns > whole.silence_ns:
        whole.silence_ns, whole.silence_at_ns = length_ns, at_ns


def _clock(whole: Whole, part: _Part) -> None:
    clock = part.sender.account.clock
    whole.offset_known &= part.sender.basis.offset_known or part.subscriber.tally.frames == 0
    if clock.best is not None:
        doubt = clock.best.round_trip_ns // 2 + clock.worst_change_ns
        whole.age_uncertainty_ns = max(whole.age_uncertainty_ns, doubt)


def _windows(whole: Whole, part: _Part, offset: int, *, aged: bool) -> None:
    for key, tally in on_axis(part.subscriber.windows, part.sender.basis, offset):
        if not aged:
            tally.age_p99_ns = None
        whole.windows.setdefault(key, WindowTally()).merge(tally)


def on_axis(windows: Windows, basis: Basis, offset_ns: int) -> Iterator[tuple[tuple[int, int], WindowTally]]:
    """((begin on the run's axis, length) in nanoseconds, sums) of each window, in no order."""
    for key, tally in windows.entries.items():
        begin = basis.window_begin(key * windows.factor) + offset_ns
        server = tally.server
        moved = replace(tally, server=None if server is None else replace(server, at_ns=server.at_ns + offset_ns))
        yield (begin, windows.factor * basis.window_ns), moved


def _worst_window(whole: Whole) -> None:
    """The lowest rate of a window that was judged at least half as long as the longest judged one."""
    longest = max((tally.judged_ns for tally in whole.windows.values()), default=0)
    for tally in whole.windows.values():
        if tally.judged_ns and tally.judged_ns * 2 >= longest:
            whole.tally.worst_window(tally.judged_frames * 1_000_000_000 / tally.judged_ns)


def shifted(tally: Tally, offset_ns: int) -> Tally:
    """A copy whose moments are on the run's axis."""
    copy = Tally()
    copy.merge(tally)
    if offset_ns == 0:
        return copy
    stalls = StallList()
    for stall in copy.gaps.stalls.kept():
        stalls.add(replace(stall, begin_ns=stall.begin_ns + offset_ns))
    stalls.count, stalls.total_ns = copy.gaps.stalls.count, copy.gaps.stalls.total_ns
    copy.gaps.stalls = stalls
    copy.gaps.longest_at_ns += offset_ns
    copy.holes = copy.holes.moved(offset_ns)
    if copy.server is not None:
        copy.server = replace(copy.server, at_ns=copy.server.at_ns + offset_ns)
    if copy.not_as_planned_first is not None:
        at_ns, text = copy.not_as_planned_first
        copy.not_as_planned_first = (at_ns + offset_ns, text)
    return copy
