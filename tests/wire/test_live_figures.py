"""live.json: read back as written, replaced whole, and refused when it is something else."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pvload.errors import FormatError
from pvload.wire.live import (
    FILE_NAME,
    Live,
    LiveAccounting,
    LiveFigures,
    LivePopulation,
    live_from_json,
    read_live,
    write_live,
)

LIVE = Live(
    run="ab" * 16,
    state="running",
    wall_ns=5,
    figures=LiveFigures(elapsed_s=2.5, fps=29.9, populations=(LivePopulation(name="viewers", frames=7),)),
    accounting=LiveAccounting(delivered=3),
    verdict="PASS",
)


def test_it_reads_back_as_written_and_leaves_nothing_else(tmp_path: Path) -> None:
    """Written twice: the second one stands, and no temporary file is left."""
    assert read_live(tmp_path) is None
    write_live(tmp_path, Live(run="", state="running", wall_ns=1, figures=LiveFigures(), accounting=LiveAccounting()))
    write_live(tmp_path, LIVE)
    assert read_live(tmp_path) == LIVE
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


@pytest.mark.parametrize(
    ("what", "change", "reason"),
    [
        ("no magic", {"magic": "other"}, "does not say"),
        ("another version", {"version": 2}, "version 2"),
        ("one field too many", {"more": 1}, "more"),
        ("figures of another shape", {"figures": {"populations": []}}, "elapsed_s"),
        ("populations missing", {"figures": {}}, "populations"),
    ],
)
def test_what_it_does_not_know_is_refused(tmp_path: Path, what: str, change: dict[str, object], reason: str) -> None:
    """The reason names the field or the version."""
    write_live(tmp_path, LIVE)
    values = json.loads((tmp_path / FILE_NAME).read_text())
    with pytest.raises(FormatError, match=reason):
        live_from_json(json.dumps({**values, **change}))


@pytest.mark.parametrize("text", ["", "[]", '{"magic": "pvload.live"'])
def test_what_is_no_object_is_refused(text: str) -> None:
    """A half-written file cannot happen; a foreign one can."""
    with pytest.raises(FormatError):
        live_from_json(text)
