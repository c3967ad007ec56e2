"""Figures over the run's time in bounded memory: means of cells whose length doubles when there are too many of them.

Cells are cut at multiples of their length on the sender's clock, so their sums depend on the samples alone.
"""

from __future__ import annotations

from array import array
from typing import Final

import numpy as np
import numpy.typing as npt

from pvload.stats.histogram import Int64s

LARGEST: Final = 2**48
"""A larger figure counts as this one, so that sums stay below 2^63."""
CELLS: Final = 1024
"""Cells kept of one series: a second each for 17 minutes, 8 s each over two hours, 128 s each over a day."""
FIRST_CELL_NS: Final = 1_000_000_000


class Series:
    """Several integer figures of one thing, sampled together in order of time."""

    __slots__ = ("_cell_ns", "_sums", "_width")

    def __init__(self, figures: int) -> None:
        self._width = figures + 2
        self._cell_ns = FIRST_CELL_NS
        self._sums = array("q")
        """Row by row: number of the cell, samples in it, and the sum of each figure."""

    def add(self, at_ns: int, *values: int) -> None:
        """Takes one sample of each figure."""
        values = tuple(min(value, LARGEST) for value in values)
        sums, width = self._sums, self._width
        cell = at_ns // self._cell_ns
        if sums and sums[-width] >= cell:
            sums[1 - width] += 1
            for at, value in enumerate(values):
                sums[at + 2 - width] += value
            return
        if len(sums) >= CELLS * width:
            self._coarsen()
            self.add(at_ns, *values)
            return
        sums.extend((cell, 1, *values))

    @property
    def length_ns(self) -> int:
        """From the first cell with a sample to the last one."""
        return int(self._sums[-self._width] - self._sums[0]) * self._cell_ns if self._sums else 0

    def means(self) -> tuple[Int64s, npt.NDArray[np.float64]]:
        """Middles of the cells in nanoseconds, shape (n,), and the mean of each figure in them, shape (n, figures)."""
        rows = np.array(self._sums, np.int64).reshape(-1, self._width)
        return rows[:, 0] * self._cell_ns + self._cell_ns // 2, rows[:, 2:] / rows[:, 1:2]

    def _coarsen(self) -> None:
        self._cell_ns *= 2
        rows = np.array(self._sums, np.int64).reshape(-1, self._width)
        cells, first = np.unique(rows[:, 0] // 2, return_index=True)
        joined = np.add.reduceat(rows, first, axis=0)
        joined[:, 0] = cells
        self._sums = array("q", joined.ravel().tolist())
