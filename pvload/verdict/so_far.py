"""How a run stands while it goes on: what its streams have shown is told, what only the end decides is left open."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from pvload.profiles.schema import Profile
from pvload.stats.summary import Summary
from pvload.verdict.judge import judge_run
from pvload.verdict.judgement import Result, Verdict

OPEN: Final = "open"
"""Nothing is broken, and something is not known before the end."""
_BY_THE_END: Final = frozenset(
    {
        "change_events_lost",
        "changes",
        "consecutive_frames",
        "disconnect_policy",
        "duration",
        "expectations",
        "failed_cycles",
        "flat",
        "frames",
        "log_agrees",
        "rate_achieved_at_least",
        "restored",
        "slow_reader_policy",
        "streams_return",
    }
)
"""Criteria about something that is under way for as long as the run is."""
_UNTIL_SEEN: Final = frozenset({"isolation_periods", "isolation_missing", "stop_ms", "call_p99_ms", "call_errors"})
"""Criteria that are without a measurement until somebody comes, leaves or calls."""


def judge_so_far(summary: Summary, profile: Profile) -> Verdict:
    """The verdict of a run that goes on, as if it ended in order now: open accounts are no fault yet."""
    senders = tuple(
        replace(one, recorded=one.delivered + one.missing) if one.recorded is None else one
        for one in summary.accounting.senders
    )
    ended = replace(
        summary,
        facts=replace(summary.facts, ended="duration"),
        accounting=replace(summary.accounting, senders=senders),
    )
    return judge_run(ended, profile)


def said_so_far(verdict: Verdict) -> str:
    """A word or two for whoever watches: "PASS", "FAIL longest_stall_s", "INVALID accounting", or "open"."""
    judged = [one for one in verdict.criteria if one.judged and one.name not in _BY_THE_END]
    some_frames = any(one.name == "frames" and one.result is Result.PASS for one in verdict.criteria)
    broken = [one for one in judged if one.counts_as is Result.FAIL]
    if some_frames:
        broken += [one for one in judged if one.counts_as is Result.INVALID and one.name not in _UNTIL_SEEN]
    if broken:
        return f"{broken[0].counts_as} {broken[0].name}"
    return str(Result.PASS) if verdict.result is Result.PASS else OPEN
