"""docs/summary.md names every field that summary.json holds."""

from __future__ import annotations

import re
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from pvload.stats import around, summary
from pvload.verdict.judgement import Judged

TYPES = [
    *(kind for kind in {**vars(around), **vars(summary)}.values() if isinstance(kind, type) and is_dataclass(kind)),
    Judged,
]


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.__name__)
def test_every_field_is_described(kind: type) -> None:
    words = set(re.findall(r"`([a-z_0-9.]+)`", (Path(__file__).parents[2] / "docs" / "summary.md").read_text()))
    assert is_dataclass(kind)
    assert [item.name for item in fields(kind) if item.name not in words] == []
