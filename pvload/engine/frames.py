"""The way of a message to its record: header read, payload checked, recorded in order of arrival.

The order per call is sacred, the loop must not wait: a frame whose pixels are unpacked in the inspection thread holds
back the records of the frames behind it on its own call, and nothing else. Arrival was stamped before all this.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from pvload.protocols.payload import UNCHECKED, Finding, Sampling, check_pixels, check_size, digest
from pvload.protocols.seam import Frame, StreamProtocol, frame_record
from pvload.ship.recorder import Recorder

log = logging.getLogger(__name__)

BACKLOG_FRAMES: Final = 64
"""Frames of all calls that may wait for their inspection; beyond it they are recorded UNCHECKED."""
BACKLOG_BYTES: Final = 256 * 1024 * 1024


class Inspection:
    """One thread that unpacks images. A single one, so that a call's frames are seen in order."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="inspection")
        self._frames = 0
        self._bytes = 0
        self.skipped = 0
        """Checks left out because the backlog was full."""

    def submit(self, memory: ImageMemory, frame: Frame, message: bytes, index: int) -> Future[Finding] | None:
        """The finding to come, or None if the backlog is full. Loop thread only."""
        if self._frames >= BACKLOG_FRAMES or self._bytes + len(message) > BACKLOG_BYTES:
            self.skipped += 1
            return None
        self._frames += 1
        self._bytes += len(message)
        return self._thread.submit(memory.inspect, frame, message, index)

    def done(self, message_bytes: int) -> None:
        """One inspected frame was recorded. Loop thread only."""
        self._frames -= 1
        self._bytes -= message_bytes

    def close(self) -> None:
        """Lets what was submitted finish, and ends the thread."""
        self._thread.shutdown(wait=True)


class ImageMemory:
    """What the check of a call's next image must know of the one before; touched by the inspection thread alone."""

    def __init__(self, sampling: Sampling) -> None:
        self._sampling = sampling
        self._index = -1
        self._digest = b""

    def inspect(self, frame: Frame, message: bytes, index: int) -> Finding:
        """Checks frame `index` of the call and keeps its digest, as the sampling says."""
        finding = UNCHECKED
        if self._sampling.checks(index):
            previous = self._digest if self._index == index - 1 else b""
            finding = check_pixels(frame, message, previous=previous)
        if self._sampling.remembers(index):
            self._index, self._digest = index, digest(frame, message)
        return finding


@dataclass(slots=True)
class _Waiting:
    frame: Frame
    t_ns: int
    finding: Future[Finding] | None


def _result(future: Future[Finding]) -> Finding:
    """What the inspection found; UNCHECKED if it failed itself, so that no frame is ever held back for good."""
    failure = future.exception()
    if failure is None:
        return future.result()
    log.error("an inspection failed", exc_info=failure)
    return UNCHECKED


class FrameLine:
    """The frames of one call on their way into the spool."""

    def __init__(
        self,
        call: int,
        *,
        protocol: StreamProtocol,
        recorder: Recorder,
        sampling: Sampling,
        inspection: Inspection,
    ) -> None:
        self._call = call
        self._protocol = protocol
        self._recorder = recorder
        self._sampling = sampling
        self._inspection = inspection
        self._memory = ImageMemory(sampling)
        self._waiting: deque[_Waiting] = deque()
        self._loop = asyncio.get_running_loop()
        self._empty = asyncio.Event()
        self._empty.set()
        self.frames = 0
        self.message_bytes = 0

    def take(self, message: bytes, t_ns: int) -> Frame:
        """Records the message that arrived at t_ns, now or when its turn comes; FormatError if it is no frame."""
        frame = self._protocol.read_frame(message)
        index = self.frames
        self.frames = index + 1
        self.message_bytes += len(message)
        finding = UNCHECKED
        if self._sampling.depth == "decoded":
            future = self._submit(frame, message, index)
            if future is not None or self._waiting:
                self._waiting.append(_Waiting(frame, t_ns, future))
                self._empty.clear()
                return frame
        elif self._sampling.checks(index):
            finding = check_size(frame, message)
        self._record(frame, t_ns, finding)
        return frame

    async def drained(self) -> None:
        """Returns when every frame taken is recorded."""
        await self._empty.wait()

    def _submit(self, frame: Frame, message: bytes, index: int) -> Future[Finding] | None:
        if not (self._sampling.checks(index) or self._sampling.remembers(index)):
            return None
        future = self._inspection.submit(self._memory, frame, message, index)
        if future is not None:
            future.add_done_callback(lambda _: self._loop.call_soon_threadsafe(self._advance))
        return future

    def _advance(self) -> None:
        """Records from the front of the line what needs no more waiting."""
        while self._waiting and (self._waiting[0].finding is None or self._waiting[0].finding.done()):
            first = self._waiting.popleft()
            finding = UNCHECKED
            if first.finding is not None:
                self._inspection.done(first.frame.message_bytes)
                finding = _result(first.finding)
            self._record(first.frame, first.t_ns, finding)
        if not self._waiting:
            self._empty.set()

    def _record(self, frame: Frame, t_ns: int, finding: Finding) -> None:
        record = frame_record(frame, call=self._call, t_ns=t_ns, payload=finding.payload, checked=finding.checked)
        self._recorder.frame(record)
