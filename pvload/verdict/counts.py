"""Criteria that are counted over the whole run: errors, ends, log lines, pictures, and the generator's lag.

While an engine is dead it has no stream open, so no error or end can happen unseen: only missing records leave doubt
about a count. A count that was recorded stands whatever else is missing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from pvload.stats.summary import Call, Subscriber, Summary
from pvload.verdict.doubt import Doubt
from pvload.verdict.judgement import Judged, Measurement, Result, decide, finite, measured
from pvload.verdict.streams import accepted, doubt_words
from pvload.verdict.words import count, ms, seconds

NOT_REACHED: Final = frozenset(
    {"UNAVAILABLE", "UNAUTHENTICATED", "PERMISSION_DENIED", "DEADLINE_EXCEEDED", "CANCELLED"}
)
"""Codes that say "never reached" where no stream ever opened; such a run is INVALID, and that is no error."""
ORDERED: Final = frozenset({"order", "run_end", "watchdog", "engine", "restart", "open"})


def grpc_errors(summary: Summary, doubt: Doubt, limit: int | None) -> Judged:
    """Streams that ended with an error after a first open, and unary calls that failed.

    A change that is refused with a reason is answered, and no error; `changes` is about it.
    """
    opened = _opened(summary)
    streams = sum(sum(one.figures.errors.values()) for one in opened)
    calls = [
        (one, code, left)
        for one in summary.unary
        for code, number in one.errors.items()
        if (left := number - one.refused.get(code, 0)) > 0
    ]
    counted = [(one, code, number) for one, code, number in calls if opened or code not in NOT_REACHED]
    failed = sum(number for _, _, number in counted)
    total = streams + failed
    if not opened and total == 0:
        return _nothing(
            "grpc_errors", limit, "no stream was ever accepted, so errors of an open stream could not happen"
        )
    first = _first_end(summary.calls, opened, with_error=True)
    reason = count(total, "gRPC error")
    if streams:
        reason += (f", {streams:,} of them on streams" if failed else "") + _told(first)
    if failed:
        methods = ", ".join(
            f"{one.method} {code}" + (f" x{number}" if number > 1 else "") for one, code, number in counted[:3]
        )
        example = "" if streams else next((text for one, _, _ in counted for text in one.examples), "")
        reason += f", failed calls: {methods}" + (f" ({example})" if example else "")
    figure = _at_least(total, doubt.stream_records)
    samples = summary.calls_total + sum(one.count for one in summary.unary)
    return _counted("grpc_errors", figure, limit, reason, n=samples, at_s=first.ended_at_s if first else None)


def unexpected_ends(summary: Summary, doubt: Doubt, limit: int | None) -> Judged:
    """Streams that ended without an order, a clean OK included."""
    opened = _opened(summary)
    if not opened:
        return _nothing("unexpected_ends", limit, "no stream was ever accepted, so none could end")
    total = sum(one.figures.unexpected_ends for one in opened)
    first = _first_end(summary.calls, opened, with_error=False)
    reason = f"{count(total, 'stream')} ended without an order{_told(first) if total else ''}"
    figure = _at_least(total, doubt.stream_records)
    at_s = first.ended_at_s if first and total else None
    return _counted("unexpected_ends", figure, limit, reason, n=summary.calls_total, at_s=at_s)


def driver_errors(summary: Summary, doubt: Doubt, limit: int | None) -> Judged:
    """Driver errors in the daemon's log; without the log nobody looked."""
    log = summary.log
    if not log.present:
        reason = "the daemon's log was not there to look into"
        return _unchecked("driver_errors", limit, reason)
    example = next((text for text in log.examples if "driver_error" in text), "")
    reason = f"{count(log.driver_errors, 'driver error')} in the daemon's log" + (f": {example}" if example else "")
    figure = _at_least(log.driver_errors, doubt.witness_records)
    return _counted("driver_errors", figure, limit, reason, n=sum(log.lines.values()))


def payload_errors(summary: Summary, doubt: Doubt, limit: int | None) -> Judged:
    """Pictures whose content was wrong."""
    opened = _opened(summary)
    checked = sum(one.figures.payload_checked for one in opened)
    if not checked:
        return _unchecked("payload_errors", limit, "no picture's content was checked")
    kinds: dict[str, int] = {}
    for one in opened:
        for kind, number in one.figures.payload_errors.items():
            kinds[kind] = kinds.get(kind, 0) + number
    listed = ", ".join(f"{kind} {number:,}" for kind, number in sorted(kinds.items()))
    total = sum(kinds.values())
    reason = f"{count(total, 'picture')} with wrong content of {checked:,} checked" + (f": {listed}" if listed else "")
    figure = _at_least(total, doubt.stream_records)
    return _counted("payload_errors", figure, limit, reason, n=checked)


def unexplained_missing(summary: Summary, doubt: Doubt, limit: int | None) -> Judged:
    """Missing frames that no stated drop explains. Our own missing records look just like them."""
    opened = _opened(summary)
    if not opened:
        return _nothing("unexplained_missing", limit, "no stream was ever accepted, so no frame was due")
    frames = sum(one.figures.frames for one in opened)
    if frames == 0:
        return _nothing("unexplained_missing", limit, "no frame came, so none can be told from its neighbours")
    total = sum(one.figures.missing.unexplained for one in opened)
    parts = {
        "lost in the server unseen": sum(one.figures.missing.unseen for one in opened),
        "sent but not received": sum(one.figures.missing.transport for one in opened),
        "undecided between server and network": sum(one.figures.missing.undecided for one in opened),
    }
    listed = ", ".join(f"{number:,} {name}" for name, number in parts.items() if number)
    reason = f"{count(total, 'missing frame')} without an explanation" + (f": {listed}" if listed else "")
    records = doubt.stream_records
    figure = measured(total, own_down=records, own_up=records, least=0.0)
    return _counted("unexplained_missing", figure, limit, reason, n=frames)


def generator_lag(summary: Summary, limit: float | None) -> Judged:
    """The longest lateness of pvload itself; breaking the limit is never the service's failure."""
    generator = summary.generator
    value = generator.longest_lag_ms
    if value is None:
        reason = "no engine told how late it was"
        result = Result.NOT_CHECKED if limit is None else Result.INVALID
        return Judged("generator_lag_ms", result, reason, judged=limit is not None, unit="ms")
    at_s = generator.longest_lag_at_s
    when = "" if at_s is None else f" at {seconds(at_s)}"
    result = Result.NOT_CHECKED if limit is None else (Result.INVALID if value > limit else Result.PASS)
    return Judged(
        "generator_lag_ms",
        result,
        f"pvload itself was at most {ms(value)} late{when}",
        judged=limit is not None,
        value=value,
        low=value,
        high=value,
        uncertainty=0.0,
        upper_limit=limit,
        unit="ms",
        n=generator.lag_ms.n,
        at_s=at_s,
    )


def _opened(summary: Summary) -> list[Subscriber]:
    return [one for one in summary.subscribers if accepted(one)]


def _at_least(total: int, records: int) -> Measurement:
    """What was recorded happened; each missing record may have been one more."""
    return measured(total, own_up=records)


def _first_end(calls: Iterable[Call], opened: list[Subscriber], *, with_error: bool) -> Call | None:
    """The earliest call that ended without an order (and with an error status)."""
    names = {one.name for one in opened}
    ends = [
        call
        for call in calls
        if call.subscriber in names
        and call.ended_by not in ORDERED
        and call.ended_at_s is not None
        and (call.status != "OK" or not with_error)
    ]
    return min(ends, key=lambda call: call.ended_at_s or 0.0, default=None)


def _told(call: Call | None) -> str:
    if call is None or call.ended_at_s is None:
        return ""
    details = f" {call.details}" if call.details else ""
    return f", first at {seconds(call.ended_at_s)}: {call.subscriber} {call.status}{details}"


def _counted(
    name: str, figure: Measurement, limit: int | None, reason: str, *, n: int, at_s: float | None = None
) -> Judged:
    result = Result.NOT_CHECKED if limit is None else decide(figure, upper=limit)
    return Judged(
        name=name,
        result=result,
        reason=f"{reason}{doubt_words(result, figure, '')}",
        judged=limit is not None,
        value=figure.value,
        low=finite(figure.low),
        high=finite(figure.high),
        uncertainty=finite(figure.uncertainty),
        upper_limit=limit,
        n=n,
        at_s=at_s,
    )


def _nothing(name: str, limit: int | None, reason: str) -> Judged:
    return Judged(name, Result.NOT_CHECKED if limit is None else Result.INVALID, reason, judged=limit is not None)


def _unchecked(name: str, limit: int | None, reason: str) -> Judged:
    return Judged(name, Result.NOT_CHECKED, reason, judged=limit is not None, upper_limit=limit)
