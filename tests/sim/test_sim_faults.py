"""Every kind of fault: what the client sees, and that ledger and truth say the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import lz4.block
import numpy as np
import pytest

from pvload._pb import daq_pb2
from pvload.profiles.simulated import Fault
from pvload.sim import producer as producer_module
from pvload.sim.faults import APART_FRAMES, HEAD_FRAMES, SEEDED_KINDS, FaultTable, schedule
from pvload.sim.pace import next_deadline, resumed_ns
from simulated import Simulated, simulated, until

MS = 1_000_000


def run(folder: Path, faults: list[dict[str, Any]], *, frames: int, **table: Any) -> tuple[list[Any], Simulated]:
    """One subscriber over `frames` frames of 20 ms on a grid; the simulator has ended when this returns."""
    with simulated(folder, model="grid", faults=faults, **table) as sim:
        sim.camera(exposure_ms=20)
        stream = sim.open().opened()
        sim.start()
        received = stream.take(frames)
        sim.stop()
    return received, sim


def columns(frames: list[daq_pb2.FrameData]) -> tuple[list[int], list[int], list[int]]:
    return (
        [frame.frame_number for frame in frames],
        [frame.metrics.frames_sent for frame in frames],
        [frame.metrics.frames_dropped for frame in frames],
    )


def test_stall_stands_still_and_goes_on_with_the_next_number(tmp_path: Path) -> None:
    frames, sim = run(tmp_path, [{"kind": "stall", "frame": 5, "duration": "300ms"}], frames=12)
    assert columns(frames)[0] == list(range(12))
    steps = np.diff([frame.timestamp_ns for frame in frames])
    assert steps[4] > 290 * MS
    truth = sim.truths()[0]
    gaps = dict(truth.gaps_longer_than(200 * MS))
    assert gaps[int(truth.sent_ns[4])] > 280 * MS
    assert truth.missing.numbered == 0


def test_a_stall_for_ever_keeps_the_call_open_and_a_restart_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(producer_module, "TICK_NS", 300 * MS)
    with simulated(tmp_path, model="grid", faults=[{"kind": "stall", "frame": 3}]) as sim:
        sim.camera(exposure_ms=20)
        stream = sim.open().opened()
        sim.start()
        stream.take(3)
        until(lambda: "[PVCAM DEBUG] Timeouts: 1, Status: 0, Bytes: 0," in sim.log_text(), "the first complaint")
        assert sim.state().streaming
        assert sim.stop() == 3
        sim.start()
        assert [frame.frame_number for frame in stream.take(3)] == [0, 1, 2]


@pytest.mark.parametrize("length", [{}, {"duration": "5s"}], ids=["for ever", "longer than the driver waits"])
def test_the_driver_gives_up_a_stalled_camera_and_only_flag_and_log_say_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: dict[str, str]
) -> None:
    """Five ticks (10 s on the real one) make an involuntary stop; the call stays open."""
    monkeypatch.setattr(producer_module, "TICK_NS", 40 * MS)
    with simulated(tmp_path, model="grid", faults=[{"kind": "stall", "frame": 3, **length}]) as sim:
        sim.camera(exposure_ms=20)
        stream = sim.open().opened()
        sim.start()
        stream.take(3)
        until(lambda: not sim.state().streaming, "the involuntary stop")
        assert stream.call.is_active()
        assert sim.start() == ""
        assert next(stream.call).frame_number == 0
    text = sim.log_text()
    assert "[PVCAM DEBUG] Timeouts: 5," in text
    assert "Acquisition error (involuntary stop) error=Timeout" in text
    assert "max consecutive timeouts reached" in text


def test_drop_before_numbering_shows_only_in_the_timestamps(tmp_path: Path) -> None:
    frames, sim = run(tmp_path, [{"kind": "drop_before_numbering", "frame": 5, "count": 2}], frames=12)
    assert columns(frames)[0] == list(range(12))
    steps = np.diff([frame.timestamp_ns for frame in frames])
    assert steps[4] > 50 * MS
    assert sim.truths()[0].missing.before_numbering == 2


@pytest.mark.parametrize(
    ("kind", "number", "sent", "dropped", "shown"),
    [
        pytest.param("drop_at_observer", 3, 1, 0, {"unseen": 2}, id="lost unseen"),
        pytest.param("drop_at_output", 3, 1, 2, {"backpressure": 2}, id="skipped and counted"),
        pytest.param("drop_at_compression", 3, 3, 2, {"undecided": 2}, id="both counters"),
        pytest.param("drop_at_transport", 3, 3, 0, {"transport": 2}, id="sent counter only"),
    ],
)
def test_a_drop_moves_the_counters_of_its_stage(
    tmp_path: Path, kind: str, number: int, sent: int, dropped: int, shown: dict[str, int]
) -> None:
    frames, sim = run(tmp_path, [{"kind": kind, "frame": 5, "count": 2}], frames=10)
    steps = [np.diff(column) for column in columns(frames)]
    assert [int(step[4]) for step in steps] == [number, sent, dropped]
    missing = sim.truths()[0].missing
    assert {name: getattr(missing, name) for name in shown} == shown
    assert missing.numbered == 2


def test_late_frame_keeps_number_and_timestamp(tmp_path: Path) -> None:
    frames, sim = run(tmp_path, [{"kind": "late", "frame": 5, "duration": "90ms"}], frames=12)
    assert columns(frames)[0] == list(range(12))
    truth = sim.truths()[0]
    late_ns = truth.sent_ns - np.array([entry["t_ns"] for entry in sim.entries("produced")][:12])
    assert late_ns[5] > 85 * MS
    assert frames[6].timestamp_ns - frames[5].timestamp_ns < late_ns[5]


def test_duplicate_comes_twice_with_the_same_counters(tmp_path: Path) -> None:
    frames, sim = run(tmp_path, [{"kind": "duplicate", "frame": 4}], frames=10)
    assert frames[4] == frames[5]
    assert columns(frames)[0] == [0, 1, 2, 3, 4, 4, 5, 6, 7, 8]
    truth = sim.truths()[0]
    assert (truth.duplicates, truth.reorders, truth.restarts, truth.missing.numbered) == (1, 0, 0, 0)


def test_reorder_swaps_two_messages(tmp_path: Path) -> None:
    frames, sim = run(tmp_path, [{"kind": "reorder", "frame": 4}], frames=10)
    assert columns(frames)[0] == [0, 1, 2, 3, 5, 4, 6, 7, 8, 9]
    assert columns(frames)[1] == [1, 2, 3, 4, 6, 5, 7, 8, 9, 10]
    truth = sim.truths()[0]
    assert (truth.duplicates, truth.reorders, truth.restarts, truth.missing.numbered) == (0, 1, 0, 0)


def test_counter_reset_starts_the_numbers_over_and_nothing_else(tmp_path: Path) -> None:
    frames, sim = run(tmp_path, [{"kind": "counter_reset", "frame": 6}], frames=10)
    assert columns(frames)[0] == [0, 1, 2, 3, 4, 5, 0, 1, 2, 3]
    assert columns(frames)[1] == list(range(1, 11))
    assert sim.truths()[0].restarts == 1


def test_zero_image_is_black_and_of_full_size(tmp_path: Path) -> None:
    frames, _ = run(tmp_path, [{"kind": "zero_image", "frame": 2, "count": 2}], frames=6)
    black = [not any(lz4.block.decompress(frame.data)) for frame in frames]
    assert black == [False, False, True, True, False, False]
    assert {frame.uncompressed_size for frame in frames} == {64 * 64 * 2}


def test_status_error_hits_the_call_it_names_and_no_other(tmp_path: Path) -> None:
    fault = {"kind": "status_error", "frame": 4, "subscriber": 1, "code": "UNAVAILABLE", "text": "link down"}
    with simulated(tmp_path, model="grid", faults=[fault]) as sim:
        sim.camera(exposure_ms=20)
        first, second = sim.open().opened(), sim.open().opened()
        sim.start()
        assert len(second.take(4)) == 4
        assert second.status() == (grpc.StatusCode.UNAVAILABLE, "link down")
        assert len(first.take(8)) == 8
        until(lambda: sim.entries("slot_released"), "the slot of the ended call")
        ended = sim.truths()[1]
        assert (ended.code, ended.frames) == ("UNAVAILABLE", 4)


def test_clean_end_is_an_ok_that_nobody_ordered(tmp_path: Path) -> None:
    with simulated(tmp_path, model="grid", faults=[{"kind": "clean_end", "frame": 3}]) as sim:
        sim.camera(exposure_ms=20)
        stream = sim.open().opened()
        sim.start()
        assert [frame.frame_number for frame in stream.rest()] == [0, 1, 2]
        assert stream.call.code() is grpc.StatusCode.OK


def test_connection_reset_cuts_one_client_and_spares_the_others(tmp_path: Path) -> None:
    fault = {"kind": "connection_reset", "frame": 4, "subscriber": 0}
    with simulated(tmp_path, model="grid", relay=True, faults=[fault]) as sim:
        sim.camera(exposure_ms=20)
        first, second = sim.open().opened(), sim.open().opened()
        sim.start()
        assert len(first.take(4)) == 4
        code, text = first.status()
        assert code is grpc.StatusCode.UNAVAILABLE
        assert "reset" in text.lower()
        assert len(second.take(10)) == 10


def test_stop_is_another_clients_stop_stream(tmp_path: Path) -> None:
    with simulated(tmp_path, model="grid", faults=[{"kind": "stop", "frame": 4}]) as sim:
        sim.camera(exposure_ms=20)
        stream = sim.open().opened()
        sim.start()
        stream.take(4)
        until(lambda: not sim.state().streaming, "the stop")
        assert sim.stop() == 4
        until(lambda: sim.entries("stop_stream"), "the ledger")
        assert sim.entries("stop_stream")[0]["by"] == "fault"


def test_a_fault_strikes_every_acquisition_once(tmp_path: Path) -> None:
    with simulated(tmp_path, model="grid", faults=[{"kind": "duplicate", "frame": 1}]) as sim:
        sim.camera(exposure_ms=20)
        stream = sim.open().opened()
        for _ in range(2):
            sim.start()
            assert [frame.frame_number for frame in stream.take(4)] == [0, 1, 1, 2]
            count = sim.stop()
            if count > 3:
                stream.take(count - 3)


@pytest.mark.parametrize("seed", range(6))
def test_seeded_schedule_is_repeatable_ordered_and_apart(seed: int) -> None:
    faults = schedule(seed, 5.0, 2000)
    assert faults == schedule(seed, 5.0, 2000)
    assert faults != schedule(seed + 1, 5.0, 2000)
    assert {fault.kind for fault in faults} <= set(SEEDED_KINDS)
    frames = [fault.frame for fault in faults]
    assert frames[0] >= HEAD_FRAMES
    assert min(np.diff(frames)) >= APART_FRAMES
    assert 40 <= len(faults) <= 160


def test_seeds_together_draw_every_kind() -> None:
    assert {fault.kind for seed in range(10) for fault in schedule(seed, 5.0, 300)} == set(SEEDED_KINDS)


def test_fault_table_knows_frames_and_calls() -> None:
    table = FaultTable(
        [
            Fault(kind="drop_at_output", frame=3, count=2, subscriber=1),
            Fault(kind="duplicate", frame=3, count=5),
            Fault(kind="stall", frame=4),
        ]
    )
    assert [fault.kind for fault in table.of_call(1, 1, 3)] == ["drop_at_output", "duplicate"]
    assert [fault.kind for fault in table.of_call(0, 1, 3)] == ["duplicate"]
    assert [fault.kind for fault in table.of_call(1, 1, 4)] == ["drop_at_output"]
    assert [fault.kind for fault in table.of_producer(1, 4)] == ["stall"]
    assert table.of_producer(1, 3) == []


@pytest.mark.parametrize(
    ("pace", "now_ns", "expected"),
    [
        pytest.param("grid", 105, (200, 0), id="in time"),
        pytest.param("grid", 350, (200, 0), id="late: caught up"),
        pytest.param("pvcam-mock", 130, (230, 0), id="sleeps again from now"),
        pytest.param("free", 105, (200, 0), id="free, in time"),
        pytest.param("free", 100_000_000, (100_000_100, 0), id="free, far behind: goes on from now"),
    ],
)
def test_next_deadline(pace: Any, now_ns: int, expected: tuple[int, int]) -> None:
    assert next_deadline(pace, 100, now_ns=now_ns, period_ns=100) == expected


def test_a_grid_hopelessly_late_gives_up_whole_periods_and_says_how_many() -> None:
    deadline_ns, missed = next_deadline("grid", 0, now_ns=2_000_000_055, period_ns=10)
    assert (deadline_ns, missed) == (2_000_000_060, 200_000_005)


@pytest.mark.parametrize(
    ("pace", "stall_ns", "resumed"),
    [
        ("grid", 1000, 1150),
        ("grid", 1050, 1150),
        ("grid", 1010, 1160),
        ("pvcam-mock", 1000, 1100),
    ],
)
def test_a_stalled_grid_never_goes_on_on_its_old_phase(pace: Any, stall_ns: int, resumed: int) -> None:
    assert resumed_ns(pace, 100, stall_ns=stall_ns, period_ns=100) == resumed
