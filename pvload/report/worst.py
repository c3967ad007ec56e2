"""The worst thing that happened in a run and when, in one sentence; and whether the tool itself was fit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pvload.stats.summary import Call, Summary
from pvload.verdict.words import count, ms, percent, seconds

BLIND_SHARE: Final = 0.05
"""More blind time than this share of the run, and the tool was not fit."""


def worst_thing(summary: Summary) -> str:
    """The gravest event of the run: an end nobody ordered, a stall, a loss; else the longest gap between frames."""
    return next(_grave(summary), "") or _longest_gap(summary)


def _grave(summary: Summary) -> Iterator[str]:
    """In the order of how much each one took from the person at the other end."""
    if not summary.subscribers:
        yield "no stream was ever opened"
    run = summary.run
    silent = [
        one
        for one in summary.subscribers
        if one.opened and one.figures.frames == 0 and one.figures.due_s > run.stalls.threshold_s
    ]
    for one in silent:
        yield f"{one.name} was open and never got a frame in {seconds(one.figures.due_s)} of due time"
    broken = [call for call in summary.calls if call.ended_by == "server" and _was_open(call)]
    for call in sorted(broken, key=lambda call: call.ended_at_s or 0.0):
        when, details = seconds(call.ended_at_s or 0.0), f" {call.details}" if call.details else ""
        yield f"at {when} {call.subscriber}'s stream ended, which nobody ordered: {call.status}{details}"
    if run.stalls.listed:
        longest = max(run.stalls.listed, key=lambda stall: stall.length_s)
        more = f"; {count(run.stalls.count, 'stall')} in all" if run.stalls.count > 1 else ""
        end = ", and none until it was cut" if longest.censored else ""
        since = f"for {seconds(longest.length_s)} from {seconds(longest.at_s)} on"
        yield f"{longest.subscriber} got no frame {since}{end}{more}"
    missing = run.missing.total
    if missing:
        yield f"{count(missing, 'frame')} missing ({percent(missing / max(1, run.frames + missing))})"
    failed = [one for one in summary.unary if one.errors]
    if failed:
        example = failed[0].examples[0] if failed[0].examples else ", ".join(failed[0].errors)
        yield f"a call failed: {failed[0].method} {example}"


def _was_open(call: Call) -> bool:
    return call.ended_at_s is not None and call.first_frame_number is not None


def _longest_gap(summary: Summary) -> str:
    run = summary.run
    if not run.frames:
        return "no frame came"
    return f"nothing worse than a gap of {seconds(run.gaps.longest_s)} between two frames"


def fitness(summary: Summary) -> str:
    """Was the tool itself fit to measure this? Begins with `fit`, `fit, though ...` or `NOT FIT`."""
    faults = [*_account_faults(summary)]
    blind_s, length_s = summary.generator.blind_s, summary.facts.length_s
    blemishes: list[str] = []
    if blind_s > 0:
        told = f"blind for {seconds(blind_s)} of {seconds(length_s)}"
        (faults if blind_s > BLIND_SHARE * length_s else blemishes).append(told)
    facts = _facts(summary)
    if faults:
        return f"NOT FIT: {', '.join([*faults, *blemishes])}; {facts}"
    return f"fit, though {', '.join(blemishes)}; {facts}" if blemishes else f"fit: {facts}"


def _account_faults(summary: Summary) -> Iterator[str]:
    account = summary.accounting
    if account.undelivered or any(one.recorded is None for one in account.senders):
        yield "its account is not closed"
    if account.missing:
        yield f"{count(account.missing, 'record')} missing"
    if not account.frames_checked:
        yield "frame totals differ"
    if summary.generator.longest_lag_ms is None:
        yield "it never told how late it was"


def _facts(summary: Summary) -> str:
    """Lag, CPU, records: the tool's own figures in a few words."""
    generator = summary.generator
    parts = []
    if generator.longest_lag_ms is not None:
        at_s = generator.longest_lag_at_s
        when = "" if at_s is None else f" (at {seconds(at_s)})"
        parts.append(f"at most {ms(generator.longest_lag_ms)} late{when}")
    if generator.cpu_share is not None:
        parts.append(f"{percent(generator.cpu_share)} of a core")
    return ", ".join([*parts, f"{summary.accounting.delivered:,} of {_recorded(summary)} records came"])


def _recorded(summary: Summary) -> str:
    recorded = summary.accounting.recorded
    return "an unknown number of" if recorded is None else f"{recorded:,}"
