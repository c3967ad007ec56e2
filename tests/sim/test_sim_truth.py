"""What the truth makes of a ledger, on ledgers written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pvload.clock import SystemClock
from pvload.errors import FormatError
from pvload.sim import ledger as ledger_module
from pvload.sim.ledger import FileLedger, read_ledger
from pvload.sim.truth import CallTruth, call_truths


def opened(*, max_fps: int = 0, call: int = 0) -> dict[str, Any]:
    return {
        "is": "call_opened",
        "t_ns": 5,
        "call": call,
        "device": "cam",
        "peer": "127.0.0.1:1",
        "max_fps": max_fps,
        "quality": 0,
    }


def sent(made: int, *, numbering: int = 1, again: bool = False, ok: bool = True, call: int = 0) -> dict[str, Any]:
    return {
        "is": "sent",
        "t_ns": 100 * made,
        "done_ns": 100 * made + 1,
        "call": call,
        "made": made,
        "numbering": numbering,
        "frame_number": made,
        "frames_sent": made,
        "frames_dropped": 0,
        "bytes": 10,
        "ok": ok,
        "again": again,
    }


def lost(made: int, stage: str, *, call: int = 0) -> dict[str, Any]:
    return {"is": "dropped", "t_ns": 0, "device": "cam", "made": made, "stage": stage, "call": call}


def truth_of(*entries: dict[str, Any], max_fps: int = 0) -> CallTruth:
    (truth,) = call_truths([opened(max_fps=max_fps), *entries])
    return truth


@pytest.mark.parametrize(
    ("stages", "max_fps", "shown"),
    [
        pytest.param(["observer"], 0, {"unseen": 1}, id="lost unseen"),
        pytest.param(["output"], 0, {"backpressure": 1}, id="skipped"),
        pytest.param(["output", "decimated"], 30, {"decimated": 2}, id="any skip under max_fps is decimation"),
        pytest.param(["transport"], 0, {"transport": 1}, id="lost after the counter"),
        pytest.param(["compression"], 0, {"undecided": 1}, id="both counters"),
        pytest.param(["compression", "observer"], 0, {"backpressure": 1, "transport": 1}, id="one masks the other"),
        pytest.param(
            ["compression", "observer", "observer"],
            0,
            {"backpressure": 1, "transport": 1, "unseen": 1},
            id="what is left of a pair",
        ),
        pytest.param(["before_numbering"], 0, {"before_numbering": 1}, id="never numbered"),
    ],
)
def test_a_loss_between_two_frames_is_classed(stages: list[str], max_fps: int, shown: dict[str, int]) -> None:
    losses = [lost(2 + at, stage) for at, stage in enumerate(stages)]
    missing = truth_of(sent(1), *losses, sent(9), max_fps=max_fps).missing
    fields = ("decimated", "backpressure", "unseen", "transport", "undecided", "before_numbering", "across_restart")
    assert {name: getattr(missing, name) for name in fields if getattr(missing, name)} == shown


def test_losses_at_head_and_tail_show_nowhere() -> None:
    truth = truth_of(lost(1, "observer"), sent(2), sent(3), lost(4, "transport"))
    assert truth.missing.numbered == 0


def test_a_loss_written_out_of_order_still_falls_between_its_neighbours() -> None:
    """The forwarder drops a frame while earlier ones still wait to be written."""
    truth = truth_of(lost(3, "output"), sent(1), sent(2), sent(4))
    assert truth.missing.backpressure == 1


@pytest.mark.parametrize(
    ("stage", "shown"),
    [
        ("observer", (0, 0, 0, 1)),
        ("before_numbering", (0, 0, 0, 1)),
        ("output", (1, 0, 0, 0)),
        ("transport", (0, 1, 0, 0)),
        ("compression", (1, 1, 0, 0)),
    ],
)
def test_across_a_restart_only_the_two_counters_tell(stage: str, shown: tuple[int, ...]) -> None:
    truth = truth_of(sent(1), lost(2, stage), sent(3, numbering=2), sent(4, numbering=2))
    missing = truth.missing
    assert (missing.backpressure, missing.transport, missing.undecided, missing.across_restart) == shown
    assert truth.restarts == 1


def test_duplicates_and_reorders_are_no_losses() -> None:
    truth = truth_of(sent(1), sent(1, again=True), sent(3), sent(2), sent(4))
    assert (truth.frames, truth.duplicates, truth.reorders, truth.missing.numbered) == (5, 1, 1, 0)


def test_a_frame_that_was_not_through_was_not_sent() -> None:
    assert truth_of(sent(1), sent(2, ok=False)).frames == 1


def test_each_call_has_its_own_truth() -> None:
    first, second = call_truths(
        [opened(), opened(call=1), sent(1), sent(1, call=1), lost(2, "observer", call=1), sent(3, call=1), sent(3)]
    )
    assert (first.missing.unseen, second.missing.unseen) == (0, 1)
    assert first.ended_ns == -1
    assert first.gaps_longer_than(150) == [(100, 200)]


def test_ledger_reads_back_what_was_noted(tmp_path: Path) -> None:
    ledger = FileLedger(tmp_path / "deep" / "ledger.jsonl", SystemClock())
    ledger.start()
    for number in range(1000):
        ledger.note("produced", t_ns=number, made=number)
    ledger.close()
    entries = list(read_ledger(tmp_path / "deep" / "ledger.jsonl"))
    assert [entry["made"] for entry in entries] == list(range(1000))
    assert entries[7]["t_ns"] == 7
    assert entries[7]["wall_ns"] > 0


def test_a_line_cut_by_a_kill_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_text('{"is":"listening","t_ns":1}\n{"is":"prod')
    assert [entry["is"] for entry in read_ledger(path)] == ["listening"]


@pytest.mark.parametrize("line", ["not json", "[1]", '{"t_ns":1}', '{"is":"overflow","entries":3}'])
def test_a_ledger_that_is_no_truth_is_refused(tmp_path: Path, line: str) -> None:
    path = tmp_path / "ledger.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(FormatError):
        list(read_ledger(path))


def test_an_overflowing_ledger_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "QUEUE_ENTRIES", 10)
    ledger = FileLedger(tmp_path / "ledger.jsonl", SystemClock())
    for number in range(25):
        ledger.note("produced", made=number)
    ledger.start()
    ledger.close()
    with pytest.raises(FormatError, match="overflowed by 15"):
        list(read_ledger(tmp_path / "ledger.jsonl"))
