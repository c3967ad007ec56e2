"""Frames lost before they were numbered (driver, hardware): only a camera on a stable grid of time can show them.

Source timestamps are looked at in blocks of 200 consecutive frames of one acquisition, with ten frames on either side.
Steps are taken per frame number, so counted losses do not matter. A block has a stable grid if steps over ten frames
spread no more than three times as wide as steps over one frame: a clock with jitter has 1, a camera that sleeps its
exposure, whose errors add up, has the square root of 10, that is 3.2. That is too near to rest a claim on, so steps
over fifty frames (7.1 for the sleeper) must pass the same test. Whole periods are taken out before the test, so that
the loss itself does not hide the grid.

On a stable grid, a step that is k whole periods too long (within a quarter of one: a pause of 30.5 periods is a pause
and no loss) is k lost frames if source timestamps *and* arrivals stay shifted over the next ten frames. If the
timestamps come back, the frame was *late*. If arrivals did not shift, it was a step of the target's clock. A block
without a step that could be one is only examined to learn whether there is a grid (the first, second, fourth ... block,
until one has it). Blocks are cut by the number of frames alone, so batches cannot matter.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from pvload.stats.histogram import Int64s

BLOCK: Final = 200
MARGIN: Final = 10
SMALLEST: Final = 120
"""A tail with fewer frames decides nothing."""
SPREAD_RATIO: Final = 3.0
LONG_STEP: Final = 50
UNEVEN: Final = 1.4
"""A block whose longest step is below this many of its shortest holds none that is 1.5 times the usual one."""
WHOLE_WITHIN: Final = 0.25
"""Of a period: a step further from whole periods than this left the grid."""
ROUNDING_NS: Final = 1000
"""Spreads below a microsecond are rounding."""

Floats = np.ndarray[tuple[int], np.dtype[np.float64]]


class Grid:
    """The source timestamps of one call, in blocks. Holds at most one block and what is being added."""

    __slots__ = ("_before", "_number", "_rows", "_size", "late", "lost", "stable")

    def __init__(self) -> None:
        self._rows: list[Int64s] = []
        self._size = 0
        self._before = 0
        self._number = 0
        """Full blocks so far."""
        self.lost = 0
        self.late = 0
        self.stable = False
        """Whether any block could decide."""

    def add(self, number: Int64s, source_ns: Int64s, t_ns: Int64s) -> None:
        """Takes frames of one acquisition: numbers strictly rising."""
        self._rows.append(np.array((number, source_ns, t_ns)))
        self._size += number.size
        if self._size - self._before >= BLOCK + MARGIN:
            self._blocks()

    def restarted(self) -> None:
        """The acquisition began anew: what came before is a block of its own."""
        lost, late, stable = self.tail()
        self.lost += lost
        self.late += late
        self.stable |= stable
        self._rows, self._size, self._before = [], 0, 0

    def tail(self) -> tuple[int, int, bool]:
        """Lost, late and stable of the frames that do not fill a block yet; changes nothing."""
        if self._size - self._before < 1:
            return 0, 0, False
        rows = np.concatenate(self._rows, axis=1)
        return _examine(rows, self._before, rows.shape[1])

    def _blocks(self) -> None:
        rows = np.concatenate(self._rows, axis=1)
        start = self._before
        count = (rows.shape[1] - start - MARGIN) // BLOCK
        telling = _uneven(rows, start, count)
        for at in range(count):
            self._number += 1
            if telling[at] or (not self.stable and self._number & (self._number - 1) == 0):
                low = max(0, start - BLOCK)
                lost, late, stable = _examine(rows[:, low : start + BLOCK + MARGIN], start - low, start - low + BLOCK)
                self.lost += lost
                self.late += late
                self.stable |= stable
            start += BLOCK
        low = max(0, start - BLOCK)
        self._rows = [rows[:, low:].copy()]
        self._size, self._before = rows.shape[1] - low, start - low


def _uneven(rows: Int64s, start: int, count: int) -> list[bool]:
    """For each of `count` blocks from `start`, whether one of its steps could be a whole period too long."""
    first, stop = max(start - 1, 0), start + count * BLOCK
    part = rows[:2, first:stop]
    ahead, steps = part[:, 1:] - part[:, :-1]
    steps = steps / ahead
    edges = np.maximum(np.arange(count) * BLOCK - (start == 0), 0)
    low, high = np.minimum.reduceat(steps, edges), np.maximum.reduceat(steps, edges)
    uneven: list[bool] = (high >= UNEVEN * low).tolist()
    return uneven


def _examine(rows: Int64s, first: int, stop: int) -> tuple[int, int, bool]:
    """Judges the steps into frames [first, stop) of `rows`: number, source, arrival; shape (3, n), with margins."""
    if rows.shape[1] < SMALLEST:
        return 0, 0, False
    number, source, arrival = rows
    ahead = np.diff(number)
    steps = np.diff(source) / ahead
    period = float(np.median(steps))
    if period <= 0:
        return 0, 0, False
    error = np.diff(source) - ahead * period
    periods = np.rint(error / period)
    if not _is_stable(error - periods * period):
        return 0, 0, False
    shift = np.concatenate(([0.0], np.cumsum(periods)))
    behind = (arrival - arrival[0]) - (number - number[0]) * period
    lost = late = 0
    whole = np.abs(error - periods * period) < WHOLE_WITHIN * period
    for at in np.flatnonzero((periods >= 1) & whole) + 1:
        if not first <= at < stop or at + MARGIN >= rows.shape[1]:
            continue
        kept = int(shift[at : at + MARGIN + 1].min() - shift[at - 1])
        if kept < 1:
            late += 1
            continue
        moved = float(np.median(behind[at : at + MARGIN + 1]) - np.median(behind[max(0, at - MARGIN) : at]))
        if moved >= (kept - 0.5) * period:
            lost += kept
    return lost, late, True


def _is_stable(error: Floats) -> bool:
    """Whether errors of single steps do not add up."""
    path = np.concatenate(([0.0], np.cumsum(error)))
    single = max(_spread(error), ROUNDING_NS)
    return all(_spread(path[reach:] - path[:-reach]) <= SPREAD_RATIO * single for reach in (MARGIN, LONG_STEP))


def _spread(values: Floats) -> float:
    """Distance of the 5th and 95th of a hundred."""
    low, high = np.partition(values, (values.size // 20, values.size - 1 - values.size // 20))[
        [values.size // 20, values.size - 1 - values.size // 20]
    ]
    return float(high - low)
