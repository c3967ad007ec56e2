"""Criteria about calls beside the streams: failures, latency, storms, stops, lost events, heartbeats."""

from __future__ import annotations

import math
from typing import Final

from pvload.diagnose.calls import LIMITS, answered_share, highest
from pvload.stats.around import MethodCalls, Storm
from pvload.stats.summary import Summary
from pvload.verdict.criterion import Case, at_least, held, nothing, stated, unwitnessed
from pvload.verdict.doubt import Doubt
from pvload.verdict.judgement import Judged, Measurement, Result, decide, measured
from pvload.verdict.words import count, ms, percent, seconds

_LATE_MS: Final = 100.0
"""A generator that was later than this may have made a shortfall of its own."""
_NO_CALLS: Final = "no load user called anything"


def call_errors(summary: Summary, doubt: Doubt, limit: int | None) -> Judged | None:
    """Failed calls of changers, watchers and probes; clear refusals are none."""
    calls = summary.around.calls
    made = sum(one.count for one in calls)
    if not made:
        return None if limit is None else nothing("call_errors", _NO_CALLS)
    failed = [(one, code, number) for one in calls for code, number in sorted(one.failed.items())]
    total = sum(number for _, _, number in failed)
    listed = ", ".join(f"{one.method} {code} x{number:,}" for one, code, number in failed[:3])
    example = next((text for one, _, _ in failed for text in one.examples), "")
    reason = f"{count(total, 'call')} of {made:,} failed" + (f": {listed}" if listed else "")
    reason += f" ({example})" if example else ""
    case = Case("call_errors", at_least(total, doubt.stream_records), reason, n=made)
    return held(case, judged=limit is not None, upper=limit)


def call_p99(summary: Summary, doubt: Doubt, limit: float | None) -> Judged | None:
    """The slowest method's 99th percentile, from due to answered."""
    name = "call_p99_ms"
    known = [one for one in summary.around.calls if one.latency_ms.p99 is not None]
    if not known:
        reason = "no call of a load user was answered" if summary.around.calls else _NO_CALLS
        return None if limit is None else nothing(name, reason)
    worst = max(known, key=lambda one: one.latency_ms.p99 or 0.0)
    figure = _p99(worst, doubt)
    reason = f"99 of 100 {worst.method} calls of {worst.population} were answered within {ms(figure.value)}"
    case = Case(name, figure, reason, unit="ms", n=worst.latency_ms.n, at_s=worst.slowest_at_s, subject=worst.method)
    return held(case, judged=limit is not None, upper=limit)


def _p99(calls: MethodCalls, doubt: Doubt) -> Measurement:
    quantiles = calls.latency_ms
    value = quantiles.p99 or 0.0
    slower = math.inf if doubt.stream_records * 100 > max(1, quantiles.n) else 0.0
    other = value * quantiles.relative_error
    return measured(value, own_down=doubt.lag_s * 1000, own_up=slower, other=other, least=0.0)


def stop(summary: Summary, doubt: Doubt, limit: float | None) -> Judged | None:
    """The slowest StopStream or StartStream of a stop-probe; one that was never done fails."""
    name = "stop_ms"
    probes = summary.around.stop_probes
    if not probes:
        return None if limit is None else nothing(name, "nobody probed how long a stop takes")
    failed = next((one for one in probes if one.took_ms is None), None)
    if failed is not None:
        reason = f"{failed.call} at {seconds(failed.at_s)} was not done: {failed.status or 'no answer'}"
        result = Result.INVALID if doubt.stream_records and not failed.status else Result.FAIL
        return stated(name, result, reason, judged=limit is not None, n=len(probes), at_s=failed.at_s)
    slowest = max(probes, key=lambda one: one.took_ms or 0.0)
    took = slowest.took_ms or 0.0
    slower = math.inf if doubt.stream_records else 0.0
    figure = measured(took, own_down=doubt.lag_s * 1000, own_up=slower, least=0.0)
    during = " during a storm" if slowest.during_storm else ""
    silent = "" if slowest.silent_after_ms is None else f", the last frame came {ms(slowest.silent_after_ms)} after it"
    reason = f"the slowest of {count(len(probes), 'stop')} or starts, {slowest.call}{during}, took {ms(took)}{silent}"
    case = Case(name, figure, reason, unit="ms", n=len(probes), at_s=slowest.at_s)
    return held(case, judged=limit is not None, upper=limit)


def events_lost(summary: Summary, doubt: Doubt, limit: int | None) -> Judged | None:
    """Parameter changes that watchers were not told of, by the counter in their values."""
    name = "change_events_lost"
    watchers = summary.around.watchers
    if not watchers:
        return None if limit is None else nothing(name, "nobody watched parameter changes")
    told = [one for one in watchers if one.lost is not None]
    if not told:
        return None if limit is None else unwitnessed(name, "the values that were written carry no counter")
    lost = sum(one.lost or 0 for one in told)
    events = sum(one.counted for one in told)
    worst = max(told, key=lambda one: one.lost or 0)
    run = f", at most {worst.longest_loss:,} in a row, on {worst.name}" if lost else ""
    reason = f"{count(lost, 'change event')} lost of {events + lost:,}{run}"
    records = doubt.stream_records
    figure = measured(lost, own_down=records, own_up=records, least=0.0)
    return held(Case(name, figure, reason, n=events + lost), judged=limit is not None, upper=limit)


def rate_achieved(summary: Summary, doubt: Doubt, limit: float | None) -> Judged | None:
    """Answered calls over due ones at the highest rate; a shortfall that is pvload's own says nothing of the server."""
    name = "rate_achieved_at_least"
    found = [_rate(name, one, doubt, limit) for one in summary.around.storms]
    known = [one for one in found if one is not None]
    if not known:
        return None if limit is None else nothing(name, "no storm of calls was offered")
    return min(known, key=lambda one: (_order(one), one.value if one.value is not None else -1.0))


def _order(one: Judged) -> int:
    return [Result.FAIL, Result.INVALID, Result.INCONCLUSIVE, Result.NOT_CHECKED, Result.PASS].index(one.result)


def _rate(name: str, storm: Storm, doubt: Doubt, limit: float | None) -> Judged | None:
    top = highest(storm)
    share = None if top is None else answered_share(top)
    if top is None or share is None:
        return None
    figure = measured(share, own_up=min(1.0 - share, doubt.stream_records / top.due), other=0.0, least=0.0)
    reason = (
        f"{storm.population}: {percent(share)} of {top.due:,} {storm.method} calls answered at "
        f"{top.offered_hz:,.0f} offered a second, {LIMITS[storm.limited_by]}"
    )
    case = Case(name, figure, reason, unit="ratio", n=top.due, at_s=top.at_s, subject=storm.population)
    broken = limit is not None and decide(figure, lower=limit) is Result.FAIL
    whose = {"generator": Result.INVALID, "undecided": Result.INCONCLUSIVE}.get(storm.limited_by)
    if whose is None and (top.lateness_ms > _LATE_MS or doubt.within(top.at_s, top.length_s) > 0):
        whose = Result.INVALID
        reason += f", but pvload was {ms(max(top.lateness_ms, doubt.lag_s * 1000))} late itself meanwhile"
    judged = held(case, judged=limit is not None, lower=limit)
    if not broken or whose is None:
        return judged
    return stated(name, whose, reason, n=top.due, at_s=top.at_s, subject=storm.population, value=share)


def heartbeat(summary: Summary, doubt: Doubt, limit: float | None) -> Judged | None:
    """The oldest heartbeat of a module of the daemon, as a sign of starvation."""
    name = "heartbeat_age_s"
    health = summary.around.health
    if not health:
        return None if limit is None else nothing(name, "nobody asked for the daemon's health")
    beating = [one for one in health if one.oldest_heartbeat_s is not None]
    if not beating:
        return None if limit is None else unwitnessed(name, "no module of the daemon tells of a heartbeat")
    worst = max(beating, key=lambda one: one.oldest_heartbeat_s or 0.0)
    value = worst.oldest_heartbeat_s or 0.0
    older = math.inf if doubt.stream_records else 0.0
    figure = measured(value, own_up=older, other=1.0, least=0.0)
    reason = f"the oldest heartbeat, of {worst.name}, was {seconds(value)} old (told in whole seconds)"
    n = sum(one.probes for one in beating)
    case = Case(name, figure, reason, unit="s", n=n, at_s=worst.oldest_heartbeat_at_s, subject=worst.name)
    return held(case, judged=limit is not None, upper=limit)
