"""One subscriber's way through the daemon: observer queue (16), forwarder, output queue (8), and its counters.

    producer --offer--> [observer 16] --forwarder--> [output 8] --writer--> HTTP/2

Where a frame can get lost, and what tells: the observer queue is full (nothing on the wire), the forwarder skips it for
max_fps or because 6 output slots are used (frames_dropped). frames_sent is raised before the frame is queued for
sending. The forwarder learns only when it has the next frame to send that its client has gone: until then slot and
observer stay taken.

That is the policy "skip" for slow readers. "block" never skips: a call whose output queue stands at 6 makes the
producer wait. "disconnect" skips, and ends the call when its oldest waiting frame is SLOW_NS old.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from pvload._pb import daq_pb2
from pvload.clock import NS_PER_MS, NS_PER_S
from pvload.profiles.simulated import Fault
from pvload.sim.camera import Camera
from pvload.sim.daemonlog import SERVICE
from pvload.sim.images import Packed, View
from pvload.sim.metering import Metrics, RateLimit
from pvload.sim.world import Frame, World

OBSERVER_SLOTS: Final = 16
OUTPUT_SLOTS: Final = 8
SKIP_AT_USED: Final = 6
EARLY_FRAMES: Final = 10
"""Frames of a call that are logged one by one."""
RATIO_EVERY: Final = 30
SLOW_NS: Final = NS_PER_S
SLOW_CODE: Final = "ABORTED"
SLOW_TEXT: Final = "Client too slow: frame stream closed"
"""How the policy "disconnect" ends a call."""
BLOCKS: Final = {0: 1, 1: 2, 2: 4}
"""Downsampling by quality."""
QUALITY_NAMES: Final = {0: "Full", 1: "Preview", 2: "Fast"}
MOCK_COMPRESSION_NS: Final = 6 * NS_PER_MS
"""What the mock camera's images take to compress: more than its period, so its observer queue overflows unseen."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """What a StreamFrames call asked for, and who asked."""

    call: int
    device: str
    quality: int
    max_fps: int
    peer: str
    client_ip: str


@dataclass(frozen=True, slots=True)
class Packet:
    """A frame on its way to the client."""

    frame: Frame
    message: bytes
    frames_sent: int
    frames_dropped: int
    ready_ns: int
    faults: tuple[Fault, ...]


Left = Literal["", "send_failed", "too_slow", "server_ended", "shutdown"]
"""How the forwarder learnt that its call is over: at its next send, by the policy for slow readers, because the server
ended the call itself, or with the daemon; empty: not yet."""


class Pipeline:
    """One StreamFrames call. The call's writer takes its packets with take()."""

    def __init__(self, subscription: Subscription, camera: Camera, world: World) -> None:
        self.subscription = subscription
        self.call = subscription.call
        self.metrics = Metrics()
        self.block = BLOCKS.get(subscription.quality, 1)
        self.client_gone = False
        self.left: Left = ""
        self._policy = world.table.slow_readers
        self._output: asyncio.Queue[Packet] = asyncio.Queue(OUTPUT_SLOTS)
        self._ready: deque[int] = deque()
        """When each packet was ready: the one at the wire, those of the output queue, and one that waits for room."""
        self._at_wire = False
        self._freed = asyncio.Event()
        self._camera = camera
        self._world = world
        self._observed: asyncio.Queue[Frame] = asyncio.Queue(OBSERVER_SLOTS)
        self._rate = RateLimit(subscription.max_fps)
        self._handle = -1
        self._unseen = 0
        self._early = 0
        self._task: asyncio.Task[None] | None = None

    def start(self, release: Callable[[], None]) -> None:
        """Registers with the camera and begins to forward; `release` gives the client's slot back, once."""
        sub, log = self.subscription, self._world.log
        self._handle = self._camera.register(self)
        quality = QUALITY_NAMES.get(sub.quality, "Full")
        log.line(
            "INFO",
            SERVICE,
            "Registered gRPC stream observer",
            device_id=sub.device,
            observer_handle=self._handle,
            max_fps=sub.max_fps,
            quality=quality,
        )
        log.line(
            "INFO",
            SERVICE,
            "Starting tap-based frame stream forwarding task",
            device_id=sub.device,
            max_fps=sub.max_fps,
            quality=quality,
            observer_channel_capacity=OBSERVER_SLOTS,
            grpc_channel_capacity=OUTPUT_SLOTS,
        )
        self._task = asyncio.get_running_loop().create_task(self._forward())
        self._task.add_done_callback(lambda _task: release())

    @property
    def behind(self) -> bool:
        """Is the output queue as full as it may get?"""
        waiting = self._observed.qsize() + self._output.qsize()
        return not self.client_gone and waiting >= SKIP_AT_USED

    async def room(self) -> None:
        """Returns when the client has taken enough, or has gone."""
        while self.behind:
            self._freed.clear()
            await self._freed.wait()

    async def take(self) -> Packet | None:
        """The next packet for the wire, once its predecessor is through; None: the call ends as too slow."""
        if self._at_wire:
            self._ready.popleft()
            self._at_wire = False
        if self.left == "too_slow":
            return None
        packet = await self._output.get()
        self._at_wire = True
        self._freed.set()
        return packet

    def client_has_gone(self) -> None:
        """gRPC told; the forwarder learns it at its next send. What waits for the wire is lost, as in the daemon."""
        self.client_gone = True
        self._empty()

    def end(self) -> None:
        """The server itself ended the call: slot and observer come back at once."""
        if self._task is not None and not self._task.done():
            self.left = "server_ended"
            self._camera.unregister(self._handle)
            self._log_end("observer_channel_closed")
            self._task.cancel()

    async def close(self) -> None:
        """Stops forwarding because the simulator ends."""
        if self._task is not None:
            self.left = self.left or "shutdown"
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def offer(self, frame: Frame) -> None:
        """The observer, on the producer's turn: queue the frame or lose it without a trace on the wire."""
        faults = self._world.faults.of_call(self.call, frame.acquisition, frame.ordinal)
        injected = any(fault.kind == "drop_at_observer" for fault in faults)
        if injected or self._observed.full():
            self._unseen += 1
            self._note_dropped(frame, "observer", "fault" if injected else "queue")
            if self._unseen % 10 == 1:
                self._world.log.line(
                    "DEBUG",
                    SERVICE,
                    "GrpcStreamObserver dropping frame due to backpressure",
                    device_id=frame.device,
                    frames_dropped=self._unseen,
                )
            return
        self._observed.put_nowait(frame)

    async def _forward(self) -> None:
        compression_ns = MOCK_COMPRESSION_NS if self._camera.sensor.driver == "mock_camera" else 0
        while True:
            frame = await self._observed.get()
            faults = tuple(self._world.faults.of_call(self.call, frame.acquisition, frame.ordinal))
            if self._early < EARLY_FRAMES:
                self._log_received(frame)
            if self._too_slow(frame):
                return
            if not self._passes(frame, faults):
                continue
            now_ns = self._world.clock.monotonic_ns()
            self.metrics.see(now_ns, latency_ns=self._world.clock.wall_ns() - frame.source_ns)
            self.metrics.frames_sent += 1
            if compression_ns:
                await asyncio.sleep(compression_ns / NS_PER_S)
            if self._lost_behind_the_counter(frame, faults):
                continue
            if self.client_gone:
                self._end_for_client()
                return
            packet = self._packet(frame, await self._image(frame), faults)
            self._log_frame(packet)
            self._ready.append(packet.ready_ns)
            await self._output.put(packet)
            if self._early < EARLY_FRAMES:
                self._early += 1
                self._world.log.line(
                    "INFO",
                    SERVICE,
                    "Successfully sent frame to gRPC client (early frame debug)",
                    device_id=frame.device,
                    frame=packet.frames_sent,
                )

    def _passes(self, frame: Frame, faults: tuple[Fault, ...]) -> bool:
        """Rate limit, then the output queue; what does not pass is counted in frames_dropped."""
        if not self._rate.accepts(self._world.clock.monotonic_ns()):
            self.metrics.frames_dropped += 1
            self._note_dropped(frame, "decimated", "rate")
            return False
        injected = any(fault.kind == "drop_at_output" for fault in faults)
        used = self._output.qsize()
        if not injected and (used < SKIP_AT_USED or self._policy == "block"):
            return True
        self.metrics.frames_dropped += 1
        self._note_dropped(frame, "output", "fault" if injected else "queue")
        self._world.log.line(
            "DEBUG",
            SERVICE,
            "Skipping frame due to gRPC backpressure",
            device_id=frame.device,
            frame_number=frame.frame_number,
            queue_used=max(used, SKIP_AT_USED) if injected else used,
            frames_dropped=self.metrics.frames_dropped,
        )
        return False

    def _lost_behind_the_counter(self, frame: Frame, faults: tuple[Fault, ...]) -> bool:
        kinds = {fault.kind for fault in faults}
        if "drop_at_compression" in kinds:
            self.metrics.frames_dropped += 1
            self._note_dropped(frame, "compression", "fault")
            self._world.log.line("ERROR", SERVICE, "Frame compression task panicked", device_id=frame.device)
            return True
        if "drop_at_transport" in kinds:
            self._note_dropped(frame, "transport", "fault")
            return True
        return False

    async def _image(self, frame: Frame) -> Packed:
        """Painted aside where it is not there yet, so that nobody else waits for it."""
        images, view = self._world.images, View(frame.view.painter, frame.view.width, frame.view.height, self.block)
        found = images.found(view, frame.frame_number)
        if found is not None:
            return found
        return await asyncio.to_thread(images.image, view, frame.frame_number)

    def _packet(self, frame: Frame, image: Packed, faults: tuple[Fault, ...]) -> Packet:
        head = daq_pb2.FrameData(device_id=frame.device, width=image.width, height=image.height, bit_depth=16)
        tail = daq_pb2.FrameData(
            frame_number=frame.frame_number,
            timestamp_ns=frame.source_ns,
            exposure_ms=frame.exposure_ms,
            roi_x=frame.roi_x,
            roi_y=frame.roi_y,
            metrics=self.metrics.message(),
            compression=daq_pb2.COMPRESSION_LZ4,
            uncompressed_size=image.uncompressed_bytes,
        )
        if frame.binning is not None:
            tail.binning_x, tail.binning_y = frame.binning
        message = b"".join((head.SerializeToString(), data_tag(len(image.data)), image.data, tail.SerializeToString()))
        return Packet(
            frame,
            message,
            self.metrics.frames_sent,
            self.metrics.frames_dropped,
            self._world.clock.monotonic_ns(),
            faults,
        )

    def _note_dropped(self, frame: Frame, stage: str, cause: str) -> None:
        self._world.ledger.note(
            "dropped",
            device=frame.device,
            made=frame.made,
            stage=stage,
            call=self.call,
            cause=cause,
            numbering=frame.numbering,
            frame_number=frame.frame_number,
        )

    def _end_for_client(self) -> None:
        log, sub = self._world.log, self.subscription
        log.line(
            "WARN",
            SERVICE,
            "Client disconnected from frame stream - gRPC send failed",
            device_id=sub.device,
            frames_sent=self.metrics.frames_sent,
        )
        self._camera.unregister(self._handle)
        log.line(
            "INFO",
            SERVICE,
            "Unregistered observer after client disconnect",
            device_id=sub.device,
            observer_handle=self._handle,
        )
        self._log_end("client_disconnected")
        self.left = "send_failed"
        self._camera.client_left()

    def _too_slow(self, frame: Frame) -> bool:
        """Ends the call, under the policy "disconnect", when its oldest frame has waited too long for the client."""
        if self._policy != "disconnect" or self.client_gone or not self._ready:
            return False
        waited_ns = self._world.clock.monotonic_ns() - self._ready[0]
        if waited_ns < SLOW_NS or self._output.qsize() < SKIP_AT_USED:
            return False
        self.left = "too_slow"
        self.metrics.frames_dropped += 1
        self._note_dropped(frame, "output", "queue")
        self._world.ledger.note("evicted", call=self.call, waited_ns=waited_ns)
        self._world.log.line("WARN", SERVICE, SLOW_TEXT, device_id=frame.device, frames_sent=self.metrics.frames_sent)
        self._camera.unregister(self._handle)
        self._log_end("client_too_slow")
        self._empty()
        return True

    def _empty(self) -> None:
        while not self._output.empty():
            self._output.get_nowait()
        self._ready.clear()
        self._at_wire = False
        self._freed.set()

    def _log_end(self, reason: str) -> None:
        self._world.log.line(
            "INFO",
            SERVICE,
            "Tap-based frame stream forwarding task ended",
            device_id=self.subscription.device,
            _exit_reason=reason,
            frames_sent=self.metrics.frames_sent,
            frames_dropped=self.metrics.frames_dropped,
            client_ip=self.subscription.client_ip,
        )

    def _log_received(self, frame: Frame) -> None:
        width, height = frame.view.width // self.block, frame.view.height // self.block
        self._world.log.line(
            "INFO",
            SERVICE,
            "Received frame from observer (early frame debug)",
            device_id=frame.device,
            frame_number=frame.frame_number,
            bytes=width * height * 2,
            width=width,
            height=height,
        )

    def _log_frame(self, packet: Packet) -> None:
        log, frame, sent = self._world.log, packet.frame, packet.frames_sent
        if self._early < EARLY_FRAMES:
            log.line(
                "INFO",
                SERVICE,
                "About to send frame to gRPC client (early frame debug)",
                device_id=frame.device,
                frame=sent,
                frame_number=frame.frame_number,
                bytes=len(packet.message),
                queue_capacity=OUTPUT_SLOTS - self._output.qsize(),
            )
        if sent % RATIO_EVERY == 0:
            whole = frame.view.width * frame.view.height * 2 // self.block**2
            log.line(
                "DEBUG",
                SERVICE,
                "Sent frame to client (LZ4 compressed)",
                device_id=frame.device,
                frames=sent,
                uncompressed_kb=whole // 1024,
                compressed_kb=len(packet.message) // 1024,
                _compression_ratio=f"{whole / len(packet.message):.1f}x",
            )


def data_tag(length: int) -> bytes:
    """What stands before the bytes of FrameData.data on the wire: field 5, length-delimited, and the length."""
    out = bytearray([5 << 3 | 2])
    while length > 0x7F:
        out.append(length & 0x7F | 0x80)
        length >>= 7
    out.append(length)
    return bytes(out)
