"""The counters that a call's frames carry, and the rate limit that raises one of them."""

from __future__ import annotations

from collections import deque
from typing import Final

from pvload._pb import daq_pb2
from pvload.clock import NS_PER_MS, NS_PER_S

FPS_WINDOW_NS: Final = NS_PER_S


class Metrics:
    """The figures a call's frames carry. Times are CLOCK_MONOTONIC, but for the latency, which is wall time."""

    def __init__(self) -> None:
        self.frames_sent = 0
        self.frames_dropped = 0
        self._recent: deque[int] = deque()
        self._latency_ns = 0
        self._seen = 0

    def see(self, now_ns: int, *, latency_ns: int) -> None:
        """Takes a frame that will be sent into current_fps and avg_latency_ms."""
        self._recent.append(now_ns)
        while self._recent[0] <= now_ns - FPS_WINDOW_NS:
            self._recent.popleft()
        self._latency_ns += latency_ns
        self._seen += 1

    def message(self) -> daq_pb2.StreamingMetrics:
        """As they stand."""
        return daq_pb2.StreamingMetrics(
            current_fps=float(len(self._recent)),
            frames_sent=self.frames_sent,
            frames_dropped=self.frames_dropped,
            avg_latency_ms=self._latency_ns / self._seen / NS_PER_MS if self._seen else 0.0,
        )


class RateLimit:
    """max_fps as the daemon keeps it: from the last accepted frame, without credit."""

    def __init__(self, max_fps: int) -> None:
        self._least_ns = NS_PER_S // max_fps if max_fps else 0
        self._last_ns: int | None = None

    def accepts(self, now_ns: int) -> bool:
        """Whether this frame may go; an accepted one takes the slot whatever becomes of it."""
        if self._last_ns is not None and now_ns - self._last_ns < self._least_ns:
            return False
        self._last_ns = now_ns
        return True
