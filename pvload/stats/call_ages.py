"""How old the judged frames of one call are, and how unevenly they come."""

from __future__ import annotations

import numpy as np

from pvload.stats.histogram import Histogram, Int64s
from pvload.stats.tally import AgeTally
from pvload.stats.windows import Windows


class CallAges:
    """Ages go into the call's sums window by window, each window's 99th percentile into the window."""

    __slots__ = ("_index", "_tally", "_transit", "_windows", "latest")

    def __init__(self, tally: AgeTally, windows: Windows) -> None:
        self._tally = tally
        self._windows = windows
        self._index: int | None = None
        """The latest window with a judged frame."""
        self._transit: int | None = None
        """Arrival less timestamp of the last frame; None: none came, or it is not known."""
        self.latest = Histogram()
        """Ages in that window, which are not in the sums yet."""

    def add(self, index: int, ages: Int64s) -> None:
        """Takes ages of judged frames, all in window `index`."""
        if self._index != index:
            self.close()
            self._index = index
        self._tally.negative += int(np.count_nonzero(ages < 0))
        self.latest.add(ages)

    def transits(self, transits: Int64s, *, judged: int | None) -> None:
        """Takes the transits of the next frames, of which those from `judged` on are judged; None: none is.

        Jitter is the change of transit from neighbour to neighbour, where the later frame is judged.
        """
        if judged is not None:
            if judged == 0 and self._transit is not None:
                self._tally.jitter(transits[:1] - self._transit)
            first = max(judged, 1)
            self._tally.jitter(transits[first:] - transits[first - 1 : -1])
        self._transit = int(transits[-1])

    def interrupted(self) -> None:
        """Frames came whose timestamps are not known."""
        self._transit = None

    def close(self) -> None:
        """The latest window is over, or the call."""
        if self._index is not None:
            self._windows.window(self._index).aged(self.latest.quantile(0.99))
            self._tally.ages.merge(self.latest)
        self._index, self.latest = None, Histogram()
