"""Changes of the camera that did not do what their answer said."""

from __future__ import annotations

from typing import Final

from pvload.diagnose.finding import Finding, Severity
from pvload.stats.around import Change
from pvload.stats.summary import Summary

OUTCOMES: Final[dict[str, str]] = {
    "effective": "effective while streaming",
    "refused_then_effective": "refused clearly, effective after a stop and a start",
    "refused": "refused clearly",
    "refused_unclear": "refused without a reason",
    "ignored_until_restart": "answered OK and silently ignored until a stop and a start",
    "ignored": "answered OK and silently ignored",
    "killed": "killed the stream",
    "hung": "never answered",
    "failed": "failed, the daemon was not there",
    "answered": "answered OK, frames cannot show it",
    "not_judged": "not judged",
}
"""ChangeOutcome in words."""
SHORT: Final[dict[str, str]] = {
    "effective": "effective",
    "refused_then_effective": "refused clearly, effective after a restart",
    "refused": "refused clearly",
    "refused_unclear": "REFUSED without a reason",
    "ignored_until_restart": "IGNORED until a restart",
    "ignored": "IGNORED",
    "killed": "KILLED the stream",
    "hung": "HUNG",
    "failed": "FAILED",
    "answered": "answered OK",
    "not_judged": "not judged",
}
"""The same for a table."""
BROKEN: Final = ("killed", "hung", "failed", "ignored", "ignored_until_restart", "refused_unclear")
"""Outcomes that are the service's fault, the worst first."""


_DID: Final[dict[str, str]] = {
    "killed": "killed the stream",
    "hung": "never came back",
    "failed": "failed, for the daemon was not there",
    "ignored": "{was} answered OK and changed nothing on the frames",
    "ignored_until_restart": "{was} answered OK and changed nothing until the camera was stopped and started",
    "refused_unclear": "{was} refused without a reason",
}


def changes(summary: Summary) -> list[Finding]:
    """A finding for each way in which changes went wrong, with the first of its kind; and for frames lost across."""
    all_of = summary.around.changes
    found = []
    for outcome in BROKEN:
        number = all_of.outcomes.get(outcome, 0)
        if not number:
            continue
        first = next((one for one in all_of.listed if one.outcome == outcome), None)
        example = "" if first is None else f": {told(first)}"
        if number == 1:
            text = f"a change {_DID[outcome].format(was='was')}{example}"
        else:
            text = f"{number:,} of {all_of.count:,} changes {_DID[outcome].format(was='were')}, the first{example}"
        found.append(Finding(Severity.FAULT, None if first is None else first.at_s, text, _silent_s(first)))
    return found + _neither(summary)


def told(change: Change) -> str:
    """`exposure 50 ms at 12.0 s (OK after 3 ms)`, with the refusal's text where there is one."""
    if change.answered_after_ms is None:
        answer = "no answer"
    else:
        answer = f"{change.status or 'answered'} after {change.answered_after_ms:,.0f} ms"
    details = f", {change.details}" if change.details else ""
    return f"{change.text} at {change.at_s:.2f} s ({answer}{details})"


def _silent_s(change: Change | None) -> float:
    """The longest gap around it."""
    return 0.0 if change is None else max((one.longest_gap_s for one in change.effects), default=0.0)


def _neither(summary: Summary) -> list[Finding]:
    """Frames around changes that showed neither the old plan nor the new one."""
    odd = [(one, effect) for one in summary.around.changes.listed for effect in one.effects if effect.not_as_either]
    if not odd:
        return []
    total = sum(effect.not_as_either for _, effect in odd)
    first, effect = odd[0]
    text = (
        f"{total:,} frame{'s' * (total > 1)} around changes showed neither the old setting nor the new one, first "
        f"around {first.text} on {effect.subscriber}"
    )
    return [Finding(Severity.NOTICE, first.at_s, text)]
