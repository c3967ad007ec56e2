"""What the engine needs to know of a service, and nothing about how bytes travel.

A transport hands over raw messages with their arrival; a protocol turns them into `Frame`s and answers. So two
transports that deliver the same bytes at the same moments make the same records. One that leaves the pixels on the
socket calls `read_head` with what it kept, and gets the same `Frame` as `read_frame` gives for the whole message.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final, NamedTuple, Protocol

from pvload.errors import FormatError
from pvload.protocols.events import Event
from pvload.wire.codes import Payload
from pvload.wire.command import Open
from pvload.wire.event import FRAME_STRUCT, Kind

_FRAME: Final = struct.Struct(FRAME_STRUCT)
_U16, _U32, _I64 = 2**16 - 1, 2**32 - 1, 2**63 - 1
_FLOAT32_MAX: Final = 3.4028234663852886e38


class Frame(NamedTuple):
    """One frame's header, in the service's own values; fields as in `wire.event.FRAME`."""

    device: str
    frame_number: int
    source_ns: int
    frames_sent: int
    frames_dropped: int
    exposure_ms: float
    current_fps: float
    avg_latency_ms: float
    message_bytes: int
    data_bytes: int
    uncompressed_bytes: int
    width: int
    height: int
    bit_depth: int
    roi_x: int
    roi_y: int
    binning_x: int
    binning_y: int
    flags: int
    """FrameFlag: which optional fields were set, and LZ4."""
    data_offset: int
    """Where the pixels begin in the message; meaningless if data_bytes is 0."""


class Request(NamedTuple):
    """What goes out to begin a call."""

    path: str
    """`/package.Service/Method`."""
    message: bytes


@dataclass(frozen=True, slots=True)
class Setting:
    """A call that sets one parameter, whose request is the same bytes but for the value at its end."""

    method: str
    path: str
    head: bytes
    longest: int
    """Bytes of a value, at most."""
    succeeded: Callable[[bytes], bool]
    """Whether an answer with status OK says that the value was taken."""

    def message(self, value: str) -> bytes:
        """The request; FormatError for a value that is too long."""
        data = value.encode()
        if len(data) > self.longest:
            raise FormatError(f"value {value[:40]!r} has {len(data)} bytes, expected {self.longest} at most")
        return self.head + bytes((len(data),)) + data


@dataclass(frozen=True, slots=True)
class UnaryAnswer:
    """What a unary call that the transport brought back with status OK really said."""

    fields: dict[str, Any]
    """The response as in protobuf's JSON, with the original field names and the default values written out."""
    application_failed: bool = False
    already: bool = False
    number: int = -1
    """The one figure it carries, if any: frames_captured."""


class Ending(Enum):
    """How a stream that nobody here closed came to its end."""

    CLEAN = "clean"
    """Status OK: the server ended it, which a stream of frames never should."""
    REFUSED = "refused"
    """The server admits no more streams from here: not an error, but nothing was measured either."""
    FAILED = "failed"


class StreamProtocol(Protocol):
    """One service spoken. Pure: nothing here waits, sends or keeps state."""

    def stream(self, order: Open) -> Request:
        """What opens the stream; FormatError for an order this service cannot express."""
        ...

    def read_frame(self, message: bytes) -> Frame:
        """The header of a whole message; FormatError if it is none."""
        ...

    def read_head(self, head: bytes, *, data_offset: int, data_bytes: int, message_bytes: int) -> Frame:
        """The header from a message whose pixels were cut out; FormatError if it is none."""
        ...

    def unary(self, method: str, arguments: dict[str, Any]) -> Request:
        """A call by its bare method name; FormatError for an unknown method or argument."""
        ...

    def read_answer(self, method: str, response: bytes) -> UnaryAnswer:
        """The answer to that call; FormatError if the bytes are none."""
        ...

    def watch(self, method: str, arguments: dict[str, Any]) -> Request:
        """A call that streams events; FormatError for an unknown method or argument."""
        ...

    def read_events(self, method: str, message: bytes) -> tuple[Event, ...]:
        """The events in a unary answer or in one message of a stream of them, none for a method that tells none;
        FormatError if the bytes are no such message."""
        ...

    def setting(self, device: str, parameter: str) -> Setting:
        """The call that sets a parameter, prepared for thousands of values a second."""
        ...

    def probe(self, device: str, parameter: str) -> Request:
        """The call that reads the target's clock."""
        ...

    def probe_ns(self, response: bytes) -> int:
        """The target's clock in that answer, 0 if it carries none; FormatError if the bytes are no answer."""
        ...

    def ending(self, status: int, details: str) -> Ending:
        """What a gRPC status and its text mean for a stream that nobody here closed."""
        ...


def frame_record(frame: Frame, *, call: int, t_ns: int, payload: Payload, checked: int) -> bytes:
    """The FRAME record. `checked`: the flags of the payload check. Values beyond their field are cut to its limit."""
    flags = frame.flags | checked
    try:
        return _pack(frame, call, t_ns, code=payload, flags=flags)
    except (struct.error, OverflowError):
        return _pack(_within_limits(frame), call, t_ns, code=payload, flags=flags)


def _pack(frame: Frame, call: int, t_ns: int, *, code: int, flags: int) -> bytes:
    return _FRAME.pack(
        Kind.FRAME,
        flags,
        code,
        call,
        t_ns,
        frame.frame_number,
        frame.source_ns,
        frame.frames_sent,
        frame.frames_dropped,
        frame.exposure_ms,
        frame.current_fps,
        frame.avg_latency_ms,
        frame.message_bytes,
        frame.data_bytes,
        frame.uncompressed_bytes,
        frame.width,
        frame.height,
        frame.roi_x,
        frame.roi_y,
        frame.binning_x,
        frame.binning_y,
    )


def _within_limits(frame: Frame) -> Frame:
    """The same frame with values that its record can hold; only a damaged or hostile source needs it."""
    return frame._replace(
        source_ns=min(frame.source_ns, _I64),
        current_fps=max(-_FLOAT32_MAX, min(frame.current_fps, _FLOAT32_MAX)),
        avg_latency_ms=max(-_FLOAT32_MAX, min(frame.avg_latency_ms, _FLOAT32_MAX)),
        message_bytes=min(frame.message_bytes, _U32),
        data_bytes=min(frame.data_bytes, _U32),
        binning_x=min(frame.binning_x, _U16),
        binning_y=min(frame.binning_y, _U16),
    )
