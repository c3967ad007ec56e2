"""Criteria about streams: each subscriber is measured for itself, and the worst of them speaks for the run.

A sum over subscribers would let nineteen healthy streams hide a dead one. A subscriber that was never accepted has
nothing to judge (INVALID); one that was accepted and stayed silent while frames were due has failed, whatever the
criterion asks about its frames.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from pvload.stats.summary import Figures, Missing, Stall, Subscriber, Summary
from pvload.verdict.doubt import Doubt
from pvload.verdict.judgement import Judged, Measurement, Result, decide, finite, measured, severity
from pvload.verdict.losses import dominant
from pvload.verdict.words import count, ms, percent, rate, seconds


@dataclass(frozen=True, slots=True)
class Finding:
    """One subscriber's figure for one criterion, before it is held against the limit."""

    figure: Measurement | None
    """None: there is nothing to judge, and `instead` says what that means."""
    reason: str
    instead: Result = Result.INCONCLUSIVE
    lower: float | None = None
    upper: float | None = None
    unit: str = ""
    n: int = 0
    at_s: float | None = None


Measure = Callable[[Subscriber, Doubt, float | None], Iterable[Finding]]
"""(subscriber, doubt, limit or None when it is only shown) -> findings, the first one the most telling."""


def accepted(subscriber: Subscriber) -> bool:
    """Was the subscriber ever let in? One whose every call was refused for the stream limit was not."""
    figures = subscriber.figures
    return subscriber.opened > 0 and not (figures.frames == 0 and 0 < subscriber.calls <= figures.admission_refused)


def judge_streams(name: str, summary: Summary, doubt: Doubt, *, limit: float | None, measure: Measure) -> Judged:
    """The worst finding over all subscribers, but for those whose slowness is the plan's."""
    slow = _slow_by_plan(summary) if measure not in (connect, first_frame) else frozenset()
    found = [
        _judged(name, subscriber.name, finding, limit=limit)
        for subscriber in summary.subscribers
        if subscriber.name not in slow
        for finding in _findings(subscriber, doubt, limit, measure=measure, threshold_s=summary.run.stalls.threshold_s)
    ]
    if not found:
        reason = (
            "every subscriber reads slowly by plan" if slow else "no stream was ever opened, so nothing was measured"
        )
        return Judged(name, _unless_shown(Result.INVALID, limit), reason, judged=limit is not None)
    return min(found, key=_most_telling)


def _slow_by_plan(summary: Summary) -> frozenset[str]:
    """Subscribers that read more slowly than frames come: what they miss, and when, is their own doing."""
    return frozenset(one.subscriber for one in summary.around.slow_readers if one.policy != "not_felt")


def _findings(
    subscriber: Subscriber, doubt: Doubt, limit: float | None, *, measure: Measure, threshold_s: float
) -> Iterable[Finding]:
    figures, name = subscriber.figures, subscriber.name
    if not accepted(subscriber):
        return [Finding(None, f"{name} was never accepted by the target, so nothing was measured", Result.INVALID)]
    if measure is connect and figures.connect_ms.max is not None:
        return measure(subscriber, doubt, limit)  # a connect time needs no frame
    if figures.frames == 0 and doubt.stream_records:
        gaps = measure(subscriber, doubt, limit) if measure in (longest_stall, longest_silence) else ()
        unknown = Finding(None, no_frame_but_records_missing(subscriber, doubt), Result.INVALID)
        return [one for one in gaps if _is_sure_failure(one)] or [unknown]
    if figures.frames == 0 and figures.due_s > threshold_s:
        silent = f"{name} was accepted and got no frame in {seconds(figures.due_s)} of due time"
        return [Finding(None, silent, Result.FAIL, at_s=_first_stall_at(figures))]
    if figures.frames == 0:
        result = Result.INVALID if figures.blind_s > 0 else Result.INCONCLUSIVE
        return [Finding(None, f"{name} had {seconds(figures.due_s)} of due time, too little to judge", result)]
    return measure(subscriber, doubt, limit)


def _is_sure_failure(finding: Finding) -> bool:
    """A gap too long to have been parted by so few records, whatever they were."""
    figure = finding.figure
    return figure is not None and decide(figure, lower=finding.lower, upper=finding.upper) is Result.FAIL


def no_frame_but_records_missing(subscriber: Subscriber, doubt: Doubt) -> str:
    """Why a subscriber without a frame has not failed: a missing record may have been one."""
    return (
        f"{subscriber.name} was accepted and no frame of it is known in {seconds(subscriber.figures.due_s)} of due "
        f"time, but {count(doubt.stream_records, 'record')} missing could have been frames"
    )


def _first_stall_at(figures: Figures) -> float | None:
    return figures.stalls.listed[0].at_s if figures.stalls.listed else figures.longest_silence_at_s


def _judged(name: str, subject: str, finding: Finding, *, limit: float | None) -> Judged:
    figure = finding.figure
    if figure is None:
        result = _unless_shown(finding.instead, limit)
        return Judged(
            name, result, finding.reason, judged=limit is not None, n=finding.n, at_s=finding.at_s, subject=subject
        )
    result = _unless_shown(decide(figure, lower=finding.lower, upper=finding.upper), limit)
    return Judged(
        name=name,
        result=result,
        reason=f"{finding.reason}{doubt_words(result, figure, finding.unit)}",
        judged=limit is not None,
        value=figure.value,
        low=finite(figure.low),
        high=finite(figure.high),
        uncertainty=finite(figure.uncertainty),
        lower_limit=finding.lower,
        upper_limit=finding.upper,
        unit=finding.unit,
        n=finding.n,
        at_s=finding.at_s,
        subject=subject,
    )


def doubt_words(result: Result, figure: Measurement, unit: str) -> str:
    """Why a figure is not enough, appended to the reason of INVALID and INCONCLUSIVE."""
    if result not in (Result.INVALID, Result.INCONCLUSIVE):
        return ""
    scale, sign, digits = (100, " %", 3) if unit == "ratio" else (1, f" {unit}" if unit else "", 4)
    low, high = (
        f"{end * scale:.{digits}g}{sign}" if math.isfinite(end) else "unknown" for end in (figure.low, figure.high)
    )
    whose = "pvload's own lag, blind time or missing records" if result is Result.INVALID else "the measurement"
    return f"; because of {whose} it may truly be {low} to {high}"


def _unless_shown(result: Result, limit: float | None) -> Result:
    return Result.NOT_CHECKED if limit is None else result


def _most_telling(judged: Judged) -> tuple[int, float]:
    """Worst result first, then the value that is furthest towards or beyond its limit."""
    return severity(judged.result), -_excess(judged)


def _excess(judged: Judged) -> float:
    if judged.value is None:
        return math.inf if judged.judged else -math.inf
    above = judged.value - judged.upper_limit if judged.upper_limit is not None else -math.inf
    below = judged.lower_limit - judged.value if judged.lower_limit is not None else -math.inf
    nearest = max(above, below)
    if nearest > -math.inf:
        return nearest
    return -judged.value if judged.name in ("fps_within", "coverage_at_least") else judged.value


def fps(subscriber: Subscriber, doubt: Doubt, limit: float | None) -> Iterable[Finding]:
    """Frames a second after warm-up, off by one frame over the time; too fast is wrong as well."""
    figures = subscriber.figures
    expected = figures.expected_hz
    if figures.fps is None or figures.judged_s <= 0:
        blind = Result.INVALID if figures.blind_s > 0 else Result.INCONCLUSIVE
        return [Finding(None, f"{subscriber.name} had no due time after warm-up, so its rate is not known", blind)]
    if expected is None:
        return [
            Finding(None, f"{subscriber.name}: {rate(figures.fps)}, and no expected rate is known to compare it with")
        ]
    blind_s = figures.blind_s
    own_low = figures.judged_frames / (figures.judged_s + blind_s)
    most_unseen = doubt.stream_records + 2 * expected * blind_s
    own_high = max(figures.fps, (figures.judged_frames + most_unseen) / (figures.judged_s + blind_s))
    figure = measured(
        figures.fps,
        own_down=max(0.0, figures.fps - own_low),
        own_up=own_high - figures.fps,
        other=1 / figures.judged_s,
        least=0.0,
    )
    said = "expected" if figures.expected_is_stated else "expected from its own first frames"
    reason = f"{subscriber.name}: {rate(figures.fps)} over {seconds(figures.judged_s)}, {rate(expected)} {said}"
    lower = None if limit is None else expected * (1 - limit)
    upper = None if limit is None else expected * (1 + limit)
    if lower is not None and upper is not None:
        reason += f", allowed {lower:.4g} to {upper:.4g}"
    return [Finding(figure, reason, lower=lower, upper=upper, unit="frames/s", n=figures.judged_frames)]


def drop_rate(subscriber: Subscriber, doubt: Doubt, limit: float | None) -> Iterable[Finding]:
    """The worse of what the server counts as dropped and of what is missing, decimation by max_fps left out."""
    figures = subscriber.figures
    missing = figures.missing
    due = max(figures.frames_due or 0.0, float(figures.frames + missing.total))
    records = doubt.stream_records
    asked = f"; {count(missing.decimated, 'frame')} left out that max_fps asked to skip" if missing.decimated else ""
    findings = [
        Finding(
            measured(
                missing.total / due,
                own_down=(figures.lag_losses + records) / due,
                own_up=records / due,
                least=0.0,
            ),
            f"{subscriber.name}: {_missing(missing, due)}{asked}",
            upper=limit,
            unit="ratio",
            n=figures.frames,
        )
    ]
    if subscriber.max_fps == 0 and (figures.frames_sent or figures.frames_dropped):
        sent = max(1, figures.frames_sent)
        share = figures.frames_dropped / sent
        findings.append(
            Finding(
                measured(share, own_down=(figures.lag_losses + records) / sent, own_up=records / sent, least=0.0),
                f"{subscriber.name}: {percent(share)} dropped by the server's own count "
                f"({figures.frames_dropped:,} of {figures.frames_sent:,} sent)",
                upper=limit,
                unit="ratio",
                n=figures.frames_sent,
            )
        )
    return findings


def _missing(missing: Missing, due: float) -> str:
    """How many, of how many, and where most of them went."""
    where = f": {dominant(missing)}" if missing.total else ""
    return f"{count(missing.total, 'frame')} missing of {due:,.0f} due ({percent(missing.total / due)}){where}"


def longest_stall(subscriber: Subscriber, doubt: Doubt, limit: float | None) -> Iterable[Finding]:
    """Every listed stall is judged with its own doubt: a long doubtful one must not hide a shorter certain one."""
    figures = subscriber.figures
    findings = [_stall(subscriber.name, stall, doubt, limit) for stall in figures.stalls.listed]
    unseen = doubt.longest_blind_s
    longest = figures.stalls.longest_s if figures.stalls.count else figures.gaps.longest_s
    if figures.stalls.count and not findings:
        doubtful = figures.stalls.longest_uncertainty_s
        shorter = _cut_off(longest, doubtful, doubt)
        figure = measured(longest, own_down=shorter, own_up=doubtful, least=0.0)
        findings.append(Finding(figure, f"{subscriber.name}: no frame for {seconds(longest)}", upper=limit, unit="s"))
    if not findings:
        slack = doubt.lag_s if longest > 0 else 0.0
        shorter = _cut_off(longest, slack, doubt)
        figure = measured(longest, own_down=shorter, own_up=max(slack, unseen - longest), least=0.0)
        reason = f"{subscriber.name}: longest gap between frames {seconds(longest)}"
        findings.append(Finding(figure, reason, upper=limit, unit="s", n=figures.frames))
    elif limit is not None and unseen > limit:
        figure = measured(0.0, own_up=unseen)
        reason = f"pvload was blind for {seconds(unseen)} and could have missed a stall"
        findings.append(Finding(figure, reason, upper=limit, unit="s"))
    return findings


def _cut_off(length_s: float, own_s: float, doubt: Doubt) -> float:
    """Seconds by which a gap could be shorter: own_s of it may be ours, and what is left may have been parted.

    Missing records, were they frames spread evenly over the rest, leave a part of rest / (records + 1).
    """
    return length_s - max(0.0, length_s - own_s) / (doubt.stream_records + 1)


def _stall(name: str, stall: Stall, doubt: Doubt, limit: float | None) -> Finding:
    going_on = ", still going on when it was cut" if stall.censored else ""
    before = f"after {count(stall.frame_index, 'frame')}" if stall.frame_index else "from its opening on"
    reason = f"{name}: no frame for {seconds(stall.length_s)} at {seconds(stall.at_s)}, {before}{going_on}"
    shorter = _cut_off(stall.length_s, stall.uncertainty_s, doubt)
    figure = measured(stall.length_s, own_down=shorter, own_up=stall.uncertainty_s, least=0.0)
    return Finding(figure, reason, upper=limit, unit="s", n=1, at_s=stall.at_s)


def longest_silence(subscriber: Subscriber, doubt: Doubt, limit: float | None) -> Iterable[Finding]:
    """The longest time without a frame while due, outages included."""
    figures = subscriber.figures
    length, at_s = figures.longest_silence_s, figures.longest_silence_at_s
    own = figures.blind_s if at_s is None else doubt.within(at_s, length)
    own_up = max(own, doubt.longest_blind_s - length, min(doubt.lag_s, length))
    when = "" if at_s is None else f" at {seconds(at_s)}"
    reason = f"{subscriber.name}: {seconds(length)} without a frame{when}, reconnects included"
    own_down = _cut_off(length, max(own, min(doubt.lag_s, length)), doubt)
    figure = measured(length, own_down=own_down, own_up=own_up, least=0.0)
    return [Finding(figure, reason, upper=limit, unit="s", n=figures.frames, at_s=at_s)]


def coverage(subscriber: Subscriber, doubt: Doubt, limit: float | None) -> Iterable[Finding]:
    """Frames received of those due, after warm-up."""
    figures = subscriber.figures
    if figures.coverage is None or not figures.frames_due:
        blind = Result.INVALID if figures.blind_s > 0 else Result.INCONCLUSIVE
        return [Finding(None, f"{subscriber.name}: how many frames were due is not known", blind)]
    due = figures.frames_due
    unseen = figures.blind_s * (figures.expected_hz or 0.0)
    own_low = figures.coverage * due / (due + unseen)
    own_high = max(figures.coverage, (figures.coverage * due + doubt.stream_records + 2 * unseen) / (due + unseen))
    figure = measured(
        figures.coverage,
        own_down=figures.coverage - own_low,
        own_up=own_high - figures.coverage,
        other=1 / due,
        least=0.0,
    )
    reason = f"{subscriber.name}: {percent(figures.coverage)} of {due:,.0f} due frames came"
    return [Finding(figure, reason, lower=limit, unit="ratio", n=figures.judged_frames)]


def age(subscriber: Subscriber, doubt: Doubt, limit: float | None) -> Iterable[Finding]:
    """The 99th percentile of frame age; needs the target's clock."""
    figures = subscriber.figures
    value = figures.age.quantiles.p99
    if value is None:
        return [Finding(None, f"{subscriber.name}: no frame after warm-up has an age")]
    if not figures.age.offset_known:
        return [
            Finding(
                None,
                f"{subscriber.name}: the target's clock could not be read, so ages are known as changes only",
                Result.NOT_CHECKED,
            )
        ]
    other = (figures.age.uncertainty_ms or 0.0) + value * figures.age.quantiles.relative_error
    unknown = _unknown_tail(figures, doubt)
    figure = measured(value, own_down=doubt.lag_s * 1000, own_up=unknown, other=other)
    reason = f"{subscriber.name}: 99 of 100 frames were younger than {ms(value)} on arrival"
    return [Finding(figure, reason, upper=limit, unit="ms", n=figures.age.quantiles.n)]


def _unknown_tail(figures: Figures, doubt: Doubt) -> float:
    """0, or infinite where so many frames are known as counts only that the 99th percentile may lie among them."""
    unknown = figures.folded_frames + doubt.stream_records
    return math.inf if unknown * 100 > max(1, figures.frames) else 0.0


def jitter(subscriber: Subscriber, doubt: Doubt, limit: float | None) -> Iterable[Finding]:
    """Mean difference of transit between neighbours; the mean of the generator's worst lateness bounds its own part."""
    figures = subscriber.figures
    if figures.jitter_ms is None:
        return [Finding(None, f"{subscriber.name}: too few frames after warm-up for jitter")]
    own = 2 * doubt.typical_lag_s * 1000
    figure = measured(figures.jitter_ms, own_down=own, own_up=_unknown_tail(figures, doubt), least=0.0)
    reason = f"{subscriber.name}: jitter {ms(figures.jitter_ms)}"
    return [Finding(figure, reason, upper=limit, unit="ms", n=figures.judged_frames)]


def _slowest(value_ms: float, relative_error: float, doubt: Doubt) -> Measurement:
    """The maximum over calls: the record of a slower one may be among the missing."""
    slower = math.inf if doubt.stream_records else 0.0
    lag_ms = doubt.lag_s * 1000
    return measured(value_ms, own_down=lag_ms, own_up=slower, other=value_ms * relative_error, least=0.0)


def connect(subscriber: Subscriber, doubt: Doubt, limit: float | None) -> Iterable[Finding]:
    """The slowest connect of the subscriber's calls."""
    quantiles = subscriber.figures.connect_ms
    if quantiles.max is None:
        return [Finding(None, f"{subscriber.name}: no connect time was measured")]
    figure = _slowest(quantiles.max, quantiles.relative_error, doubt)
    reason = f"{subscriber.name}: its slowest connect took {ms(quantiles.max)}"
    return [Finding(figure, reason, upper=limit, unit="ms", n=quantiles.n)]


def first_frame(subscriber: Subscriber, doubt: Doubt, limit: float | None) -> Iterable[Finding]:
    """The slowest first frame of the subscriber's calls."""
    quantiles = subscriber.figures.first_frame_ms
    if quantiles.max is None:
        return [Finding(None, f"{subscriber.name}: no first frame was measured")]
    figure = _slowest(quantiles.max, quantiles.relative_error, doubt)
    reason = f"{subscriber.name}: its slowest first frame came {ms(quantiles.max)} after the opening"
    return [Finding(figure, reason, upper=limit, unit="ms", n=quantiles.n)]
