"""The usual way to load a gRPC stream with Locust: a gevent user that reads, parses and reports each frame.

Told by the environment: BENCH_SOURCES (one device id a user), BENCH_USERS (how many), BENCH_OUT (where the arrivals
go). Prints "flowing" when every user has had a frame; at SIGUSR1 it writes the arrivals and is gone.
"""

from __future__ import annotations

import os
import signal
import time
from array import array
from itertools import count

import gevent
import grpc
import grpc.experimental.gevent
import numpy as np
from locust import User, events, task

from pvload._pb import daq_pb2, daq_pb2_grpc

grpc.experimental.gevent.init_gevent()

SOURCES = os.environ["BENCH_SOURCES"].split()
USERS = int(os.environ["BENCH_USERS"])
ordinals = count()
arrivals = array("q")
"""stream, arrival, sending time; three numbers a frame."""
flowing = set[int]()


def leave() -> None:
    np.save(os.environ["BENCH_OUT"], np.frombuffer(arrivals, dtype=np.int64).reshape(-1, 3))
    os._exit(0)


@events.init.add_listener
def on_init(**_: object) -> None:
    gevent.signal_handler(signal.SIGUSR1, leave)


class PlainUser(User):
    """One stream on a connection of its own, as the engine has it."""

    @task
    def watch(self) -> None:
        ordinal = next(ordinals)
        device = SOURCES[min(ordinal, len(SOURCES) - 1)]
        options = [
            ("grpc.max_receive_message_length", 64 * 1024 * 1024),
            ("grpc.use_local_subchannel_pool", 1),
            ("grpc.enable_http_proxy", 0),
        ]
        with grpc.insecure_channel(self.host, options=options) as channel:
            request = daq_pb2.StreamFramesRequest(device_id=device)
            last = time.monotonic_ns()
            for frame in daq_pb2_grpc.HardwareServiceStub(channel).StreamFrames(request):
                now = time.monotonic_ns()
                arrivals.extend((ordinal, now, frame.timestamp_ns))
                self.environment.events.request.fire(
                    request_type="STREAM",
                    name="frame",
                    response_time=(now - last) / 1e6,
                    response_length=len(frame.data),
                    exception=None,
                    context={},
                )
                last = now
                if ordinal not in flowing:
                    flowing.add(ordinal)
                    if len(flowing) == USERS:
                        print("flowing", flush=True)
