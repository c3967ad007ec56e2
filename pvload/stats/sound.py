"""Whether records can be what they claim to be, so that nothing behind this room's door need ask.

Whatever reaches the fold has passed magic, CRC and length; so does what a sender with a fault of its own records. The
first record of a sender that is not sound ends its folding, at that very record: what follows cannot be trusted either,
and how records are cut into batches must not matter. What a target chose (its stamps and counters) is not judged here.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from pvload.stats.histogram import Int64s
from pvload.wire.codes import EndedBy
from pvload.wire.event import FRAME, LAYOUTS, Kind, Records

LONGEST_NS: Final = 100 * 24 * 3600 * 1_000_000_000
"""A sender's records lie within so much of its first one; figures are kept by windows of time."""
LARGEST: Final = 2**62
"""No signed number of a record is as large, in either direction; a frame's own stamp may be, but is not negative."""
_KNOWN: Final = np.zeros(256, np.bool_)
_KNOWN[list(LAYOUTS)] = True
_SIGNED: Final[dict[Kind, tuple[str, ...]]] = {
    kind: tuple(name for name, kept in (layout.fields or {}).items() if kept[0] == np.dtype("<i8") and name != "t_ns")
    for kind, layout in LAYOUTS.items()
    if kind is not Kind.FRAME
}
_ON_THE_AXIS: Final = {Kind.FOLDED: "first_ns"}
"""Further times of a record that figures are kept by."""


Marks = np.ndarray[tuple[int], np.dtype[np.bool_]]
"""One per record: whether it is not sound."""


class Soundness:
    """What one sender's records are held against."""

    def __init__(self) -> None:
        self.fault = ""
        """What is wrong with the first record that is not sound; empty while all were."""
        self._first_ns: int | None = None

    def sound(self, records: Records, *, first: int) -> int:
        """How many of the sender's next records, number `first` and on, may be folded; none after a fault."""
        if self.fault or not records.size:
            return 0
        if self._first_ns is None:
            self._first_ns = int(records["t_ns"][0])
        wrong = self._wrong(records)
        if not wrong.any():
            return records.size
        at = int(np.argmax(wrong))
        kind = int(records["kind"][at])
        name = Kind(kind).name if _KNOWN[kind] else f"of unknown kind {kind}"
        self.fault = f"record {first + at} ({name}) holds what no such record can"
        return at

    def _wrong(self, records: Records) -> Marks:
        kinds = records["kind"]
        wrong: Marks = ~_KNOWN[kinds] | self._off_the_axis(records["t_ns"])
        wrong |= (kinds == Kind.FRAME) & (records.view(FRAME)["source_ns"] < 0)
        for kind in np.unique(kinds[kinds != Kind.FRAME]):
            if _KNOWN[kind]:
                own = np.flatnonzero(kinds == kind)
                wrong[own] |= self._wrong_of(Kind(int(kind)), records[own])
        return wrong

    def _wrong_of(self, kind: Kind, records: Records) -> Marks:
        rows = records.view(LAYOUTS[kind])
        wrong = np.zeros(rows.size, np.bool_)
        for name in _SIGNED[kind]:
            wrong |= (rows[name] <= -LARGEST) | (rows[name] >= LARGEST)
        if kind is Kind.ENDED:
            wrong |= rows["code"] > max(EndedBy)
        if kind in _ON_THE_AXIS:
            wrong |= self._off_the_axis(rows[_ON_THE_AXIS[kind]])
        return wrong

    def _off_the_axis(self, times: Int64s) -> Marks:
        first_ns = min(max(self._first_ns or 0, 0), LARGEST)
        return (times < max(0, first_ns - LONGEST_NS)) | (times > first_ns + LONGEST_NS)
