"""The bench's own arithmetic: its frames are what they claim, and its figures are those of the frames."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from bench.measure import Measured, figures, longest_gaps_ms
from bench.server import Source, messages
from pvload._pb import daq_pb2

MS = 1_000_000


def measured(*rows: tuple[int, int, int], cpu_s: float = 0.5) -> Measured:
    """Rows (stream, arrival ms, sending ms) in a window of 1000 ms."""
    arrivals = np.array(rows, dtype=np.int64).reshape(-1, 3)
    arrivals[:, 1:] *= MS
    return Measured(arrivals=arrivals, begin_ns=0, end_ns=1000 * MS, cpu_s=cpu_s)


@pytest.mark.parametrize("data_bytes", [0, 1, 127, 128, 2048, 524_288])
def test_a_frame_of_the_server_is_a_whole_message(data_bytes: int) -> None:
    """It parses to the fields a camera sets, with data of the asked size."""
    source = Source(data_bytes, 10.0)
    text = str(source)
    assert Source.parse(text) == source

    async def two() -> list[bytes]:
        made = messages(source, text)
        return [await anext(made), await anext(made)]

    first, second = (daq_pb2.FrameData.FromString(message) for message in asyncio.run(two()))
    assert (first.frame_number, second.frame_number) == (0, 1)
    assert len(second.data) == data_bytes
    assert second.device_id == text
    assert second.metrics.frames_sent == 2
    assert 0 < first.timestamp_ns <= second.timestamp_ns


def test_figures_are_over_all_windows() -> None:
    """CPU time is divided by all frames; percentiles are of all latencies."""
    slow, fast = measured((0, 30, 20)), measured((0, 12, 10), (0, 24, 20))
    got = figures([slow, fast])
    assert got.frames == 3
    assert got.cpu_us_per_frame == pytest.approx(1e6 / 3)
    assert got.p50_ms == pytest.approx(4.0)
    assert got.p99_ms == pytest.approx(9.88)


def test_no_frames_are_no_figures() -> None:
    """A client that got nothing has no latency to be proud of."""
    assert figures([measured()]).p99_ms is None


def test_the_longest_gap_counts_the_window_ends_and_silent_streams() -> None:
    """Silence is data: a stream without a frame had a gap of the whole window."""
    window = measured((0, 100, 90), (0, 300, 200), (0, 700, 600), (1, 50, 40), (1, 990, 980))
    assert longest_gaps_ms(window, {0}) == (400.0, 400.0)
    assert longest_gaps_ms(window, {0, 1}) == (940.0, 940.0)
    assert longest_gaps_ms(window, {0, 2}) == (1000.0, 0.0)
