"""Criteria about clients among each other: which policy was found, what disturbances did, what was given back."""

from __future__ import annotations

import math
from typing import Final

from pvload.diagnose.company import did
from pvload.diagnose.policy import LEAVINGS, MEANS, SLOW_MEANS, client, disconnect_policy, slow_reader_policy
from pvload.stats.around import Disturbances
from pvload.stats.summary import Summary
from pvload.verdict.criterion import Case, at_least, held, nothing, stated
from pvload.verdict.doubt import Doubt
from pvload.verdict.judgement import Judged, Result, measured
from pvload.verdict.words import count, seconds, times

_LEAK_SHOWS_AFTER: Final = 4
"""Leavings: fewer do not use up the target's streams per client, so a slot that is kept would not be noticed."""


def policy(summary: Summary, doubt: Doubt, limit: str | None) -> Judged | None:
    """The policy that was found against the one that is required.

    One that contradicts itself always fails. Where the timeline let clients leave and nothing could be learnt from it,
    the run has not answered its question, named or not.
    """
    name = "disconnect_policy"
    moved = summary.around.disturbances
    if moved is None or not moved.count:
        return None if limit is None else nothing(name, "no client left while it could be seen what that does")
    found = disconnect_policy(summary)
    evidence = f": {found.decisive}" if found.decisive else ""
    reason = f"{said(found.word)}, {MEANS[found.word]} (seen {times(found.looked_at)}){evidence}"
    asked = any(one.client and one.outcome == "done" for one in summary.around.actions)
    judged = limit is not None or found.word == "inconsistent" or (asked and found.word == "not_seen")
    if found.word == "inconsistent":
        reason = f"{MEANS['inconsistent']}: {'; '.join(found.evidence[:3])}"
        result = Result.INVALID if _blinded(doubt, found.at_s) else Result.FAIL
    elif found.word == "not_seen":
        if limit is None and not found.unclear:
            return None
        unseen = count(found.unclear, "client")
        reason = f"{said(found.word)}, {MEANS[found.word]}: {unseen} left with nobody there to show it"
        result = Result.INCONCLUSIVE
    elif limit is None or found.word == limit.replace("-", "_"):
        result = Result.PASS
    else:
        reason = f"required is {limit}, seen was {reason}"
        result = Result.INVALID if _blinded(doubt, found.at_s) else Result.FAIL
    return stated(name, result, reason, judged=judged, n=found.looked_at, at_s=found.at_s)


def said(word: str) -> str:
    """A policy as profiles write it: `per-client`."""
    return word.replace("_", "-")


def _blinded(doubt: Doubt, at_s: float | None) -> bool:
    """Was pvload itself blind where it should have seen what a leaving does?"""
    return at_s is not None and doubt.within(at_s - 1.0, 3.0) >= 1.0


def slow_reader(summary: Summary, limit: str | None, *, isolation: bool = False) -> Judged | None:
    """What the server does with a client that reads too slowly.

    isolation: the profile names a limit for what others may feel; then one that slows all others down fails, however
    short the gaps are that it does it by.
    """
    name = "slow_reader_policy"
    readers = summary.around.slow_readers
    if not readers:
        return None if limit is None else nothing(name, "no subscriber read slowly")
    found = slow_reader_policy(readers)
    evidence = f": {'; '.join(found.evidence[:2])}" if found.evidence else ""
    reason = f"{said(found.word)}, {SLOW_MEANS[found.word]}{evidence}"
    if found.word == "not_seen":
        result = Result.INCONCLUSIVE
    elif found.word == limit:
        result = Result.PASS
    else:
        reason += f"; required is {limit}" if limit is not None else ""
        result = Result.FAIL
    judged = limit is not None or found.word == "inconsistent" or (isolation and found.word == "block")
    return stated(name, result, reason, judged=judged, n=found.looked_at)


def isolation_periods(summary: Summary, doubt: Doubt, limit: float | None) -> Judged | None:
    """The longest gap that a disturbance gave to a stream that had no part in it."""
    name = "isolation_periods"
    moved = summary.around.disturbances
    if moved is None or not moved.looked_at:
        return None if limit is None else nothing(name, _nobody(moved))
    where = _where(summary, moved)
    if moved.worst_periods is None or not moved.worst_gap_s:
        reason = f"the frame period of the streams beside {count(moved.count, 'disturbance')} is not known"
        return stated(name, Result.INCONCLUSIVE, reason, judged=limit is not None, n=moved.looked_at)
    period_s = moved.worst_gap_s / moved.worst_periods
    own_s = doubt.lag_s
    if moved.worst_gap_at_s is not None:
        own_s = max(min(doubt.lag_s, period_s), doubt.within(moved.worst_gap_at_s - 1.0, moved.worst_gap_s + 3.0))
    shorter_s = moved.worst_gap_s - max(0.0, moved.worst_gap_s - own_s) / (doubt.stream_records + 1)
    figure = measured(
        moved.worst_periods,
        own_down=shorter_s / period_s,
        own_up=max(doubt.longest_blind_s / period_s - moved.worst_periods, min(own_s, moved.worst_gap_s) / period_s),
        least=0.0,
    )
    reason = (
        f"beside {count(moved.count, 'disturbance')} the longest gap was {seconds(moved.worst_gap_s)}, "
        f"at worst {moved.worst_periods:.1f} periods{where}"
    )
    case = Case(name, figure, reason, unit="periods", n=moved.looked_at, at_s=moved.worst_gap_at_s)
    return held(case, judged=limit is not None, upper=limit)


def isolation_missing(summary: Summary, doubt: Doubt, limit: int | None) -> Judged | None:
    """Frames that streams without a part in it miss around disturbances."""
    name = "isolation_missing"
    moved = summary.around.disturbances
    if moved is None or not moved.looked_at:
        return None if limit is None else nothing(name, _nobody(moved))
    records = doubt.stream_records
    reason = f"{count(moved.missing, 'frame')} missing on others beside {count(moved.count, 'disturbance')}"
    figure = measured(moved.missing, own_down=records, own_up=records, least=0.0)
    return held(Case(name, figure, reason, n=moved.looked_at), judged=limit is not None, upper=limit)


def streams_return(summary: Summary, doubt: Doubt, limit: bool | None) -> Judged | None:
    """Slots of those that left are given back: nobody was refused while there was room."""
    name = "streams_return"
    churn = summary.around.churn
    moved = summary.around.disturbances
    seen = 0 if moved is None else sum(one.kind in LEAVINGS for one in moved.listed)
    refused = sum(one.refused_after_leaving for one in churn)
    left = max(seen, sum(sum(one.left.values()) for one in churn))
    if not left and not refused:
        return nothing(name, "no client left") if limit else None
    after = max((one.server_streams_after for one in churn if one.server_streams_after is not None), default=None)
    ended = sum(1 for one in summary.around.log_accounts if one.subscriber)
    reason = f"{count(refused, 'refusal')} although there was room, clients left {times(left)}"
    if after is not None and after < 0:
        reason += "; the starts and ends of streams in its log do not add up"
        after = None
    if after is not None:
        reason += f"; by its log the server has {count(after, 'stream')} too many at the end"
    hanging = sum(one.left.get("half_open", 0) for one in churn)
    shown = after is not None or ended >= left or left >= _LEAK_SHOWS_AFTER
    if not refused and (after or not shown):
        if after and after > hanging:
            result = Result.INVALID if doubt.witness_records or doubt.stream_records else Result.FAIL
        else:
            reason += (
                ": those of half-open clients, which it cannot know of" if after else ", too few to show a kept slot"
            )
            result = Result.INCONCLUSIVE
        return stated(name, result, reason, judged=bool(limit), n=left)
    case = Case(name, at_least(refused, doubt.stream_records), reason, n=left)
    return held(case, judged=bool(limit), upper=0 if limit else None)


def _nobody(moved: Disturbances | None) -> str:
    if moved is None or not moved.count:
        return "nobody came, left or died while another stream was open"
    return f"{count(moved.count, 'disturbance')}, but no other stream was open to feel one"


def _where(summary: Summary, moved: Disturbances) -> str:
    """On whom, and beside what."""
    if math.isnan(moved.worst_periods or 0.0) or moved.worst_gap_at_s is None:
        return ""
    near = [one for one in moved.listed if any(other.subscriber == moved.worst_subscriber for other in one.others)]
    beside = min(near, key=lambda one: abs(one.at_s - (moved.worst_gap_at_s or 0.0)), default=None)
    on = f", on {client(summary, moved.worst_subscriber)}" if moved.worst_subscriber else ""
    when = f" at {seconds(moved.worst_gap_at_s)}"
    return f"{on}{when}" + ("" if beside is None else f" when {did(summary, beside)}")
