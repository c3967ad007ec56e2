"""`summary.json`: a summary and its verdict as one canonical text.

A pure function of both, so the same journal and profile give the same bytes, whoever computes them and when: keys
sorted, no time of writing, no path. The fields are described in docs/summary.md.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import Any

from pvload.diagnose.cycles import attempts
from pvload.diagnose.locks import lock_of, points_of
from pvload.diagnose.nothing import nothing_seen
from pvload.diagnose.policy import disconnect_policy, slow_reader_policy
from pvload.stats.summary import LIST_LIMIT, Summary
from pvload.stats.summary_json import SIGNIFICANT, to_dict
from pvload.verdict.judgement import Judged, Verdict


def document(summary: Summary, verdict: Verdict) -> dict[str, Any]:
    """The values of summary.json, ready for JSON."""
    return {**to_dict(summary), "verdict": _verdict(verdict), "found": _found(summary)}


def _found(summary: Summary) -> dict[str, Any]:
    """What was found out from the figures: for whoever compares runs, in the words that the report uses."""
    policy, slow = disconnect_policy(summary), slow_reader_policy(summary.around.slow_readers)
    cycles, points = attempts(summary.around.cycles), points_of(summary)[:LIST_LIMIT]
    lock = lock_of(points)
    return {
        "disconnect_policy": {"word": policy.word, "looked_at": policy.looked_at, "evidence": list(policy.evidence)},
        "slow_reader_policy": {"word": slow.word, "looked_at": slow.looked_at, "evidence": list(slow.evidence)},
        "cycles": {
            "count": cycles.count,
            "failed": cycles.failed,
            "first_differs": cycles.first_differs,
            "sentence": cycles.sentence,
        },
        "stall_lock": {
            "kind": lock.kind,
            "not_ruled_out": lock.not_ruled_out,
            "sentence": lock.sentence,
            "points": [{name: _rounded(value) for name, value in asdict(one).items()} for one in points],
        },
        "none_seen": list(nothing_seen(summary)),
    }


def document_text(summary: Summary, verdict: Verdict) -> str:
    """The text of summary.json."""
    values = document(summary, verdict)
    return json.dumps(values, indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "result": verdict.result.value,
        "exit_code": verdict.exit_code,
        "why": list(verdict.why),
        "criteria": [_criterion(one) for one in verdict.criteria],
    }


def _criterion(one: Judged) -> dict[str, Any]:
    values = {name: _rounded(value) for name, value in asdict(one).items()}
    return {**values, "result": one.result.value}


def _rounded(value: object) -> object:
    """Floats to as many digits as the summary's own; what is no number is not known."""
    if not isinstance(value, float):
        return value
    return float(f"{value:.{SIGNIFICANT}g}") if math.isfinite(value) else None
