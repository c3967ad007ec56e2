"""The fold's live figures as `live.json` states them."""

from __future__ import annotations

from pvload.clock import NS_PER_S
from pvload.stats.live import LiveFigures as FoldFigures
from pvload.wire.live import LiveFigures

_BYTES_PER_MB = 1e6


class Glance:
    """Turns one glance after the other; remembers the last one for the data rate."""

    def __init__(self) -> None:
        self._last: tuple[int, int] | None = None
        self._mb_per_s: float | None = None

    def figures(self, found: FoldFigures) -> LiveFigures:
        """The figures in the file's units."""
        started = found.at_ns is not None and found.started_ns is not None
        return LiveFigures(
            elapsed_s=max(0, (found.at_ns or 0) - (found.started_ns or 0)) / NS_PER_S if started else 0.0,
            streams_open=found.open_streams,
            frames=found.frames,
            fps=found.fps if started else None,
            mb_per_s=self._rate(found),
            missing=found.missing,
            stalls=found.stalls,
            longest_stall_s=found.longest_stall_s,
            age_p99_ms=found.age_p99_ms,
            errors=found.unexpected_ends,
            lag_ms=found.lag_ms if started else None,
            lag_max_ms=found.lag_ms if started else None,
            populations=found.populations,
        )

    def _rate(self, found: FoldFigures) -> float | None:
        """Message bytes a second of the run's axis, between the last two glances that differ in time."""
        if found.at_ns is None:
            return None
        if self._last is not None and found.at_ns > self._last[0]:
            bytes_per_s = (found.message_bytes - self._last[1]) * NS_PER_S / (found.at_ns - self._last[0])
            self._mb_per_s = bytes_per_s / _BYTES_PER_MB
        self._last = (found.at_ns, found.message_bytes)
        return self._mb_per_s
