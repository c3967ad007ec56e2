"""The simulated daemon as one object: `Simulator(...)`, start(), address, stop().

Everything runs on one event loop in one thread of its own (`grpc.aio`), not on a thread a stream: producer, forwarder,
writer and unary calls then share their state without a lock, hundreds of streams cost no threads, and `await write()`
returns only when HTTP/2 has taken the message (a 64 KiB write buffer beyond the client's window), so a client that does
not read fills the output queue and is skipped, as in the daemon. Compressing images is the one slow thing, and is done
ahead in worker threads. The price is a timer of one millisecond's resolution; send times in the ledger are exact.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import grpc
import grpc.aio

from pvload._pb import daq_pb2, health_pb2
from pvload.clock import Clock, SystemClock
from pvload.errors import ConfigError
from pvload.profiles.schema import Camera as CameraTable
from pvload.profiles.simulated import Fault
from pvload.profiles.simulated import Simulator as SimulatorTable
from pvload.sim.changes import Changes, Watchers
from pvload.sim.daemonlog import DRIVER, REGISTRY, Log, NoLog
from pvload.sim.devices import Device, devices
from pvload.sim.faults import FaultTable, schedule
from pvload.sim.frames import FrameStreams, Slots
from pvload.sim.hardware import HardwareService
from pvload.sim.health import ControlService, Health, HealthService
from pvload.sim.images import ImageBook
from pvload.sim.ledger import Ledger, NoLedger
from pvload.sim.relay import Relay
from pvload.sim.rpc import TokenCheck, handlers
from pvload.sim.starvation import Starvation
from pvload.sim.world import World

SEND_LIMIT_BYTES: Final = 64 * 1024 * 1024
WRITE_BUFFER_BYTES: Final = 64 * 1024
START_S: Final = 20.0
STOP_S: Final = 2.0
SEEDED_FRAMES: Final = 20_000
"""How far a seeded schedule reaches in each acquisition."""
SYSTEM_CLOCK: Final = SystemClock()


@dataclass(frozen=True, slots=True)
class ServerTls:
    """PEM files of an encrypted server; client_ca_file makes it demand a client certificate."""

    certificate_file: str
    key_file: str
    client_ca_file: str = ""


@dataclass(frozen=True, slots=True)
class Config:
    """What a simulator is started with."""

    simulator: SimulatorTable = field(default_factory=SimulatorTable)
    camera: CameraTable = field(default_factory=CameraTable)
    device: str = "prime_bsi"
    """The target's device: its sensor has the size that `camera` states."""
    tls: ServerTls | None = None
    token: str = ""
    host: str = "127.0.0.1"


def faults_of(table: SimulatorTable) -> tuple[Fault, ...]:
    """The listed faults, then those drawn from the seed."""
    seeded = () if table.fault_seed is None else schedule(table.fault_seed, table.fault_rate, SEEDED_FRAMES)
    return (*table.faults, *seeded)


class Simulator:
    """One simulated daemon. start() returns when it listens; stop() ends it within STOP_S; usable with `with`."""

    def __init__(
        self, config: Config, *, ledger: Ledger | None = None, log: Log | None = None, clock: Clock = SYSTEM_CLOCK
    ) -> None:
        self.config = config
        self.address = ""
        self._clock = clock
        self._ledger = ledger or NoLedger()
        self._log = log or NoLog()
        self._listening = threading.Event()
        self._failure: BaseException | None = None
        self._end: Callable[[], Any] | None = None
        self._thread = threading.Thread(target=self._run, name="simulator", daemon=True)

    def __enter__(self) -> Simulator:
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listens at `address`; ConfigError if it cannot."""
        self._thread.start()
        if not self._listening.wait(START_S):
            raise ConfigError(f"the simulator did not listen within {START_S:.0f} s")
        if self._failure is not None:
            raise self._failure

    def stop(self) -> None:
        """Ends all calls (clients see UNAVAILABLE) and waits for the thread."""
        if self._end is not None and self._thread.is_alive():
            self._end()
        self._thread.join(2 * STOP_S)

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except ConfigError as exc:
            self._failure = exc
        finally:
            self._listening.set()

    async def _serve(self) -> None:
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        table = self.config.simulator
        faults = faults_of(table)
        starvation = Starvation(self._clock)
        world = World(self._clock, self._ledger, self._log, FaultTable(faults), ImageBook(), table, starvation)
        relay = Relay() if table.relay or any(fault.kind == "connection_reset" for fault in faults) else None
        found = devices(table, self.config.camera, self.config.device, world)
        streams = FrameStreams(found, Slots(table.streams_per_client), world, relay=relay)
        server = self._server(found, streams, world)
        port = await self._listen(server, relay)
        self.address = f"{self.config.host}:{port}"
        _log_ready(self._log, found, self.config, self.address)
        self._ledger.note("listening", address=self.address, pid=os.getpid())
        self._end = lambda: loop.call_soon_threadsafe(ended.set)
        self._listening.set()
        await ended.wait()
        self._log.raw("🛑 Shutdown signal received, cleaning up...")
        self._log.raw("   Initiating graceful shutdown...")
        if relay is not None:
            await relay.close()
        await server.stop(None)
        await streams.close()
        world.images.close()
        for device in found.values():
            if device.camera is not None:
                await device.camera.close()
        self._log.raw("👋 Daemon shutdown complete")

    def _server(self, found: dict[str, Device], streams: FrameStreams, world: World) -> grpc.aio.Server:
        server = grpc.aio.server(
            interceptors=[TokenCheck(self.config.token)] if self.config.token else [],
            options=[
                ("grpc.so_reuseport", 0),
                ("grpc.max_send_message_length", SEND_LIMIT_BYTES),
                ("grpc.http2.write_buffer_size", WRITE_BUFFER_BYTES),
                ("grpc.http2.max_ping_strikes", 0),  # the daemon answers every ping
            ],
        )
        starvation, watchers = world.starvation, Watchers(world.ledger)
        changes = Changes(world.clock, world.log, world.ledger, watchers)
        hardware = HardwareService(found, streams, changes, watchers, world)
        services = daq_pb2.DESCRIPTOR.services_by_name
        server.add_generic_rpc_handlers(
            (
                handlers(services["HardwareService"], hardware, starvation),
                handlers(services["ControlService"], ControlService(world.clock), starvation),
                handlers(services["HealthService"], HealthService(world.clock, starvation, watchers), starvation),
                handlers(health_pb2.DESCRIPTOR.services_by_name["Health"], Health(), starvation),
            )
        )
        return server

    async def _listen(self, server: grpc.aio.Server, relay: Relay | None) -> int:
        """Binds the server, and the relay before it if there is one; gives the port for clients."""
        host, port = self.config.host, self.config.simulator.port
        inner_host, inner_port = (host, port) if relay is None else ("127.0.0.1", 0)
        where = f"{inner_host}:{inner_port}"
        try:
            if self.config.tls is None:
                bound = server.add_insecure_port(where)
            else:
                bound = server.add_secure_port(where, credentials(self.config.tls))
        except RuntimeError as exc:
            raise ConfigError(f"cannot listen on {where}: {exc}") from exc
        await server.start()
        return bound if relay is None else await relay.start(host, port, to_port=bound)


def credentials(tls: ServerTls) -> grpc.ServerCredentials:
    """Of these files; ConfigError names one that cannot be read."""
    names = [name for name in (tls.key_file, tls.certificate_file, tls.client_ca_file) if name]
    try:
        texts = {name: Path(name).read_bytes() for name in names}
    except OSError as exc:
        raise ConfigError(f"cannot read {exc.filename}: {exc.strerror}") from exc
    authority = texts.get(tls.client_ca_file)
    return grpc.ssl_server_credentials(
        [(texts[tls.key_file], texts[tls.certificate_file])],
        root_certificates=authority,
        require_client_auth=authority is not None,
    )


def _log_ready(log: Log, found: dict[str, Device], config: Config, address: str) -> None:
    log.raw("🌐 Starting Headless DAQ Daemon")
    log.raw(f"   gRPC Port: {address.rpartition(':')[2]}")
    if not config.token:
        log.complaint("⚠️  gRPC auth is disabled (set grpc.auth_enabled=true to require auth)")
    if config.tls is None:
        log.complaint("⚠️  gRPC TLS is disabled (set grpc.tls_cert_path + grpc.tls_key_path to enable)")
    for device in found.values():
        driver = device.info.driver_type
        log.line(
            "INFO",
            REGISTRY,
            "Registering device",
            device_id=device.id,
            device_name=device.info.name,
            driver_type=driver,
        )
        if driver == "pvcam":
            log.line("INFO", DRIVER, "pvcam_sdk feature enabled: false")
            log.line("WARN", DRIVER, "pvcam_sdk feature NOT enabled - using mock mode")
        log.line("INFO", REGISTRY, "Device registered successfully", device_id=device.id)
    log.line("INFO", REGISTRY, "All devices registered successfully", success_count=len(found))
    log.raw(f"   Registered {len(found)} device(s)")
    log.raw("📡 Daemon running - Press Ctrl+C to stop")
    log.raw(f"DAQ gRPC server (with hardware) listening on {address}")
