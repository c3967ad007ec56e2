"""Which questions a run was too short for: what its plan would have done for them lay beyond its end.

A run that asks what a leaving does, and in which nobody was to leave yet, has no answer: INCONCLUSIVE. One in which
somebody should have left and did not has gone wrong: INVALID. The plan alone tells which of the two it was.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from pvload.profiles.schema import Profile
from pvload.profiles.users import Users
from pvload.profiles.values import moment_s, times
from pvload.stats.summary import Summary
from pvload.verdict.judgement import Judged, Result

_LEAVING: Final = frozenset({"disconnect_policy", "isolation_periods", "isolation_missing", "streams_return"})
_BY_ACTION: Final[dict[str, frozenset[str]]] = {
    "open": _LEAVING,
    "close": _LEAVING,
    "abort": _LEAVING,
    "cycle": frozenset({"failed_cycles"}),
    "set": frozenset({"changes"}),
}
"""What an action of the timeline is for."""
_EXPONENTIAL: Final = 7.0
"""Means of an exponential distribution beyond which one of a thousand lies."""
_SLACK_S: Final = 2.0
"""To connect, and to carry out what is due."""


def too_short_for(summary: Summary, profile: Profile) -> frozenset[str]:
    """Criteria of whose cause nothing was due before the run's end, though the plan has some of it."""
    length_s = summary.facts.length_s
    waiting: set[str] = set()
    due: set[str] = set()
    for planned, was_due in (*_actions(summary, profile), *_users(summary, profile, length_s)):
        (due if was_due else waiting).update(planned)
    return frozenset(waiting - due)


def unanswered(one: Judged, short: frozenset[str]) -> Judged:
    """A criterion without anything to judge by, where the run was too short to have it."""
    if one.result is not Result.INVALID or one.name not in short or one.n or one.value is not None:
        return one
    return replace(one, result=Result.INCONCLUSIVE, reason=f"run too short: {one.reason}")


def _actions(summary: Summary, profile: Profile) -> Iterable[tuple[frozenset[str], bool]]:
    """(criteria, was it due?) of each action of the plan."""
    begun = {one.number for one in summary.around.actions if one.outcome != "not_reached"}
    for number, one in enumerate(profile.timeline):
        yield _BY_ACTION.get(one.action, frozenset()), number in begun


def _users(summary: Summary, profile: Profile, length_s: float) -> Iterable[tuple[frozenset[str], bool]]:
    """(criteria, was it due?) of each population that comes and goes, changes or probes."""
    for one in profile.users:
        if not one.count:
            continue
        began_s = moment_s(one.start_after, duration_s=profile.run.duration) + one.start_spread + _SLACK_S
        if one.churn is not None:
            yield _LEAVING, _should_have_left(summary, one, began_s < length_s)
        if one.changes is not None and one.changes.mode == "storm":
            yield frozenset({"rate_achieved_at_least"}), began_s < length_s
        elif one.changes is not None:
            yield frozenset({"changes"}), began_s + _longest_s(one.changes.every) < length_s
        if one.kind == "stop-probe":
            yield frozenset({"stop_ms"}), began_s + 1 / one.watch.rate_hz < length_s


def _should_have_left(summary: Summary, users: Users, begun: bool) -> bool:
    """Was a stream of this population open for longer than any lifetime, or did none come although it was time?"""
    calls = [one for one in summary.calls if one.subscriber.partition("/")[0] == users.name]
    if not calls or users.churn is None:
        return begun
    longest_s = _longest_s(users.churn.lifetime) + _SLACK_S
    end_s = summary.facts.length_s
    return any((end_s if one.ended_at_s is None else one.ended_at_s) - one.opened_at_s > longest_s for one in calls)


def _longest_s(text: str) -> float:
    """Of a distribution; of an exponential one what one of a thousand exceeds."""
    name, lengths = times(text)
    return _EXPONENTIAL * lengths[0] if name == "exponential" else max(lengths)
