"""Parameter changes as the daemon broadcasts them: one ring of 256 for all, then 32 slots a subscriber.

A subscriber that falls behind the ring loses the oldest changes silently; only the log says so. "user" changes follow
each SetParameter; "hardware" ones come from a watch on the value, so a burst is merged into its last value.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, Final

from pvload._pb import daq_pb2
from pvload.clock import Clock
from pvload.sim.daemonlog import SERVICE, Log
from pvload.sim.parameters import displayed, encoded

RING: Final = 256
SLOTS: Final = 32
WATCH_DELAY_S: Final = 0.0001
"""Seen: 64 to 115 us from the "user" change to the "hardware" one."""


class Changes:
    """The broadcast of one daemon. Call on the loop's thread only."""

    def __init__(self, clock: Clock, log: Log) -> None:
        self._clock = clock
        self._log = log
        self._ring: deque[daq_pb2.ParameterChange] = deque(maxlen=RING)
        self._published = 0
        self._wakers: set[asyncio.Event] = set()
        self._watched: dict[tuple[str, str], Any] = {}

    def user(self, device: str, name: str, *, old: Any, new: Any) -> None:
        """A client set a parameter."""
        self._publish(
            daq_pb2.ParameterChange(
                device_id=device, name=name, old_value=encoded(old), new_value=encoded(new), source="user"
            )
        )

    def hardware(self, device: str, name: str, value: Any) -> None:
        """The device's own value changed; what is not yet announced is replaced."""
        if (device, name) not in self._watched:
            asyncio.get_running_loop().call_later(WATCH_DELAY_S, self._announce, device, name)
        self._watched[device, name] = value

    async def subscribe(self, device: str, names: frozenset[str]) -> AsyncIterator[daq_pb2.ParameterChange]:
        """Changes from now on; device "" and no names mean all."""
        slots: asyncio.Queue[daq_pb2.ParameterChange] = asyncio.Queue(SLOTS)
        feeder = asyncio.get_running_loop().create_task(self._feed(slots, device, names))
        try:
            while True:
                yield await slots.get()
        finally:
            feeder.cancel()

    async def _feed(self, slots: asyncio.Queue[daq_pb2.ParameterChange], device: str, names: frozenset[str]) -> None:
        woken = asyncio.Event()
        self._wakers.add(woken)
        next_number = self._published
        try:
            while True:
                await woken.wait()
                woken.clear()
                while next_number < self._published:
                    oldest = self._published - len(self._ring)
                    if next_number < oldest:
                        lost = oldest - next_number
                        self._log.line("WARN", SERVICE, f"Parameter change stream lagged, dropped {lost} messages")
                        next_number = oldest
                    change = self._ring[next_number - oldest]
                    next_number += 1
                    if device in ("", change.device_id) and (not names or change.name in names):
                        await slots.put(change)
        finally:
            self._wakers.discard(woken)

    def _announce(self, device: str, name: str) -> None:
        value = self._watched.pop((device, name))
        self._publish(
            daq_pb2.ParameterChange(device_id=device, name=name, new_value=displayed(value), source="hardware")
        )

    def _publish(self, change: daq_pb2.ParameterChange) -> None:
        change.timestamp_ns = self._clock.wall_ns()
        self._ring.append(change)
        self._published += 1
        for woken in self._wakers:
            woken.set()
