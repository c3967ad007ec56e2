"""Parameter changes as the daemon broadcasts them: one ring of 256 for all, then 32 slots a subscriber.

A subscriber that falls behind the ring loses the oldest changes silently; only the log says so. "user" changes follow
each SetParameter; "hardware" ones come from a watch on the value, so a burst is merged into its last value.

Every change has a sequence number here (and none on the wire). The ledger takes all of them, some hundred to a line,
and of each watcher the ranges it lost, so that `watch_truth` can say what it must have received.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, Final

from pvload._pb import daq_pb2
from pvload.clock import Clock
from pvload.sim.daemonlog import SERVICE, Log
from pvload.sim.ledger import Ledger, NoLedger
from pvload.sim.parameters import displayed

RING: Final = 256
SLOTS: Final = 32
WATCH_DELAY_S: Final = 0.0001
"""Seen: 64 to 115 us from the "user" change to the "hardware" one."""
ROWS: Final = 256
"""Changes in one line of the ledger, at most."""
ROWS_DELAY_S: Final = 0.05


_Change = tuple[int, str, str, str, str, str]
"""Wall time, device, name, old and new value as texts, source. A tuple: there are thousands a second."""


class Watchers:
    """Gives every watch call its number and its lines in the ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._opened = 0

    def opened(self, kind: str, peer: str, **asked: Any) -> int:
        """A call of this kind (changes, states, observables, health) began."""
        number = self._opened
        self._opened += 1
        self._ledger.note("watcher_opened", watcher=number, kind=kind, peer=peer, **asked)
        return number

    def ended(self, watcher: int, forwarded: int, **more: Any) -> None:
        """It is over, after so many messages."""
        self._ledger.note("watcher_ended", watcher=watcher, forwarded=forwarded, **more)


class Changes:
    """The broadcast of one daemon. Call on the loop's thread only."""

    def __init__(self, clock: Clock, log: Log, ledger: Ledger | None = None, watchers: Watchers | None = None) -> None:
        self._clock = clock
        self._log = log
        self._ledger = ledger or NoLedger()
        self._watchers = watchers or Watchers(self._ledger)
        self._ring: deque[_Change] = deque(maxlen=RING)
        self._published = 0
        self._wakers: set[asyncio.Event] = set()
        self._watched: dict[tuple[str, str], Any] = {}
        self._coalesced = 0
        self._rows: list[tuple[int, str, str, str, str]] = []

    def user(self, device: str, name: str, *, old: str, new: str) -> None:
        """A client set a parameter; the values are the daemon's JSON texts."""
        self._publish(device, name, old=old, new=new, source="user")

    def hardware(self, device: str, name: str, value: Any) -> None:
        """The device's own value changed; what is not yet announced is replaced."""
        if (device, name) in self._watched:
            self._coalesced += 1
        else:
            asyncio.get_running_loop().call_later(WATCH_DELAY_S, self._announce, device, name)
        self._watched[device, name] = value

    async def subscribe(
        self, device: str, names: frozenset[str], *, peer: str = ""
    ) -> AsyncIterator[daq_pb2.ParameterChange]:
        """Changes from now on; device "" and no names mean all."""
        subscription = _Subscription(self._published, device, names)
        first = self._published
        watcher = self._watchers.opened("changes", peer, device=device, names=sorted(names), first=first)
        feeder = asyncio.get_running_loop().create_task(self._feed(subscription, watcher))
        forwarded = 0
        try:
            while True:
                change = await subscription.slots.get()
                forwarded += 1
                yield change
        finally:
            feeder.cancel()
            self.flush()
            self._watchers.ended(
                watcher,
                forwarded,
                next=subscription.next,
                lagged=subscription.lagged,
                queued=subscription.slots.qsize(),
            )

    def flush(self) -> None:
        """Puts the changes made so far into the ledger."""
        if self._rows:
            first = self._published - len(self._rows)
            self._ledger.note("changes_made", first=first, rows=self._rows, coalesced=self._coalesced)
            self._rows = []

    async def _feed(self, subscription: _Subscription, watcher: int) -> None:
        self._wakers.add(subscription.woken)
        try:
            while True:
                await subscription.woken.wait()
                subscription.woken.clear()
                while subscription.next < self._published:
                    oldest = self._published - len(self._ring)
                    if subscription.next < oldest:
                        self._lag(subscription, watcher, oldest)
                    change = self._ring[subscription.next - oldest]
                    subscription.next += 1
                    if subscription.wants(change):
                        await subscription.slots.put(_message(change))
        finally:
            self._wakers.discard(subscription.woken)

    def _lag(self, subscription: _Subscription, watcher: int, oldest: int) -> None:
        lost = oldest - subscription.next
        self._log.line("WARN", SERVICE, f"Parameter change stream lagged, dropped {lost} messages")
        self._ledger.note("watcher_lagged", watcher=watcher, first=subscription.next, count=lost)
        subscription.lagged += lost
        subscription.next = oldest

    def _announce(self, device: str, name: str) -> None:
        value = self._watched.pop((device, name))
        self._publish(device, name, old="", new=displayed(value), source="hardware")

    def _publish(self, device: str, name: str, *, old: str, new: str, source: str) -> None:
        now_ns = self._clock.wall_ns()
        self._ring.append((now_ns, device, name, old, new, source))
        self._published += 1
        if not self._rows:
            asyncio.get_running_loop().call_later(ROWS_DELAY_S, self.flush)
        self._rows.append((now_ns, device, name, new, source))
        if len(self._rows) >= ROWS:
            self.flush()
        for woken in self._wakers:
            woken.set()


class _Subscription:
    """Where one watcher stands."""

    def __init__(self, first: int, device: str, names: frozenset[str]) -> None:
        self.slots: asyncio.Queue[daq_pb2.ParameterChange] = asyncio.Queue(SLOTS)
        self.woken = asyncio.Event()
        self.next = first
        """Sequence number of the next change it reads from the ring."""
        self.lagged = 0
        self._device = device
        self._names = names

    def wants(self, change: _Change) -> bool:
        """By the filters it asked for."""
        _, device, name, *_ = change
        return self._device in ("", device) and (not self._names or name in self._names)


def _message(change: _Change) -> daq_pb2.ParameterChange:
    wall_ns, device, name, old, new, source = change
    return daq_pb2.ParameterChange(
        device_id=device, name=name, old_value=old, new_value=new, source=source, timestamp_ns=wall_ns
    )
