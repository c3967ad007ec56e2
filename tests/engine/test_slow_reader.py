"""A slow reader is as slow as it says, the server feels it, its pauses are no silence, and others go on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from pvload.clock import NS_PER_MS
from pvload.engine.pace import Pace
from pvload.errors import FormatError
from pvload.wire.event import Kind, rows_of

OpenStream = Callable[..., int]
MESSAGE_BYTES = 100_000
WINDOWS_HELD = 1.6
"""Measured: what the client's library takes in beyond what is read, in stated windows."""
SERVER_HOLDS = 3
"""Messages that the test's server has made and not handed over."""


def test_deadlines_are_absolute_and_lateness_is_no_credit_for_more_than_one() -> None:
    pace = Pace(read_fps=10.0, pause_ms=0.0)
    assert pace.next_ns(1_000) == 100_001_000
    assert pace.next_ns(107_000_000) == 200_001_000, "7 ms late, and the next is not"
    assert pace.next_ns(900_000_000) == 900_000_000, "nothing came for long: at once"
    assert pace.next_ns(900_000_000) == 1_000_000_000, "and only once"
    assert Pace(read_fps=0.0, pause_ms=40.0).next_ns(5) == 40_000_005
    assert not Pace(read_fps=0.0, pause_ms=0.0)
    with pytest.raises(FormatError):
        Pace(read_fps=-1.0, pause_ms=0.0)


@pytest.mark.parametrize("window", [65_535, 1024 * 1024])
def test_the_server_feels_a_slow_reader_and_others_do_not(bench: Any, open_stream: OpenStream, window: int) -> None:
    engine = bench.start(bench.serve())
    steady = [open_stream(engine, "steady", stop_after_frames=110) for _ in range(3)]
    slow = open_stream(
        engine, "flood", read_fps=25.0, window_bytes=window, silence_ms=30.0, on_silence="end", stop_after_frames=50
    )
    missing = {*steady, slow}
    while missing:
        end: Any = engine.answer("ended")
        assert end.by == "order", "no watchdog: nothing was ever missing, the reader just did not ask"
        missing.discard(end.id)
    records = bench.records(engine)
    frames, lags = rows_of(records, Kind.FRAME), rows_of(records, Kind.LAG)
    own = frames[frames["ref"] == slow]
    doubt_ns = int(lags["lateness_ns"].max() + lags["run_queue_ns"].max()) + 5 * NS_PER_MS
    off_schedule = own["t_ns"] - own["t_ns"][0] - np.arange(own.size) * 40 * NS_PER_MS
    assert np.all(off_schedule > -doubt_ns)
    assert np.median(off_schedule) < doubt_ns, "absolute deadlines: lateness does not add up"
    assert list(own["frame_number"]) == list(range(50))
    in_between = [int(np.sum(own["source_ns"] <= t)) - n - 1 for n, t in enumerate(own["t_ns"])]
    assert max(in_between) <= WINDOWS_HELD * window / MESSAGE_BYTES + SERVER_HOLDS
    for call in steady:
        other = frames[frames["ref"] == call]
        assert np.max(np.diff(other["t_ns"] - other["source_ns"])[10:]) <= 20 * NS_PER_MS + doubt_ns


def test_a_pause_after_each_frame_is_kept(bench: Any, open_stream: OpenStream) -> None:
    engine = bench.start(bench.serve())
    number = open_stream(engine, "flood", pause_ms=30.0, stop_after_frames=20)
    engine.answer("ended", id=number)
    frames = rows_of(bench.records(engine), Kind.FRAME)
    assert np.min(np.diff(frames["t_ns"])) >= 30 * NS_PER_MS


def test_a_watchdog_sees_the_silence_behind_a_pause(bench: Any, open_stream: OpenStream) -> None:
    engine = bench.start(bench.serve())
    number = open_stream(engine, "silent", read_fps=50.0, silence_ms=60.0, on_silence="end")
    assert engine.answer("timeout", id=number).waited_ms >= 60.0
    bench.records(engine)
