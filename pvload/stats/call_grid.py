"""The grid of one call: its frames are fed to it in stretches of one acquisition and one setting.

A restart, a frame out of order or another setting, which may give another period, begins a stretch.
"""

from __future__ import annotations

import numpy as np

from pvload.stats.grid import Grid
from pvload.stats.steps import Columns, Loss
from pvload.wire.event import Records


class CallGrid:
    """Finds out what one call lost before numbering."""

    __slots__ = ("_grid", "_last_number", "_shape")

    def __init__(self) -> None:
        self._grid = Grid()
        self._last_number: int | None = None
        self._shape: tuple[int, int, float] | None = None
        """Width, height and exposure of the latest frame."""

    def add(self, rows: Records, columns: Columns, loss: Loss) -> None:
        """Takes the next frames of the call, and what `Steps` found of them."""
        breaks = (columns.number[1:] <= columns.number[:-1]).nonzero()[0] + 1
        begins = {*breaks.tolist(), *loss.restarts, *loss.duplicates, *self._reshaped(rows)}
        if self._last_number is not None and int(columns.number[0]) <= self._last_number:
            begins.add(0)
        start = 0
        for row in sorted(begins):
            if row > start:
                self._feed(columns, start, row)
            self._grid.restarted()
            start = row
        if len(columns) > start:
            self._feed(columns, start, len(columns))

    def interrupted(self) -> None:
        """Frames came whose timestamps are not known."""
        self._grid.restarted()

    def close(self) -> None:
        """No frame comes any more: what the last ones show is found out, and they are let go."""
        self._grid.restarted()

    def lost(self) -> int | None:
        """Frames lost before numbering; None: no stretch could tell."""
        lost, _, stable = self._grid.tail()
        return self._grid.lost + lost if stable or self._grid.stable else None

    def late(self) -> int:
        """Frames whose timestamps came late and caught up."""
        return self._grid.late + self._grid.tail()[1]

    def _reshaped(self, rows: Records) -> list[int]:
        """Rows that show another size or exposure than the row before them."""
        width, height, exposure = rows["width"], rows["height"], rows["exposure_ms"]
        changed = (width[1:] != width[:-1]) | (height[1:] != height[:-1]) | (exposure[1:] != exposure[:-1])
        found: list[int] = (np.flatnonzero(changed) + 1).tolist()
        first = (int(width[0]), int(height[0]), float(exposure[0]))
        if self._shape is not None and self._shape != first:
            found.append(0)
        self._shape = (int(width[-1]), int(height[-1]), float(exposure[-1]))
        return found

    def _feed(self, columns: Columns, start: int, stop: int) -> None:
        part = slice(start, stop)
        self._grid.add(columns.number[part], columns.source_ns[part], columns.t_ns[part])
        self._last_number = int(columns.number[stop - 1])
