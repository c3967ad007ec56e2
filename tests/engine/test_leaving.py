"""The ways a client leaves: what the server's TCP sees of each, and that nothing of thousands of them stays behind."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psutil
import pytest

from pvload.wire import command
from pvload.wire.codes import Abort
from pvload.wire.event import Kind, rows_of

OpenStream = Callable[..., int]


class Wire:
    """A relay of one connection at a time that notes how the client ended each: `fin` or `reset`."""

    def __init__(self, target: str) -> None:
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._door = socket.create_server(("127.0.0.1", 0))
        self._threads = [threading.Thread(target=self._serve, daemon=True)]
        self._threads[0].start()
        self.address = f"127.0.0.1:{self._door.getsockname()[1]}"
        self.ends: list[str] = []
        self.ended = threading.Semaphore(0)

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._door.accept()
                server = socket.create_connection(self._target)
                for work in (self._forward, self._back):
                    self._threads.append(threading.Thread(target=work, args=(client, server), daemon=True))
                    self._threads[-1].start()

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        end = "fin"
        try:
            while piece := client.recv(65_536):
                server.sendall(piece)
        except ConnectionResetError:
            end = "reset"
        self.ends.append(end)
        self.ended.release()
        with suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)

    def _back(self, client: socket.socket, server: socket.socket) -> None:
        with client, server, suppress(OSError):
            while piece := server.recv(65_536):
                client.sendall(piece)
            client.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        self._door.shutdown(socket.SHUT_RDWR)
        self._door.close()
        for thread in self._threads:
            thread.join(10)


@contextmanager
def wire(target: str) -> Iterator[Wire]:
    relay = Wire(target)
    try:
        yield relay
    finally:
        relay.close()


def read_to_the_end(client: socket.socket) -> None:
    while client.recv(65_536):
        pass


def leave(engine: Any, number: int, style: str, **fields: Any) -> command.Ended:
    engine.order(command.Close(id=number, style=style, **fields))
    end = engine.answer("ended", id=number)
    assert isinstance(end, command.Ended)
    return end


@pytest.mark.parametrize(
    ("style", "end", "linger_ms"), [("clean", "fin", 0.0), ("dropped", "reset", 0.0), ("half_open", "reset", 300.0)]
)
def test_the_server_sees_how_a_client_left(
    bench: Any, open_stream: OpenStream, style: str, end: str, linger_ms: float
) -> None:
    with wire(bench.serve()) as relay:
        engine = bench.start(relay.address)
        number = open_stream(engine, "steady", droppable=True, silence_ms=200.0, ordinal=4)
        engine.order(command.Mark(id=number, frames=3))
        engine.answer("reached", id=number)
        assert (leave(engine, number, style, linger_ms=linger_ms).by, relay.ended.acquire(timeout=10)) == (
            "order",
            True,
        )
        assert relay.ends == [end]
        records = bench.records(engine)
    left, ended = rows_of(records, Kind.LEFT), rows_of(records, Kind.ENDED)
    assert [(row["code"], row["ordinal"], row["number"]) for row in left] == [(Abort[style.upper()], 4, 1)]
    assert ended["t_ns"][0] - left["t_ns"][0] >= linger_ms * 1e6
    assert max(rows_of(records, Kind.FRAME)["t_ns"]) <= left["t_ns"][0]
    assert not len(rows_of(records, Kind.WAIT_TIMEOUT)), "a client that reads nothing times nothing"


def test_a_connection_that_never_spoke_can_be_dropped(bench: Any, open_stream: OpenStream) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        engine = bench.start(f"127.0.0.1:{deaf.getsockname()[1]}")
        number = open_stream(engine, "steady", droppable=True)
        client, _ = deaf.accept()
        with client:
            assert leave(engine, number, "dropped").status == "CANCELLED"
            client.settimeout(10)
            with pytest.raises(ConnectionResetError):
                read_to_the_end(client)
        bench.records(engine)


def test_the_end_of_the_run_waits_for_no_hanging_client(bench: Any, open_stream: OpenStream) -> None:
    engine = bench.start(bench.serve())
    one = open_stream(engine, "steady", droppable=True)
    engine.answer("first_frame", id=one)
    two = open_stream(engine, "steady", droppable=True)
    engine.answer("first_frame", id=two)
    for number in (one, two):
        engine.order(command.Close(id=number, style="half_open", linger_ms=60_000.0))
    engine.order(command.Close(id=one, by="run_end"))
    assert engine.answer("ended", id=one).by == "order"
    assert len(rows_of(bench.records(engine), Kind.ENDED)) == 2


def test_what_was_not_opened_for_it_is_not_dropped(bench: Any, open_stream: OpenStream) -> None:
    engine = bench.start(bench.serve())
    plain = open_stream(engine, "steady")
    engine.answer("first_frame", id=plain)
    for style in ("dropped", "half_open", "killed"):
        engine.order(command.Close(id=plain, style=style))
        assert "droppable" in str(engine.answer("failed", id=plain))
    assert not len(rows_of(bench.records(engine), Kind.LEFT))


def test_thousands_of_openings_and_aborts_leave_nothing_behind(bench: Any, open_stream: OpenStream) -> None:
    """Files and threads come back to what they were; memory to a plateau: the last thousand add next to nothing."""
    engine = bench.start(bench.serve())
    process = psutil.Process(engine.process.pid)
    open_stream(engine, "steady")
    engine.call("GetDaemonInfo")
    styles = ("clean", "dropped", "half_open")

    def round_of(cycles: int) -> tuple[int, int, int]:
        opened = [open_stream(engine, "steady", droppable=True) for _ in range(10)]
        done = 0
        while done < cycles:
            answer: Any = engine.answer_of("headers", "ended")
            if answer.NAME == "headers" and answer.id in opened:
                engine.order(command.Close(id=answer.id, style=styles[answer.id % 3], linger_ms=5.0))
            elif answer.NAME == "ended":
                done += 1
                opened.remove(answer.id)
                if done + len(opened) < cycles:
                    opened.append(open_stream(engine, "steady", droppable=True))
        return process.num_fds(), process.num_threads(), process.memory_info().rss

    rounds = [round_of(500) for _ in range(4)]
    files, threads, memory = zip(*rounds, strict=True)
    print(rounds)
    assert max(files[1:]) - min(files[1:]) <= 4
    assert max(threads[1:]) - min(threads[1:]) <= 4
    assert memory[3] - memory[1] < 8 * 2**20
    assert engine.call("GetDaemonInfo").answer["features"][0] == "open=1"
    records = bench.records(engine)
    assert len(rows_of(records, Kind.LEFT)) == 2000
