"""A TCP relay before the server, because a gRPC server cannot reset one connection and this can.

Bytes pass unchanged in both directions; a side that does not read makes the other wait (BUFFER_BYTES a direction). The
server sees the relay as its peer, so `client_of` tells whose connection a relay port stands for.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from typing import Final

from pvload.errors import ConfigError

BUFFER_BYTES: Final = 64 * 1024


class Relay:
    """Listens on one address and connects each client to another. Use on the loop's thread."""

    def __init__(self) -> None:
        self._server: asyncio.Server | None = None
        self._clients: dict[int, tuple[str, asyncio.StreamWriter]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._port = 0

    async def start(self, host: str, port: int, *, to_port: int) -> int:
        """Listens; gives the port."""
        self._port = to_port
        try:
            self._server = await asyncio.start_server(self._connected, host, port, limit=BUFFER_BYTES)
        except OSError as exc:
            raise ConfigError(f"cannot listen on {host}:{port}: {exc.strerror}") from exc
        return int(self._server.sockets[0].getsockname()[1])

    def client_of(self, relay_port: int) -> tuple[str, int] | None:
        """Address and port of the client whose connection comes out of this port of the relay."""
        if relay_port not in self._clients:
            return None
        name = self._clients[relay_port][1].get_extra_info("peername")
        return str(name[0]), int(name[1])

    def reset(self, relay_port: int) -> bool:
        """Resets the client's connection (RST, nothing said before); False if there is none."""
        if relay_port not in self._clients:
            return False
        writer = self._clients[relay_port][1]
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
        return True

    async def close(self) -> None:
        """Stops listening and cuts every connection."""
        if self._server is not None:
            self._server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._pass(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._port, limit=BUFFER_BYTES)
        except OSError:
            writer.transport.abort()
            return
        for each in (writer, up_writer):
            each.transport.set_write_buffer_limits(high=BUFFER_BYTES)
            each.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        relay_port = int(up_writer.get_extra_info("sockname")[1])
        self._clients[relay_port] = (str(writer.get_extra_info("peername")[0]), writer)
        try:
            await asyncio.gather(_copy(reader, up_writer), _copy(up_reader, writer))
        finally:
            self._clients.pop(relay_port, None)
            writer.transport.abort()
            up_writer.transport.abort()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until either side ends; the half-closed state is passed on."""
    with contextlib.suppress(OSError):
        while data := await reader.read(BUFFER_BYTES):
            writer.write(data)
            await writer.drain()
    with contextlib.suppress(OSError):
        if writer.can_write_eof():
            writer.write_eof()
