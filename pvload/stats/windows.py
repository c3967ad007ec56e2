"""The windows of one call or one subscriber: at most WINDOW_LIMIT of them, however long it lasts."""

from __future__ import annotations

from typing import Final

from pvload.stats.tally import WindowTally

WINDOW_LIMIT: Final = 2880
"""Two days of minutes; beyond that neighbours are joined, again and again."""


class Windows:
    """Sums by window of the sender's axis, numbered from its origin."""

    __slots__ = ("entries", "factor")

    def __init__(self) -> None:
        self.entries: dict[int, WindowTally] = {}
        self.factor = 1
        """Windows that stand in one entry; a power of two."""

    def window(self, index: int) -> WindowTally:
        """The entry that holds window `index`; in a very long run neighbours are joined."""
        found = self.entries.get(index // self.factor)
        if found is not None:
            return found
        while len(self.entries) >= WINDOW_LIMIT:
            self._coarsen()
        return self.entries.setdefault(index // self.factor, WindowTally())

    def merge(self, other: Windows) -> None:
        """Adds the windows of a call to those of its subscriber, at the coarser of the two lengths."""
        while self.factor < other.factor:
            self._coarsen()
        for key, tally in other.entries.items():
            self.window(key * other.factor).merge(tally)

    def _coarsen(self) -> None:
        joined: dict[int, WindowTally] = {}
        for key, tally in self.entries.items():
            joined.setdefault(key // 2, WindowTally()).merge(tally)
        self.entries = joined
        self.factor *= 2
