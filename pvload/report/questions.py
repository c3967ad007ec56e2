"""What a run found out about each question that it can ask: entries of the report's head, the first one saying it all.

An entry is one line where it can be. What is indented explains the line above it.
"""

from __future__ import annotations

from typing import Final

from pvload.diagnose.calls import WHOSE, answered_share, highest
from pvload.diagnose.changes import BROKEN, SHORT
from pvload.diagnose.company import did
from pvload.diagnose.cycles import asked, attempts, left, said
from pvload.diagnose.daemon import grown, is_target
from pvload.diagnose.locks import lock_of, points_of
from pvload.diagnose.nothing import none_in, none_of
from pvload.diagnose.policy import LEAVINGS, MEANS, SLOW_MEANS, client, disconnect_policy, slow_reader_policy
from pvload.report.table import cut
from pvload.stats.around import Change, Changes, Churn, Disturbances, Growth, Storm, StormStep
from pvload.stats.summary import Summary
from pvload.verdict.words import count, ms, percent, rate, seconds, times

_BACK: Final = {
    "not_put_back": "; NOT put back",
    "put_back": "; put back after the end",
    "restored": "; put back at the end",
    "not_restored": "; NOT put back",
}
"""What the first of these notes that is there says: put back by the plan itself, or by pvload afterwards."""
_CHANGES: Final = 6
"""Changes that are told one by one; of more of them, half as many: those that went wrong."""
_LINE: Final = 90
"""Columns of a row that must stay on one line."""
SLOW_SHARE: Final = 0.9
LATE_MS: Final = 100.0
"""A lateness of pvload's own that is worth a word."""
BUSY_SHARE: Final = 0.95
"""From this share of its cores on a host has none to spare."""

Entries = list[str]
"""Sentences of an answer; the first one says it all in short."""


def plain(summary: Summary) -> Entries:
    """Of a run that asks nothing but its streams: did they stall or end, and at what rate did they go?"""
    run = summary.run
    if not run.frames:
        return []
    stalls = "no stall"
    if run.stalls.count:
        longest = max(run.stalls.listed, key=lambda one: one.length_s, default=None)
        when = "" if longest is None else f" at {seconds(longest.at_s)}"
        one = f"the longest {seconds(run.stalls.longest_s)}" if run.stalls.count > 1 else seconds(run.stalls.longest_s)
        stalls = f"{count(run.stalls.count, 'stall')} ({one}{when})"
    ends = "no stream ended by itself"
    if run.unexpected_ends:
        themselves = "itself" if run.unexpected_ends == 1 else "themselves"
        codes = ", ".join(sorted(run.errors)) or "OK"
        ends = f"{count(run.unexpected_ends, 'stream')} ended by {themselves} ({codes})"
    due = f" of {run.expected_hz:.4g} expected" if run.expected_hz else ""
    speed = "" if run.fps is None else f", {rate(run.fps)}{due}"
    slow = run.fps is not None and run.expected_hz is not None and run.fps < SLOW_SHARE * run.expected_hz
    whole = not run.missing.total and not run.missing.decimated
    camera = " (all the camera made)" if slow and whole else ""
    return [f"{stalls}, {ends}{speed}{camera}"]


def slow_readers(summary: Summary) -> Entries:
    """What becomes of a slow reader, and of the others."""
    readers = summary.around.slow_readers
    if not readers:
        return []
    found = slow_reader_policy(readers)
    seen = f" (seen {times(found.looked_at)})" if found.looked_at else ""
    return [f"slow readers: {found.word.replace('_', ' ')}: {SLOW_MEANS[found.word]}{seen}", *_indented(found.evidence)]


def _indented(sentences: tuple[str, ...]) -> Entries:
    return [f"  {one}" for one in sentences]


def storms(summary: Summary) -> Entries:
    """Offered, achieved, knee, whose limit it was, p99, what others felt: a line each."""
    return [line for one in summary.around.storms for line in _storm(summary, one)]


def _storm(summary: Summary, storm: Storm) -> Entries:
    top = highest(storm)
    if top is None:
        return [f"{storm.population}: no call of its storm was due"]
    share = answered_share(top)
    kept = "" if share is None else f" ({percent(share)})"
    answered = top.answered / top.length_s if top.length_s else 0.0
    knee = "not even the first rate was kept" if storm.knee_hz is None else f"{storm.knee_hz:,.0f}/s"
    timed = max((one for one in storm.steps if one.latency_ms.p99 is not None), key=_rate, default=None)
    p99 = "no call was answered" if timed is None else f"{ms(timed.latency_ms.p99 or 0.0)} at {timed.offered_hz:,.0f}/s"
    gaps = [one.longest_gap_s for one in storm.steps if one.longest_gap_s is not None]
    gap = seconds(max(gaps)) if gaps else "no frame stream was open beside it"
    first = f"{storm.method} storm: {top.offered_hz:,.0f}/s offered, {answered:,.0f}/s answered{kept}"
    return [
        f"{first}, at best {storm.achieved_hz:,.0f}/s",
        f"  limit: {WHOSE[storm.limited_by]}{_shared(summary, top)}; knee: {knee}",
        f"  p99: {p99}, from when a call was due",
        f"  change events lost: {_events(summary)}",
        f"  worst frame gap meanwhile: {gap}",
        *_stops(summary),
        *map(_step, sorted(storm.steps, key=_rate, reverse=True)),
    ]


def _rate(step: StormStep) -> float:
    return step.offered_hz


def _shared(summary: Summary, top: StormStep) -> str:
    """What beside the server could have limited it: pvload's own lateness, a host without an idle core."""
    told = [f"pvload was late by {ms(top.lateness_ms)}"] if top.lateness_ms > LATE_MS else []
    shares = [one.cpu_share for one in summary.around.resources if 0 <= one.at_s - top.at_s <= top.length_s]
    known = [one for one in shares if one is not None]
    if known and sum(known) / len(known) >= BUSY_SHARE:
        told.append("no core of its host was idle")
    return f" ({' and '.join(told)})" if told else ""


def _events(summary: Summary) -> str:
    told = [one for one in summary.around.watchers if one.lost is not None]
    if not told:
        return "not counted"
    lost, seen = sum(one.lost or 0 for one in told), sum(one.counted for one in told)
    return f"{lost:,} of {lost + seen:,}"


def _stops(summary: Summary) -> Entries:
    """How long stops and starts took, during storms where there were any."""
    probes = summary.around.stop_probes
    during = [one for one in probes if one.during_storm] or list(probes)
    if not during:
        return []
    failed = next((one for one in during if one.took_ms is None), None)
    if failed is not None:
        status = failed.status or "no answer"
        return [f"  stops and starts meanwhile: {failed.call} at {seconds(failed.at_s)} was NOT DONE: {status}"]
    slowest = max(during, key=lambda one: one.took_ms or 0.0)
    worst = f"{ms(slowest.took_ms or 0.0)} ({slowest.call} at {seconds(slowest.at_s)})"
    return [f"  stops and starts meanwhile: {len(during):,}, the slowest took {worst}"]


def _step(step: StormStep) -> str:
    p99 = "-" if step.latency_ms.p99 is None else ms(step.latency_ms.p99)
    return f"  {step.offered_hz:,.0f}/s offered: {step.answered:,} of {step.due:,} answered, p99 {p99}"


def cycles(summary: Summary) -> Entries:
    """By attempt: the first, those that failed, and what they have in common; of a timeline's cycles only."""
    made = summary.around.cycles
    if not made or not asked(summary):
        return []
    told = attempts(made)
    good = told.count - told.failed
    lock = lock_of(points_of(summary)).sentence
    failed = [one for one in made if one.failed]
    chosen = {one.attempt: one for one in (*made[:3], *failed[:3], *made[-1:])}
    rows = [
        f"  attempt {one.attempt} at {seconds(one.started_at_s)}: {said(one)}, longest gap {seconds(one.longest_gap_s)}"
        for _, one in sorted(chosen.items())
    ]
    none = "" if told.failed else f" ({none_of('failed', told.count, 'cycles')})"
    gave = f"{good:,} of {count(told.count, 'start-stop cycle')} gave frames{none}"
    first = f"{', '.join(one for one in (gave, left(summary)) if one)}; {told.difference}"
    return [first, *([f"  {lock}"] if lock else []), *rows]


def changes(summary: Summary) -> Entries:
    """Each change with its answer and its outcome, and whether the camera was put back."""
    all_of = summary.around.changes
    if not all_of.count:
        return []
    lost = f"; {count(all_of.missing, 'frame')} lost" if all_of.missing else ""
    restored = next((text for name, text in _BACK.items() if summary.note_counts.get(name)), "")
    first = f"{count(all_of.count, 'change')} while streaming{_summed(all_of)}{lost}{restored}"
    shown = all_of.listed
    if len(shown) > _CHANGES:
        telling = sorted(shown, key=lambda one: (one.outcome not in BROKEN, one.outcome in ("answered", "not_judged")))
        shown = tuple(sorted(telling[: _CHANGES // 2], key=lambda one: one.at_s))
    left = all_of.count - len(shown)
    more = [f"  and {left:,} more below"] if left else []
    return [first, *map(_change, shown), *more]


def _summed(changes: Changes) -> str:
    """How many had which outcome, unless each is told below and they differ."""
    outcomes = {name: number for name, number in sorted(changes.outcomes.items()) if number}
    if len(outcomes) == 1:
        only = SHORT[next(iter(outcomes))]
        return f": {'all ' if changes.count > 1 else ''}{only}"
    if changes.count <= _CHANGES:
        return ""
    return f": {', '.join(f'{number:,} {SHORT[name]}' for name, number in outcomes.items())}"


def _change(change: Change) -> str:
    """A row of one line: the answer stands in it where there is room."""
    row = f"  {change.at_s:.1f} s {change.text}: {SHORT[change.outcome]}"
    answered = change.answered_after_ms
    told = "no answer" if answered is None else f"{change.status or 'answered'} in {ms(answered)}"
    shown = ""
    if change.effect_after_ms is not None:
        shown = f"on the frames after {ms(change.effect_after_ms)}"
    elif change.effect_after_restart_ms is not None:
        shown = f"seen {ms(change.effect_after_restart_ms)} after a start"
    rows = (f"{row} ({told}, {shown})" if shown else f"{row} ({told})", f"{row} ({shown})" if shown else row)
    return next((one for one in rows if len(one) <= _LINE), cut(row, _LINE))


def leavings(summary: Summary) -> Entries:
    """Which policy the service follows when a client leaves."""
    moved = summary.around.disturbances
    if moved is None or not any(one.kind in LEAVINGS for one in moved.listed):
        return []
    found = disconnect_policy(summary)
    name = found.word.replace("_", "-") if found.word != "not_seen" else "policy not seen"
    looked = f" (seen {times(found.looked_at)})" if found.looked_at else ""
    return [f"{name}: {MEANS[found.word]}{looked}", *_indented(found.evidence)]


def isolation(summary: Summary) -> Entries:
    """The others' worst gap, in periods, beside everybody's coming and going."""
    moved = summary.around.disturbances
    if moved is None or not moved.looked_at:
        return []
    gap = "not known" if moved.worst_gap_s is None else seconds(moved.worst_gap_s)
    gap = gap if moved.worst_periods is None else f"{moved.worst_periods:.1f} periods ({gap})"
    on = f" on {client(summary, moved.worst_subscriber)}" if moved.worst_subscriber else ""
    when = "" if moved.worst_gap_at_s is None else f" at {seconds(moved.worst_gap_at_s)}"
    near = [one for one in moved.listed if one.at_s == moved.worst_gap_at_s]
    beside = f" when {did(summary, near[0])}" if near else ""
    silenced = f"others silenced {times(moved.silenced)}" if moved.silenced else "nobody silenced"
    lost = "no frame missing" if not moved.missing else f"{count(moved.missing, 'frame')} missing"
    return [
        f"clients came or left {times(moved.count)}{_killed(moved)}: the others' worst gap {gap}{on}{when}{beside}; "
        f"{lost}, {silenced}"
    ]


def _killed(moved: Disturbances) -> str:
    """Of those that are listed: how many were killed."""
    number = sum(one.kind == "killed" for one in moved.listed)
    return f" ({number:,} killed)" if number and moved.count == len(moved.listed) else ""


def churn(summary: Summary) -> Entries:
    """How quickly those that come have frames, and whether any was refused."""
    return [_churn(one) for one in summary.around.churn]


def _churn(one: Churn) -> str:
    first = "no first frame"
    if one.first_frame_ms.p50 is not None and one.first_frame_ms.max is not None:
        first = f"first frame after {ms(one.first_frame_ms.p50)} (median), {ms(one.first_frame_ms.max)} at most"
    kept = f", {one.refused_after_leaving:,} of them although there was room" if one.refused_after_leaving else ""
    refused = f"{one.admission_refused:,} refused{kept}" if one.admission_refused else "none refused"
    left = ", ".join(f"{number:,} {way.replace('_', '-')}" for way, number in sorted(one.left.items()) if number)
    gave = "all" if one.with_frames == one.opened else f"{one.with_frames:,}"
    opened = f"{one.population}: {count(one.opened, 'stream')} opened, {refused}, {gave} with frames"
    return f"{opened}, {first}; left: {left or 'never'}"


def endurance(summary: Summary) -> Entries:
    """Growth of every process, and stalls, errors and missing frames with what their absence is worth."""
    growth = summary.around.growth
    if not growth:
        return []
    grows = [one for one in growth if one.result == "grows"]
    run, streams = summary.run, len(summary.subscribers)
    stalls = none_in("stalls", run.due_s, streams=streams)
    if run.stalls.count:
        stalls = f"{count(run.stalls.count, 'stall')}, the longest {seconds(run.stalls.longest_s)}"
    errors = sum(run.errors.values())
    ends = none_in("stream errors", run.open_s, streams=streams)
    if errors:
        ends = f"{count(errors, 'stream error')} ({', '.join(sorted(run.errors))})"
    missing = none_of("missing", run.frames, "frames")
    if run.missing.total:
        missing = f"{count(run.missing.total, 'frame')} missing of {run.frames + run.missing.total:,}"
    told = [one for one in (stalls, ends, missing) if one]
    return [_grown(growth), *(f"  {grown(one)}" for one in grows), *told]


def _grown(growth: tuple[Growth, ...]) -> str:
    """`growth: run too short to judge (21 figures; ...)`, or how many figures are flat and how many grow."""
    by = {result: [one for one in growth if one.result == result] for result in ("grows", "flat", "too_short")}
    processes = len({one.pid for one in growth})
    short = by["too_short"]
    if len(short) == len(growth):
        why = f": {short[0].reason}" if short[0].reason else ""
        return f"growth: run too short to judge{why}"
    whose = "" if any(is_target(one.process) for one in growth) else ", the target's process was not watched"
    among = f"{count(len(growth), 'figure')} of {processes} process{'es' * (processes != 1)}"
    what = f"growth: {len(by['grows'])} of {among} grow" if by["grows"] else f"growth: none in {among}"
    undecided = f", {len(short)} undecided (run too short)" if short else ""
    return f"{what}{undecided}{whose}"


def timeline(summary: Summary) -> Entries:
    """How many actions were done, and those that did not go as they should."""
    actions = summary.around.actions
    if not actions:
        return []
    bad = [one for one in actions if one.outcome in ("unmet", "failed")]
    late = sum(one.outcome == "not_reached" for one in actions)
    rows = [f"  {one.number} {one.text}: {one.outcome} {one.details}".rstrip() for one in bad]
    reached = ", the run ended before the rest" if late else ""
    kept = ", every expectation met" if not bad and any(one.text.startswith("expect") for one in actions) else ""
    done = len(actions) - len(bad) - late
    return [f"timeline: {done:,} of {count(len(actions), 'action')} done{reached}{kept}", *rows]
