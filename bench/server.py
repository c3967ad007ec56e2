"""The bench's frame server, a process of its own: StreamFrames whose device id says what to send.

    python -m bench.server            prints its port, ends at end of file on stdin

Frames are whole FrameData messages with the fields a camera sets; timestamp_ns is the sending time on CLOCK_MONOTONIC,
read just before the message is handed to grpcio, so arrival minus timestamp_ns is what transport and client add.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from itertools import count

import grpc.aio

from pvload._pb import daq_pb2

_GOLDEN = 0.6180339887
_DATA_TAG = b"\x2a"
"""Field 5, length-delimited."""


@dataclass(frozen=True, slots=True)
class Source:
    """What a stream sends. Its text form is the device id."""

    data_bytes: int
    rate_hz: float
    """0: as fast as the client takes them."""
    frames: int = 0
    """Then the stream stays open and silent; 0: never."""

    def __str__(self) -> str:
        return f"{self.data_bytes}/{self.rate_hz:.6f}/{self.frames}"

    @classmethod
    def parse(cls, text: str) -> Source:
        """The inverse of str()."""
        size, rate, frames = text.split("/")
        return cls(int(size), float(rate), int(frames))


def messages(source: Source, device: str) -> AsyncIterator[bytes]:
    """Serialised FrameData, made when asked for; the pixels are prepared once."""
    head = daq_pb2.FrameData(device_id=device, width=1024, height=max(1, source.data_bytes // 2048), bit_depth=16)
    constant = head.SerializeToString() + _DATA_TAG + _varint(source.data_bytes) + bytes(source.data_bytes)

    async def make() -> AsyncIterator[bytes]:
        for number in count():
            tail = daq_pb2.FrameData(frame_number=number, timestamp_ns=time.monotonic_ns(), exposure_ms=10.0)
            tail.metrics.frames_sent = number + 1
            tail.metrics.current_fps = source.rate_hz
            yield constant + tail.SerializeToString()

    return make()


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


class Frames:
    """Paces the streams on absolute deadlines, spread evenly so that equal rates do not fire together."""

    def __init__(self) -> None:
        self._calls = count()

    async def stream(self, request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> None:
        device = daq_pb2.StreamFramesRequest.FromString(request).device_id
        source = Source.parse(device)
        period = 1 / source.rate_hz if source.rate_hz else 0.0
        loop = asyncio.get_running_loop()
        due = loop.time() + (next(self._calls) * _GOLDEN % 1) * period
        made = messages(source, device)
        sent = 0
        while not source.frames or sent < source.frames:
            if period:
                await asyncio.sleep(max(0.0, due - loop.time()))
                # Frames that could not be sent in time are left out, not sent in a burst.
                due = max(due + period, loop.time())
            await context.write(await anext(made))
            sent += 1
        await asyncio.Event().wait()


async def serve() -> None:
    server = grpc.aio.server(options=[("grpc.max_send_message_length", -1)])
    handler = grpc.unary_stream_rpc_method_handler(Frames().stream)
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler("daq.HardwareService", {"StreamFrames": handler})]
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await server.stop(0)


if __name__ == "__main__":
    asyncio.run(serve())
