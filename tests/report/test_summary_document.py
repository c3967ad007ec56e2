"""docs/summary.md names every field that summary.json holds."""

from __future__ import annotations

import json
import re
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from pvload.profiles.criteria import Criteria
from pvload.report.document import document_text
from pvload.stats import around, summary
from pvload.verdict.judge import judge
from pvload.verdict.judgement import Judged
from summaries import call, figures, stall, stalls, subscriber
from summaries import summary as healthy

TYPES = [
    *(kind for kind in {**vars(around), **vars(summary)}.values() if isinstance(kind, type) and is_dataclass(kind)),
    Judged,
]


@pytest.mark.parametrize("kind", TYPES, ids=lambda kind: kind.__name__)
def test_every_field_is_described(kind: type) -> None:
    words = set(re.findall(r"`([a-z_0-9.]+)`", (Path(__file__).parents[2] / "docs" / "summary.md").read_text()))
    assert is_dataclass(kind)
    assert [item.name for item in fields(kind) if item.name not in words] == []


def test_every_word_of_what_was_found_is_described() -> None:
    text = (Path(__file__).parents[2] / "docs" / "summary.md").read_text().partition("## found")[2]
    stalled = call(figures=figures())
    of = healthy(subscriber(stalls=stalls(stall())), calls=(stalled,))
    found = json.loads(document_text(of, judge(of, Criteria())))["found"]
    assert found["stall_lock"]["points"] == [{"index": 300, "period_s": 0.1, "frame_bytes": 8388608.0}]
    names = {*found, *(name for table in found.values() if isinstance(table, dict) for name in table)}
    names |= set(found["stall_lock"]["points"][0])
    assert sorted(name for name in names if f"`{name}`" not in text) == []
