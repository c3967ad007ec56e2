"""The ledger: what the simulator really did, as JSON lines, and the only truth a test may hold a report against.

One object a line; each has `is`, `t_ns` (CLOCK_MONOTONIC) and `wall_ns` (Unix epoch), both taken when the thing was
done. Frames are named by `made`, a number of their device that grows by one with every frame period, whatever becomes
of the frame, and never goes back; `numbering` grows by one each time frame_number starts over.

 is                | further keys
-------------------|-------------------------------------------------------------------------------------------------
 listening         | address, pid
 start_stream      | device, outcome (started, already), acquisition (ordinal from 1), exposure_ms, width, height,
                   | by (peer, or "fault")
 stop_stream       | device, acquisition, frames_captured, by (peer, "fault", or "disconnect")
 acquisition_ended | device, acquisition, reason (`acquisition.Ending`), captured, lost
 produced          | device, made, numbering, frame_number, source_ns
 blocking          | device, calls, made: the producer begins to wait for these slow readers
 blocked           | device, calls, made, since_ns: the producer waited for these slow readers until now
 resumed           | device, made, since_ns, ticks: a stall that ended by itself
 call_opened       | call (from 0, admitted calls only, in order of arrival), device, peer, max_fps, quality, open
 call_refused      | device, peer, code (RESOURCE_EXHAUSTED, NOT_FOUND): it has no call number
 sent              | call, made, numbering, frame_number, frames_sent, frames_dropped, bytes, done_ns, ok, again
                   | t_ns just before the write, done_ns when it was through; ok false: the client was gone;
                   | again true: a duplicate
 dropped           | device, made, stage, call (-1: all), cause (fault, queue, rate, overrun)
                   | stage: before_numbering, observer, output, decimated, compression, transport
 fault             | kind, device, call (-1: the camera's), made (-1: no frame's); acquisition or set where it has one
 evicted           | call, waited_ns: too slow a reader, its call is ended
 call_ended        | call, code, frames_sent, frames_dropped, by (client, fault, server): gRPC knows of it
 slot_released     | call, noticed (`pipeline.Left`), frames_sent, frames_dropped, open: its forwarder ended, and the
                   | client's slot came back; frames_sent and frames_dropped as in the daemon's log
 slot_leaked       | the same, but a fault keeps the slot
 parameter         | set (number of the set call, from 0), device, name, value, ok, by (SetParameter, SetExposure),
                   | code, text, in_effect (next_start, next_frame, never, stored: no frame shows it, refused),
                   | asked_ns (when it came; t_ns is when it was answered; -1: refused at once)
 in_effect         | set, device, name, acquisition, made, frame_number: the first frame that shows it
 changes_made      | first (sequence number of its first row), rows [[wall_ns, device, name, value, source]],
                   | coalesced ("hardware" changes merged so far)
 watcher_opened    | watcher (from 0), kind (changes, states, observables, health), peer, what it asked for;
                   | changes: first, the sequence number of the first change it may get
 watcher_lagged    | watcher, first, count: changes it lost
 watcher_ended     | watcher, forwarded; changes: next (the first it did not read), lagged, queued (read, not sent)

`open` counts the calls whose forwarders run, this one's change included.

Lines are written by a thread of their own, at most FLUSH_S after the thing was done: a killed simulator loses no more
than that. The queue is bounded; what it could not take is counted and said in a last line `{"is": "overflow"}`.
"""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, Protocol

from pvload.clock import Clock
from pvload.errors import FormatError

FLUSH_S: Final = 0.05
QUEUE_ENTRIES: Final = 200_000
"""About 20 s of the busiest simulator; beyond it entries are counted, not kept."""


_ENCODER: Final = json.JSONEncoder(separators=(",", ":"))


class Ledger(Protocol):
    """Where the simulator notes what it did. Called on the frame path: must not block or write."""

    def note(self, what: str, *, t_ns: int | None = None, **facts: Any) -> None:
        """Notes one thing done at t_ns (now, if not given)."""
        ...


class NoLedger:
    """Keeps nothing."""

    def note(self, what: str, *, t_ns: int | None = None, **facts: Any) -> None:
        """Forgets it."""


class FileLedger:
    """Appends to a file. start() before the first note, close() for the last flush."""

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._entries: deque[dict[str, Any]] = deque()
        self._overflow = 0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sim-ledger", daemon=True)

    def start(self) -> None:
        """Opens the file for writing, anew, and starts the writer."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.write_text("")
        self._thread.start()

    def note(self, what: str, *, t_ns: int | None = None, **facts: Any) -> None:
        """Queues one line."""
        if len(self._entries) >= QUEUE_ENTRIES:
            self._overflow += 1
            return
        now_ns = self._clock.monotonic_ns() if t_ns is None else t_ns
        self._entries.append({"is": what, "t_ns": now_ns, "wall_ns": self._clock.wall_ns(), **facts})

    def close(self) -> None:
        """Writes what is left and closes the file."""
        self._closing.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            while not self._closing.wait(FLUSH_S):
                self._write(file)
            self._write(file)

    def _write(self, file: Any) -> None:
        lines = []
        while self._entries:
            lines.append(_ENCODER.encode(self._entries.popleft()))
        if self._overflow:
            lines.append(json.dumps({"is": "overflow", "entries": self._overflow}))
            self._overflow = 0
        if lines:
            file.write("\n".join(lines) + "\n")
            file.flush()


def read_ledger(path: Path) -> Iterator[dict[str, Any]]:
    """The entries of a ledger in the order written; a last line cut by a kill is left out.

    FormatError for any other line that is no JSON object, and for a ledger that overflowed: it is no truth.
    """
    text = path.read_bytes()
    *whole, _cut = text.split(b"\n")
    for number, line in enumerate(whole, start=1):
        try:
            entry = json.loads(line)
        except ValueError as exc:
            raise FormatError(f"{path}, line {number}: not a JSON object: {line[:80]!r}") from exc
        if not isinstance(entry, dict) or "is" not in entry:
            raise FormatError(f"{path}, line {number}: an entry must say what it is: {line[:80]!r}")
        if entry["is"] == "overflow":
            raise FormatError(f"{path}: the ledger's queue overflowed by {entry['entries']} entries")
        yield entry
