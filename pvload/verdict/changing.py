"""Criteria about changing the camera: what changes did, whether it was put back, whether expectations were met."""

from __future__ import annotations

from typing import Final, Literal

from pvload.diagnose.changes import BROKEN, OUTCOMES, told
from pvload.stats.around import Change
from pvload.stats.summary import Summary
from pvload.verdict.criterion import nothing, stated, unwitnessed
from pvload.verdict.doubt import Doubt
from pvload.verdict.judgement import Judged, Result, severity
from pvload.verdict.words import count

_GOOD: Final = {
    "effective": frozenset({"effective"}),
    "clear": frozenset({"effective", "refused_then_effective"}),
}
_EFFECT_S: Final = 2.0
"""How long an effect is looked for, as far as blind time is concerned."""


def changes(summary: Summary, doubt: Doubt, limit: Literal["effective", "clear"] | None) -> Judged | None:
    """Every change by its outcome; the worst one decides. None: not named and none made."""
    all_of = summary.around.changes
    if not all_of.count:
        return None if limit is None else nothing("changes", "no change of the camera was made")
    listed = ", ".join(f"{number:,} {OUTCOMES[name]}" for name, number in sorted(all_of.outcomes.items()) if number)
    summed = f"{count(all_of.count, 'change')}: {listed}"
    if limit is None:
        return stated("changes", Result.NOT_CHECKED, summed, judged=False, n=all_of.count)
    judged = [(_change(one, doubt, limit), one) for one in all_of.listed]
    seen = {one.outcome for _, one in judged}
    unlisted = [_outcome(name, limit) for name, number in all_of.outcomes.items() if number and name not in seen]
    if not judged:
        return stated("changes", min(unlisted, key=severity), summed, n=all_of.count)
    result, worst = min(judged, key=lambda row: (severity(row[0]), row[1].at_s))
    result = min([result, *unlisted], key=severity)
    if result is Result.PASS:
        return stated("changes", result, summed, n=all_of.count)
    said = f"{told(worst)}: {OUTCOMES[worst.outcome]}"
    said += _why_not(result, worst)
    return stated("changes", result, f"{said}; {summed}", n=all_of.count, at_s=worst.at_s, subject=worst.by)


def _outcome(outcome: str, limit: Literal["effective", "clear"]) -> Result:
    """An outcome by itself."""
    if outcome in _GOOD[limit]:
        return Result.PASS
    if outcome in BROKEN or (limit == "effective" and outcome in ("refused", "refused_then_effective")):
        return Result.FAIL
    return Result.INCONCLUSIVE


def _change(change: Change, doubt: Doubt, limit: Literal["effective", "clear"]) -> Result:
    """One change: its outcome, and whether pvload's missing records or blind time could have made it."""
    result = _outcome(change.outcome, limit)
    if change.outcome == "refused" and change.restarted_at_s is not None:
        result = Result.FAIL
    if result is not Result.FAIL or change.outcome.startswith("refused"):
        return result
    return Result.INVALID if _could_be_ours(change, doubt) else Result.FAIL


def _could_be_ours(change: Change, doubt: Doubt) -> bool:
    """An answer, or all frames that showed the effect, may be among the missing records or in blind time."""
    if doubt.within(change.at_s, _EFFECT_S) >= _EFFECT_S / 2:
        return True
    if change.outcome.startswith("ignored"):
        return 0 < doubt.stream_records >= max((one.frames_before_effect for one in change.effects), default=0)
    return doubt.stream_records > 0


def _why_not(result: Result, change: Change) -> str:
    if result is Result.INVALID:
        return ", but pvload's own blind time or missing records could have made it look so"
    if change.outcome == "refused" and result is Result.FAIL:
        return ", and it had no effect after a stop and a start" if change.restarted_at_s is not None else ""
    if change.outcome == "refused":
        return ", but whether it takes effect after a stop and a start was not tried"
    return ""


def restored(summary: Summary, limit: bool | None) -> Judged | None:
    """At the end parameters and frames are what they were at the start, by whoever compared them."""
    notes = summary.note_counts
    failed = notes.get("not_restored", 0)
    if failed:
        text = next((note.partition(": ")[2] for note in summary.notes if note.startswith("not_restored: ")), "")
        reason = f"the camera is not what it was at the start{f': {text}' if text else ''}"
        return stated("restored", Result.FAIL, reason, judged=bool(limit), n=failed)
    if notes.get("restored", 0):
        reason = "parameters and frames are at the end what they were at the start"
        return stated("restored", Result.PASS, reason, judged=bool(limit), n=notes["restored"])
    if not limit:
        return None
    return unwitnessed("restored", "the camera's parameters at the end were not compared with those at the start")


def expectations(summary: Summary, limit: bool | None) -> Judged | None:
    """Every `expect` was met, and every action could be done."""
    actions = summary.around.actions
    if not actions:
        return nothing("expectations", "the timeline did nothing") if limit else None
    by = {outcome: [one for one in actions if one.outcome == outcome] for outcome in ("unmet", "failed", "not_reached")}
    for outcome, result, words in (
        ("unmet", Result.FAIL, "was not met"),
        ("failed", Result.INVALID, "could not be done"),
        ("not_reached", Result.INCONCLUSIVE, "was never reached: the run ended before"),
    ):
        if by[outcome]:
            first = by[outcome][0]
            details = f": {first.details}" if first.details else ""
            more = f"; {len(by[outcome]) - 1:,} more like it" if len(by[outcome]) > 1 else ""
            reason = f"action {first.number} ({first.text}) {words}{details}{more}"
            at_s = None if outcome == "not_reached" else first.at_s
            return stated("expectations", result, reason, judged=bool(limit), n=len(actions), at_s=at_s)
    reason = f"{count(len(actions), 'action')} of the timeline done, every expectation met"
    return stated("expectations", Result.PASS, reason, judged=bool(limit), n=len(actions))
