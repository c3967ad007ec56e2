"""A collector reduced to its side of the wire: takes every record, keeps it in memory, acknowledges, finishes."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self

import zmq

from pvload.wire.batch import Envelope, Hello, Message, pack, unpack
from pvload.wire.event import Records, decode


class Sink:
    """Listens on loopback from `with` on; one sender is enough for tests that use it."""

    def __init__(self) -> None:
        self.endpoint = ""
        self.hello: Hello | None = None
        self.finished = threading.Event()
        self._parts: list[bytes] = []
        self._known = 0
        self._stopping = threading.Event()
        self._arrived = threading.Condition()
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def records(self) -> Records:
        """All records so far, in order."""
        return decode(b"".join(self._parts))

    def wait_until(self, holds: object, timeout_s: float = 20.0) -> None:
        """Waits until `holds(records)` is true of what arrived; TimeoutError after timeout_s."""
        deadline = time.monotonic() + timeout_s
        with self._arrived:
            while not holds(self.records()):  # type: ignore[operator]
                left = deadline - time.monotonic()
                if left <= 0 or not self._arrived.wait(left):
                    raise TimeoutError(f"not so within {timeout_s} s: {len(self.records())} records")

    def __enter__(self) -> Self:
        port = self._socket.bind_to_random_port("tcp://127.0.0.1")
        self.endpoint = f"tcp://127.0.0.1:{port}"
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self._stopping.set()
        self._thread.join(10)
        self._socket.close(linger=0)
        self._context.term()

    def _serve(self) -> None:
        while not self._stopping.is_set():
            if self._socket.poll(20):
                route, data = self._socket.recv_multipart()
                for answer in self._answers(unpack(data)):
                    self._socket.send_multipart([route, pack(answer)])

    def _answers(self, got: Envelope) -> list[Envelope]:
        def answer(message: Message, **fields: int) -> Envelope:
            return Envelope(message=message, run=got.run, sender=got.sender, **fields)

        if got.message is Message.PING:
            return [answer(Message.PONG, a=got.a, b=time.monotonic_ns())]
        if got.message is Message.HELLO:
            self.hello = Hello.from_json(got.payload)
        if got.message is Message.BATCH and got.first == self._known:
            with self._arrived:
                self._parts.append(got.payload)
                self._known += got.count
                self._arrived.notify_all()
        if got.message is Message.FIN and got.count == self._known:
            self.finished.set()
            return [answer(Message.FINISHED, count=self._known)]
        return [answer(Message.ACK, count=self._known)]
