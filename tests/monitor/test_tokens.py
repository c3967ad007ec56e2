"""The class of a log line: every token the daemon is known to print, and every line of a recorded run."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from pvload.monitor.tokens import TABLE, classify, strip_escapes
from pvload.wire.codes import LogClass

DATA = Path(__file__).parent.parent / "data"

SAMPLES = [
    (LogClass.READY, "DAQ gRPC server (with hardware) listening on 127.0.0.1:50051"),
    (LogClass.READY, "   Registered 3 device(s)"),
    (LogClass.READY, "📡 Daemon running - Press Ctrl+C to stop"),
    (LogClass.SYNTHETIC, "T  INFO daq_driver_pvcam: pvcam_sdk feature enabled: false"),
    (LogClass.SYNTHETIC, "T  WARN daq_driver_pvcam: pvcam_sdk feature NOT enabled - using mock mode"),
    (LogClass.SYNTHETIC, "T  WARN daq_driver_pvcam: start_stream: pvcam_sdk NOT compiled - using mock stream"),
    (LogClass.REGISTRATION, "T ERROR hardware::registry: Device registration failed device_id=x error=no port"),
    (LogClass.SUBSCRIBE, "T  INFO server: Registered gRPC stream observer device_id=x observer_handle=1"),
    (LogClass.SUBSCRIBE, "T  INFO server: Starting tap-based frame stream forwarding task device_id=x max_fps=0"),
    (LogClass.OTHER, "T  INFO server: Received frame from observer (early frame debug) device_id=x frame_number=0"),
    (LogClass.DISCONNECT, "T  WARN server: Client disconnected from frame stream - gRPC send failed"),
    (LogClass.DISCONNECT, "T  INFO server: Unregistered observer after client disconnect device_id=x"),
    (LogClass.STREAM_END, 'T  INFO server: Tap-based frame stream forwarding task ended exit_reason="x"'),
    (LogClass.DROP, "T DEBUG server: GrpcStreamObserver dropping frame due to backpressure frames_dropped=1"),
    (LogClass.DROP, "T DEBUG server: Skipping frame due to gRPC backpressure device_id=x"),
    (LogClass.BAD_FRAME, "T  WARN server: Frame data size mismatch expected=1 actual=2"),
    (LogClass.BAD_FRAME, "T ERROR server: Frame compression task panicked error=x"),
    (LogClass.LIMIT, "T  WARN server: Client exceeded maximum concurrent streams client_ip=127.0.0.1"),
    (LogClass.PARAMETER_LAG, "T  WARN server: Parameter change stream lagged, dropped 32 messages"),
    (LogClass.ALREADY_STREAMING, "T  INFO server: Device already streaming (idempotent success) device_id=x"),
    (LogClass.ACQUISITION_STARTED, "T  INFO acquisition: start_stream: roi=(0,0 64x64), exposure=200.0ms"),
    (LogClass.ACQUISITION_STOPPED, "T  INFO acquisition: stop_stream completed successfully"),
    (LogClass.SLOW_OBSERVER, "T  WARN taps: Observer grpc_stream_observer exceeded timing budget elapsed_us=4100"),
    (
        LogClass.STALL_TICK,
        "[PVCAM DEBUG] Timeouts: 2, Status: 1, Bytes: 0, BufferCnt: 0, streaming: true, callback_pending: 0, "
        "err_code: 0",
    ),
    (LogClass.STALL_END, "T  WARN daq_driver_pvcam: max consecutive timeouts reached"),
    (LogClass.STALL_END, "[PVCAM DEBUG] Breaking due to max consecutive timeouts"),
    (LogClass.STALL_END, "T ERROR daq_driver_pvcam: Acquisition error (involuntary stop) error=Timeout"),
    (LogClass.STALL_END, "T ERROR daq_driver_pvcam: Acquisition error (involuntary stop) error=StatusCheckFailed"),
    (LogClass.STALL_END, "T ERROR daq_driver_pvcam: Acquisition error (involuntary stop) error=ReadoutFailed"),
    (LogClass.LOOP_EXIT, "[PVCAM DEBUG] Frame loop exited: iter=69"),
    (LogClass.RUN_SUMMARY, "T  WARN daq_driver_pvcam: PVCAM acquisition ended: 85 captured, 2 lost"),
    (LogClass.POOL, "[PVCAM BACKPRESSURE] pool empty, dropping"),
    (LogClass.POOL, "T  WARN pvcam_pool: Buffer pool exhausted"),
    (LogClass.INTEGRITY, "T  WARN pvcam: duplicate frame detected nr=3"),
    (LogClass.INTEGRITY, "T  WARN pvcam: Zero-frame detected nr=3"),
    (LogClass.INTEGRITY, "T  WARN pvcam: Frame number discontinuity: 3 -> 13"),
    (LogClass.INTEGRITY, "T  WARN pvcam: pending_frames desync"),
    (LogClass.UNLOCK, "T ERROR daq_driver_pvcam: Unlock failed for frame 17"),
    (LogClass.UNLOCK, "[PVCAM] 5 PVCAM unlock failures in a row"),
    (LogClass.NO_CONSUMERS, "T  INFO pvcam: starting 5 second disconnect timer"),
    (LogClass.NO_CONSUMERS, "T  WARN pvcam: No consumers for 5 seconds, stopping"),
    (LogClass.NO_CONSUMERS, "[PVCAM DEBUG] Dropping frame 7"),
    (LogClass.MODE_FALLBACK, "T  WARN pvcam: start failed, retrying with CIRC_NO_OVERWRITE"),
    (LogClass.MODE_FALLBACK, "T  INFO pvcam: fell back to CIRC_NO_OVERWRITE"),
    (LogClass.CALLBACK, "[PVCAM CALLBACK ENTRY] 1"),
    (LogClass.CALLBACK, "[PVCAM CALLBACK] Frame 50"),
    (LogClass.CALLBACK, "[PVCAM CALLBACK] static context is NULL"),
    (LogClass.CALLBACK, "Panic caught in EOF callback"),
    (LogClass.DISK, "T  WARN storage: HDF5 flush error: x"),
    (LogClass.DISK, "T  WARN storage: Disk quota exceeded (os error 122)"),
    (LogClass.PANIC, "thread 'tokio-runtime-worker' panicked at crates/server/src/x.rs:12:5:"),
    (LogClass.DRIVER_ERROR, "[PVCAM ERROR] pl_exp_start_cont failed: 185"),
    (LogClass.DRIVER_ERROR, "T  WARN pvcam: start failed: PVCAM error 185 (Invalid Configuration)"),
    (LogClass.SHUTDOWN, "🛑 Shutdown signal received, cleaning up..."),
    (LogClass.SHUTDOWN, "👋 Daemon shutdown complete"),
]


def _line(sample: str) -> str:
    return f"2026-11-21T11:23:05.511150Z{sample[1:]}" if sample.startswith("T ") else sample


@pytest.mark.parametrize(("expected", "sample"), SAMPLES)
def test_every_known_token_has_its_class(expected: LogClass, sample: str) -> None:
    """A line that holds a token of the daemon is of the token's class."""
    assert classify(_line(sample)).log_class is expected


def test_no_row_of_the_table_is_shadowed_by_an_earlier_one() -> None:
    """Each row decides for some sample: a row that never does is a mistake in the table or in the samples."""
    deciding = set()
    for _, sample in SAMPLES:
        deciding.add(next(row for row in TABLE if all(token in _line(sample) for token in row.tokens)))
    assert deciding == set(TABLE)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("2026-11-21T11:23:05Z ERROR daq_driver_pvcam::components::acquisition: readout broke", LogClass.DRIVER_ERROR),
        ('2026-11-21T11:23:05Z ERROR start_stream{method="x"}: pvcam: readout broke', LogClass.DRIVER_ERROR),
        ("2026-11-21T11:23:05Z ERROR pvcam_pool: gone", LogClass.DRIVER_ERROR),
        ("2026-11-21T11:23:05Z ERROR server::grpc::server: bind failed", LogClass.ERROR),
        ("2026-11-21T11:23:05Z  INFO server: the text says ERROR here", LogClass.OTHER),
        ("ERROR without a stamp", LogClass.OTHER),
        ("", LogClass.OTHER),
    ],
)
def test_other_lines_are_judged_by_their_own_level(line: str, expected: LogClass) -> None:
    """Level ERROR makes an unknown line an error, the driver's if the driver wrote it; the word alone does not."""
    assert classify(line).log_class is expected


@pytest.mark.parametrize(
    ("line", "level", "wall_ns", "text"),
    [
        ("2026-11-21T11:23:05.511150Z DEBUG a: b", "DEBUG", 1795260185511150000, "DEBUG a: b"),
        ("2026-11-21T11:23:05Z  WARN a: b", "WARN", 1795260185000000000, "WARN a: b"),
        ("1970-01-01T00:00:00.000000001Z TRACE a: b", "TRACE", 1, "TRACE a: b"),
        ("2026-13-41T11:23:05Z  INFO a: b", "INFO", None, "INFO a: b"),
        ("plain", "", None, "plain"),
    ],
)
def test_stamp_and_level_are_taken_off_the_line(line: str, level: str, wall_ns: int | None, text: str) -> None:
    """The stamp is exact to the nanosecond, and a stamp that is no time is none."""
    seen = classify(line)
    assert (seen.level, seen.stamp_wall_ns, seen.text) == (level, wall_ns, text)


def test_colours_and_titles_are_stripped() -> None:
    """What a terminal would not show is not part of a line."""
    coloured = (
        "\x1b[2m2026-11-21T11:23:05.5Z\x1b[0m \x1b[31mERROR\x1b[0m \x1b]0;title\x07\x1b[2mpvcam\x1b[0m\x1b[2m:\x1b[0m x"
    )
    assert classify(strip_escapes(coloured)).log_class is LogClass.DRIVER_ERROR
    assert strip_escapes(coloured) == "2026-11-21T11:23:05.5Z ERROR pvcam: x"


def test_every_line_of_a_recorded_run_is_in_its_class() -> None:
    """The recorded daemon's standard output: 322 lines, of which these are matched, and none is an error."""
    lines = (DATA / "daemon-stdout.log").read_text(encoding="utf-8").splitlines()
    counts = Counter(classify(line).log_class for line in lines)
    assert counts == {
        LogClass.OTHER: 266,
        LogClass.READY: 3,
        LogClass.SYNTHETIC: 4,
        LogClass.SUBSCRIBE: 12,
        LogClass.DISCONNECT: 12,
        LogClass.STREAM_END: 6,
        LogClass.DROP: 7,
        LogClass.LIMIT: 2,
        LogClass.ALREADY_STREAMING: 1,
        LogClass.ACQUISITION_STARTED: 3,
        LogClass.ACQUISITION_STOPPED: 2,
        LogClass.SHUTDOWN: 2,
        LogClass.DAEMON_WARNING: 2,
    }
    assert sum(counts.values()) == len(lines)


def test_recorded_standard_error_holds_only_warnings_about_the_setup() -> None:
    """Three lines, none of a class."""
    lines = (DATA / "daemon-stderr.log").read_text(encoding="utf-8").splitlines()
    assert [classify(line).log_class for line in lines] == [LogClass.OTHER] * 3
