"""A small frame server of the daemon's protocol in a process of its own; what it does depends on the device asked for.

    python frame_server.py [--token T] [--tls-key FILE --tls-certificate FILE [--client-ca FILE]]

Prints its port; ends at EOF on stdin. Devices: steady (a frame every 20 ms), silent (headers, no frame), mute (not even
headers), brief (three frames, then OK), broken (three frames, then INTERNAL), garbage (no FrameData), full (refused for
the stream limit), still (the same image each time), large (2 MB images), other (frames that name another device),
flood (100 kB as fast as they are taken) and any other name. Exposure is 10 ms in frames 0 to 9, then 5 ms.
GetDaemonInfo's features: "open=N" streams open now, "peers=N" connections seen by StreamFrames.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import grpc.aio
import lz4.block  # type: ignore[import-untyped]  # the package brings no types

from pvload._pb import daq_pb2

PERIOD_S = 0.02
FLOOD = bytes(100_000)
SIDE = {"large": 1024}
ADMISSION = "Maximum concurrent streams (3) exceeded for client 127.0.0.1"


class Server:
    def __init__(self, token: str) -> None:
        self.token = token
        self.open = 0
        self.peers: set[str] = set()
        self.started = False

    async def frames(self, raw: bytes, context: grpc.aio.ServicerContext) -> AsyncIterator[bytes]:
        await self.check(context)
        device = daq_pb2.StreamFramesRequest.FromString(raw).device_id
        if device == "full":
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, ADMISSION)
        self.peers.add(context.peer())
        self.open += 1
        try:
            if device == "mute":
                await asyncio.Event().wait()
            await context.send_initial_metadata(())
            if device == "silent":
                await asyncio.Event().wait()
            async for message in self.messages(device):
                yield message
            if device == "broken":
                await context.abort(grpc.StatusCode.INTERNAL, "sensor 0x7f unplugged")
        finally:
            self.open -= 1

    async def messages(self, device: str) -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        due, number = loop.time(), 0
        while number < 3 or device not in ("brief", "broken"):
            if device == "flood":
                yield flood(number)
                number += 1
                continue
            if device == "garbage":
                yield b"\x0a\x02\xff\xff"
            else:
                yield frame(device, number)
            number += 1
            due += PERIOD_S
            await asyncio.sleep(max(0.0, due - loop.time()))

    async def check(self, context: grpc.aio.ServicerContext) -> None:
        sent = dict(context.invocation_metadata() or ())
        if self.token and sent.get("authorization") != f"Bearer {self.token}":
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "missing authorization token")

    async def start(self, raw: bytes, context: grpc.aio.ServicerContext) -> bytes:
        remark = "Already streaming" if self.started else ""
        self.started = True
        return daq_pb2.StartStreamResponse(success=True, error_message=remark).SerializeToString()

    async def stop(self, raw: bytes, context: grpc.aio.ServicerContext) -> bytes:
        return daq_pb2.StopStreamResponse(success=True, frames_captured=77).SerializeToString()

    async def get(self, raw: bytes, context: grpc.aio.ServicerContext) -> bytes:
        return daq_pb2.ParameterValue(value="1.0", timestamp_ns=time.time_ns()).SerializeToString()

    async def set(self, raw: bytes, context: grpc.aio.ServicerContext) -> bytes:
        request = daq_pb2.SetParameterRequest.FromString(raw)
        if request.parameter_name == "missing":
            await context.abort(grpc.StatusCode.NOT_FOUND, "no such parameter")
        if request.parameter_name == "slow":
            await asyncio.sleep(0.05)
        if request.parameter_name == "never":
            await asyncio.Event().wait()
        return daq_pb2.SetParameterResponse(success=False, error_message="refused").SerializeToString()

    async def info(self, raw: bytes, context: grpc.aio.ServicerContext) -> bytes:
        await self.check(context)
        features = [f"open={self.open}", f"peers={len(self.peers)}"]
        return daq_pb2.DaemonInfoResponse(features=features).SerializeToString()


def frame(device: str, number: int) -> bytes:
    side = SIDE.get(device, 16)
    shown = 0 if device == "still" else number
    image = bytes([1 + shown % 250]) * (side * side * 2)
    return daq_pb2.FrameData(
        device_id="elsewhere" if device == "other" else device,
        width=side,
        height=side,
        exposure_ms=10.0 if number < 10 else 5.0,
        bit_depth=16,
        data=lz4.block.compress(image),
        frame_number=number,
        timestamp_ns=time.monotonic_ns(),
        metrics=daq_pb2.StreamingMetrics(frames_sent=number + 1),
        compression=daq_pb2.COMPRESSION_LZ4,
        uncompressed_size=len(image),
    ).SerializeToString()


def flood(number: int) -> bytes:
    return daq_pb2.FrameData(
        device_id="flood", data=FLOOD, frame_number=number, timestamp_ns=time.monotonic_ns()
    ).SerializeToString()


async def serve(args: argparse.Namespace) -> None:
    daemon = Server(args.token)
    server = grpc.aio.server()
    unary = grpc.unary_unary_rpc_method_handler
    hardware = {
        "StreamFrames": grpc.unary_stream_rpc_method_handler(daemon.frames),
        "StartStream": unary(daemon.start),
        "StopStream": unary(daemon.stop),
        "GetParameter": unary(daemon.get),
        "SetParameter": unary(daemon.set),
    }
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler("daq.HardwareService", hardware),
            grpc.method_handlers_generic_handler("daq.ControlService", {"GetDaemonInfo": unary(daemon.info)}),
        )
    )
    if args.tls_key:
        pair = (Path(args.tls_key).read_bytes(), Path(args.tls_certificate).read_bytes())
        ca = Path(args.client_ca).read_bytes() if args.client_ca else None
        credentials = grpc.ssl_server_credentials([pair], root_certificates=ca, require_client_auth=ca is not None)
        port = server.add_secure_port("127.0.0.1:0", credentials)
    else:
        port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await server.stop(0)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--token", default="")
    parser.add_argument("--tls-key", default="")
    parser.add_argument("--tls-certificate", default="")
    parser.add_argument("--client-ca", default="")
    asyncio.run(serve(parser.parse_args()))


if __name__ == "__main__":
    main()
