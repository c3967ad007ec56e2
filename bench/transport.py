"""Which of grpcio's clients the engine reads streams with: grpc.aio or native threads, side by side in one run.

    python bench/transport.py [--seconds 3] [--rounds 2] [--cells 2k,512k]

A raw server in a process of its own sends messages that begin with their sending time. For each cell both clients take
turns, each in a fresh process, one connection a stream as in the engine. Printed per client and round: CPU time per
frame (of the client's process only) and the added latency p50 / p99.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import struct
import subprocess
import sys
import threading
import time

import grpc
import grpc.aio
import grpc.experimental

METHOD = "/bench.Stream/Frames"
STAMP = struct.Struct("<q")
REQUEST = struct.Struct("<Idd")
CELLS = [
    ("2k", 2048, 1, 200.0),
    ("2k", 2048, 16, 50.0),
    ("2k", 2048, 256, 6.0),
    ("512k", 524_288, 1, 50.0),
    ("512k", 524_288, 16, 8.0),
    ("512k", 524_288, 256, 0.5),
]
OPTIONS = [
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
    ("grpc.http2.bdp_probe", 0),
    ("grpc.http2.lookahead_bytes", 1024 * 1024),
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
]


async def frames(request: bytes, context: grpc.aio.ServicerContext) -> None:
    """Sends messages on absolute deadlines, the first after a share of the period, which spreads the streams."""
    size, rate_hz, share = REQUEST.unpack(request)
    rest = bytes(size - STAMP.size)
    loop = asyncio.get_running_loop()
    due = loop.time() + share / rate_hz
    while True:
        await asyncio.sleep(max(0.0, due - loop.time()))
        await context.write(STAMP.pack(time.monotonic_ns()) + rest)
        due += 1 / rate_hz


async def serve() -> None:
    server = grpc.aio.server(options=[("grpc.max_send_message_length", -1)])
    handler = grpc.unary_stream_rpc_method_handler(frames)
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("bench.Stream", {"Frames": handler})])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await server.stop(0)


class Tally:
    """Latencies of all frames from `begin_ns` on, and the CPU time used since."""

    def __init__(self) -> None:
        self.latency_ns: list[int] = []
        self.begin_ns = 0
        self.cpu_s = 0.0

    def begin(self) -> None:
        self.begin_ns = time.monotonic_ns()
        self.cpu_s = cpu_s()

    def add(self, message: bytes) -> None:
        now = time.monotonic_ns()
        sent = STAMP.unpack_from(message)[0]
        if self.begin_ns and sent >= self.begin_ns:
            self.latency_ns.append(now - sent)

    def result(self) -> str:
        used = cpu_s() - self.cpu_s
        ordered = sorted(self.latency_ns)
        n = len(ordered)
        figures = {
            "frames": n,
            "cpu_us": used / max(n, 1) * 1e6,
            "p50_ms": ordered[n // 2] / 1e6,
            "p99_ms": ordered[min(n - 1, n * 99 // 100)] / 1e6,
        }
        return json.dumps(figures)


def cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


async def read_with_aio(port: int, *, size: int, streams: int, rate_hz: float, seconds: float) -> str:
    tally = Tally()

    async def one(i: int) -> None:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=[*OPTIONS, ("bench.stream", i)]) as channel:
            call = channel.unary_stream(METHOD)(REQUEST.pack(size, rate_hz, i / streams))
            while True:
                tally.add(await call.read())

    tasks = [asyncio.create_task(one(i)) for i in range(streams)]
    await asyncio.sleep(1.0 + streams / 100)
    tally.begin()
    await asyncio.sleep(seconds)
    answer = tally.result()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return answer


def read_with_threads(port: int, *, size: int, streams: int, rate_hz: float, seconds: float) -> str:
    tally = Tally()
    calls = []
    channels = []

    def one(call: grpc.Call) -> None:
        try:
            for message in call:
                tally.add(message)
        except grpc.RpcError:
            pass

    threading.stack_size(256 * 1024)
    single = (grpc.experimental.ChannelOptions.SingleThreadedUnaryStream, 1)
    for i in range(streams):
        channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=[*OPTIONS, single])
        call = channel.unary_stream(METHOD)(REQUEST.pack(size, rate_hz, i / streams))
        threading.Thread(target=one, args=(call,), daemon=True).start()
        channels.append(channel)
        calls.append(call)
    time.sleep(1.0 + streams / 100)
    tally.begin()
    time.sleep(seconds)
    answer = tally.result()
    for call in calls:
        call.cancel()
    for channel in channels:
        channel.close()
    return answer


def client(mode: str, port: int, cell: tuple[str, int, int, float], seconds: float) -> dict[str, float]:
    _, size, streams, rate_hz = cell
    argv = [sys.executable, __file__, "--client", mode, "--port", str(port), "--size", str(size)]
    argv += ["--streams", str(streams), "--rate", str(rate_hz), "--seconds", str(seconds)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def compare(seconds: float, rounds: int, cells: list[str]) -> None:
    server = subprocess.Popen([sys.executable, __file__, "--serve"], stdin=-1, stdout=-1, text=True)
    if server.stdin is None or server.stdout is None:
        raise SystemExit("server has no pipes")
    port = int(server.stdout.readline())
    try:
        print("| size | streams | offered/s | client | frames | CPU us/frame | p50 ms | p99 ms |")
        print("|---|---|---|---|---|---|---|---|")
        for cell in CELLS:
            if cell[0] not in cells:
                continue
            for _ in range(rounds):
                for mode in ("aio", "threads"):
                    f = client(mode, port, cell, seconds)
                    print(
                        f"| {cell[0]} | {cell[2]} | {cell[2] * cell[3]:.0f} | {mode} | {f['frames']:.0f} "
                        f"| {f['cpu_us']:.0f} | {f['p50_ms']:.2f} | {f['p99_ms']:.2f} |",
                        flush=True,
                    )
    finally:
        server.stdin.close()
        server.wait(10)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--serve", action="store_true")
    parser.add_argument("--client", choices=["aio", "threads"])
    parser.add_argument("--port", type=int)
    parser.add_argument("--size", type=int)
    parser.add_argument("--streams", type=int)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--cells", default="2k,512k")
    args = parser.parse_args()
    if args.serve:
        asyncio.run(serve())
    elif args.client:
        plan = {"size": args.size, "streams": args.streams, "rate_hz": args.rate, "seconds": args.seconds}
        if args.client == "aio":
            print(asyncio.run(read_with_aio(args.port, **plan)), flush=True)
        else:
            print(read_with_threads(args.port, **plan), flush=True)
    else:
        compare(args.seconds, args.rounds, args.cells.split(","))


if __name__ == "__main__":
    main()
