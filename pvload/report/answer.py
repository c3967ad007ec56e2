"""The run's answer in a few lines: what it found out about the question that it asked.

Which questions a run asked is seen from what it contains: changes of the camera, clients that left, slow readers, a
storm, cycles. Those that a criterion or the timeline asks come first. A plain stream asks none of these; the figures
of its streams are its answer.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from pvload.diagnose.calls import LIMITS, answered_share, highest
from pvload.diagnose.changes import BROKEN, SHORT
from pvload.diagnose.company import did
from pvload.diagnose.cycles import attempts, said
from pvload.diagnose.daemon import grown, is_target
from pvload.diagnose.finding import Severity
from pvload.diagnose.findings import findings
from pvload.diagnose.locks import lock_of, points_of
from pvload.diagnose.nothing import none_in, none_of
from pvload.diagnose.policy import LEAVINGS, MEANS, SLOW_MEANS, client, disconnect_policy, slow_reader_policy
from pvload.report.table import WIDTH
from pvload.stats.around import Change, Churn, Storm, StormStep
from pvload.stats.summary import Summary
from pvload.verdict.judgement import Verdict
from pvload.verdict.words import count, ms, percent, seconds

_CHANGES: Final = 6
"""Changes that are told one by one; of more of them, half as many: those that went wrong."""
_LINE: Final = 90
"""Columns of a row that must stay on one line."""
LATE_MS: Final = 100.0
"""A lateness of pvload's own that is worth a word."""
BUSY_SHARE: Final = 0.95
"""From this share of its cores on a host has none to spare."""
QUESTIONS: Final = 4
"""Answers shown; what the others would say stands in its section."""

Entries = list[str]
"""Sentences of an answer; the first one says it all in short."""


@dataclass(frozen=True, slots=True)
class Question:
    """Something that a run can ask."""

    criteria: frozenset[str]
    """Criteria that ask it by name."""
    answer: Callable[[Summary], Entries]


def answer(summary: Summary, verdict: Verdict, *, width: int, most: int) -> list[str]:
    """At most `most` lines of at most `WIDTH - width` columns; empty where the run asked nothing but its streams."""
    asked = {one.name for one in verdict.criteria if one.judged}
    if any(one.client for one in summary.around.actions):
        asked.add("disconnect_policy")
    ordered = sorted(QUESTIONS_ASKED, key=lambda one: not one.criteria & asked)
    told = [*in_a_row(verdict), *(entries for one in ordered if (entries := one.answer(summary)))]
    found = [*(_death(summary) if told else []), *told][: min(QUESTIONS, most)]
    lines: list[str] = []
    for at, entries in enumerate(found):
        room = most - len(lines)
        if room <= 0:
            break
        whole = _fitted(entries, width=width, most=room)
        shared = room > 1 and at + 1 < len(found) and len(whole) == room and (at > 0 or _is_cut(entries, whole))
        lines += _fitted(entries, width=width, most=room - 1) if shared else whole
    return lines


def _is_cut(entries: Entries, lines: list[str]) -> bool:
    """Whether an answer has not all of its room: then it can as well leave a line to the next one."""
    return len(lines) < len(entries) or lines[-1].startswith("  and ")


def _death(summary: Summary) -> list[Entries]:
    """That the service was gone comes before whatever else was asked."""
    worst = next(iter(findings(summary)), None)
    if worst is None or worst.severity is not Severity.DEATH:
        return []
    when = "" if worst.at_s is None else f"at {seconds(worst.at_s)}: "
    return [[f"{when}{worst.text}"]]


def _fitted(entries: Entries, *, width: int, most: int) -> list[str]:
    """The entries, wrapped; those for which there is no room are counted, the first is cut if it must be."""
    wrapped = [textwrap.wrap(one, WIDTH - width, subsequent_indent="  ", break_on_hyphens=False) for one in entries]
    if sum(map(len, wrapped)) <= most:
        return [line for lines in wrapped for line in lines]
    room = most if len(wrapped) == 1 or most == 1 else most - 1
    first, rest = wrapped[0], wrapped[1:]
    lines = first if len(first) <= room else [*first[: room - 1], _cut(first[room - 1], width)]
    shown = 0
    for one in rest:
        if len(lines) + len(one) > room:
            break
        lines = [*lines, *one]
        shown += 1
    left = len(rest) - shown
    return [*lines, f"  and {left} more below"] if left and len(lines) < most else lines


def _cut(line: str, width: int) -> str:
    room = WIDTH - width - len(" ...")
    kept = line if len(line) <= room else line[: room + 1].rpartition(" ")[0]
    return f"{kept.rstrip(' ,;:')} ..."


def slow_readers(summary: Summary) -> Entries:
    """What becomes of a slow reader, and of the others."""
    readers = summary.around.slow_readers
    if not readers:
        return []
    found = slow_reader_policy(readers)
    name = found.word.replace("_", " ")
    return [f"A slow reader: {name}: {SLOW_MEANS[found.word]} ({count(len(readers), 'slow reader')})", *found.evidence]


def storms(summary: Summary) -> Entries:
    """Offered, achieved, knee, p99, what others felt, and whose limit it was."""
    return [line for one in summary.around.storms for line in _storm(summary, one)]


def _storm(summary: Summary, storm: Storm) -> Entries:
    top = highest(storm)
    if top is None:
        return [f"{storm.population}: no call of its storm was due"]
    knee = "not even the first rate kept" if storm.knee_hz is None else f"knee at {storm.knee_hz:,.0f}/s"
    share = answered_share(top)
    kept = "" if share is None else f" ({percent(share)})"
    offered = f"{top.offered_hz:,.0f}/s offered, {top.answered / top.length_s if top.length_s else 0:,.0f}/s answered"
    first = (
        f"{storm.method} storm: {offered}{kept}, {knee}, at best {storm.achieved_hz:,.0f}/s: {LIMITS[storm.limited_by]}"
    )
    timed = max((one for one in storm.steps if one.latency_ms.p99 is not None), key=_rate, default=None)
    p99 = "no answer" if timed is None else f"{ms(timed.latency_ms.p99 or 0.0)} at {timed.offered_hz:,.0f}/s"
    gaps = [one.longest_gap_s for one in storm.steps if one.longest_gap_s is not None]
    gap = f"worst frame gap meanwhile {seconds(max(gaps))}" if gaps else "no frame stream was open beside it"
    second = f"  p99 from when a call was due {p99}; {_events(summary)}; {gap}"
    return [first, second, *_shared(summary, top), *map(_step, sorted(storm.steps, key=_rate, reverse=True))]


def _rate(step: StormStep) -> float:
    return step.offered_hz


def _shared(summary: Summary, top: StormStep) -> Entries:
    """What beside the server could have limited it: pvload's own lateness, a host without an idle core."""
    said = [f"pvload was late by {ms(top.lateness_ms)}"] if top.lateness_ms > LATE_MS else []
    seconds_of = [one.cpu_share for one in summary.around.resources if 0 <= one.at_s - top.at_s <= top.length_s]
    known = [one for one in seconds_of if one is not None]
    if known and sum(known) / len(known) >= BUSY_SHARE:
        said.append("all cores of the watched host were busy")
    return [f"  meanwhile {' and '.join(said)}"] if said else []


def _events(summary: Summary) -> str:
    told = [one for one in summary.around.watchers if one.lost is not None]
    if not told:
        return "change events not counted"
    lost, seen = sum(one.lost or 0 for one in told), sum(one.counted for one in told)
    return f"change events lost {lost:,} of {lost + seen:,}"


def _step(step: StormStep) -> str:
    p99 = "-" if step.latency_ms.p99 is None else ms(step.latency_ms.p99)
    return f"  {step.offered_hz:,.0f}/s offered: {step.answered:,} of {step.due:,} answered, p99 {p99}"


def cycles(summary: Summary) -> Entries:
    """By attempt: the first, those that failed, and what they have in common.

    The run's own start and stop, restarts after a change and stops that a probe made ask nothing about cycles.
    """
    made = summary.around.cycles
    others = sum(one.restarted_at_s is not None for one in summary.around.changes.listed)
    others += sum(one.call == "StopStream" for one in summary.around.stop_probes)
    if len(made) <= 1 + others:
        return []
    told = attempts(made)
    good = told.count - told.failed
    lock = lock_of(points_of(summary)).sentence
    failed = [one for one in made if one.outcome != "ok"]
    chosen = {one.attempt: one for one in (*made[:3], *failed[:3], *made[-1:])}
    rows = [
        f"  attempt {one.attempt} at {seconds(one.started_at_s)}: {said(one)}, longest gap {seconds(one.longest_gap_s)}"
        for _, one in sorted(chosen.items())
    ]
    none = "" if told.failed else f" ({none_of('failed', told.count, 'cycles')})"
    first = f"{good:,} of {count(told.count, 'start-stop cycle')} gave their frames{none}; {told.sentence}"
    return [first, *([lock] if lock else []), *rows]


def changes(summary: Summary) -> Entries:
    """Each change with its answer and its outcome, and whether the camera was put back."""
    all_of = summary.around.changes
    if not all_of.count:
        return []
    listed = ", ".join(f"{number:,} {SHORT[name]}" for name, number in sorted(all_of.outcomes.items()) if number)
    lost = f"; {all_of.missing:,} frames lost" if all_of.missing else ""
    back = {"restored": "; put back at the end", "not_restored": "; NOT put back"}
    restored = next((text for name, text in back.items() if summary.note_counts.get(name)), "")
    first = f"{count(all_of.count, 'change')}{lost}{restored}: {listed}"
    shown = all_of.listed
    if len(shown) > _CHANGES:
        telling = sorted(shown, key=lambda one: (one.outcome not in BROKEN, one.outcome in ("answered", "not_judged")))
        shown = tuple(sorted(telling[: _CHANGES // 2], key=lambda one: one.at_s))
    left = all_of.count - len(shown)
    more = [f"  and {left:,} more below"] if left else []
    return [_one_line(first), *map(_change, shown), *more]


def _change(change: Change) -> str:
    """A row of one line: the answer stands in it where there is room."""
    row = f"  {change.at_s:.1f} s {change.text}: {SHORT[change.outcome]}"
    answered = change.answered_after_ms
    told = "no answer" if answered is None else f"{change.status or 'answered'} in {ms(answered)}"
    shown = ""
    if change.effect_after_ms is not None:
        shown = f"shown in {ms(change.effect_after_ms)}"
    elif change.effect_after_restart_ms is not None:
        shown = f"shown {ms(change.effect_after_restart_ms)} after it"
    rows = (f"{row} ({told}, {shown})" if shown else f"{row} ({told})", f"{row} ({shown})" if shown else row)
    return next((one for one in rows if len(one) <= _LINE), _one_line(row))


def _one_line(text: str) -> str:
    return text if len(text) <= _LINE else _cut(text, WIDTH - _LINE)


def leavings(summary: Summary) -> Entries:
    """Which policy the service follows when a client leaves."""
    moved = summary.around.disturbances
    if moved is None or not any(one.kind in LEAVINGS for one in moved.listed):
        return []
    found = disconnect_policy(summary)
    name = found.word.replace("_", "-") if found.word != "not_seen" else "not seen"
    looked = f" ({count(found.looked_at, 'leaving')})" if found.looked_at else ""
    return [f"What a disconnect does: {name}: {MEANS[found.word]}{looked}", *(f"  {one}" for one in found.evidence)]


def isolation(summary: Summary) -> Entries:
    """The others' worst gap, in periods, beside everybody's coming and going."""
    moved = summary.around.disturbances
    if moved is None or not moved.looked_at:
        return []
    gap = "not known" if moved.worst_gap_s is None else seconds(moved.worst_gap_s)
    periods = "" if moved.worst_periods is None else f"{moved.worst_periods:.1f} periods, "
    on = f" on {client(summary, moved.worst_subscriber)}" if moved.worst_subscriber else ""
    when = "" if moved.worst_gap_at_s is None else f" at {seconds(moved.worst_gap_at_s)}"
    near = [one for one in moved.listed if one.at_s == moved.worst_gap_at_s]
    beside = f" when {did(summary, near[0])}" if near else ""
    silenced = f"{moved.silenced:,} silenced somebody" if moved.silenced else "none silenced anybody"
    return [
        f"The others' worst gap beside {moved.count:,} comings and leavings: {periods}{gap}{on}{when}{beside}; "
        f"{count(moved.missing, 'frame')} missing, {silenced}"
    ]


def churn(summary: Summary) -> Entries:
    """How quickly those that come have frames, and whether any was refused."""
    return [_churn(one) for one in summary.around.churn]


def _churn(one: Churn) -> str:
    first = "no first frame"
    if one.first_frame_ms.p50 is not None and one.first_frame_ms.max is not None:
        first = f"first frame after {ms(one.first_frame_ms.p50)} (median), at most {ms(one.first_frame_ms.max)}"
    kept = f", {one.refused_after_leaving:,} of them although there was room" if one.refused_after_leaving else ""
    left = ", ".join(f"{number:,} {way.replace('_', '-')}" for way, number in sorted(one.left.items()) if number)
    return (
        f"{one.population}: opened {one.opened:,} times, {one.with_frames:,} with frames, {first}; "
        f"{one.admission_refused:,} refused{kept}; left: {left or 'never'}"
    )


def in_a_row(verdict: Verdict) -> list[Entries]:
    """Frames in a row on the stream with the fewest, where the profile asks for so many."""
    return [[one.reason] for one in verdict.criteria if one.name == "consecutive_frames" and one.judged]


def endurance(summary: Summary) -> Entries:
    """Growth of every process, and stalls with what their absence is worth."""
    growth = summary.around.growth
    if not growth or all(one.result == "too_short" for one in growth):
        return []
    grows = [one for one in growth if one.result == "grows"]
    target = [one for one in growth if is_target(one.process)]
    flat = f"{sum(one.result == 'flat' for one in growth)} of {len(growth)} figures of processes are flat"
    whose = "" if target else ", the target's process was not watched"
    run = summary.run
    stalls = none_in("stalls", run.due_s)
    if run.stalls.count:
        stalls = f"{count(run.stalls.count, 'stall')}, the longest {seconds(run.stalls.longest_s)}"
    return [f"Growth: {flat}{whose}; {stalls}", *(f"  {grown(one)}" for one in grows)]


def timeline(summary: Summary) -> Entries:
    """Actions that did not go as they should."""
    actions = summary.around.actions
    bad = [one for one in actions if one.outcome != "done"]
    if not bad:
        return []
    rows = [f"  {one.number} {one.text}: {one.outcome.replace('_', ' ')} {one.details}".rstrip() for one in bad]
    return [f"Timeline: {len(actions) - len(bad)} of {len(actions)} actions done", *rows]


QUESTIONS_ASKED: Final[Sequence[Question]] = (
    Question(frozenset({"changes", "restored"}), changes),
    Question(frozenset({"failed_cycles"}), cycles),
    Question(frozenset({"rate_achieved_at_least", "call_p99_ms", "change_events_lost", "stop_ms"}), storms),
    Question(frozenset({"slow_reader_policy"}), slow_readers),
    Question(frozenset({"flat"}), endurance),
    Question(frozenset({"expectations"}), timeline),
    Question(frozenset({"isolation_periods", "isolation_missing"}), isolation),
    Question(frozenset({"streams_return"}), churn),
    Question(frozenset({"disconnect_policy"}), leavings),
)
"""In the order of their weight where no criterion names one."""
