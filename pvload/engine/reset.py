"""Resets a connection, as the kernel does for a client that vanished with data unread. Linux only.

gRPC hands out no file descriptor. A channel that is to be resettable gets a keep-alive time-out that no other channel
of this process has; gRPC sets it on the channel's sockets as TCP_USER_TIMEOUT, where it is found again. Nothing is
ever pinged: the keep-alive time is eleven days. `connect` to AF_UNSPEC then breaks the connection with RST, whoever
else holds the socket. See docs/decisions/0007.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import Final

_TCP_USER_TIMEOUT: Final = 18
_NEVER_MS: Final = 1_000_000_000
_FIRST_MARK_MS: Final = 900_000
"""About as long as Linux itself goes on to send to a peer that is gone: the mark changes nothing else."""
_MARKS: Final = 1_000_000
"""Marks come again after so many connections."""

_libc: Final = ctypes.PyDLL(None)
_marks = itertools.count()


def new_mark() -> int:
    """A mark for one connection, in milliseconds."""
    return _FIRST_MARK_MS + next(_marks) % _MARKS


def options(mark: int) -> list[tuple[str, int | str]]:
    """The channel options that put the mark on the channel's sockets."""
    return [("grpc.keepalive_time_ms", _NEVER_MS), ("grpc.keepalive_timeout_ms", mark)]


def marked(mark: int) -> list[int]:
    """This process's descriptors of sockets that carry the mark; some 2 us a descriptor are spent on the search."""
    numbers = (int(path.name) for path in Path("/proc/self/fd").iterdir())
    return [fd for fd in numbers if _user_timeout(fd) == mark]


def reset(mark: int) -> int:
    """Breaks what carries the mark with RST, and says how many connections those were. Its owner sees it break."""
    broken = 0
    for fd in marked(mark):
        with suppress(OSError):
            # The number may be another file's by now, if the owner closed it meanwhile: what is held here is looked at.
            held = os.dup(fd)
            try:
                if _user_timeout(held) == mark and _disconnect(held) == 0:
                    broken += 1
            finally:
                os.close(held)
    return broken


def _user_timeout(fd: int) -> int:
    """-1 for what is no TCP socket."""
    value, size = ctypes.c_int(-1), ctypes.c_uint(ctypes.sizeof(ctypes.c_int))
    status = _libc.getsockopt(fd, socket.IPPROTO_TCP, _TCP_USER_TIMEOUT, ctypes.byref(value), ctypes.byref(size))
    return value.value if status == 0 else -1


def _disconnect(fd: int) -> int:
    unspecified = (ctypes.c_char * 16)()
    return int(_libc.connect(fd, ctypes.byref(unspecified), ctypes.sizeof(unspecified)))
