"""Streams begun and ended by the daemon's log, lines that came too fast to be recorded one by one included.

A daemon may print two lines for a stream's beginning, and a record that stands for several lines does not say how many
of each: so lines of beginnings are counted together and divided by how many kinds of them were seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from pvload.stats.call_rows import RowList
from pvload.stats.histogram import Int64s

LINES: Final = 65_536
HELD_NS: Final = 1_000_000_000
"""A record of several lines speaks of those in the second before it."""
BEGINNINGS: Final = ("Registered gRPC stream observer", "Starting tap-based frame stream forwarding task")
LISTENING: Final = "listening on"
"""A daemon that has just started has no streams."""
ENDED: Final = len(BEGINNINGS)
READY: Final = ENDED + 1

LINE: Final = np.dtype([("at_ns", "<i8"), ("what", "<i8"), ("lines", "<i8")])
"""what: place in BEGINNINGS, ENDED or READY. lines: how many lines of its class it stands for."""


@dataclass(frozen=True, slots=True)
class OpenStreams:
    """How many streams were open by the log, at least and at most."""

    least: int
    most: int


class StreamLines:
    """Of one sender."""

    __slots__ = ("_lines",)

    def __init__(self) -> None:
        self._lines = RowList(LINE, LINES)

    def subscribed(self, at_ns: int, text: str, suppressed: int) -> None:
        """Takes a line that tells of a stream's beginning."""
        what = next((place for place, words in enumerate(BEGINNINGS) if words in text), None)
        if what is not None:
            self._lines.add((at_ns, what, 1 + suppressed))

    def ended(self, at_ns: int, suppressed: int) -> None:
        """Takes a line that tells of a stream's end."""
        self._lines.add((at_ns, ENDED, 1 + suppressed))

    def ready(self, at_ns: int, text: str) -> None:
        """Takes a line that tells of the daemon's start."""
        if LISTENING in text:
            self._lines.add((at_ns, READY, 1))

    @property
    def count(self) -> int:
        """Records taken."""
        return self._lines.count

    @property
    def whole(self) -> bool:
        """Whether none of them was beyond the room for them."""
        return self._lines.count == self._lines.rows.size

    def open_at(self, at_ns: int) -> OpenStreams:
        """Streams begun and not ended by at_ns, since the daemon's last start."""
        rows = self._lines.rows
        starts = rows["at_ns"][(rows["what"] == READY) & (rows["at_ns"] <= at_ns)]
        rows = rows[rows["at_ns"] >= starts.max(initial=-(2**62))]
        begun = rows["what"] < ENDED
        kinds = max(1, np.unique(rows["what"][begun]).size)
        # Held back lines of a record just after at_ns may have been written before it.
        sure, held = rows["at_ns"] <= at_ns, (rows["at_ns"] > at_ns) & (rows["at_ns"] <= at_ns + HELD_NS)
        lines: Int64s = rows["lines"]
        begun_by, begun_held = int(lines[begun & sure].sum()), int((lines[begun & held] - 1).sum())
        ended = rows["what"] == ENDED
        ended_by, ended_held = int(lines[ended & sure].sum()), int((lines[ended & held] - 1).sum())
        return OpenStreams(
            least=begun_by // kinds - ended_by - ended_held, most=-(-(begun_by + begun_held) // kinds) - ended_by
        )
