"""What probably happened in a run, from its summary alone: stalls and their scope, doubled producers, deaths, doubts.

Every rule says what it saw; none of them changes a verdict. Findings come worst first, equals by length, then by time,
so the first one is "the worst thing that happened".
"""

from __future__ import annotations

import math
import re
from itertools import pairwise
from typing import Final

from pvload.diagnose.calls import calls
from pvload.diagnose.changes import changes
from pvload.diagnose.company import company
from pvload.diagnose.daemon import daemon
from pvload.diagnose.ends import DEATH_WITHIN_S, ends, never_opened, restarts
from pvload.diagnose.finding import Finding, Severity
from pvload.diagnose.stalls import silent, stalls
from pvload.stats.summary import Figures, Hole, Interval, Summary

DOUBLED_WITHIN: Final = 0.2
"""A rate counts as k times the expected one if it is off by no more than this share of one producer."""
QUICK_S: Final = 1.0
"""A start so soon after a stop may find the old producer asleep."""
FAST_BY: Final = 1.2
"""A mean rate above this many times the expected one is too fast, whatever made it so."""
_WHEN: Final = re.compile(r"at (-?[0-9.,]+) s: ")
"""How an example of a failed call begins."""
BURST: Final = 5
"""Frames missing in one go that are worth a word of their own."""
BURSTS_TOLD: Final = 4
"""So many of them beside the worst one."""
BLIND_TOLD: Final = 3
"""So many stretches of blind time are told one by one, more of them by the longest."""
_EDGE_S: Final = 0.1
"""A stretch of lateness may reach this far beyond the silence that it made: frames come before its timer fires."""
_DRIVER_CLASSES: Final = frozenset({"driver_error", "panic", "stall_end", "unlock"})

_LOST: Final = {
    "backpressure": "dropped for a slow client by the server's own count",
    "unseen": "lost in the server without a word",
    "transport": "sent by the server's count and not received",
    "undecided": "lost in the server or on the way, which is not decidable",
    "before_numbering": "lost before they were numbered (driver, hardware)",
}
"""Fields of `Missing` in words."""


def findings(summary: Summary) -> tuple[Finding, ...]:
    """All findings, worst first."""
    silences, ended = stalls(summary), ends(summary)
    dead = [one.at_s for one in ended if one.severity is Severity.DEATH and one.at_s is not None]
    found = [
        *ended,
        *restarts(summary),
        *silences,
        *silent(summary),
        *_producers(summary),
        *_too_fast(summary),
        *_loss(summary),
        *_bursts(summary),
        *_calls(summary),
        *_driver(summary),
        *_gave_up(summary),
        *never_opened(summary),
        *changes(summary),
        *company(summary),
        *calls(summary),
        *(one for one in daemon(summary) if not _is_told(one, dead)),
        *_blind(summary, [one for one in silences if one.severity is Severity.DOUBT]),
        *_doubts(summary),
    ]
    return tuple(
        sorted(
            found,
            key=lambda one: (-one.severity, -one.length_s, one.at_s if one.at_s is not None else math.inf, one.text),
        )
    )


def _is_told(one: Finding, dead: list[float]) -> bool:
    """Whether a death of the process is that of its streams, told already."""
    near = any(one.at_s is not None and abs(one.at_s - at_s) <= DEATH_WITHIN_S for at_s in dead)
    return one.severity is Severity.DEATH and near


def _producers(summary: Summary) -> list[Finding]:
    """A rate of k times the expected one, with clean loss figures, is k producers after a quick restart."""
    found = []
    for device in summary.devices:
        times = _times_expected(device.figures)
        when, fastest, lasted_s = _fastest(summary, device.name, device.figures)
        if times < 2 and fastest < 2:
            continue
        factor = max(times, fastest)
        restart = _quick_restart(summary)
        told = "" if restart is None else f" (a stop and a start are in the daemon's log at {restart:.2f} s)"
        text = (
            f"{device.name} ran at {factor} times the expected {device.figures.expected_hz:.1f} frames/s"
            f"{_clean(device.figures)}: {factor} producers at once, as after a restart within one exposure{told}"
        )
        lasted_s = device.figures.judged_s if times >= 2 else lasted_s
        if restart is not None:
            when, lasted_s = restart, summary.facts.length_s - restart
        found.append(Finding(Severity.FAULT, when, text, lasted_s))
    return found


def _quick_restart(summary: Summary) -> float | None:
    """When the daemon's log first shows a stop of the camera and a start right after it, within the run."""
    kinds = ("acquisition_stopped", "acquisition_started")
    lines = [one for one in summary.log.timeline if one.log_class in kinds and 0 <= one.at_s <= summary.facts.length_s]
    for stop, start in pairwise(lines):
        if (stop.log_class, start.log_class) == kinds and start.at_s - stop.at_s <= QUICK_S:
            return stop.at_s
    return None


def _too_fast(summary: Summary) -> list[Finding]:
    """A rate above the plan's that is no whole multiple of it: two producers for a part of the time, perhaps."""
    found = []
    for device in summary.devices:
        figures = device.figures
        fast = bool(figures.expected_hz and figures.fps and figures.fps > FAST_BY * figures.expected_hz)
        if not fast or not figures.expected_is_stated or _times_expected(figures):
            continue
        if _fastest(summary, device.name, figures)[1]:
            continue
        restarts = f", after {figures.restarts} restarts of the acquisition" if figures.restarts else ""
        text = (
            f"{device.name} gave {figures.fps:.1f} frames/s where {figures.expected_hz:.1f} are expected{restarts}"
            f"{_clean(figures)}: too fast, as with two producers for a part of the time"
        )
        found.append(Finding(Severity.FAULT, None, text, figures.judged_s))
    return found


def _clean(figures: Figures) -> str:
    return ", although no counter shows a loss" if figures.missing.total == 0 else ""


def _times_expected(figures: Figures) -> int:
    if not figures.expected_hz or figures.fps is None or not figures.expected_is_stated:
        return 0
    return _multiple(figures.fps / figures.expected_hz)


def _multiple(ratio: float) -> int:
    nearest = round(ratio)
    return nearest if nearest >= 2 and abs(ratio - nearest) <= DOUBLED_WITHIN * nearest else 0


def _fastest(summary: Summary, device: str, figures: Figures) -> tuple[float | None, int, float]:
    """The first window in which a stream of the device had a multiple of its expected rate, and how long it had it."""
    if not figures.expected_hz:
        return None, 0, 0.0
    for subscriber in summary.subscribers:
        expected = subscriber.figures.expected_hz
        if subscriber.device != device or not expected:
            continue
        fast = [
            (window, factor)
            for window in subscriber.windows
            if window.due_s >= 5.0 and (factor := _multiple(window.frames / window.due_s / expected))
        ]
        if fast:
            return fast[0][0].at_s, fast[0][1], sum(window.length_s for window, _ in fast)
    return None, 0, 0.0


def _loss(summary: Summary) -> list[Finding]:
    """The worst hole with its moment, how many frames are missing in all, and where most of them went.

    What is left out for those who read slowly by plan is only told.
    """
    slow = {one.subscriber for one in summary.around.slow_readers}
    skipped = sum(one.figures.missing.total for one in summary.subscribers if one.name in slow)
    told = [Finding(Severity.FACT, None, f"{skipped:,} frames were left out for slow readers")] if skipped else []
    run = summary.run
    others = [one.figures for one in summary.subscribers if one.name not in slow] if slow else [run]
    classes = {name: sum(getattr(one.missing, name) or 0 for one in others) for name in _LOST}
    most = max(classes, key=lambda name: classes[name])
    if classes[most] == 0:
        return told
    total = sum(classes.values())
    share = total / max(1, sum(one.frames for one in others) + total)
    holes = [one for one in run.holes if one.subscriber not in slow]
    hole = max(holes, key=lambda hole: (hole.count, -hole.at_s), default=None)
    if hole is None:
        text = (
            f"{total:,} frame{'s' * (total > 1)} missing ({share * 100:.2g} %), {classes[most]:,} of them {_LOST[most]}"
        )
    else:
        text = f"{_hole(hole)}; {total:,} in all ({share * 100:.2g} %)"
        like = "so" if most == hole.loss_class else _LOST[most]
        text += "" if classes[hole.loss_class] == total else f", {classes[most]:,} of them {like}"
        first_s = holes[0].at_s
        text += f", the first at {first_s:.1f} s" if first_s < hole.at_s else ""
    severity = Severity.FAULT if any(one.missing.unexplained for one in others) else Severity.NOTICE
    if run.lag_losses and run.lag_losses * 2 >= total:
        severity, text = Severity.DOUBT, f"{text}; {run.lag_losses} while the generator was late"
    return [Finding(severity, None if hole is None else hole.at_s, text), *told]


def _gave_up(summary: Summary) -> list[Finding]:
    """Users that tried as often as they were allowed to, and then no more."""
    number = summary.note_counts.get("gave_up", 0)
    if not number:
        return []
    texts = [note.partition(": ")[2] for note in summary.notes if note.startswith("gave_up: ")]
    more = f"; {number - 3:,} more users gave up" if number > 3 else ""
    return [Finding(Severity.NOTICE, None, f"{'; '.join(texts[:3]) or f'{number:,} users gave up'}{more}")]


def _bursts(summary: Summary) -> list[Finding]:
    """The largest holes beside the worst one, each with its moment, so that log and resources are told around it."""
    slow = {one.subscriber for one in summary.around.slow_readers}
    holes = [one for one in summary.run.holes if one.subscriber not in slow]
    ordered = sorted(holes, key=lambda hole: (-hole.count, hole.at_s))
    told: list[Hole] = ordered[:1]
    for hole in ordered[1:]:
        if hole.count < BURST or len(told) > BURSTS_TOLD:
            break
        if all(abs(hole.at_s - one.at_s) > 1.0 for one in told):
            told.append(hole)
    return [Finding(Severity.NOTICE, hole.at_s, _hole(hole)) for hole in told[1:]]


def _hole(hole: Hole) -> str:
    together = " in one go" if hole.count > 1 else ""
    numbers = f"between frame_number {hole.number_before} and {hole.number_after}"
    frames = f"{hole.count:,} frame{'s' * (hole.count > 1)} missing{together} on {hole.subscriber}"
    return f"{frames}, {_LOST[hole.loss_class]} ({numbers})"


def _calls(summary: Summary) -> list[Finding]:
    """Unary calls that failed; changes that were refused with a reason did not."""
    failed = [one for one in summary.unary if sum(one.errors.values()) > sum(one.refused.values())]
    if not failed:
        return []
    number = sum(sum(one.errors.values()) - sum(one.refused.values()) for one in failed)
    first = failed[0]
    example = first.examples[0] if first.examples else ", ".join(first.errors)
    when = _WHEN.match(example)
    more = f"; {number} failed calls in all" if number > 1 else ""
    text = f"a call failed: {first.method} {example[when.end() :] if when else example}{more}"
    return [Finding(Severity.FAULT, float(when[1].replace(",", "")) if when else None, text)]


def _driver(summary: Summary) -> list[Finding]:
    """Errors of the driver by the daemon's log."""
    log = summary.log
    if not log.driver_errors:
        return []
    line = next((line for line in log.timeline if line.log_class in _DRIVER_CLASSES), None)
    said = f", the first: {line.text}" if line is not None else ""
    text = f"{log.driver_errors} driver error{'s' * (log.driver_errors > 1)} in the daemon's log{said}"
    return [Finding(Severity.FAULT, None if line is None else line.at_s, text)]


def _blind(summary: Summary, told: list[Finding]) -> list[Finding]:
    """Stretches in which the generator saw nothing, but for those that lie in a silence `told` as its own."""
    ours = [(one.at_s - _EDGE_S, one.at_s + one.length_s + _EDGE_S) for one in told if one.at_s is not None]
    rest = [
        blind
        for blind in summary.generator.blind
        if not any(begin <= blind.at_s and blind.at_s + blind.length_s <= end for begin, end in ours)
    ]
    longest = sorted(rest, key=lambda blind: (-blind.length_s, blind.at_s))[:BLIND_TOLD]
    more = rest if len(rest) > BLIND_TOLD else []
    found = [_blinded(blind) for blind in longest]
    if more:
        total_s = sum(blind.length_s for blind in more)
        text = f"{found[0].text}; the longest of {len(more):,} such stretches, {total_s:.2f} s in all"
        found = [Finding(Severity.DOUBT, found[0].at_s, text, found[0].length_s)]
    return found


def _blinded(blind: Interval) -> Finding:
    return Finding(Severity.DOUBT, blind.at_s, f"blind for {blind.length_s:.2f} s: {blind.reason}", blind.length_s)


def _doubts(summary: Summary) -> list[Finding]:
    """What was wrong with the measurement."""
    found = []
    accounting = summary.accounting
    if accounting.missing or accounting.undelivered:
        recorded = "an unknown number" if accounting.recorded is None else f"{accounting.recorded}"
        text = f"{accounting.missing + accounting.undelivered} records of {recorded} are missing"
        found.append(Finding(Severity.DOUBT, None, text))
    found += [Finding(Severity.NOTICE, step.at_s, step.reason) for step in summary.target_clock.steps[:10]]
    restarts = summary.run.restarts
    if restarts:
        ours = len(summary.around.cycles) > 1
        text = f"{restarts} restart{'s' * (restarts > 1)} of the acquisition seen on open streams"
        found.append(Finding(Severity.FACT if ours else Severity.NOTICE, None, text))
    return found
