"""What clients did to each other: those that were silenced by another's leaving, slow readers, slots not given back."""

from __future__ import annotations

from typing import Final

from pvload.diagnose.finding import Finding, Severity
from pvload.diagnose.policy import LEAVINGS, MEANS, client, disconnect_policy, slow_reader_policy
from pvload.stats.around import Disturbance
from pvload.stats.summary import Summary

FELT_PERIODS: Final = 2.0
"""A gap of so many periods beside a disturbance is worth telling."""
_DID: Final = {
    "joined": "came",
    "server": "was ended by the server",
    "clean": "left in order",
    "dropped": "dropped its connection",
    "half_open": "hung with its connection half open",
    "killed": "was killed",
}


def company(summary: Summary) -> list[Finding]:
    """Findings about coming, leaving, dying and reading slowly."""
    return [*_silenced(summary), *_felt(summary), *_policy(summary), *_slow(summary), *_slots(summary)]


def did(summary: Summary, one: Disturbance) -> str:
    """`b was killed`."""
    return f"{client(summary, one.subscriber)} {_DID.get(one.kind, one.kind)}"


def _silenced(summary: Summary) -> list[Finding]:
    """Somebody else's deed ended a stream's frames."""
    moved = summary.around.disturbances
    if moved is None or not moved.silenced:
        return []
    first = next((one for one in moved.listed if any(other.silent for other in one.others)), None)
    if first is None:
        text = f"{moved.silenced:,} comings or leavings silenced other streams"
        return [Finding(Severity.FAULT, None, text)]
    quiet = [client(summary, other.subscriber) for other in first.others if other.silent]
    more = f"; {moved.silenced - 1:,} more did so" if moved.silenced > 1 else ""
    text = f"when {did(summary, first)}, {', '.join(quiet[:3])} got no frame any more{more}"
    return [Finding(Severity.FAULT, first.at_s, text, summary.facts.length_s - first.at_s)]


def _felt(summary: Summary) -> list[Finding]:
    """The worst gap that a disturbance gave to a stream that went on."""
    moved = summary.around.disturbances
    if moved is None:
        return []
    felt = [
        (other.periods, one, other)
        for one in moved.listed
        for other in one.others
        if not other.silent and other.periods is not None and other.periods >= FELT_PERIODS
    ]
    if not felt:
        return []
    periods, one, other = max(felt, key=lambda row: (row[0], -row[1].at_s))
    text = (
        f"when {did(summary, one)}, {client(summary, other.subscriber)} waited {other.longest_gap_s:.2f} s for a frame "
        f"({periods:.1f} periods)"
    )
    text += f"; {len(felt):,} such gaps in all" if len(felt) > 1 else ""
    return [Finding(Severity.NOTICE, one.at_s, text, other.longest_gap_s)]


def _policy(summary: Summary) -> list[Finding]:
    """A zombie, or a policy that is none."""
    policy = disconnect_policy(summary)
    if policy.word not in ("zombie", "inconsistent"):
        return []
    return [Finding(Severity.FAULT, policy.at_s, f"{MEANS[policy.word]}: {policy.decisive}")]


def _slow(summary: Summary) -> list[Finding]:
    """What slow readers did to themselves and to others."""
    readers = summary.around.slow_readers
    policy = slow_reader_policy(readers)
    if policy.word == "inconsistent":
        return [Finding(Severity.FAULT, None, f"slow readers were treated differently: {'; '.join(policy.evidence)}")]
    blocking = [one for one in readers if one.policy == "block"]
    if blocking:
        text = f"the slow reader {blocking[0].subscriber} slowed the other streams down"
        return [Finding(Severity.FAULT, None, text, summary.run.due_s)]
    old = [one for one in readers if one.policy == "buffer" and one.age_last_ms is not None]
    if not old:
        return []
    worst = max(old, key=lambda one: one.age_last_ms or 0.0)
    few = f"only {worst.skipped:,} {'was' if worst.skipped == 1 else 'were'}" if worst.skipped else "none was"
    text = (
        f"the slow reader {worst.subscriber} is fed from a growing queue: its frames were "
        f"{(worst.age_last_ms or 0.0) / 1000:.1f} s old at the end and {few} left out"
    )
    return [Finding(Severity.NOTICE, None, text)]


def _slots(summary: Summary) -> list[Finding]:
    """Refused though there was room: the slot of one that left was kept."""
    found = []
    for one in summary.around.churn:
        if not one.refused_after_leaving:
            continue
        left = ", ".join(f"{number:,} {way}" for way, number in sorted(one.left.items()) if way in LEAVINGS and number)
        text = (
            f"{one.refused_after_leaving:,} of {one.opened:,} calls of {one.population} were refused for the stream "
            f"limit although fewer were open: slots of those that left ({left or 'in no known way'}) were kept"
        )
        found.append(Finding(Severity.FAULT, None, text))
    return found
