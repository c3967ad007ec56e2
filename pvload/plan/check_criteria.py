"""The rules of `check` for criteria: one that nothing in the profile can meet or miss is refused. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from pvload.plan.admission import STREAMING
from pvload.profiles.schema import Profile
from pvload.profiles.users import Users


@dataclass(frozen=True, slots=True)
class Need:
    """What a criterion cannot be judged without."""

    there: Callable[[Profile], bool]
    words: str


def criteria_faults(profile: Profile) -> Iterator[str]:
    """One line for each criterion whose subject the profile lacks."""
    for name, need in NEEDS.items():
        value = getattr(profile.criteria, name)
        if value is not None and value is not False and not need.there(profile):
            yield f"criteria.{name}: nothing in the profile can show it, expected {need.words}"


def log_is_known(profile: Profile) -> bool:
    """Will the daemon's log be read?"""
    target = profile.target
    somewhere = target.address == "sim" or target.log or target.log_command or target.start
    return (profile.monitor.log and bool(somewhere)) or profile.monitor.remote


def _any(*kinds: str) -> Callable[[Profile], bool]:
    return lambda profile: any(one.kind in kinds and one.count for one in profile.users)


def _streaming(profile: Profile) -> list[Users]:
    return [one for one in profile.users if one.kind in STREAMING and one.count]


def _two_streams(profile: Profile) -> bool:
    return sum(one.count for one in _streaming(profile)) >= 2


def _somebody_leaves(profile: Profile) -> bool:
    by_plan = any(one.action in ("close", "abort") for one in profile.timeline)
    return by_plan or any(one.churn is not None for one in _streaming(profile))


def _somebody_is_slow(profile: Profile) -> bool:
    return any(one.read_fps or one.pause_after_frame for one in _streaming(profile))


def _somebody_comes(profile: Profile) -> bool:
    late = any(one.start_after not in ("0s", "0%") or one.start_spread for one in _streaming(profile))
    return late or any(one.action == "open" for one in profile.timeline)


def _changes(profile: Profile) -> bool:
    by_users = any(one.changes is not None and one.changes.mode != "storm" for one in profile.users if one.count)
    return by_users or any(one.action == "set" for one in profile.timeline)


def _storm(profile: Profile) -> bool:
    return any(one.changes is not None and one.changes.mode == "storm" for one in profile.users if one.count)


def _acts(name: str) -> Callable[[Profile], bool]:
    return lambda profile: any(one.action == name for one in profile.timeline)


_CALLING = ("changer", "state-watcher", "health-probe", "stop-probe", "gui-viewer")
_DISTURBED = "somebody else who comes, leaves or reads slowly, beside a subscriber"
NEEDS: dict[str, Need] = {
    "disconnect_policy": Need(
        lambda profile: _two_streams(profile) and _somebody_leaves(profile),
        "two subscribers at least, one of whom leaves (churn, or close and abort in the timeline)",
    ),
    "slow_reader_policy": Need(_somebody_is_slow, "a subscriber with read_fps or pause_after_frame"),
    "changes": Need(_changes, "a changer, or `set` in the timeline"),
    "restored": Need(lambda profile: _changes(profile) or _storm(profile), "a changer, or `set` in the timeline"),
    "expectations": Need(lambda profile: bool(profile.timeline), "a [[timeline]]"),
    "call_errors": Need(_any(*_CALLING, "parameter-watcher", "observable-watcher"), "a changer, watcher or probe"),
    "call_p99_ms": Need(_any(*_CALLING), "a changer, state-watcher, probe or gui-viewer"),
    "stop_ms": Need(_any("stop-probe"), "a population of kind stop-probe"),
    "change_events_lost": Need(_any("parameter-watcher"), "a population of kind parameter-watcher"),
    "rate_achieved_at_least": Need(_storm, 'a changer with mode = "storm"'),
    "isolation_periods": Need(
        lambda profile: (
            _two_streams(profile)
            and (_somebody_leaves(profile) or _somebody_is_slow(profile) or _somebody_comes(profile))
        ),
        _DISTURBED,
    ),
    "isolation_missing": Need(
        lambda profile: (
            _two_streams(profile)
            and (_somebody_leaves(profile) or _somebody_is_slow(profile) or _somebody_comes(profile))
        ),
        _DISTURBED,
    ),
    "streams_return": Need(_somebody_leaves, "somebody who leaves (churn, or close and abort in the timeline)"),
    "failed_cycles": Need(_acts("cycle"), "`cycle` in the timeline"),
    "heartbeat_age_s": Need(_any("health-probe"), "a population of kind health-probe"),
    "log_agrees": Need(log_is_known, "the daemon's log: target.log, target.log_command or target.start"),
}
"""Criterion -> what it needs; one that is not here needs only streams."""
