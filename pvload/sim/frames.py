"""StreamFrames: admission by client address, and the writer that takes a call's frames to the wire.

A slot is taken before the request is looked at and is not given back when it is then refused, as in the daemon: three
calls for a wrong device lock an address out for good.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Final
from urllib.parse import unquote

import grpc

from pvload._pb import daq_pb2
from pvload.clock import NS_PER_S
from pvload.sim.camera import Camera
from pvload.sim.daemonlog import SERVICE
from pvload.sim.devices import Device
from pvload.sim.pace import sleep_until
from pvload.sim.pipeline import SLOW_CODE, SLOW_TEXT, Packet, Pipeline, Subscription
from pvload.sim.relay import Relay
from pvload.sim.rpc import Context, RefusedError, not_found
from pvload.sim.world import World

NO_CAMERA: Final = "Device '{}' not found or not a frame producer"


class Slots:
    """StreamFrames calls by client address; limit 0: as many as come."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._taken: Counter[str] = Counter()

    def take(self, client_ip: str) -> bool:
        """Takes one, if there is one."""
        if self.limit and self._taken[client_ip] >= self.limit:
            return False
        self._taken[client_ip] += 1
        return True

    def release(self, client_ip: str) -> None:
        """Gives one back."""
        self._taken[client_ip] -= 1
        if not self._taken[client_ip]:
            del self._taken[client_ip]

    def taken(self, client_ip: str) -> int:
        """How many this address holds."""
        return self._taken[client_ip]


class _EndedError(Exception):
    """The writer is to end the call with this status."""

    def __init__(self, code: grpc.StatusCode, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class FrameStreams:
    """All StreamFrames calls of a simulator."""

    def __init__(self, devices: dict[str, Device], slots: Slots, world: World, *, relay: Relay | None) -> None:
        self._devices = devices
        self._slots = slots
        self._world = world
        self._relay = relay
        self._calls = 0
        self._open: set[Pipeline] = set()

    async def serve(self, request: daq_pb2.StreamFramesRequest, context: Context) -> None:
        """One call, from admission to its end."""
        try:
            pipeline = self._admitted(request, context.peer())
        except RefusedError as refused:
            await context.abort(refused.code, refused.message)
        code, by = "CANCELLED", "client"
        try:
            await context.send_initial_metadata(())
            await self._write_all(pipeline, context)
        except _EndedError as ended:
            code, by = ended.code.name, "server" if pipeline.left == "too_slow" else "fault"
            pipeline.end()
            if ended.code is not grpc.StatusCode.OK:
                await context.abort(ended.code, ended.text)
        except grpc.aio.InternalError:
            pass  # a write to a client that has gone in this very moment
        finally:
            pipeline.client_has_gone()
            self._world.ledger.note(
                "call_ended",
                call=pipeline.call,
                code=code,
                frames_sent=pipeline.metrics.frames_sent,
                frames_dropped=pipeline.metrics.frames_dropped,
                by=by,
            )

    async def close(self) -> None:
        """Stops all forwarding."""
        for pipeline in tuple(self._open):
            await pipeline.close()

    def _admitted(self, request: daq_pb2.StreamFramesRequest, grpc_peer: str) -> Pipeline:
        log, ledger = self._world.log, self._world.ledger
        client_ip, port = peer_of(grpc_peer, self._relay)
        peer = f"{client_ip}:{port}"
        if not self._slots.take(client_ip):
            limit = self._slots.limit
            log.line(
                "WARN",
                SERVICE,
                "Client exceeded maximum concurrent streams",
                client_ip=client_ip,
                active_streams=limit,
                max_allowed=limit,
            )
            ledger.note("call_refused", device=request.device_id, peer=peer, code="RESOURCE_EXHAUSTED")
            raise RefusedError(
                grpc.StatusCode.RESOURCE_EXHAUSTED,
                f"Maximum concurrent streams ({limit}) exceeded for client {client_ip}",
            )
        taken = self._slots.taken(client_ip)
        log.line("DEBUG", SERVICE, "Acquired stream slot", client_ip=client_ip, active_streams=taken)
        camera = self._camera(request.device_id)
        if camera is None:
            ledger.note("call_refused", device=request.device_id, peer=peer, code="NOT_FOUND")
            raise not_found(NO_CAMERA.format(request.device_id))
        call = Subscription(self._calls, request.device_id, request.quality, request.max_fps, grpc_peer, client_ip)
        self._calls += 1
        ledger.note(
            "call_opened",
            call=call.call,
            device=call.device,
            peer=peer,
            max_fps=call.max_fps,
            quality=call.quality,
            open=len(self._open) + 1,
        )
        pipeline = Pipeline(call, camera, self._world)
        self._open.add(pipeline)
        pipeline.start(lambda: self._release(pipeline))
        return pipeline

    def _camera(self, device: str) -> Camera | None:
        found = self._devices.get(device)
        return None if found is None else found.camera

    def _release(self, pipeline: Pipeline) -> None:
        """The forwarder ended: the observer is gone, and the slot comes back unless a fault keeps it."""
        call, client_ip = pipeline.call, pipeline.subscription.client_ip
        self._open.discard(pipeline)
        camera = self._camera(pipeline.subscription.device)
        leak = camera is not None and camera.standing("slot_leak", call=call) is not None
        if leak:
            device = pipeline.subscription.device
            self._world.ledger.note("fault", kind="slot_leak", device=device, call=call, made=-1)
        else:
            self._slots.release(client_ip)
        self._world.ledger.note(
            "slot_leaked" if leak else "slot_released",
            call=call,
            noticed=pipeline.left,
            frames_sent=pipeline.metrics.frames_sent,
            frames_dropped=pipeline.metrics.frames_dropped,
            open=len(self._open),
        )
        if not leak:
            taken = self._slots.taken(client_ip)
            self._world.log.line("DEBUG", SERVICE, "Released stream slot", client_ip=client_ip, active_streams=taken)

    async def _write_all(self, pipeline: Pipeline, context: Context) -> None:
        """Writes until the client leaves or a fault ends the call (_EndedError)."""
        held: Packet | None = None
        while True:
            packet = await pipeline.take()
            if packet is None:
                raise _EndedError(status_code(SLOW_CODE), SLOW_TEXT)
            twice = swap = False
            for fault in packet.faults:
                if fault.kind not in _AT_THE_WIRE:
                    continue
                self._note_fault(pipeline, packet, fault.kind)
                if fault.kind == "late":
                    await sleep_until(self._world.clock, packet.ready_ns + round(fault.duration * NS_PER_S))
                elif fault.kind == "status_error":
                    raise _EndedError(status_code(fault.code), fault.text)
                elif fault.kind == "clean_end":
                    raise _EndedError(grpc.StatusCode.OK, "")
                elif fault.kind == "connection_reset":
                    await self._reset(pipeline.subscription)
                twice |= fault.kind == "duplicate"
                swap |= fault.kind == "reorder"
            if swap and held is None:
                held = packet
                continue
            await self._write(pipeline, packet, context, again=False)
            if twice:
                await self._write(pipeline, packet, context, again=True)
            if held is not None:
                await self._write(pipeline, held, context, again=False)
                held = None

    async def _write(self, pipeline: Pipeline, packet: Packet, context: Context, *, again: bool) -> None:
        clock, frame = self._world.clock, packet.frame
        t_ns, through = clock.monotonic_ns(), False
        try:
            await context.write(packet.message)
            through = True
        finally:
            self._world.ledger.note(
                "sent",
                t_ns=t_ns,
                call=pipeline.call,
                made=frame.made,
                numbering=frame.numbering,
                frame_number=frame.frame_number,
                frames_sent=packet.frames_sent,
                frames_dropped=packet.frames_dropped,
                bytes=len(packet.message),
                done_ns=clock.monotonic_ns(),
                ok=through,
                again=again,
            )

    async def _reset(self, subscription: Subscription) -> None:
        """Cuts the client's connection and waits for gRPC to notice, so that this frame is never sent."""
        if self._relay is not None:
            self._relay.reset(_port_of(subscription.peer))
        await asyncio.Event().wait()

    def _note_fault(self, pipeline: Pipeline, packet: Packet, kind: str) -> None:
        self._world.ledger.note(
            "fault", kind=kind, device=packet.frame.device, call=pipeline.call, made=packet.frame.made
        )


_AT_THE_WIRE: Final = frozenset({"late", "duplicate", "reorder", "status_error", "clean_end", "connection_reset"})


def status_code(name: str) -> grpc.StatusCode:
    """The status of this name; INTERNAL for a name that gRPC does not know."""
    return grpc.StatusCode.__members__.get(name, grpc.StatusCode.INTERNAL)


def peer_of(grpc_peer: str, relay: Relay | None) -> tuple[str, int]:
    """The client's address and port behind `ipv4:127.0.0.1:40000` or `ipv6:%5B::1%5D:40000`, and behind the relay."""
    address = unquote(grpc_peer).partition(":")[2].rpartition(":")[0].strip("[]") or "127.0.0.1"
    port = _port_of(grpc_peer)
    return (relay.client_of(port) if relay is not None else None) or (address, port)


def _port_of(grpc_peer: str) -> int:
    last = grpc_peer.rpartition(":")[2]
    return int(last) if last.isdigit() else 0
