"""Judges a run: every criterion by itself, then the worst of those that count."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from pvload.profiles.criteria import Criteria
from pvload.profiles.schema import Profile
from pvload.stats.summary import Summary
from pvload.verdict import always, calling, changing, company, counts, lasting, streams
from pvload.verdict.always import MONITOR
from pvload.verdict.cause import why
from pvload.verdict.doubt import Doubt, doubt_of
from pvload.verdict.judgement import Judged, Result, Verdict, worst
from pvload.verdict.reached import too_short_for, unanswered
from pvload.verdict.streams import accepted
from pvload.verdict.words import seconds

_STREAM_CRITERIA: Final[tuple[tuple[str, streams.Measure], ...]] = (
    ("fps_within", streams.fps),
    ("drop_rate_below", streams.drop_rate),
    ("longest_stall_s", streams.longest_stall),
    ("longest_silence_s", streams.longest_silence),
    ("coverage_at_least", streams.coverage),
    ("age_p99_ms", streams.age),
    ("jitter_ms", streams.jitter),
    ("connect_ms", streams.connect),
    ("first_frame_ms", streams.first_frame),
)
_BY_MONITORS: Final = frozenset({"driver_errors", "flat", "hardware", "log_agrees"})
_FAULT_NOTES: Final = (
    "not_connected",
    "operator_failed",
    "unknown_device",
    "camera_was_running",
    "camera_not_as_planned",
)


def judge(
    summary: Summary,
    criteria: Criteria,
    *,
    camera_may_be_running: bool = False,
    hardware_required: bool = False,
    too_short: frozenset[str] = frozenset(),
) -> Verdict:
    """The verdict of a run, criteria that the profile does not name shown and not judged.

    camera_may_be_running: the profile joins or restarts a camera that it finds running.
    hardware_required: a synthetic camera makes the run INVALID.
    too_short: criteria for which the plan would have done something after the run's end only.
    """
    doubt = doubt_of(summary)
    found = (
        always.duration(summary),
        always.frames(summary, doubt),
        always.admission(summary),
        always.camera_as_planned(summary, may_be_running=camera_may_be_running),
        always.accounting(summary),
        *_by_stream(summary, doubt, criteria),
        *_counted(summary, doubt, criteria),
        *_around(summary, doubt, criteria),
        *(one for one in (lasting.hardware(summary, required=hardware_required),) if one is not None),
    )
    if _interrupted_at_the_start(summary):
        found = tuple(_not_begun(one, summary) for one in found)
    found = tuple(_witnessed(unanswered(one, too_short), summary) for one in found)
    waived = (_waived(one) if one.name in criteria.waive else one for one in found)
    ordered = tuple(sorted(waived, key=lambda one: not one.judged))
    result = worst(one.counts_as for one in ordered if one.judged)
    return Verdict(result=result, criteria=ordered, why=why(summary, ordered, result))


def _interrupted_at_the_start(summary: Summary) -> bool:
    """The run was ended before any stream was accepted, and nothing had gone wrong by then."""
    return (
        summary.facts.ended == "interrupted"
        and not any(accepted(one) for one in summary.subscribers)
        and not any(summary.note_counts.get(kind) for kind in _FAULT_NOTES)
        and not (summary.run.refused or summary.run.errors or summary.run.admission_refused or summary.users_failed)
    )


def _not_begun(one: Judged, summary: Summary) -> Judged:
    """What could not be measured because somebody stopped the run says nothing about target or tool."""
    if one.result is not Result.INVALID or (one.name == "accounting" and summary.accounting.senders):
        return one
    return replace(one, result=Result.INCONCLUSIVE, reason=f"{one.reason}: the run was interrupted first")


def _witnessed(one: Judged, summary: Summary) -> Judged:
    """What only a monitor can show is not kept by one whose last records nobody has."""
    if one.name not in _BY_MONITORS or one.result is not Result.PASS:
        return one
    gone = next((each for each in summary.accounting.senders if each.recorded is None and each.role == MONITOR), None)
    if gone is None:
        return one
    last = "" if gone.last_seen_s is None else f" after {seconds(gone.last_seen_s)}"
    reason = f"{one.reason}; but what the monitor on {gone.host} saw{last} is not known: it never closed its account"
    return replace(one, result=Result.NOT_CHECKED, reason=reason)


def _waived(one: Judged) -> Judged:
    """A missing witness is accepted; what a witness saw is not."""
    if not one.judged or one.result is not Result.NOT_CHECKED:
        return one
    return replace(one, judged=False, reason=f"{one.reason}; the profile accepts that")


def judge_run(summary: Summary, profile: Profile) -> Verdict:
    """`judge` with what the profile says."""
    return judge(
        summary,
        profile.criteria,
        camera_may_be_running=profile.camera.if_running != "refuse",
        hardware_required=profile.target.require == "hardware",
        too_short=too_short_for(summary, profile),
    )


def _by_stream(summary: Summary, doubt: Doubt, criteria: Criteria) -> list[Judged]:
    return [
        streams.judge_streams(name, summary, doubt, limit=getattr(criteria, name), measure=measure)
        for name, measure in _STREAM_CRITERIA
    ]


def _counted(summary: Summary, doubt: Doubt, criteria: Criteria) -> list[Judged]:
    return [
        counts.grpc_errors(summary, doubt, criteria.grpc_errors),
        counts.unexpected_ends(summary, doubt, criteria.unexpected_ends),
        counts.driver_errors(summary, doubt, criteria.driver_errors),
        counts.unexplained_missing(summary, doubt, criteria.unexplained_missing),
        counts.payload_errors(summary, doubt, criteria.payload_errors),
        counts.generator_lag(summary, criteria.generator_lag_ms),
    ]


def _isolation(criteria: Criteria) -> bool:
    return criteria.isolation_periods is not None or criteria.isolation_missing is not None


def _around(summary: Summary, doubt: Doubt, criteria: Criteria) -> list[Judged]:
    """Criteria about what happened around the streams; one that is not named is shown if there is something to show."""
    found = (
        changing.changes(summary, doubt, criteria.changes),
        changing.restored(summary, criteria.restored),
        changing.expectations(summary, criteria.expectations),
        company.policy(summary, doubt, criteria.disconnect_policy),
        company.slow_reader(summary, criteria.slow_reader_policy, isolation=_isolation(criteria)),
        company.isolation_periods(summary, doubt, criteria.isolation_periods),
        company.isolation_missing(summary, doubt, criteria.isolation_missing),
        company.streams_return(summary, doubt, criteria.streams_return),
        calling.call_errors(summary, doubt, criteria.call_errors),
        calling.call_p99(summary, doubt, criteria.call_p99_ms),
        calling.stop(summary, doubt, criteria.stop_ms),
        calling.events_lost(summary, doubt, criteria.change_events_lost),
        calling.rate_achieved(summary, doubt, criteria.rate_achieved_at_least),
        calling.heartbeat(summary, doubt, criteria.heartbeat_age_s),
        lasting.flat(summary, criteria.flat),
        lasting.failed_cycles(summary, doubt, criteria.failed_cycles),
        lasting.consecutive(summary, doubt, criteria.consecutive_frames),
        lasting.log_agrees(summary, doubt, criteria.log_agrees),
    )
    return [one for one in found if one is not None]
