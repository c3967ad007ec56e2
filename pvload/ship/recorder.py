"""What a process that observes something writes its events with: records in, spool out, and never a blocked caller.

A full spool costs resolution, never counts: frames are then kept as one sum per call (FOLDED records), all other
records wait in a bounded line, and both are appended as soon as there is room, in an order in which each call's frames
come before its end. Frames that arrive in the meantime join the sums, so what is in the spool is always in order.
"""

from __future__ import annotations

import logging
import struct
import threading
from collections import deque
from dataclasses import dataclass
from typing import Final

from pvload.clock import Clock
from pvload.ship.spool import Spool, SpoolFull
from pvload.wire.codes import NoteClass
from pvload.wire.event import FRAME_STRUCT, Kind, encode, encode_text

_log = logging.getLogger(__name__)

TEXTS_LIMIT: Final = 65_536
"""Distinct texts a sender may define; later ones all become the one text that says so."""
WAITING_LIMIT: Final = 65_536
"""Records other than frames that may wait for room."""
RETRY_EVERY: Final = 64
"""While the spool is full, only every so many appends look for room again."""
OVERFLOW_TEXT: Final = "(too many distinct texts)"

_FRAME: Final = struct.Struct(FRAME_STRUCT)


@dataclass(slots=True)
class _Sum:
    """Frames of one call that could not be recorded one by one."""

    first_ns: int
    last_ns: int
    frames: int = 0
    message_bytes: int = 0
    longest_ns: int = 0
    frame_number: int = 0
    source_ns: int = 0
    frames_sent: int = 0
    frames_dropped: int = 0

    def add(self, record: bytes) -> None:
        values = _FRAME.unpack(record)
        t_ns = values[4]
        self.frames += 1
        self.longest_ns = max(self.longest_ns, t_ns - self.last_ns)
        self.last_ns = t_ns
        self.frame_number, self.source_ns, self.frames_sent, self.frames_dropped = values[5:9]
        self.message_bytes += values[12]

    def to_record(self, call: int) -> bytes:
        return encode(
            Kind.FOLDED,
            t_ns=self.last_ns,
            ref=call,
            first_ns=self.first_ns,
            frames=self.frames,
            message_bytes=self.message_bytes,
            frames_sent=self.frames_sent,
            frames_dropped=self.frames_dropped,
            frame_number=self.frame_number,
            longest_ns=self.longest_ns,
            source_ns=self.source_ns,
        )


class Recorder:
    """Numbers and stores the events of one sender. Any thread may call it."""

    def __init__(self, spool: Spool, clock: Clock) -> None:
        self.spool = spool
        self.folded = 0
        """Frames that stand in the spool, or will, as sums only."""
        self.lost = 0
        """Records that were never made because WAITING_LIMIT others waited for room; said in a NOTE by `close`."""
        self._clock = clock
        self._lock = threading.Lock()
        self._texts: dict[str, int] = {"": 0}
        self._full = False
        self._closed = False
        self._refused = 0
        self._waiting: deque[bytes] = deque()
        self._sums: dict[int, _Sum] = {}

    def frame(self, record: bytes) -> None:
        """Records one FRAME, packed by `FRAME_STRUCT`: the hot path."""
        with self._lock:
            if self._store(record):
                return
            call = int.from_bytes(record[4:8], "little")
            total = self._sums.get(call)
            if total is None:
                t_ns = int.from_bytes(record[8:16], "little", signed=True)
                total = self._sums[call] = _Sum(first_ns=t_ns, last_ns=t_ns)
            total.add(record)
            self.folded += 1

    def append(
        self,
        kind: Kind,
        *,
        t_ns: int | None = None,
        flags: int = 0,
        code: int = 0,
        ref: int = 0,
        **fields: int | float | bytes,
    ) -> None:
        """Records one event; t_ns defaults to now. ValueError for a field that the kind does not have."""
        now_ns = self._clock.monotonic_ns() if t_ns is None else t_ns
        record = encode(kind, t_ns=now_ns, flags=flags, code=code, ref=ref, **fields)
        with self._lock:
            self._put(kind, ref, record)

    def packed(self, kind: Kind, call: int, record: bytes) -> None:
        """Records one of thousands of events a second, already packed; no FRAME, and no end of anything.

        Where the spool is full they take up half of the line at most, so that an end finds a place in it.
        """
        with self._lock:
            if len(self._waiting) < WAITING_LIMIT // 2:
                self._put(kind, call, record)
            elif not self._store(record):
                self.lost += 1

    def text_id(self, text: str) -> int:
        """The id of `text`; its TEXT records are made at first use. 0 is the empty text."""
        known = self._texts.get(text)
        if known is not None:
            return known
        with self._lock:
            return self._define(text)

    def close(self) -> None:
        """Appends all that waits, beyond the spool's limit if need be, and closes the spool. May be repeated.

        Where the filesystem is full, the spool is left open: its total is never stated, so its account never closes.
        """
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._line_up_sums()
            try:
                while self._waiting:
                    self.spool.append_beyond_limit(self._waiting[0])
                    self._waiting.popleft()
                if self.lost:
                    self._note_loss()
            except SpoolFull as exc:
                _log.error("the last %d records could not be stored: %s", len(self._waiting), exc)
                return
            self.spool.close()

    def _define(self, text: str) -> int:
        known = self._texts.get(text)
        if known is not None:
            return known
        if len(self._texts) >= TEXTS_LIMIT and text != OVERFLOW_TEXT:
            return self._define(OVERFLOW_TEXT)
        number = self._texts[text] = len(self._texts)
        for record in encode_text(number, text, t_ns=self._clock.monotonic_ns()):
            self._put(Kind.TEXT, number, record)
        return number

    def _put(self, kind: Kind, call: int, record: bytes) -> None:
        """Appends, or lines up behind what already waits; the sums of a call go before its end."""
        if self._store(record):
            return
        if kind in (Kind.ENDED, Kind.WAIT_TIMEOUT):
            self._line_up_sum(call)
        elif kind in (Kind.WANTED, Kind.CHANGE, Kind.END):
            self._line_up_sums()
        self._wait(record)

    def _store(self, record: bytes) -> bool:
        """Appends to the spool unless it is full, or was and the moment to look again has not come."""
        if self._full and not self._room_again():
            return False
        try:
            self.spool.append(record)
        except SpoolFull:
            self._full = True
            return False
        return True

    def _wait(self, record: bytes) -> None:
        if len(self._waiting) >= WAITING_LIMIT:
            self.lost += 1
        else:
            self._waiting.append(record)

    def _line_up_sum(self, call: int) -> None:
        total = self._sums.pop(call, None)
        if total is not None:
            self._wait(total.to_record(call))

    def _line_up_sums(self) -> None:
        for call in list(self._sums):
            self._line_up_sum(call)

    def _room_again(self) -> bool:
        """Whether the spool takes records again; then everything that waited is in it, in order."""
        self._refused += 1
        if self._refused % RETRY_EVERY:
            return False
        try:
            while self._waiting:
                self.spool.append(self._waiting[0])
                self._waiting.popleft()
            self._line_up_sums()
            while self._waiting:
                self.spool.append(self._waiting[0])
                self._waiting.popleft()
        except SpoolFull:
            return False
        self._full = False
        return True

    def _note_loss(self) -> None:
        text = "the spool was full for too long: records other than frames were not made"
        number = self._texts.setdefault(text, len(self._texts))
        t_ns = self._clock.monotonic_ns()
        for record in encode_text(number, text, t_ns=t_ns):
            self.spool.append_beyond_limit(record)
        note = encode(Kind.NOTE, t_ns=t_ns, code=NoteClass.INFO, text=number, value=self.lost)
        self.spool.append_beyond_limit(note)
