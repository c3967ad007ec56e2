"""All senders' calls together, on the run's axis: who was there when, and how each one went."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pvload.stats.call_rows import ROW, End, Names, Rows
from pvload.stats.histogram import Int64s
from pvload.stats.sender import SenderFold
from pvload.wire.codes import Abort

STYLES = tuple(style.name.lower() for style in Abort)
_TIMES = ("opened_ns", "ordered_ns", "accepted_ns", "first_ns", "last_ns", "ended_ns")


@dataclass(frozen=True, slots=True)
class Comings:
    """Calls in order of subscriber, opening and number."""

    names: tuple[str, ...]
    """Subscribers, in order."""
    devices: tuple[str, ...]
    rows: Rows
    """Shape (n,), dtype ROW: subscriber and device are places in the above, times are on the run's axis."""
    styles: Int64s
    """How each was left: an `Abort`, -1 where it was not left by plan."""

    def of(self, subscriber: int) -> slice:
        """The calls of one subscriber."""
        low, high = np.searchsorted(self.rows["subscriber"], [subscriber, subscriber + 1])
        return slice(int(low), int(high))

    def population(self, subscriber: int) -> str:
        """Its population."""
        return self.names[subscriber].rpartition("/")[0]


def comings(senders: list[SenderFold], end_ns: int) -> Comings:
    """Puts them together; what is later than end_ns is cut there."""
    names, devices = Names(), Names()
    for name in sorted({name for sender in senders for name in sender.company.names.texts}):
        names.place(name)
    parts, leaves = [np.zeros(0, ROW)], [np.zeros((3, 0), np.int64)]
    for sender in senders:
        company, offset = sender.company, sender.account.clock.axis_offset_ns
        own = np.array([names.place(text) for text in company.names.texts] or [0], np.int64)
        rows = company.calls.rows.copy()
        for field in _TIMES:
            rows[field] += np.where(rows[field] >= 0, offset, 0)
        known = sorted({int(place) for place in np.unique(rows["device"])})
        at = {place: devices.place(company.names.texts[place]) for place in known}
        rows["device"] = [at[int(place)] for place in rows["device"]]
        rows["subscriber"] = own[rows["subscriber"]]
        parts.append(rows)
        left = company.leaves.rows
        leaves.append(np.stack((_keys(own[left["subscriber"]], left["number"]), left["style"], left["at_ns"] + offset)))
    rows = np.concatenate(parts)
    rows = rows[rows["opened_ns"] <= end_ns]
    rows = rows[np.lexsort((rows["number"], rows["opened_ns"], rows["subscriber"]))]
    order = np.argsort(devices.texts)
    rank = np.empty(order.size, np.int64)
    rank[order] = np.arange(order.size)
    rows["device"] = rank[rows["device"]] if rows.size else 0
    return Comings(
        names=tuple(names.texts),
        devices=tuple(sorted(devices.texts)),
        rows=rows,
        styles=_styles(rows, np.concatenate(leaves, axis=1)),
    )


def _keys(subscribers: Int64s, numbers: Int64s) -> Int64s:
    return subscribers.astype(np.int64) * 2**32 + numbers.astype(np.int64)


def _styles(rows: Rows, leaves: Int64s) -> Int64s:
    """Of calls that ended by order, how they were left: as planned, else cleanly."""
    styles = np.where(rows["end"] == End.ORDER, int(Abort.CLEAN), -1).astype(np.int64)
    if leaves.shape[1] == 0 or rows.size == 0:
        return styles
    leaves = leaves[:, np.lexsort((leaves[1], leaves[2], leaves[0]))]
    keys = _keys(rows["subscriber"], rows["number"])
    at = np.minimum(np.searchsorted(leaves[0], keys), leaves.shape[1] - 1)
    told = (leaves[0][at] == keys) & (rows["end"] == End.ORDER)
    how = leaves[1][at[told]]
    styles[told] = np.where(how < len(STYLES), how, int(Abort.CLEAN))
    return styles
