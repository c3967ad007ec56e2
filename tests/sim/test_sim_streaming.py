"""The simulated daemon's streams: pace, fields, restarts, slots, limits, backpressure."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import grpc
import lz4.block
import numpy as np
import pytest

from pvload._pb import daq_pb2
from pvload.sim.metering import Metrics, RateLimit
from simulated import Simulated, recorded, simulated, until

LIMIT_TEXT = "Maximum concurrent streams (3) exceeded for client 127.0.0.1"


@pytest.fixture
def sim(tmp_path: Path) -> Any:
    with simulated(tmp_path, model="grid") as found:
        yield found


def fields_set(frame: daq_pb2.FrameData) -> set[str]:
    return {field.name for field, _ in frame.ListFields()} | {"frame_number"}


@pytest.mark.parametrize(
    ("capture", "device", "quality", "roi", "binning"),
    [
        pytest.param("pvcam-full-sensor", "prime_bsi", 0, "", "[1,1]", id="full sensor"),
        pytest.param("pvcam-roi", "prime_bsi", 0, '{"x":512,"y":256,"width":256,"height":128}', "[1,1]", id="roi"),
        pytest.param(
            "pvcam-roi-fast", "prime_bsi", 2, '{"x":512,"y":256,"width":256,"height":128}', "[1,1]", id="fast"
        ),
        pytest.param("pvcam-binned", "prime_bsi", 0, '{"x":0,"y":0,"width":128,"height":128}', "[2,2]", id="binned"),
        pytest.param("mock-camera", "mock_camera", 0, "", "", id="mock camera"),
        pytest.param("mock-camera-preview", "mock_camera", 1, "", "", id="mock camera preview"),
    ],
)
def test_frames_carry_the_fields_of_the_captured_ones(
    sim: Simulated, capture: str, device: str, quality: int, roi: str, binning: str
) -> None:
    if binning:
        sim.set("acquisition.exposure_ms", "20")
        sim.set("acquisition.binning", binning)
    if roi:
        sim.set("acquisition.roi", roi)
    captured = recorded(capture)[0][-1]
    stream = sim.open(device, quality=quality).opened()
    sim.start(device)
    frame = stream.take(3)[-1]
    assert fields_set(frame) == fields_set(captured)
    for name in ("device_id", "width", "height", "bit_depth", "roi_x", "roi_y", "binning_x", "binning_y"):
        assert getattr(frame, name) == getattr(captured, name)
    assert frame.compression == captured.compression
    assert frame.uncompressed_size == captured.uncompressed_size
    assert 0.5 <= len(frame.data) / len(captured.data) <= 2
    assert len(lz4.block.decompress(frame.data)) == frame.uncompressed_size


def test_grid_keeps_absolute_deadlines(sim: Simulated) -> None:
    sim.camera(exposure_ms=20)
    stream = sim.open().opened()
    sim.start()
    sources = np.array([frame.timestamp_ns for frame in stream.take(50)])
    off_grid = sources - sources[0] - 20_000_000 * np.arange(50)
    assert abs(float(np.median(off_grid))) < 10_000_000


def test_pvcam_mock_sleeps_whole_milliseconds_and_then_makes_the_frame(tmp_path: Path) -> None:
    with simulated(tmp_path) as sim:
        sim.camera(exposure_ms=20.9)
        stream = sim.open().opened()
        sim.start()
        frames = stream.take(20)
        steps = np.diff([frame.timestamp_ns for frame in frames]) / 1e6
        assert steps.min() >= 20.0
        assert np.median(steps) < 30.0
        assert frames[0].exposure_ms == 20.9


def test_frames_count_from_zero_and_metrics_count_each_message(sim: Simulated) -> None:
    sim.camera(exposure_ms=10)
    stream = sim.open().opened()
    sim.start()
    frames = stream.take(30)
    assert [frame.frame_number for frame in frames] == list(range(30))
    assert [frame.metrics.frames_sent for frame in frames] == list(range(1, 31))
    assert {frame.metrics.frames_dropped for frame in frames} == {0}
    assert frames[9].metrics.current_fps == 10.0
    assert 0 <= frames[-1].metrics.avg_latency_ms < 50


def test_start_is_idempotent_and_stop_repeats_the_last_count(sim: Simulated) -> None:
    sim.camera(exposure_ms=10)
    stream = sim.open().opened()
    assert sim.start() == ""
    assert sim.start() == "Already streaming"
    assert sim.state().streaming
    stream.take(5)
    count = sim.stop()
    assert count >= 5
    assert sim.stop() == count
    assert not sim.state().streaming


def test_a_restart_goes_on_on_the_same_call_with_numbers_from_zero(sim: Simulated) -> None:
    sim.camera(exposure_ms=20)
    stream = sim.open().opened()
    sim.start()
    first = stream.take(5)
    count = sim.stop()
    until(lambda: sum(e["is"] == "sent" for e in sim.entries()) == count, "all frames of the first acquisition")
    stream.take(count - len(first))
    sim.start()
    after = stream.take(3)
    assert [frame.frame_number for frame in after] == [0, 1, 2]
    assert [frame.metrics.frames_sent for frame in after] == [count + 1, count + 2, count + 3]


def test_a_restart_within_one_exposure_leaves_two_producers(tmp_path: Path) -> None:
    """Numbers stay consecutive and nothing is dropped; exposures and spacing tell."""
    with simulated(tmp_path) as sim:
        sim.camera(exposure_ms=100)
        stream = sim.open().opened()
        sim.start()
        stream.take(2)
        sim.set("acquisition.exposure_ms", "90")
        sim.stop()
        sim.start()
        frames = stream.take(24)[-22:]
        numbers = [frame.frame_number for frame in frames]
        assert all(after == before + 1 for before, after in pairwise(numbers))
        assert {frame.exposure_ms for frame in frames} == {90.0, 100.0}
        took_s = (frames[-1].timestamp_ns - frames[0].timestamp_ns) / 1e9
        assert 14 < 21 / took_s < 25


def test_mock_camera_counts_from_one_loses_unseen_and_goes_on_over_a_restart(sim: Simulated) -> None:
    stream = sim.open("mock_camera").opened()
    sim.start("mock_camera")
    frames = stream.take(60)
    numbers = [frame.frame_number for frame in frames]
    assert numbers[0] == 1
    assert numbers[-1] > 70
    assert [frame.metrics.frames_sent for frame in frames] == list(range(1, 61))
    assert {frame.metrics.frames_dropped for frame in frames} == {0}
    count = sim.stop("mock_camera")
    sim.start("mock_camera")
    until(lambda: next(stream.call).frame_number > count, "a number beyond the first acquisition's")
    sim.stub.StageDevice(daq_pb2.StageDeviceRequest(device_id="mock_camera"), timeout=5)
    until(lambda: next(stream.call).frame_number < count, "numbers from one again")


def test_max_fps_decimates_without_credit(sim: Simulated) -> None:
    sim.camera(exposure_ms=10)
    stream = sim.open(max_fps=30).opened()
    sim.start()
    frames = stream.take(30)
    steps = np.diff([frame.frame_number for frame in frames])
    dropped = np.diff([frame.metrics.frames_dropped for frame in frames])
    assert np.array_equal(steps - 1, dropped)
    assert np.median(steps) == 4
    sim.stop()
    until(lambda: not sim.state().streaming, "the stop")
    truth = sim.truths()[0]
    assert truth.missing.decimated > 0
    assert truth.missing.backpressure == 0


def test_a_slow_reader_is_skipped_and_every_gap_is_counted(sim: Simulated) -> None:
    """Not one frame is read for a while; HTTP/2 flow control must reach the output queue."""
    sim.set("acquisition.exposure_ms", "5")
    sim.set("acquisition.roi", '{"x":0,"y":0,"width":1024,"height":1024}')
    stream = sim.open(lookahead_bytes=65_536).opened()
    sim.start()
    until(lambda: sum(entry["stage"] == "output" for entry in sim.entries("dropped")) > 20, "skipped frames")
    frames = stream.take(60)
    steps = np.diff([frame.frame_number for frame in frames])
    dropped = np.diff([frame.metrics.frames_dropped for frame in frames])
    assert steps.max() > 20
    assert np.array_equal(steps - 1, dropped)
    assert np.array_equal(np.diff([frame.metrics.frames_sent for frame in frames]), np.ones(59))


def test_the_fourth_stream_of_an_address_is_refused(sim: Simulated) -> None:
    for _ in range(3):
        sim.open().opened()
    assert sim.open().status() == (grpc.StatusCode.RESOURCE_EXHAUSTED, LIMIT_TEXT)


def test_a_stream_for_no_camera_takes_its_slot_for_good(sim: Simulated) -> None:
    for device in ("nowhere", "mock_stage", "nowhere"):
        code, text = sim.open(device).status()
        assert code is grpc.StatusCode.NOT_FOUND
        assert text == f"Device '{device}' not found or not a frame producer"
    assert sim.open().status() == (grpc.StatusCode.RESOURCE_EXHAUSTED, LIMIT_TEXT)


def test_a_slot_comes_back_only_when_a_frame_flows_after_the_client_left(sim: Simulated) -> None:
    sim.camera(exposure_ms=20)
    for stream in [sim.open().opened() for _ in range(3)]:
        stream.leave()
    until(lambda: len(sim.entries("call_ended")) == 3, "the server to see that the clients left")
    assert sim.open().status()[0] is grpc.StatusCode.RESOURCE_EXHAUSTED
    sim.start()
    until(lambda: len(sim.entries("slot_released")) == 3, "released slots")
    assert len(sim.open().opened().take(2)) == 2


def test_limits_can_be_lifted(tmp_path: Path) -> None:
    with simulated(tmp_path, streams_per_client=0, model="grid") as sim:
        sim.camera(exposure_ms=20)
        streams = [sim.open().opened() for _ in range(8)]
        sim.start()
        assert all(len(stream.take(3)) == 3 for stream in streams)


def test_other_clients_feel_nothing_of_one_that_leaves(sim: Simulated) -> None:
    sim.camera(exposure_ms=20)
    stays, leaves = sim.open().opened(), sim.open().opened()
    sim.start()
    leaves.take(3)
    stays.take(3)
    leaves.leave()
    assert [frame.frame_number for frame in stays.take(10)] == list(range(3, 13))


def test_an_image_too_large_to_make_is_refused_at_the_start(sim: Simulated) -> None:
    sim.set("acquisition.roi", '{"x":0,"y":0,"width":60000,"height":60000}')
    sim.open().opened()
    with pytest.raises(grpc.RpcError) as refused:
        sim.start()
    assert refused.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


def test_clients_that_come_and_go_leave_nothing_behind(tmp_path: Path) -> None:
    """Some leave before a frame, some after, some never read; every slot comes back and the camera goes on."""
    with simulated(tmp_path, streams_per_client=0, model="grid", relay=True) as sim:
        sim.camera(exposure_ms=10)
        sim.start()
        for number in range(30):
            stream = sim.open()
            if number % 3:
                stream.take(number % 3)
            stream.leave()
        until(lambda: len(sim.entries("call_opened")) >= 20, "at least every call that took a frame")
        until(lambda: len(sim.entries("slot_released")) == len(sim.entries("call_opened")), "every slot")
        assert len(sim.open().opened().take(3)) == 3


def test_the_streaming_flag_is_a_trap_on_an_idle_camera(sim: Simulated) -> None:
    """Setting acquisition.streaming starts nothing, and StartStream then believes it."""
    sim.camera(exposure_ms=10)
    sim.set("acquisition.streaming", "true")
    assert sim.start() == "Already streaming"
    assert sim.stop() == 0
    assert sim.start() == ""


def test_the_daemon_ends_and_clients_see_unavailable(tmp_path: Path) -> None:
    with simulated(tmp_path, model="grid") as sim:
        sim.camera(exposure_ms=20)
        stream = sim.open().opened()
        sim.start()
        stream.take(2)
        sim.simulator.stop()
        assert stream.status()[0] is grpc.StatusCode.UNAVAILABLE


def test_log_tells_of_a_subscriber_as_the_daemon_does(tmp_path: Path) -> None:
    with simulated(tmp_path, model="grid") as sim:
        sim.camera(exposure_ms=20)
        stream = sim.open().opened()
        sim.start()
        stream.take(4)
        stream.leave()
        until(lambda: sim.entries("slot_released"), "the released slot")
        sent = sim.entries("call_ended")[0]["frames_sent"] + 1
    text = sim.log_text()
    assert "start_stream: pvcam_sdk NOT compiled - using mock stream" in text
    assert "Registered gRPC stream observer device_id=prime_bsi observer_handle=1 max_fps=0 quality=Full" in text
    assert (
        f'Tap-based frame stream forwarding task ended device_id=prime_bsi exit_reason="client_disconnected" '
        f"frames_sent={sent} frames_dropped=0 client_ip=127.0.0.1"
    ) in text


def test_current_fps_counts_the_last_second_and_latency_is_a_running_mean() -> None:
    metrics = Metrics()
    for step in range(30):
        metrics.see(step * 100_000_000, latency_ns=2_000_000 if step % 2 else 4_000_000)
    assert metrics.message().current_fps == 10.0
    assert metrics.message().avg_latency_ms == 3.0


def test_rate_limit_gives_no_credit() -> None:
    rate = RateLimit(20)
    accepted = [at for at in range(0, 1000, 33) if rate.accepts(at * 1_000_000)]
    assert set(np.diff(accepted)) == {66}
