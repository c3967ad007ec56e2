"""`summary.json`: a summary and its verdict as one canonical text.

A pure function of both, so the same journal and profile give the same bytes, whoever computes them and when: keys
sorted, no time of writing, no path. The fields are described in docs/summary.md.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import Any

from pvload.stats.summary import Summary
from pvload.stats.summary_json import SIGNIFICANT, to_dict
from pvload.verdict.judgement import Judged, Verdict


def document(summary: Summary, verdict: Verdict) -> dict[str, Any]:
    """The values of summary.json, ready for JSON."""
    return {**to_dict(summary), "verdict": _verdict(verdict)}


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
