"""Ends that nobody here ordered: a daemon that died, a connection that was lost, a stream that was never let in."""

from __future__ import annotations

from itertools import groupby
from typing import Final

from pvload.diagnose.daemon import deaths, died
from pvload.diagnose.finding import AROUND_S, Finding, Severity, first_line, names
from pvload.stats.around import ActionDone
from pvload.stats.summary import Call, Summary

DIED_WITHIN_S: Final = 2.0
DEATH_WITHIN_S: Final = 5.0
"""A process's end so near to that of all its streams is the same death."""
RESTARTED: Final = "restart the daemon"
"""The text of that action of the timeline."""


def ends(summary: Summary) -> list[Finding]:
    """Ends by the server of calls that had been let in; those of all streams at once are the daemon's death."""
    lost = sorted(
        (call for call in summary.calls if call.ended_by == "server" and call.ended_at_s is not None and _had(call)),
        key=lambda call: (call.status, call.ended_at_s or 0.0),
    )
    found: list[Finding] = []
    for status, same in groupby(lost, key=lambda call: call.status):
        rest = list(same)
        while rest:
            at_s = rest[0].ended_at_s or 0.0
            together = [call for call in rest if (call.ended_at_s or 0.0) <= at_s + DIED_WITHIN_S]
            rest = rest[len(together) :]
            found.append(
                _death(summary, together, at_s) if status == "UNAVAILABLE" else _ended(summary, together, at_s)
            )
    return found


def restarts(summary: Summary) -> list[Finding]:
    """What the timeline's restarts of the daemon ended, and when those subscribers had their streams again."""
    return [
        told for one in summary.around.actions if one.text == RESTARTED and (told := _restart(summary, one)) is not None
    ]


def _restart(summary: Summary, done: ActionDone) -> Finding | None:
    begun_s = done.at_s if done.due_s is None else done.due_s
    ended = [
        call.ended_at_s
        for call in summary.calls
        if call.ended_by == "restart" and call.ended_at_s is not None and _had(call) and call.ended_at_s <= done.at_s
    ]
    at_s = min((one for one in ended if one >= begun_s), default=None)
    if at_s is None:
        return None
    gone = {call.subscriber for call in summary.calls if call.ended_by == "restart" and call.ended_at_s in ended}
    later: dict[str, float] = {}
    for call in summary.calls:
        if call.subscriber in gone and call.opened_at_s > at_s and _had(call):
            later[call.subscriber] = min(call.opened_at_s, later.get(call.subscriber, call.opened_at_s))
    never = gone - later.keys()
    text = f"the timeline restarted the daemon, which was back after {done.at_s - at_s:.1f} s; "
    text += f"{len(gone)} stream{'s' * (len(gone) > 1)} ended with it, "
    if never:
        text += f"{names(never)} not open again before the run's end"
        return Finding(Severity.FAULT, at_s, text, max(0.0, summary.facts.length_s - at_s))
    until_s = max(later.values())
    text += f"open again {max(0.0, until_s - done.at_s):.1f} s after that"
    return Finding(Severity.NOTICE, at_s, text, until_s - at_s)


def was_open(call: Call, at_s: float) -> bool:
    """Whether frames could come on the call at that moment."""
    return _had(call) and call.opened_at_s < at_s and (call.ended_at_s is None or call.ended_at_s >= at_s)


def never_opened(summary: Summary) -> list[Finding]:
    """Subscribers that the server never accepted, and a run in which nobody came so far as to try."""
    if not summary.subscribers:
        kinds = ("operator_failed: ", "unknown_device: ", "not_connected: ")
        note = next((note.partition(": ")[2] for note in summary.notes if note.startswith(kinds)), "")
        return [Finding(Severity.DOUBT, None, "no stream was ever opened" + (f": {note}" if note else ""))]
    shut = {one.name for one in summary.subscribers if one.opened == 0}
    if not shut:
        return []
    calls = [call for call in summary.calls if call.subscriber in shut and call.status]
    why = f": {calls[0].status} {calls[0].details}".rstrip() if calls else ""
    text = f"{len(shut)} of {len(summary.subscribers)} subscribers were never admitted{why}"
    text += "" if summary.run.frames else "; no frame came"
    return [Finding(Severity.DOUBT, calls[0].ended_at_s if calls else None, text)]


def _had(call: Call) -> bool:
    return call.figures.frames > 0 or call.figures.due_s > 0


def _death(summary: Summary, together: list[Call], at_s: float) -> Finding:
    """UNAVAILABLE on all streams that were open: the daemon, not a stream."""
    gone = {call.subscriber for call in together}
    alive = {call.subscriber for call in summary.calls if was_open(call, at_s)}
    if not alive <= gone:
        lost = _ended(summary, together, at_s)
        text = f"the connection of {names(gone)} was lost while other streams went on: {lost.text}"
        return Finding(Severity.FAULT, at_s, text, lost.length_s)
    later = [call for call in summary.calls if call.opened_at_s > at_s and _had(call)]
    back_s = min((call.opened_at_s for call in later), default=None)
    streams = f"all {len(gone)} streams" if len(gone) > 1 else f"{names(gone)}, the only stream,"
    life = next((one for one in deaths(summary) if abs(one.at_s - at_s) <= DEATH_WITHIN_S), None)
    who = "the daemon died or was shut down" if life is None else died(life)
    text = f"{who}{':' if life is None else ';'} {streams} ended UNAVAILABLE at once, {_after(together)}"
    text += _log_of_death(summary, at_s) if life is None else ""
    text += "; it did not come back" if back_s is None else f"; a stream was open again at {back_s:.1f} s"
    length_s = (summary.facts.length_s if back_s is None else back_s) - at_s
    return Finding(Severity.DEATH, at_s, text, max(0.0, length_s))


def _log_of_death(summary: Summary, at_s: float) -> str:
    if not summary.log.present:
        return ""
    line = first_line(summary, ("panic", "shutdown"), at_s - AROUND_S, at_s + AROUND_S)
    if line is None:
        return "; its log does not say why, as of a killed process"
    return f"; its log at {line.at_s:.2f} s tells of a {line.log_class}"


def _ended(summary: Summary, together: list[Call], at_s: float) -> Finding:
    gone = {call.subscriber for call in together}
    first = together[0]
    stream = f"{first.subscriber}'s stream" if len(gone) == 1 else f"the streams of {names(gone)}"
    details = f" {first.details}" if first.details else ""
    back = [
        call.opened_at_s for call in summary.calls if call.subscriber in gone and call.opened_at_s > at_s and _had(call)
    ]
    until_s = min(back, default=summary.facts.length_s)
    again = f"open again at {until_s:.1f} s" if back else "never open again"
    text = f"{stream} ended, which nobody here ordered: {first.status}{details}, {_after(together)}; {again}"
    return Finding(Severity.FAULT, at_s, text, max(0.0, until_s - at_s))


def _after(together: list[Call]) -> str:
    frames = max(call.figures.frames for call in together)
    return f"after {frames:,} frame{'s' * (frames != 1)}"
