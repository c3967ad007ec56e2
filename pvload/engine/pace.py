"""How slowly a reader reads: when the next message may be asked for.

What is not asked for stays where it is: measured with grpcio 1.85 and fixed windows, the client's library holds one and
a half stated windows at most (of small messages; at the most one window of a larger one), asks for nothing by itself,
and the rest waits in the server. So the server feels the reader after a second frame of the window's size.
"""

from __future__ import annotations

from pvload.clock import NS_PER_MS, NS_PER_S
from pvload.errors import FormatError


class Pace:
    """At most read_fps messages a second, or a pause after each. FormatError for numbers that are no pace."""

    def __init__(self, *, read_fps: float, pause_ms: float) -> None:
        if not 0 <= read_fps <= NS_PER_S or not 0 <= pause_ms < NS_PER_S:
            raise FormatError(f"read_fps {read_fps!r} and pause_ms {pause_ms!r} must be 0 or more")
        self._period_ns = round(NS_PER_S / read_fps) if read_fps else 0
        self._pause_ns = round(pause_ms * NS_PER_MS)
        self._due_ns = 0

    def __bool__(self) -> bool:
        return bool(self._period_ns or self._pause_ns)

    def next_ns(self, read_ns: int) -> int:
        """When to ask again after a message was read at read_ns.

        Deadlines of read_fps are absolute, so lateness does not add up; what came late is no credit for more than one.
        """
        if not self._period_ns:
            return read_ns + self._pause_ns
        self._due_ns = max(self._due_ns + self._period_ns, read_ns) if self._due_ns else read_ns + self._period_ns
        return max(self._due_ns, read_ns + self._pause_ns)
