"""What travels between a sender (engine, monitor) and the collector over ZeroMQ: DEALER to ROUTER, one frame a message.

Sender to collector: HELLO, BATCH, MISSING, FIN, PING. Collector to sender: ACK, GAP, REFUSED, FINISHED, PONG.
Each message is one ZeroMQ frame (ROUTER adds its own routing frame): a fixed header, then a payload.

Identity is in the header, never in the routing id: run (16 bytes, the UUID) and sender (16 bytes, a UUID made anew for
every incarnation, so a restarted engine is another sender; its predecessor's spool is shipped under the predecessor's).

Rule of delivery: records of a sender are numbered 0, 1, 2 ... A BATCH says its first number and its count. The
collector takes what lies beyond its `last` and acknowledges `last` after the journal's commit; a batch that begins
beyond last + 1 is answered with GAP(last) and the sender goes back; MISSING (first, count, JSON reason) advances
`last` without records. So nothing is counted twice, and nothing is lost unsaid.
"""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import dataclass, fields
from enum import IntEnum
from typing import Final

from pvload.errors import FormatError
from pvload.wire.event import RECORD_BYTES

MAGIC: Final = b"PVLB"
VERSION: Final = 1
HEADER: Final = struct.Struct("<4sHHI16s16sqqqq")
"""magic, version, message type, CRC-32 of all that follows it, run, sender, first, count, a, b."""
_CRC_FROM: Final = 12
MAX_BATCH_RECORDS: Final = 4096


class Message(IntEnum):
    """Message types. `first`, `count`, `a`, `b` mean per type:"""

    HELLO = 1
    """payload: JSON of `Hello`. Answered by ACK (count = records known so far) or REFUSED."""
    BATCH = 2
    """first, count of the records in the payload; a = sender's monotonic_ns at sending."""
    MISSING = 3
    """first, count of records that can never be shipped; payload: JSON {"reason": ...}."""
    FIN = 4
    """count = records ever made by this sender: nothing follows. FINISHED answers when all are journaled or stated."""
    PING = 5
    """a = sender's monotonic_ns at sending. Answered by PONG."""
    ACK = 11
    """count = records of this sender journaled or stated missing, that is last + 1."""
    GAP = 12
    """count = last + 1: go back to that number."""
    REFUSED = 13
    """payload: JSON {"reason": ...}. The sender must stop sending as this identity."""
    FINISHED = 14
    """The FIN stands; count as in ACK."""
    PONG = 15
    """a = the PING's a, b = collector's monotonic_ns between receiving and answering (one reading)."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message, checked: magic, version, CRC and lengths are right."""

    message: Message
    run: bytes
    sender: bytes
    first: int = 0
    count: int = 0
    a: int = 0
    b: int = 0
    payload: bytes = b""


@dataclass(frozen=True, slots=True)
class Hello:
    """Who a sender is; journaled once per sender."""

    role: str
    """engine, viewer, monitor or plugin."""
    worker: str
    """Which worker it belongs to; stable over restarts of the engine."""
    incarnation: int
    """0 for the worker's first engine, counted up with every replacement."""
    host: str
    boot: str
    """`pvload.clock.boot_id()`; equal boots share a monotonic clock."""
    pid: int

    def to_json(self) -> bytes:
        """The HELLO payload."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__}).encode()

    @classmethod
    def from_json(cls, payload: bytes) -> Hello:
        """Raises FormatError if fields are missing, unknown or of another type."""
        try:
            values = json.loads(payload)
            hello = cls(**values)
        except (ValueError, TypeError) as exc:
            raise FormatError(f"HELLO of a sender cannot be read: {exc}") from exc
        for item in fields(cls):
            expected = int if item.name in ("incarnation", "pid") else str
            if type(values[item.name]) is not expected:
                raise FormatError(
                    f"HELLO of a sender: {item.name} is {values[item.name]!r}, expected {expected.__name__}"
                )
        return hello


def pack(envelope: Envelope) -> bytes:
    """The bytes of one message."""
    body = HEADER.pack(
        MAGIC,
        VERSION,
        envelope.message,
        0,
        envelope.run,
        envelope.sender,
        envelope.first,
        envelope.count,
        envelope.a,
        envelope.b,
    )
    crc = zlib.crc32(envelope.payload, zlib.crc32(body[_CRC_FROM:]))
    return body[:8] + crc.to_bytes(4, "little") + body[_CRC_FROM:] + envelope.payload


def unpack(data: bytes) -> Envelope:
    """Reads one message; FormatError says which check it failed: length, magic, version, type, CRC or record count."""
    if len(data) < HEADER.size:
        raise FormatError(f"message of {len(data)} bytes is shorter than the header of {HEADER.size}")
    magic, version, kind, crc, run, sender, first, count, a, b = HEADER.unpack_from(data)
    if magic != MAGIC:
        raise FormatError(f"message begins with {magic!r}, expected {MAGIC!r}")
    if version != VERSION:
        raise FormatError(f"message has version {version}, this pvload speaks {VERSION}")
    if zlib.crc32(memoryview(data)[_CRC_FROM:]) != crc:
        raise FormatError("message was damaged: its CRC does not match")
    try:
        message = Message(kind)
    except ValueError as exc:
        raise FormatError(f"message type {kind} is unknown") from exc
    payload = data[HEADER.size :]
    if message is Message.BATCH and (len(payload) != count * RECORD_BYTES or not 0 < count <= MAX_BATCH_RECORDS):
        raise FormatError(f"batch states {count} records and carries {len(payload)} bytes of {RECORD_BYTES} each")
    if first < 0 or count < 0:
        raise FormatError(f"negative record number or count: {first}, {count}")
    return Envelope(message=message, run=run, sender=sender, first=first, count=count, a=a, b=b, payload=payload)
