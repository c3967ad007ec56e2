"""Every call in a row of fixed size: what comings and goings are counted from, however many there are.

The first 65,536 calls of a sender are kept (8 MiB), of later ones only that they were. Times are nanoseconds of the
sender's monotonic clock, -1 for what never happened.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt

ROWS: Final = 65_536
MOST: Final = 2**62
"""A larger number reads as this one: a target may count whatever it likes."""

ROW: Final = np.dtype(
    [
        ("subscriber", "<i8"),
        ("device", "<i8"),
        ("number", "<i8"),
        ("end", "<i8"),
        ("opened_ns", "<i8"),
        ("ordered_ns", "<i8"),
        ("accepted_ns", "<i8"),
        ("first_ns", "<i8"),
        ("last_ns", "<i8"),
        ("ended_ns", "<i8"),
        ("received", "<i8"),
        ("sent", "<i8"),
        ("dropped", "<i8"),
        ("frame_bytes", "<i8"),
        ("window_bytes", "<i8"),
    ]
)
"""subscriber, device: places in `Names`; end: `End`; sent, dropped: the server's counters of the last frame, -1: it had
none; frame_bytes: mean size of a message."""

Rows = npt.NDArray[np.void]
"""Shape (n,), dtype ROW."""


class End(IntEnum):
    """How a call ended, for whoever counts comings and goings."""

    OPEN = 0
    """At the end of the sender's account it was open."""
    ORDER = 1
    SERVER = 2
    LIMIT = 3
    """Turned away for the stream limit."""
    REFUSED = 4
    """Ended by the server before it was accepted."""
    OTHER = 5
    """By the run's end, the watchdog or the engine's going down."""


class Names:
    """Texts by place, each once."""

    __slots__ = ("_places", "texts")

    def __init__(self) -> None:
        self._places: dict[str, int] = {}
        self.texts: list[str] = []

    def place(self, text: str) -> int:
        """Where `text` stands."""
        found = self._places.get(text)
        if found is None:
            found = self._places[text] = len(self.texts)
            self.texts.append(text)
        return found


class RowList:
    """Rows of one dtype in order of coming, the first `limit` of them."""

    __slots__ = ("_limit", "_rows", "_used", "count")

    def __init__(self, dtype: np.dtype[np.void], limit: int) -> None:
        self._rows: Rows = np.zeros(0, dtype)
        self._used = 0
        self._limit = limit
        self.count = 0
        """All that came."""

    def add(self, row: tuple[int, ...]) -> None:
        """Takes one; fields in the order of the dtype."""
        self.count += 1
        if self._used == self._limit:
            return
        if self._used == self._rows.size:
            grown: Rows = np.zeros(min(self._limit, max(64, 2 * self._used)), self._rows.dtype)
            grown[: self._used] = self._rows
            self._rows = grown
        self._rows[self._used] = tuple(min(max(value, -MOST), MOST) for value in row)
        self._used += 1

    @property
    def rows(self) -> Rows:
        """Those that are kept."""
        return self._rows[: self._used]
