"""What proves that the daemon lives: GetDaemonInfo and its two health services. None of them knows of a camera."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from pvload._pb import daq_pb2, health_pb2
from pvload.clock import NS_PER_S, Clock
from pvload.sim.changes import Watchers
from pvload.sim.rpc import Context, not_found
from pvload.sim.starvation import Starvation

BEATS_S: Final = {"system_metrics": 5, "hardware_registry": 10}
"""The daemon's modules and how often each gives a sign."""
STALE_NS: Final = 30 * NS_PER_S
"""A module without a sign for so long is unhealthy, and the system critical."""
SERVING: Final = frozenset(
    {
        "",
        "daq.ControlService",
        "daq.HardwareService",
        "daq.ModuleService",
        "daq.ScanService",
        "daq.PresetService",
        "daq.StorageService",
        "daq.RunEngineService",
        "daq.HealthService",
    }
)


class ControlService:
    """daq.ControlService."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._started_ns = clock.monotonic_ns()

    async def GetDaemonInfo(self, request: daq_pb2.DaemonInfoRequest, context: Context) -> daq_pb2.DaemonInfoResponse:
        """Version, features, hardware and uptime."""
        return daq_pb2.DaemonInfoResponse(
            version="0.1.0",
            features=["networking", "simulator"],
            available_hardware=["MockStage", "MockCamera"],
            uptime_seconds=(self._clock.monotonic_ns() - self._started_ns) // NS_PER_S,
        )


class HealthService:
    """daq.HealthService: healthy while its modules beat, and they do unless the daemon is starved."""

    def __init__(self, clock: Clock, starvation: Starvation, watchers: Watchers) -> None:
        self._clock = clock
        self._starvation = starvation
        self._watchers = watchers
        self._started_ns = clock.monotonic_ns()

    async def GetSystemHealth(
        self, request: daq_pb2.GetSystemHealthRequest, context: Context
    ) -> daq_pb2.GetSystemHealthResponse:
        """The whole."""
        modules = self._modules()
        healthy = sum(module.is_healthy for module in modules)
        return daq_pb2.GetSystemHealthResponse(
            status=_status(modules),
            total_modules=len(modules),
            healthy_modules=healthy,
            unhealthy_modules=len(modules) - healthy,
            timestamp_ns=self._clock.wall_ns(),
        )

    async def GetModuleHealth(
        self, request: daq_pb2.GetModuleHealthRequest, context: Context
    ) -> daq_pb2.GetModuleHealthResponse:
        """Module by module."""
        return daq_pb2.GetModuleHealthResponse(modules=self._modules(), timestamp_ns=self._clock.wall_ns())

    async def GetErrorHistory(
        self, request: daq_pb2.GetErrorHistoryRequest, context: Context
    ) -> daq_pb2.GetErrorHistoryResponse:
        """Empty: no error of a camera or a stream is ever reported here."""
        return daq_pb2.GetErrorHistoryResponse(timestamp_ns=self._clock.wall_ns())

    async def StreamHealthUpdates(
        self, request: daq_pb2.StreamHealthUpdatesRequest, context: Context
    ) -> AsyncIterator[daq_pb2.HealthUpdate]:
        """One update at once, then at the interval asked for (0: 5 s)."""
        every_ms = request.update_interval_ms or 5000
        watcher = self._watchers.opened("health", context.peer(), every_ms=every_ms)
        forwarded = 0
        try:
            while True:
                modules = self._modules()
                forwarded += 1
                yield daq_pb2.HealthUpdate(
                    system_status=_status(modules), modules=modules, timestamp_ns=self._clock.wall_ns()
                )
                await asyncio.sleep(every_ms / 1000)
        finally:
            self._watchers.ended(watcher, forwarded)

    def _modules(self) -> list[daq_pb2.ModuleHealthStatus]:
        now_ns, wall_ns = self._clock.monotonic_ns(), self._clock.wall_ns()
        found = []
        for name, beat_s in BEATS_S.items():
            beat_ns = self._starvation.last_beat_ns(now_ns, first_ns=self._started_ns, every_ns=beat_s * NS_PER_S)
            since_ns = now_ns - beat_ns
            found.append(
                daq_pb2.ModuleHealthStatus(
                    name=name,
                    is_healthy=since_ns < STALE_NS,
                    last_heartbeat_ns=wall_ns - since_ns,
                    seconds_since_heartbeat=since_ns // NS_PER_S,
                )
            )
        return found


def _status(modules: list[daq_pb2.ModuleHealthStatus]) -> daq_pb2.SystemHealthStatus:
    beating = all(module.is_healthy for module in modules)
    return daq_pb2.SYSTEM_HEALTH_HEALTHY if beating else daq_pb2.SYSTEM_HEALTH_CRITICAL


class Health:
    """grpc.health.v1.Health: SERVING from start to end."""

    async def Check(self, request: health_pb2.HealthCheckRequest, context: Context) -> health_pb2.HealthCheckResponse:
        """NOT_FOUND for a name the daemon does not know."""
        if request.service not in SERVING:
            raise not_found(f"service not registered: {request.service}")
        return health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVING)

    async def Watch(
        self, request: health_pb2.HealthCheckRequest, context: Context
    ) -> AsyncIterator[health_pb2.HealthCheckResponse]:
        """One status, then the call ends."""
        yield await self.Check(request, context)
