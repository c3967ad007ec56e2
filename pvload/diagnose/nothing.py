"""What "none seen" is worth: the rate that nothing seen in so long, or in so many, rules out.

If events came at random with rate r, none would be seen in a time T with probability exp(-r T). The highest rate that
still gives that a chance of 5 % is -ln(0.05) / T. Of n independent tries it is -ln(0.05) / n, the "rule of three".
"""

from __future__ import annotations

import math
from typing import Final

from pvload.diagnose.cycles import asked
from pvload.stats.around import NOT_WATCHED
from pvload.stats.summary import Summary

CONFIDENCE: Final = 0.95
TOO_FEW: Final = "too few to rule anything out"


def most_per_hour(length_s: float, confidence: float = CONFIDENCE) -> float:
    """Upper limit of the rate of an event that was not seen in `length_s`, per hour; infinite for no time at all."""
    return math.inf if length_s <= 0 else -math.log(1 - confidence) / (length_s / 3600)


def most_share(tries: int, confidence: float = CONFIDENCE) -> float:
    """Upper limit of the share of an event that none of `tries` showed, at most 1."""
    return 1.0 if tries <= 0 else min(1.0, -math.log(1 - confidence) / tries)


def none_in(noun: str, length_s: float, *, streams: int = 1) -> str:
    """`0 stalls in 30 min: fewer than 6 an hour at 95 %`; empty for no time at all.

    streams: how many of them the time was added up over.
    """
    if length_s <= 0:
        return ""
    over = f"{_length(length_s)} of {streams} streams together" if streams > 1 else _length(length_s)
    return f"0 {noun} in {over}: fewer than {_rounded_up(most_per_hour(length_s))} an hour at 95 %"


def none_of(noun: str, tries: int, of: str) -> str:
    """`0 missing of 18,000 frames: fewer than 1 in 6,008 at 95 %`; empty for no try at all."""
    if tries <= 0:
        return ""
    share = most_share(tries)
    if share > 0.5:
        return f"0 {noun} of {tries:,} {of}: {TOO_FEW}"
    return f"0 {noun} of {tries:,} {of}: fewer than 1 in {math.floor(1 / share):,} at 95 %"


def nothing_seen(summary: Summary) -> tuple[str, ...]:
    """A sentence for each kind of event that was looked for and not seen."""
    run, streams = summary.run, len(summary.subscribers)
    missing = none_of("missing", run.frames, "frames") if run.frames and not run.missing.total else ""
    found = [
        none_in("stalls", run.due_s, streams=streams) if not run.stalls.count else "",
        none_in("unexpected ends of a stream", run.open_s, streams=streams) if not run.unexpected_ends else "",
        missing,
        _log(summary),
        *_around(summary),
    ]
    return tuple(one for one in found if one and not one.endswith(TOO_FEW))


def _log(summary: Summary) -> str:
    log = summary.log
    return none_in("driver errors in the log", summary.facts.length_s) if log.present and not log.driver_errors else ""


def _around(summary: Summary) -> list[str]:
    around = summary.around
    calls = sum(one.count for one in around.calls)
    failed = sum(sum(one.failed.values()) for one in around.calls)
    told = [one for one in around.watchers if one.lost is not None]
    events = sum(one.counted for one in told)
    moved = around.disturbances
    cycles = sum(one.outcome != NOT_WATCHED for one in around.cycles)
    bad_cycles = sum(one.failed for one in around.cycles)
    refused = sum(one.refused_after_leaving for one in around.churn)
    return [
        none_of("failed", calls, "calls") if not failed else "",
        none_of("lost", events, "change events") if not sum(one.lost or 0 for one in told) else "",
        none_of("silenced", moved.looked_at, "streams beside a disturbance") if moved and not moved.silenced else "",
        none_of("failed", cycles, "start-stop cycles") if cycles and not bad_cycles and asked(summary) else "",
        none_of("slots kept", sum(sum(one.left.values()) for one in around.churn), "clients that left")
        if not refused
        else "",
    ]


def _length(length_s: float) -> str:
    if length_s < 120:
        return f"{length_s:.3g} s"
    return f"{length_s / 60:.3g} min" if length_s < 2 * 3600 else f"{length_s / 3600:.3g} h"


def _rounded_up(value: float) -> str:
    """To two digits, never down: the limit must stay one."""
    digits = 1 - math.floor(math.log10(value))
    up = math.ceil(round(value * 10.0**digits, 6)) / 10.0**digits
    return f"{up:,.0f}" if digits <= 0 or up == int(up) else f"{up:.{digits}f}"
