"""Why a run came to its result, in sentences: the root cause first, and not once more for each of its consequences.

Without a stream there is nothing to measure, and every criterion says so. What matters then is why there was none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pvload.diagnose.daemon import deaths, died
from pvload.stats.summary import Summary
from pvload.verdict.always import did_not_begin
from pvload.verdict.judgement import Judged, Result, severity
from pvload.verdict.streams import accepted
from pvload.verdict.words import seconds

CAUSES: Final = ("camera_was_running", "unknown_device", "not_connected", "operator_failed")
"""Notes that say why there was no stream; their text is the cause."""
_OF_ITS_OWN: Final = frozenset({"admission", "accounting", "generator_lag_ms"})
"""Criteria that can be broken for another reason than a missing stream."""
_NAMES: Final = 3
"""Criteria named before one reason; of more of them, all but one less are counted."""


def why(summary: Summary, criteria: Sequence[Judged], result: Result) -> tuple[str, ...]:
    """The sentences that decided: the worst first, those with a moment before those without, one for each reason."""
    judged = [one for one in criteria if one.judged]
    if result is Result.PASS:
        return (f"all {len(judged)} criteria are kept",)
    against = [one for one in judged if one.counts_as is not Result.PASS]
    cause = _cause(summary) if any(one.counts_as is Result.INVALID for one in against) else ""
    if not any(accepted(one) for one in summary.subscribers):
        against = [one for one in against if not _follows(one, summary, cause)]
    names: dict[str, list[str]] = {}
    for one in sorted(against, key=lambda one: (severity(one.result), one.at_s is None, one.name != "frames")):
        names.setdefault(one.reason, []).append(one.name)
    lines = [f"{_listed(found)}: {reason}" for reason, found in names.items()]
    if cause:
        lines.insert(len({one.reason for one in against if one.result is Result.FAIL}), cause)
    return tuple(lines)


def _cause(summary: Summary) -> str:
    """Why no stream was accepted: the daemon's death, or what was noted; empty if one was, or nobody knows."""
    if any(accepted(one) for one in summary.subscribers):
        return ""
    for life in deaths(summary)[:1]:
        return f"{died(life)}, at {seconds(life.at_s)}"
    for note in summary.notes:
        kind, _, text = note.partition(": ")
        if kind in CAUSES and text:
            return text
    return f"the run did not begin: {summary.facts.failure}" if did_not_begin(summary) else ""


def _follows(one: Judged, summary: Summary, cause: str) -> bool:
    """Is it broken only because no stream was accepted? Without a noted cause, `frames` tells what is known of it."""
    if one.name == "accounting" and not summary.accounting.senders:
        return bool(cause)
    if one.result is Result.FAIL or one.name in _OF_ITS_OWN:
        return False
    if one.name == "frames":
        return bool(cause)
    if one.name == "duration":
        return bool(cause) and summary.facts.ended in ("failed", "duration")
    return True


def _listed(names: list[str]) -> str:
    if len(names) <= _NAMES:
        return ", ".join(names)
    return f"{', '.join(names[: _NAMES - 1])} and {len(names) - _NAMES + 1} more criteria"
