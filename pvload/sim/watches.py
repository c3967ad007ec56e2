"""The daemon's other watch streams: device states, which it polls, and observables, which it samples."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from typing import Final

from pvload._pb import daq_pb2
from pvload.clock import NS_PER_S, Clock
from pvload.sim.changes import Watchers
from pvload.sim.parameters import displayed

POLL_S: Final = 0.2
FASTEST_POLL_S: Final = 0.01
DEADBAND: Final = 0.001
OBSERVABLES: Final = frozenset({("prime_bsi", "thermal.temperature")})
"""The real cameras have none; this one is for trying a watcher."""
SETPOINT_C: Final = -10.0
SWING_C: Final = 0.5
SWING_NS: Final = 20 * NS_PER_S
"""The temperature swings about its setpoint, once in so long."""


def temperature_c(monotonic_ns: int) -> float:
    """Of the simulated sensor."""
    return SETPOINT_C + SWING_C * math.sin(2 * math.pi * (monotonic_ns % SWING_NS) / SWING_NS)


async def device_states(
    request: daq_pb2.DeviceStateSubscribeRequest,
    state: Callable[[str], daq_pb2.DeviceStateResponse],
    every_device: list[str],
    *,
    watchers: Watchers,
    peer: str,
    clock: Clock,
) -> AsyncIterator[daq_pb2.DeviceStateUpdate]:
    """Polls the devices for ever and tells what changed; what `state` raises for an unknown one ends the call."""
    asked = list(request.device_ids) or every_device
    rate = request.max_rate_hz
    pause_s = max(1 / rate, FASTEST_POLL_S) if rate else POLL_S
    watcher = watchers.opened("states", peer, devices=asked, poll_ms=round(pause_s * 1000))
    known: dict[str, dict[str, str]] = {}
    version, forwarded, first = request.last_seen_version, 0, True
    try:
        while True:
            for name in asked:
                fields = _plain(state(name))
                before = known.get(name, {})
                known[name] = fields
                changed = {key: value for key, value in fields.items() if before.get(key) != value}
                if not changed or (first and not request.include_snapshot):
                    continue
                version += 1
                forwarded += 1
                yield daq_pb2.DeviceStateUpdate(
                    device_id=name,
                    timestamp_ns=clock.wall_ns(),
                    version=version,
                    is_snapshot=first,
                    fields_json=changed,
                )
            first = False
            await asyncio.sleep(pause_s)
    finally:
        watchers.ended(watcher, forwarded, version=version)


async def observables(
    request: daq_pb2.StreamObservablesRequest, *, watchers: Watchers, peer: str, clock: Clock
) -> AsyncIterator[daq_pb2.ObservableValue]:
    """Samples at twice the rate asked for and tells each change beyond the deadband, but never the first value.

    Ends at once where nothing asked for exists: empty lists mean nothing, not everything.
    """
    wanted = sorted(
        (device, name)
        for device, name in OBSERVABLES
        if device in request.device_ids and name in request.observable_names
    )
    if not wanted:
        return
    pause_s = max(1 / (2 * (request.sample_rate_hz or 1)), 0.001)
    deadband = request.deadband if request.deadband > 0 else DEADBAND
    watcher = watchers.opened("observables", peer, names=[name for _, name in wanted], deadband=deadband)
    told = dict.fromkeys(wanted, temperature_c(clock.monotonic_ns()))
    forwarded = samples = 0
    try:
        while True:
            await asyncio.sleep(pause_s)
            for device, name in wanted:
                value = temperature_c(clock.monotonic_ns())
                samples += 1
                if abs(value - told[device, name]) <= deadband:
                    continue
                told[device, name] = value
                forwarded += 1
                yield daq_pb2.ObservableValue(
                    device_id=device, observable_name=name, value=value, units="C", timestamp_ns=clock.wall_ns()
                )
    finally:
        watchers.ended(watcher, forwarded, samples=samples)


def _plain(state: daq_pb2.DeviceStateResponse) -> dict[str, str]:
    """The fields of an update: plain text, only what the device has."""
    fields = {"online": displayed(state.online)}
    for name in ("position", "armed", "streaming", "exposure_ms"):
        if state.HasField(name):
            fields[name] = displayed(getattr(state, name))
    return fields
