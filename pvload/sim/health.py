"""What proves that the daemon lives: GetDaemonInfo and its two health services. None of them knows of a camera."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from pvload._pb import daq_pb2, health_pb2
from pvload.clock import NS_PER_S, Clock
from pvload.sim.rpc import Context, not_found

BEATS_S: Final = {"system_metrics": 5, "hardware_registry": 10}
"""The daemon's modules and how often each gives a sign."""
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
    """daq.HealthService: always healthy, its modules beating as long as this process runs."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._started_ns = clock.monotonic_ns()

    async def GetSystemHealth(
        self, request: daq_pb2.GetSystemHealthRequest, context: Context
    ) -> daq_pb2.GetSystemHealthResponse:
        """The whole."""
        return daq_pb2.GetSystemHealthResponse(
            status=daq_pb2.SYSTEM_HEALTH_HEALTHY,
            total_modules=len(BEATS_S),
            healthy_modules=len(BEATS_S),
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
        while True:
            yield daq_pb2.HealthUpdate(
                system_status=daq_pb2.SYSTEM_HEALTH_HEALTHY,
                modules=self._modules(),
                timestamp_ns=self._clock.wall_ns(),
            )
            await asyncio.sleep((request.update_interval_ms or 5000) / 1000)

    def _modules(self) -> list[daq_pb2.ModuleHealthStatus]:
        alive_ns = self._clock.monotonic_ns() - self._started_ns
        found = []
        for name, beat_s in BEATS_S.items():
            since_ns = alive_ns % (beat_s * NS_PER_S)
            found.append(
                daq_pb2.ModuleHealthStatus(
                    name=name,
                    is_healthy=True,
                    last_heartbeat_ns=self._clock.wall_ns() - since_ns,
                    seconds_since_heartbeat=since_ns // NS_PER_S,
                )
            )
        return found


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
