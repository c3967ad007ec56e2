"""Clients in a process of their own, to be run as `python tests/churning.py ADDRESS CYCLES`.

They open StreamFrames calls and abort them, many at a time; with the word `view` for CYCLES, one reads until its end.
"""

from __future__ import annotations

import asyncio
import sys

import grpc.aio

from pvload._pb import daq_pb2, daq_pb2_grpc

TOGETHER = 20
WAIT_S = 10.0
OPTIONS = [("grpc.use_local_subchannel_pool", 1), ("grpc.enable_http_proxy", 0)]


async def churn(address: str, cycles: int) -> None:
    """A third leave before the headers, a third before a frame, a third after one."""
    request = daq_pb2.StreamFramesRequest(device_id="prime_bsi")
    async with grpc.aio.insecure_channel(address, options=OPTIONS) as channel:
        stub = daq_pb2_grpc.HardwareServiceStub(channel)

        async def come_and_go(first: int) -> None:
            for number in range(first, cycles, TOGETHER):
                call = stub.StreamFrames(request, timeout=WAIT_S)
                if number % 3:
                    await call.initial_metadata()
                if number % 3 == 2:
                    await call.read()
                call.cancel()

        await asyncio.gather(*(come_and_go(first) for first in range(TOGETHER)))


async def view(address: str) -> None:
    """Reads all frames."""
    async with grpc.aio.insecure_channel(address, options=OPTIONS) as channel:
        stub = daq_pb2_grpc.HardwareServiceStub(channel)
        async for _ in stub.StreamFrames(daq_pb2.StreamFramesRequest(device_id="prime_bsi")):
            pass


if __name__ == "__main__":
    asyncio.run(view(sys.argv[1]) if sys.argv[2] == "view" else churn(sys.argv[1], int(sys.argv[2])))
