"""The longest run of frames of one call without a stall and without one missing.

A frame is missing before one whose number or server's sequence has gone on by more than 1 since the frame before it,
less what the server states as decimated. Frames that are known only as a count (folded) belong to no run.
"""

from __future__ import annotations

import numpy as np

from pvload.stats.steps import Columns


class Streak:
    """Runs are cut at places: the number of frames of the call before each."""

    __slots__ = ("_begin", "_last", "frames", "longest")

    def __init__(self) -> None:
        self.longest = 0
        self.frames = 0
        """Of the call so far."""
        self._begin = 0
        self._last: tuple[int, int, int, bool] | None = None
        """frame_number, frames_sent, frames_dropped and metrics of the last frame."""

    def add(self, columns: Columns, stalls: list[int], *, decimating: bool) -> None:
        """The next frames; `stalls`: places of the stalls that ended with one of them or before."""
        number, sent, dropped, metrics = (columns.number, columns.sent, columns.dropped, columns.metrics)
        if self._last is not None:
            before = self._last
            number = np.concatenate(([before[0]], number))
            sent = np.concatenate(([before[1]], sent))
            dropped = np.concatenate(([before[2]], dropped))
            metrics = np.concatenate(([before[3]], metrics))
        both = metrics[1:] & metrics[:-1]
        missing = number[1:] - number[:-1] - 1
        if decimating:
            missing -= np.where(both, np.maximum(dropped[1:] - dropped[:-1], 0), 0)
        broken = (missing > 0) | (both & (sent[1:] - sent[:-1] > 1))
        offset = self.frames + (1 if self._last is None else 0)
        places = {row + offset for row in broken.nonzero()[0].tolist()}
        for place in sorted(places.union(stalls)):
            self._cut(place)
        self.frames += len(columns)
        self.longest = max(self.longest, self.frames - self._begin)
        last = -1
        self._last = (
            int(columns.number[last]),
            int(columns.sent[last]),
            int(columns.dropped[last]),
            bool(columns.metrics[last]),
        )

    def folded(self, frames: int) -> None:
        """`frames` came of which nothing more is known."""
        self.frames += frames
        self._begin, self._last = self.frames, None

    def _cut(self, place: int) -> None:
        self.longest = max(self.longest, place - self._begin)
        self._begin = max(self._begin, place)
