"""One measurement: a client on its streams for a while, and what it cost and added. Pure figures below the shell."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.clients import CLIENTS, Arrivals
from bench.server import Source

FLOW_S = 10.0
"""How long to wait until every stream has had a frame."""
_SETTLE_S = 0.5
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Measured:
    """One client in one window, or several windows taken together."""

    arrivals: Arrivals
    """Of the window only."""
    begin_ns: int
    end_ns: int
    cpu_s: float

    @property
    def frames(self) -> int:
        """Frames that arrived in the window."""
        return len(self.arrivals)

    @property
    def frames_per_s(self) -> float:
        """All streams together."""
        return self.frames / ((self.end_ns - self.begin_ns) / 1e9)

    @property
    def latency_ms(self) -> np.ndarray:
        """Arrival minus sending time."""
        return (self.arrivals[:, 1] - self.arrivals[:, 2]) / 1e6


@dataclass(frozen=True, slots=True)
class Figures:
    """What a client's windows of one cell come to. None: nothing arrived."""

    frames: int
    cpu_us_per_frame: float | None
    p50_ms: float | None
    p99_ms: float | None


def figures(windows: list[Measured]) -> Figures:
    """Over all frames of all windows."""
    frames = sum(window.frames for window in windows)
    if not frames:
        return Figures(0, None, None, None)
    p50, p99 = np.percentile(np.concatenate([window.latency_ms for window in windows]), [50, 99])
    return Figures(frames, sum(window.cpu_s for window in windows) / frames * 1e6, float(p50), float(p99))


def longest_gaps_ms(measured: Measured, streams: set[int]) -> tuple[float, float]:
    """The longest time without an arrival, and without a sending, on any of `streams`; the window's ends count.

    A stream without a frame was without one for the whole window.
    """
    whole = (measured.end_ns - measured.begin_ns) / 1e6
    arrived = sent = 0.0
    for stream in streams:
        rows = measured.arrivals[measured.arrivals[:, 0] == stream]
        if not len(rows):
            return whole, 0.0
        edges = np.concatenate([[measured.begin_ns], rows[:, 1], [measured.end_ns]])
        arrived = max(arrived, float(np.diff(edges).max()) / 1e6)
        sent = max(sent, float(np.diff(rows[:, 2]).max(initial=0)) / 1e6)
    return arrived, sent


@contextmanager
def frame_server() -> Iterator[int]:
    """The frame server's port, while it runs."""
    server = subprocess.Popen(
        [sys.executable, "-m", "bench.server"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
    )
    try:
        if server.stdout is None:
            raise SystemExit("the frame server has no output")
        yield int(server.stdout.readline())
    finally:
        server.kill()
        server.communicate()


def measure(client: str, sources: list[Source], seconds: float, *, flow_s: float = FLOW_S) -> Measured:
    """One window of `seconds` on a fresh server and a fresh client."""
    with frame_server() as port, CLIENTS[client](port, sources) as reader:
        reader.wait_until_flowing(flow_s)
        time.sleep(_SETTLE_S)
        begin, cpu = time.monotonic_ns(), _cpu_s(reader.pid)
        time.sleep(seconds)
        end, used = time.monotonic_ns(), _cpu_s(reader.pid) - cpu
        arrivals = reader.leave()
    within = arrivals[(arrivals[:, 1] >= begin) & (arrivals[:, 1] < end)]
    return Measured(arrivals=within, begin_ns=begin, end_ns=end, cpu_s=used)


def _cpu_s(pid: int) -> float:
    """CPU time of a process, all its threads, in the kernel's ticks."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_S
