"""`summary.json`: a summary and its verdict as one canonical text, and back.

A pure function of both, so the same journal and profile give the same bytes, whoever computes them and when: keys
sorted, no time of writing, no path. The fields are described in docs/summary.md.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from pvload.stats.summary import SCHEMA, Missing, Summary
from pvload.verdict.judgement import Judged, Verdict


def document(summary: Summary, verdict: Verdict) -> dict[str, Any]:
    """The values of summary.json, ready for JSON."""
    values = asdict(summary)
    return {"schema": SCHEMA, "verdict": _verdict(verdict), **_with_totals(values)}


def document_text(summary: Summary, verdict: Verdict) -> str:
    """The text of summary.json; ValueError if a figure is infinite or no number, which a summary must never hold."""
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
    return {**asdict(one), "result": one.result.value}


_MISSING_FIELDS = frozenset(Missing.__dataclass_fields__)


def _with_totals(value: Any) -> Any:
    """The same tree with the sums that readers of `missing` would otherwise each add up for themselves."""
    if isinstance(value, dict):
        if value.keys() == _MISSING_FIELDS:
            missing = Missing(**value)
            return {**value, "total": missing.total, "unexplained": missing.unexplained}
        return {key: _with_totals(below) for key, below in value.items()}
    if isinstance(value, list | tuple):
        return [_with_totals(below) for below in value]
    return value
