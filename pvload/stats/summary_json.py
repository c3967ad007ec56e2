"""The summary as canonical JSON: the same summary gives the same bytes, wherever it was folded."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

from pvload.stats.summary import SCHEMA, Summary

SIGNIFICANT = 12
"""Digits of a float: more than any figure means, fewer than the last bits that a compiler could change."""


def to_dict(summary: Summary) -> dict[str, Any]:
    """Plain values under the summary's field names, with `schema` first of all."""
    return {"schema": SCHEMA, **_plain(summary)}


def to_json(summary: Summary) -> bytes:
    """UTF-8, keys sorted, two spaces deep, floats of 12 significant digits, ended by a newline."""
    text = json.dumps(to_dict(summary), sort_keys=True, indent=2, ensure_ascii=False, allow_nan=False)
    return text.encode() + b"\n"


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)} | _derived(value)
    if isinstance(value, tuple | list):
        return [_plain(one) for one in value]
    if isinstance(value, dict):
        return {str(key): _plain(one) for key, one in value.items()}
    if isinstance(value, float):
        return float(f"{value:.{SIGNIFICANT}g}") if math.isfinite(value) else None
    return value


def _derived(value: Any) -> dict[str, Any]:
    """Figures that are properties, so that readers of the file need no rules of their own."""
    names = [name for name, kind in vars(type(value)).items() if isinstance(kind, property)]
    return {name: getattr(value, name) for name in names}
