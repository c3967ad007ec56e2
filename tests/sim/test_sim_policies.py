"""What the simulated daemon does with changes while it streams, with clients that leave, and with slow readers."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Any

import grpc
import pytest

from pvload._pb import daq_pb2
from pvload.sim import camera as camera_module
from pvload.sim import pipeline as pipeline_module
from simulated import Simulated, Stream, simulated, until

BINNED = "[2,2]"
QUARTER = '{"x":16,"y":16,"width":32,"height":32}'
LARGE = '{"x":0,"y":0,"width":512,"height":512}'


def shown(frame: daq_pb2.FrameData) -> tuple[int, int, float]:
    return frame.width, frame.binning_x, frame.exposure_ms


def sets(sim: Simulated, name: str) -> list[dict[str, Any]]:
    """The ledger's lines of the set calls of one parameter, once the last one given is written."""
    return [entry for entry in sim.entries("parameter") if entry["name"] == name]


@pytest.mark.parametrize(
    ("mode", "in_effect", "running", "restarted"),
    [
        pytest.param("head", "next_start", (64, 1, 20.0), (32, 2, 10.0), id="head"),
        pytest.param("live", "next_frame", (32, 2, 10.0), (32, 2, 10.0), id="live"),
        pytest.param("ignored", "never", (64, 1, 20.0), (64, 1, 20.0), id="ignored"),
    ],
)
def test_a_change_while_streaming_shows_when_the_switch_says(
    tmp_path: Path, mode: str, in_effect: str, running: Any, restarted: Any
) -> None:
    with simulated(tmp_path, model="grid", parameters=mode) as sim:
        sim.camera(exposure_ms=20)
        stream = sim.open().opened()
        sim.start()
        stream.take(2)
        assert sim.set("acquisition.binning", BINNED) == BINNED
        assert sim.set("acquisition.exposure_ms", "10") == "10.0"
        assert shown(stream.take(6)[-1]) == running
        sim.stop()
        sim.start()
        until(lambda: next(stream.call).frame_number == 0, "the second acquisition")
        assert shown(stream.take(2)[-1]) == restarted
    (told,) = sets(sim, "acquisition.binning")
    assert (told["in_effect"], told["code"]) == (in_effect, "OK")
    effects = [entry["acquisition"] for entry in sim.entries("in_effect") if entry["set"] == told["set"]]
    assert effects == {"head": [2], "live": [1], "ignored": []}[mode]


def test_ignored_are_changes_while_streaming_and_no_others(tmp_path: Path) -> None:
    """What is set while the camera stands still is in effect at the next start, even after an ignored one."""
    with simulated(tmp_path, model="grid", parameters="ignored") as sim:
        sim.camera(exposure_ms=20)
        stream = sim.open().opened()
        sim.start()
        sim.set("acquisition.roi", QUARTER)
        assert {frame.width for frame in stream.take(3)} == {64}
        sim.stop()
        sim.set("acquisition.roi", QUARTER)
        sim.start()
        until(lambda: next(stream.call).width == 32, "the size set while it stood still")


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("acquisition.roi", QUARTER, "ROI"),
        ("acquisition.binning", BINNED, "binning"),
        ("acquisition.buffer_mode", "No Overwrite", "buffer_mode"),
        ("readout.port", "Normal Port", "readout port"),
        ("readout.speed_mode", "50 MHz", "speed mode"),
        ("readout.gain_mode", "Low Gain", "gain mode"),
    ],
)
def test_guarded_refuses_with_the_daemons_text_and_frames_go_on(
    tmp_path: Path, name: str, value: str, word: str
) -> None:
    with simulated(tmp_path, model="grid", parameters="guarded") as sim:
        sim.camera(exposure_ms=10)
        stream = sim.open().opened()
        sim.start()
        stream.take(2)
        with pytest.raises(grpc.RpcError) as refused:
            sim.set(name, value)
        assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        text = f"Failed to set parameter: Cannot change {word} while streaming"
        assert refused.value.details() == text
        assert {frame.width for frame in stream.take(3)} == {64}
    told = sets(sim, name)[-1]
    assert (told["ok"], told["code"], told["text"], told["in_effect"]) == (False, "INVALID_ARGUMENT", text, "refused")


@pytest.mark.parametrize("call", ["SetParameter", "SetExposure"])
def test_guarded_takes_an_exposure_at_once_and_the_rate_follows(tmp_path: Path, call: str) -> None:
    with simulated(tmp_path, model="grid", parameters="guarded") as sim:
        sim.camera(exposure_ms=60)
        stream = sim.open().opened()
        sim.start()
        stream.take(2)
        if call == "SetParameter":
            sim.set("acquisition.exposure_ms", "20")
        else:
            sim.stub.SetExposure(daq_pb2.SetExposureRequest(device_id="prime_bsi", exposure_ms=20), timeout=5)
        frames = stream.take(12)
        assert frames[-1].exposure_ms == 20.0
        steps = [(b.timestamp_ns - a.timestamp_ns) / 1e6 for a, b in pairwise(frames[3:])]
        assert 15 < sorted(steps)[len(steps) // 2] < 30


def test_an_image_too_large_is_refused_where_it_would_be_in_effect_at_once(tmp_path: Path) -> None:
    with simulated(tmp_path, parameters="live") as sim:
        sim.camera(exposure_ms=20)
        sim.start()
        with pytest.raises(grpc.RpcError) as refused:
            sim.set("acquisition.roi", '{"x":0,"y":0,"width":60000,"height":60000}')
        assert "exceeds" in (refused.value.details() or "")


def leaving(sim: Simulated) -> tuple[Stream, Stream]:
    """Two subscribers of a running camera."""
    sim.camera(exposure_ms=20)
    stays, leaves = sim.open().opened(), sim.open().opened()
    sim.start()
    stays.take(2)
    leaves.take(2)
    return stays, leaves


def test_stops_all_ends_the_acquisition_for_everybody_and_a_start_brings_frames_back(tmp_path: Path) -> None:
    with simulated(tmp_path, model="grid", disconnect="stops-all") as sim:
        stays, leaves = leaving(sim)
        leaves.leave()
        until(lambda: not sim.state().streaming, "the stop")
        assert stays.call.is_active()
        sim.start()
        until(lambda: next(stays.call).frame_number == 0, "frames on the call that stayed")
        assert sim.state().streaming
    ended = sim.entries("acquisition_ended")
    assert (ended[0]["acquisition"], ended[0]["reason"]) == (1, "client_left")
    assert sim.entries("stop_stream")[0]["by"] == "disconnect"
    assert "PVCAM acquisition ended:" in sim.log_text()


def test_zombie_ends_the_loop_after_the_last_one_left_and_keeps_the_flag(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five seconds on the real one. A stop and a start cure it, a start alone does not."""
    monkeypatch.setattr(camera_module, "NO_CONSUMERS_S", 0.2)
    with simulated(tmp_path, model="grid", disconnect="zombie") as sim:
        stays, leaves = leaving(sim)
        leaves.leave()
        until(lambda: sim.entries("slot_released"), "the first to leave")
        assert [len(stays.take(20)), len(sim.entries("acquisition_ended"))] == [20, 0]
        stays.leave()
        until(lambda: "No consumers for 5 seconds" in sim.log_text(), "the loop's end")
        assert sim.state().streaming
        back = sim.open().opened()
        assert sim.start() == "Already streaming"
        produced = len(sim.entries("produced"))
        sim.stop()
        assert sim.start() == ""
        assert back.take(1)[0].frame_number == 0
        assert produced == sum(entry["captured"] for entry in sim.entries("acquisition_ended"))
    assert sim.entries("acquisition_ended")[0]["reason"] == "no_consumers"


def test_a_zombie_is_not_made_of_one_that_comes_back_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(camera_module, "NO_CONSUMERS_S", 0.3)
    with simulated(tmp_path, model="grid", disconnect="zombie") as sim:
        sim.camera(exposure_ms=20)
        first = sim.open().opened()
        sim.start()
        first.take(2)
        first.leave()
        until(lambda: "starting 5 second disconnect timer" in sim.log_text(), "the timer")
        assert len(sim.open().opened().take(30)) == 30
    assert "No consumers" not in sim.log_text()


def test_the_log_and_the_ledger_agree_on_what_every_leaver_was_sent(tmp_path: Path) -> None:
    with simulated(tmp_path, model="grid") as sim:
        _, leaves = leaving(sim)
        leaves.leave()
        until(lambda: sim.entries("slot_released"), "the released slot")
        (left,) = sim.entries("slot_released")
    assert (left["noticed"], left["open"]) == ("send_failed", 1)
    line = f"frames_sent={left['frames_sent']} frames_dropped={left['frames_dropped']} client_ip=127.0.0.1"
    assert line in sim.log_text()


def slow_and_quick(sim: Simulated) -> tuple[Stream, Stream]:
    """One that reads nothing and one that reads all, of frames that no window hides."""
    sim.set("acquisition.exposure_ms", "20")
    sim.set("acquisition.roi", LARGE)
    slow, quick = sim.open(lookahead_bytes=65_536).opened(), sim.open().opened()
    sim.start()
    return slow, quick


def test_block_makes_all_wait_for_the_slowest_and_nothing_is_lost(tmp_path: Path) -> None:
    with simulated(tmp_path, model="grid", images="noise", slow_readers="block") as sim:
        slow, quick = slow_and_quick(sim)
        numbers, reader = reading(quick)
        until(lambda: _stands_still(sim), "the producer to stand still")
        slow.take(20)
        until(lambda: sim.entries("blocked"), "the ledger's word of it")
        until(lambda: _stands_still(sim), "the producer to stand still again")
        held = sim.entries("produced")[-1]["frame_number"]
        slow.leave()
        until(lambda: sim.entries("produced")[-1]["frame_number"] > held + 20, "frames after the slow one left")
        quick.leave()
        reader.join()
    assert numbers == list(range(len(numbers)))
    assert len(numbers) > 20
    assert [sim.entries(kind)[0]["calls"] for kind in ("blocking", "blocked")] == [[0], [0]]
    assert not sim.entries("dropped")


def reading(stream: Stream) -> tuple[list[int], threading.Thread]:
    """Reads all frames as they come, in a thread; their numbers."""
    numbers: list[int] = []

    def read() -> None:
        with suppress(grpc.RpcError):
            for frame in stream.call:
                numbers.append(frame.frame_number)  # noqa: PERF401  # seen while it grows

    reader = threading.Thread(target=read)
    reader.start()
    return numbers, reader


def _stands_still(sim: Simulated) -> bool:
    """Nothing was made for a quarter of a second."""
    made = sim.entries("produced")
    return bool(made) and time.monotonic_ns() - made[-1]["t_ns"] > 250_000_000


def test_a_blocked_camera_can_be_stopped(tmp_path: Path) -> None:
    with simulated(tmp_path, model="grid", images="noise", slow_readers="block") as sim:
        slow_and_quick(sim)
        until(lambda: _stands_still(sim), "the producer to stand still")
        sim.stop()
        assert not sim.state().streaming


def test_disconnect_ends_the_call_of_a_slow_reader_and_spares_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline_module, "SLOW_NS", 500_000_000)
    with simulated(tmp_path, model="grid", images="noise", slow_readers="disconnect") as sim:
        slow, quick = slow_and_quick(sim)
        numbers, reader = reading(quick)
        until(lambda: sim.entries("evicted"), "the eviction")
        assert slow.status() == (grpc.StatusCode.ABORTED, "Client too slow: frame stream closed")
        received = len(numbers)
        until(lambda: len(numbers) > received + 10, "frames for the other")
        until(lambda: sim.entries("slot_released"), "the slot of the slow one")
        assert sim.entries("slot_released")[0]["noticed"] == "too_slow"
        until(lambda: sim.entries("call_ended"), "the end of its call")
        ended = sim.entries("call_ended")[0]
        assert (ended["call"], ended["code"], ended["by"]) == (0, "ABORTED", "server")
        quick.leave()
        reader.join()
    assert 'exit_reason="client_too_slow"' in sim.log_text()


def test_a_slow_reader_that_leaves_gives_its_slot_back(tmp_path: Path) -> None:
    """Its output queue is full; the daemon drops what waits there, and then sees at its next send that it has gone."""
    with simulated(tmp_path, model="grid", images="noise") as sim:
        slow, _ = slow_and_quick(sim)
        until(lambda: any(entry["stage"] == "output" for entry in sim.entries("dropped")), "skipped frames")
        slow.leave()
        until(lambda: sim.entries("slot_released"), "the slot")
        assert sim.entries("slot_released")[0]["noticed"] == "send_failed"
