"""Figures in log lines, and what a log's level hides."""

from __future__ import annotations

import pytest

from pvload.wire.codes import LogClass
from pvload.wire.log_level import CLASS_LEVELS, RUST_LOG, hidden_classes
from pvload.wire.log_text import DriverError, StallTick, StreamEnd, driver_error, stall_tick, stream_end


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        (
            "WARN pvcam: start failed: PVCAM error 185 (Invalid Configuration)",
            185,
            "start failed: PVCAM error 185 (Invalid Configuration)",
        ),
        ("[PVCAM ERROR] pl_exp_start_cont failed: 185", 185, "pl_exp_start_cont failed: 185"),
        (
            'ERROR start_stream{method="x"}: daq_driver_pvcam::components::acquisition: PVCAM error: 29 timed out',
            29,
            "PVCAM error: 29 timed out",
        ),
        ("ERROR pvcam: pl_exp_check_cont_status err_code=62", 62, "pl_exp_check_cont_status err_code=62"),
        ("ERROR pvcam: no camera 2048x2048 here", None, "no camera 2048x2048 here"),
        ("ERROR pvcam: failed to open after 10 s", None, "failed to open after 10 s"),
    ],
)
def test_a_driver_error_has_pvcams_number_and_its_text(text: str, code: int | None, message: str) -> None:
    """Without level, spans and target; a number that is none of PVCAM's is not taken for one."""
    assert driver_error(text) == DriverError(code, message)


def test_a_stall_tick_has_its_figures() -> None:
    """As the driver prints them; a line that ends early still has what it says."""
    whole = (
        "[PVCAM DEBUG] Timeouts: 2, Status: 1, Bytes: 7, BufferCnt: 3, streaming: true, callback_pending: 4, "
        "err_code: 5"
    )
    assert stall_tick(whole) == StallTick(2, 1, 7, 3, 4, 5)
    assert stall_tick(whole.partition(", streaming")[0]) == StallTick(2, 1, 7, 3, 0, 0)
    assert stall_tick("Timeouts: many") is None


def test_the_end_of_a_stream_has_the_servers_account() -> None:
    """A line without both counters is none."""
    line = (
        "INFO server::grpc::hardware_service: Tap-based frame stream forwarding task ended device_id=prime_bsi "
        'exit_reason="client_disconnected" frames_sent=16 frames_dropped=2 client_ip=127.0.0.1'
    )
    assert stream_end(line) == StreamEnd("prime_bsi", "client_disconnected", 16, 2, "127.0.0.1")
    assert stream_end(line.replace("frames_dropped=2", "")) is None


@pytest.mark.parametrize(
    ("levels", "lines", "hidden", "shown"),
    [
        ({"DEBUG": 1, "INFO": 40}, 60, (), ("drop", "stream_end", "limit")),
        ({"INFO": 40, "WARN": 2}, 60, ("drop",), ("stream_end", "limit")),
        ({"WARN": 2}, 5, ("drop", "stream_end", "acquisition_started"), ("limit", "daemon_warning")),
        ({"ERROR": 1}, 5, ("drop", "stream_end", "limit", "daemon_warning"), ("driver_error", "stall_tick")),
        ({}, 5, ("drop", "stream_end", "limit"), ("stall_tick", "panic")),
    ],
)
def test_a_level_hides_the_classes_below_it(
    levels: dict[str, int], lines: int, hidden: tuple[str, ...], shown: tuple[str, ...]
) -> None:
    """What is printed past the logging, and errors, is never hidden."""
    found = hidden_classes(levels, lines)
    assert set(hidden) <= set(found)
    assert not set(shown) & set(found)


def test_nothing_is_concluded_from_no_line() -> None:
    """A log in which nothing was written says nothing of its level."""
    assert hidden_classes({}, 0) == ()


def test_what_a_daemon_of_ours_logs_hides_nothing() -> None:
    """Both today's and the old name of the server and of the driver print at DEBUG."""
    wishes = dict(one.partition("=")[::2] for one in RUST_LOG.split(",")[1:])
    assert {wishes[name] for name in ("server", "daq_server", "daq_driver_pvcam", "daq_pvcam")} == {"debug"}
    assert RUST_LOG.startswith("info,")
    assert CLASS_LEVELS[LogClass.DROP] == "DEBUG"
