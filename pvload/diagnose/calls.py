"""Calls beside the streams: storms and their limit, lost change events, starvation, and how long a stop takes."""

from __future__ import annotations

from typing import Final

from pvload.diagnose.finding import Finding, Severity
from pvload.stats.around import Storm, StormStep
from pvload.stats.summary import Summary

STARVED_S: Final = 15.0
"""The daemon's modules beat every 5 and every 10 s: one whose heartbeat is so old has missed one."""
LIMITS: Final[dict[str, str]] = {
    "nothing": "nothing limited it",
    "server": "the server's limit",
    "generator": "pvload's own limit, not the server's",
    "undecided": "whose limit that was is not decidable",
}
WHOSE: Final[dict[str, str]] = {
    "nothing": "none reached",
    "server": "the server's",
    "generator": "pvload's own",
    "undecided": "not decidable whose",
}
"""The same beside a label."""
_SLOW_STOP_MS: Final = 1000.0


def calls(summary: Summary) -> list[Finding]:
    """Findings about unary calls, watchers and probes."""
    return [
        *(_storm(one) for one in summary.around.storms if one.limited_by != "nothing"),
        *_lost(summary),
        *_starved(summary),
        *_stops(summary),
    ]


def highest(storm: Storm) -> StormStep | None:
    """The step with the highest offered rate, the last one of equals."""
    return max(storm.steps, key=lambda one: (one.offered_hz, one.at_s), default=None)


def answered_share(step: StormStep) -> float | None:
    """Answered calls over due ones; None where none was due."""
    return None if not step.due else min(1.0, step.answered / step.due)


def _storm(storm: Storm) -> Finding:
    top = highest(storm)
    knee = "not even the first rate was kept" if storm.knee_hz is None else f"{storm.knee_hz:,.0f} a second were kept"
    offered = "" if top is None else f" of {top.offered_hz:,.0f} offered"
    text = (
        f"{storm.population} achieved {storm.achieved_hz:,.0f}{offered} {storm.method} calls a second; {knee}: "
        f"{LIMITS[storm.limited_by]}"
    )
    severity = Severity.DOUBT if storm.limited_by == "generator" else Severity.NOTICE
    return Finding(severity, None if top is None else top.at_s, text, 0.0 if top is None else top.length_s)


def _lost(summary: Summary) -> list[Finding]:
    """Watchers that were not told of every change."""
    found = []
    for one in summary.around.watchers:
        if one.lost:
            of = one.counted + one.lost
            text = (
                f"{one.name} was not told of {one.lost:,} of {of:,} parameter changes ({one.lost / of * 100:.2g} %), "
                f"{one.longest_loss:,} in a row at most, and nothing on its stream said so"
            )
            found.append(Finding(Severity.FAULT, None, text))
        if one.ended:
            found.append(Finding(Severity.FAULT, None, f"the change stream of {one.name} ended: {one.ended}"))
    return found


def _starved(summary: Summary) -> list[Finding]:
    """The oldest heartbeat of a module, where it is old."""
    old = [one for one in summary.around.health if (one.oldest_heartbeat_s or 0.0) >= STARVED_S]
    if not old:
        return []
    worst = max(old, key=lambda one: one.oldest_heartbeat_s or 0.0)
    text = (
        f"the daemon starved: the last heartbeat of its module {worst.name} was {worst.oldest_heartbeat_s:.1f} s old "
        "when it was asked"
    )
    return [Finding(Severity.FAULT, worst.oldest_heartbeat_at_s, text)]


def _stops(summary: Summary) -> list[Finding]:
    """An emergency stop that was slow, or never answered."""
    probes = summary.around.stop_probes
    failed = [one for one in probes if one.took_ms is None]
    if failed:
        text = f"{failed[0].call} was not done: {failed[0].status or 'no answer'}"
        text += f"; {len(failed) - 1} more like it" if len(failed) > 1 else ""
        return [Finding(Severity.FAULT, failed[0].at_s, text)]
    slowest = max(probes, key=lambda one: one.took_ms or 0.0, default=None)
    if slowest is None or (slowest.took_ms or 0.0) < _SLOW_STOP_MS:
        return []
    text = f"{slowest.call} took {slowest.took_ms:,.0f} ms" + (" during a storm" if slowest.during_storm else "")
    return [Finding(Severity.NOTICE, slowest.at_s, text, (slowest.took_ms or 0.0) / 1000)]
