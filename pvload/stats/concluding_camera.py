"""Starts and stops of the camera: cycles, stop probes, and the timeline's actions."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from pvload.stats.around import NOT_WATCHED, ActionDone, Cycle, StopProbe
from pvload.stats.around_fold import Answer
from pvload.stats.camera_runs import StoppedRun, WantedRun
from pvload.stats.concluding_watchers import offset_of
from pvload.stats.config import FoldConfig
from pvload.stats.figures import NS_PER_S, TO_MS, seconds
from pvload.stats.sender import SenderFold
from pvload.stats.summary import LIST_LIMIT, RunFacts

NEAR_NS: Final = NS_PER_S
"""A plan's edge this near to the sending of a start or stop is that start's or stop's."""
STOP_PROBE: Final = "stop-probe"
NO_FRAMES: Final = "no frames"
NEVER: Final = frozenset({"DEADLINE_EXCEEDED", "CANCELLED", "UNAVAILABLE"})


def calls_of_camera(senders: list[SenderFold]) -> list[Answer]:
    """StartStream and StopStream calls of all senders, on the run's axis, in order of sending."""
    return sorted(call.shifted(offset_of(sender)) for sender in senders for call in sender.around.camera_calls)


def stop_probes_of(
    senders: list[SenderFold], facts: RunFacts, config: FoldConfig, storms: list[tuple[int, int]]
) -> tuple[StopProbe, ...]:
    """Starts and stops by populations of stop probes."""
    calls = [call for call in calls_of_camera(senders) if config.kinds.get(call.population) == STOP_PROBE]
    stops = _stopped(senders)
    return tuple(
        StopProbe(
            at_s=seconds(call.sent_ns, facts.start_ns),
            call=call.method,
            took_ms=None if call.refused else (call.answered_ns - call.sent_ns) * TO_MS,
            status="success=false" if call.refused and call.status == "OK" else call.status,
            silent_after_ms=_silent_ms(call, stops.get(call.device, [])) if call.method == "StopStream" else None,
            during_storm=any(begin <= call.sent_ns < end for begin, end in storms),
        )
        for call in calls[:LIST_LIMIT]
    )


def _silent_ms(call: Answer, stops: Sequence[tuple[int, int | None]]) -> float | None:
    near = _nearest(call.sent_ns, [begin for begin, _ in stops])
    if near is None:
        return None
    last_ns = stops[near][1]
    return max(0, (last_ns if last_ns is not None else call.sent_ns) - call.sent_ns) * TO_MS


def _stopped(senders: list[SenderFold]) -> dict[str, list[tuple[int, int | None]]]:
    """Device -> (begin, last frame after it) of each stop with an open stream, by begin."""
    merged: dict[tuple[str, int], int | None] = {}
    for sender in senders:
        offset = offset_of(sender)
        for (device, _), stop in sender.basis.runs.stopped.items():
            _put_stop(merged, device, stop, offset)
    found: dict[str, list[tuple[int, int | None]]] = {}
    for (device, begin), last in sorted(merged.items(), key=lambda item: item[0]):
        found.setdefault(device, []).append((begin, last))
    return {device: _joined_stops(stops) for device, stops in found.items()}


def _put_stop(merged: dict[tuple[str, int], int | None], device: str, stop: StoppedRun, offset: int) -> None:
    key, last = (device, stop.begin_ns + offset), None if stop.last_ns is None else stop.last_ns + offset
    before = merged.get(key)
    merged[key] = last if before is None else before if last is None else max(before, last)


def _joined_stops(stops: list[tuple[int, int | None]]) -> list[tuple[int, int | None]]:
    """Senders on other hosts have the same stop at nearly the same time: one of them, with the latest frame."""
    found: list[tuple[int, int | None]] = []
    for begin, last in stops:
        if found and begin - found[-1][0] < NEAR_NS // 100:
            before = found[-1][1]
            latest = last if before is None else before if last is None else max(before, last)
            found[-1] = (found[-1][0], latest)
        else:
            found.append((begin, last))
    return found


def _nearest(at_ns: int, times: Sequence[int]) -> int | None:
    """Place of the time nearest to at_ns, if it is near; times rise."""
    place = bisect_left(times, at_ns)
    near = [one for one in (place - 1, place) if 0 <= one < len(times) and abs(times[one] - at_ns) <= NEAR_NS]
    return min(near, key=lambda one: (abs(times[one] - at_ns), one), default=None)


def cycles_of(senders: list[SenderFold], facts: RunFacts, config: FoldConfig) -> tuple[Cycle, ...]:
    """Each start with the stop after it; attempts count from the daemon's start."""
    calls = calls_of_camera(senders)
    daemons = sorted(at for sender in senders for at in _daemon_starts(sender))
    found: list[Cycle] = []
    for device in sorted({call.device for call in calls}):
        own = [call for call in calls if call.device == device]
        runs = _wanted_runs(senders, device)
        attempt, daemon = 0, 0
        for place, call in enumerate(own):
            if call.method != "StartStream":
                continue
            life = bisect_left(daemons, call.sent_ns)
            attempt, daemon = (attempt + 1, daemon) if life == daemon else (1, life)
            after = own[place + 1] if place + 1 < len(own) else None
            stop = after if after is not None and after.method == "StopStream" else None
            cycle = _cycle(attempt, (call, stop), runs, facts, config)
            if cycle.outcome == NO_FRAMES:
                until_ns = facts.end_ns if after is None else after.sent_ns
                watched = _was_watched(senders, device, call.sent_ns, until_ns)
                cycle = cycle if watched else replace(cycle, outcome=NOT_WATCHED)
            found.append(cycle)
    found.sort(key=lambda cycle: (cycle.started_at_s, cycle.attempt))
    return tuple(found[:LIST_LIMIT])


def _was_watched(senders: list[SenderFold], device: str, begin_ns: int, end_ns: int) -> bool:
    """Whether any stream of the device was open at any moment between the two, as far as calls are kept."""
    for sender in senders:
        company, offset = sender.company, offset_of(sender)
        calls = company.calls
        if calls.count > calls.rows.size:
            return True
        rows = calls.rows[calls.rows["device"] == company.names.place(device)]
        ended = np.where(rows["ended_ns"] >= 0, rows["ended_ns"] + offset, end_ns)
        if ((rows["accepted_ns"] >= 0) & (rows["accepted_ns"] + offset < end_ns) & (ended > begin_ns)).any():
            return True
    return False


def _daemon_starts(sender: SenderFold) -> list[int]:
    return [at_ns + offset_of(sender) for at_ns in sender.around.daemon_starts]


def _wanted_runs(senders: list[SenderFold], device: str) -> list[tuple[int, int, WantedRun]]:
    """(begin on the run's axis, offset, what came of it) of each sender, by begin."""
    found = [
        (run.begin_ns + offset_of(sender), offset_of(sender), sender.sender, number, run)
        for sender in senders
        for (name, number), run in sender.basis.runs.wanted.items()
        if name == device
    ]
    return [(begin, offset, run) for begin, offset, _, _, run in sorted(found, key=lambda one: one[:4])]


def _cycle(
    attempt: int,
    calls: tuple[Answer, Answer | None],
    runs: list[tuple[int, int, WantedRun]],
    facts: RunFacts,
    config: FoldConfig,
) -> Cycle:
    start, stop = calls
    near = _nearest(start.sent_ns, [begin for begin, _, _ in runs])
    own = [one for one in runs if near is not None and abs(one[0] - runs[near][0]) < NEAR_NS // 100]
    firsts = [run.first_ns + offset for _, offset, run in own if run.first_ns is not None]
    frames: dict[str, int] = {}
    for _, _, run in own:
        for name, count in run.frames.items():
            frames[name] = frames.get(name, 0) + count
    longest = max((run.longest_ns for _, _, run in own), default=0)
    numbers = [run.last_number for _, _, run in own if run.last_number is not None]
    return Cycle(
        attempt=attempt,
        started_at_s=seconds(start.sent_ns, facts.start_ns),
        start_ms=None if start.status in NEVER else (start.answered_ns - start.sent_ns) * TO_MS,
        first_frame_ms=(min(firsts) - start.sent_ns) * TO_MS if firsts else None,
        frames=max(frames.values(), default=0),
        longest_gap_s=longest / NS_PER_S,
        last_frame_number=max(numbers, default=None),
        stop_ms=None if stop is None or stop.status in NEVER else (stop.answered_ns - stop.sent_ns) * TO_MS,
        captured=stop.number if stop is not None and stop.number >= 0 else None,
        outcome=_outcome(start, stop, stalled=longest > config.stall_ns, framed=bool(firsts)),
    )


def _outcome(start: Answer, stop: Answer | None, *, stalled: bool, framed: bool) -> str:
    if start.status in NEVER or (stop is not None and stop.status in NEVER):
        return "hung"
    if start.refused:
        return f"refused: {start.details or start.status}"
    if not framed:
        return NO_FRAMES
    return "stalled" if stalled else "ok"


def actions_of(senders: list[SenderFold], facts: RunFacts) -> tuple[ActionDone, ...]:
    """What the timeline did, in order of time."""
    notes = sorted(
        (note.at_ns + offset_of(sender), note.number, sender.sender, place, note, offset_of(sender))
        for sender in senders
        for place, note in enumerate(sender.around.actions)
    )
    return tuple(
        ActionDone(
            number=note.number,
            at_s=seconds(at_ns, facts.start_ns),
            due_s=seconds(note.due_ns + offset, facts.start_ns) if note.due_ns else None,
            text=note.text,
            client=note.client,
            change=note.change,
            outcome=note.outcome,
            details=note.details,
        )
        for at_ns, _, _, _, note, offset in notes[:LIST_LIMIT]
    )
