"""From a ledger to what each watcher of parameter changes must have received, and what it lost.

A change is lost where the watcher fell behind the ring: by the ranges of sequence numbers in the ledger, not by what
arrived. What was read from the ring and not yet sent when the client left (`queued`, at most 32 and what HTTP/2 held)
is neither received nor lost.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class ChangeMade:
    """One change as the daemon broadcast it."""

    number: int
    """Sequence number, from 0 since the daemon's start; never on the wire."""
    wall_ns: int
    device: str
    name: str
    value: str
    source: str
    """user or hardware."""


@dataclass(frozen=True, slots=True)
class WatcherTruth:
    """One StreamParameterChanges call. Changes are those its filters let through, in order."""

    watcher: int
    peer: str
    device: str
    names: tuple[str, ...]
    read: tuple[ChangeMade, ...]
    """Taken from the ring: forwarded, but for the last `queued` of them."""
    lost: tuple[ChangeMade, ...]
    """Gone from the ring before it came to them."""
    forwarded: int
    """Messages handed to HTTP/2."""
    queued: int
    lagged: int
    """All changes lost, whatever the filters: the sum of the numbers in the log's WARN lines."""

    @property
    def lost_values(self) -> tuple[str, ...]:
        """Values of lost "user" changes: the counters a changer wrote into them."""
        return tuple(change.value for change in self.lost if change.source == "user")


def changes_made(entries: Iterable[dict[str, Any]]) -> list[ChangeMade]:
    """All changes of a daemon's life in the order made; from `read_ledger`."""
    return [
        ChangeMade(entry["first"] + at, *row)
        for entry in entries
        if entry["is"] == "changes_made"
        for at, row in enumerate(entry["rows"])
    ]


def watcher_truths(entries: Iterable[dict[str, Any]]) -> list[WatcherTruth]:
    """Every ended watcher of changes, in the order they came."""
    kept = list(entries)
    made = changes_made(kept)
    opened = {entry["watcher"]: entry for entry in kept if entry["is"] == "watcher_opened"}
    lags: defaultdict[int, list[range]] = defaultdict(list)
    for entry in kept:
        if entry["is"] == "watcher_lagged":
            lags[entry["watcher"]].append(range(entry["first"], entry["first"] + entry["count"]))
    ended = {entry["watcher"]: entry for entry in kept if entry["is"] == "watcher_ended"}
    return [
        _truth(one, ended[watcher], lags[watcher], made)
        for watcher, one in opened.items()
        if watcher in ended and one["kind"] == "changes"
    ]


def _truth(opened: dict[str, Any], ended: dict[str, Any], lags: list[range], made: list[ChangeMade]) -> WatcherTruth:
    device, names = opened["device"], tuple(opened["names"])
    wanted = [
        change
        for change in made[opened["first"] : ended["next"]]
        if device in ("", change.device) and (not names or change.name in names)
    ]
    lost = {number for lag in lags for number in lag}
    return WatcherTruth(
        watcher=opened["watcher"],
        peer=opened["peer"],
        device=device,
        names=names,
        read=tuple(change for change in wanted if change.number not in lost),
        lost=tuple(change for change in wanted if change.number in lost),
        forwarded=ended["forwarded"],
        queued=ended["queued"],
        lagged=ended["lagged"],
    )
