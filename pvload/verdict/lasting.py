"""Criteria about what lasts: growth, cycles, frames in a row, and whether the daemon's log agrees."""

from __future__ import annotations

import math

from pvload.diagnose.cycles import attempts
from pvload.diagnose.daemon import grown, is_target
from pvload.stats.around import Growth
from pvload.stats.summary import Subscriber, Summary
from pvload.verdict.criterion import Case, at_least, held, nothing, stated, unwitnessed
from pvload.verdict.doubt import Doubt
from pvload.verdict.judgement import Judged, Result, measured
from pvload.verdict.words import count

_SHOWS_CAMERA = ("ready", "registration", "acquisition_started")
"""Log lines beside which a synthetic camera would have been told."""


def flat(summary: Summary, limit: bool | None) -> Judged | None:
    """No process grows: the target's growth fails, our own makes the run INVALID, a short run is INCONCLUSIVE."""
    growth = summary.around.growth
    if not growth:
        return unwitnessed("flat", "no process was watched") if limit else None
    judged = bool(limit)
    grows = [one for one in growth if one.result == "grows"]
    theirs = next((one for one in grows if is_target(one.process)), None)
    if theirs is not None or grows:
        worst = theirs or grows[0]
        more = f"; {len(grows) - 1} more grow" if len(grows) > 1 else ""
        whose = "" if theirs is not None else ", which is pvload's own"
        result = Result.INVALID if theirs is None else Result.FAIL
        reason = f"{grown(worst)}{whose}{more}"
        return stated("flat", result, reason, judged=judged, n=len(growth), subject=worst.process)
    short = [one for one in growth if one.result == "too_short"]
    if short:
        return stated("flat", Result.INCONCLUSIVE, _short(short, growth), judged=judged, n=len(growth))
    if limit and not any(is_target(one.process) for one in growth):
        return unwitnessed("flat", f"{_series(growth)} of pvload's own are flat; the target's process was not watched")
    return stated("flat", Result.PASS, f"{_series(growth)} are flat", judged=judged, n=len(growth))


def _short(short: list[Growth], growth: tuple[Growth, ...]) -> str:
    why = f" ({short[0].reason})" if short[0].reason else ""
    return f"run too short to judge growth: {len(short)} of {len(growth)} figures undecided{why}"


def _series(growth: tuple[Growth, ...]) -> str:
    processes = len({one.pid for one in growth})
    return f"{count(len(growth), 'figure')} of {processes} process{'es' * (processes != 1)}"


def failed_cycles(summary: Summary, doubt: Doubt, limit: int | None) -> Judged | None:
    """Start-stop cycles that did not give their frames."""
    cycles, told = summary.around.cycles, attempts(summary.around.cycles)
    if not told.count:
        made = "in no start-stop cycle a stream was open" if cycles else "no start-stop cycle was made"
        return None if limit is None else nothing("failed_cycles", made)
    if limit is None and len(cycles) == 1:
        return None  # the run's own start and stop
    bad = next((one for one in cycles if one.failed), None)
    first = f", first attempt {bad.attempt}: {bad.outcome}" if bad is not None else ""
    reason = f"{told.failed} of {count(told.count, 'start-stop cycle')} failed{first}; {told.sentence}"
    figure = measured(told.failed, own_down=min(told.failed, doubt.stream_records), own_up=doubt.stream_records)
    case = Case("failed_cycles", figure, reason, n=told.count, at_s=None if bad is None else bad.started_at_s)
    return held(case, judged=limit is not None, upper=limit)


def consecutive(summary: Summary, doubt: Doubt, limit: int | None) -> Judged | None:
    """Frames in a row without a stall and without one missing: the stream with the fewest speaks."""
    name = "consecutive_frames"
    slow = {one.subscriber for one in summary.around.slow_readers}
    runs = {one: number for one, number in (summary.around.longest_runs or {}).items() if one not in slow}
    if not runs:
        return None if limit is None else nothing(name, "no frame came, so none followed another")
    if limit is None:
        return None
    who, number = min(runs.items(), key=lambda row: (row[1], row[0]))
    reason = f"{who}: {min(number, limit):,} of {limit:,} consecutive frames without a stall and without one missing"
    reason += f" ({number:,} in a row)" if number > limit else ""
    subscriber = next((one for one in summary.subscribers if one.name == who), None)
    if number < limit and subscriber is not None and _only_short(subscriber, number):
        reason += "; nothing broke the row, the run ended before it was long enough"
        return stated(name, Result.INCONCLUSIVE, reason, n=number, subject=who, value=float(number))
    longer = math.inf if doubt.stream_records or doubt.longest_blind_s > 0 else 0.0
    figure = measured(number, own_up=longer, least=0.0)
    return held(Case(name, figure, reason, n=number, subject=who), judged=True, lower=limit)


def _only_short(subscriber: Subscriber, number: int) -> bool:
    """All its frames are in one row: no stall, nothing missing, no second call."""
    figures = subscriber.figures
    return figures.frames == number and not figures.stalls.count and not figures.missing.total


def log_agrees(summary: Summary, doubt: Doubt, limit: bool | None) -> Judged | None:
    """frames_sent and frames_dropped of the log's end-of-stream lines against ours."""
    name = "log_agrees"
    ours = [one for one in summary.around.log_accounts if one.subscriber]
    if not ours:
        if not limit:
            return None
        if not summary.log.present:
            return unwitnessed(name, "the daemon's log was not there to compare with")
        return unwitnessed(name, "the daemon's log has no end-of-stream line of our streams")
    wrong = [one for one in ours if not one.agrees]
    reason = f"{len(ours) - len(wrong)} of {count(len(ours), 'end-of-stream line')} agree with the frames"
    at_s = None
    if wrong:
        one = wrong[0]
        at_s = one.at_s
        reason += (
            f"; {one.subscriber} call {one.call}: {one.sent_by_log:,} sent and {one.dropped_by_log:,} dropped by the "
            f"log, {one.sent_by_frames:,} and {one.dropped_by_frames:,} by the frames"
        )
    figure = at_least(len(wrong), doubt.witness_records)
    if doubt.stream_records:
        figure = measured(len(wrong), own_down=len(wrong), own_up=doubt.witness_records)
    case = Case(name, figure, reason, n=len(ours), at_s=at_s)
    return held(case, judged=bool(limit), upper=0 if limit else None)


def hardware(summary: Summary, *, required: bool) -> Judged | None:
    """A synthetic camera where hardware is required makes the run INVALID; only the daemon's log tells of one."""
    line = summary.around.synthetic_camera
    if line:
        reason = f"the camera is synthetic, by the daemon's log: {line}"
        return stated("hardware", Result.INVALID, reason, judged=required)
    if not required:
        return None
    log = summary.log
    if not log.present:
        return unwitnessed("hardware", "the daemon's log was not there to tell a synthetic camera")
    if "synthetic" in summary.around.hidden_log_classes:
        return unwitnessed("hardware", "the daemon's log is at a level that hides a synthetic camera")
    if not any(log.lines.get(kind) for kind in _SHOWS_CAMERA):
        return unwitnessed("hardware", "the daemon's log holds neither its start nor a start of the camera")
    return stated("hardware", Result.PASS, "the daemon's log does not tell of a synthetic camera")
