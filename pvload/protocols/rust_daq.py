"""The camera daemon rust-daq, package `daq`: frames by HardwareService.StreamFrames, everything else by unary calls.

Quirks that live here and nowhere else: a StartStream that found the camera running answers success with the text
"Already streaming"; a refused fourth stream is told from other exhausted resources only by its text; the answer to
GetParameter carries the daemon's clock.
"""

from __future__ import annotations

from typing import Any, Final

from google.protobuf import descriptor, json_format, message, message_factory

from pvload._pb import daq_pb2, health_pb2
from pvload.errors import FormatError
from pvload.protocols.events import Event
from pvload.protocols.frame_header import split
from pvload.protocols.rust_daq_events import read_events
from pvload.protocols.seam import Ending, Frame, Request, Setting, UnaryAnswer
from pvload.wire.admission import is_turned_away
from pvload.wire.codes import FrameFlag, Quality
from pvload.wire.command import Open

_OK: Final = 0
_ALREADY: Final = "already streaming"
_DATA: Final = daq_pb2.FrameData.DATA_FIELD_NUMBER
_METRICS, _EXPOSURE, _BINNING, _LZ4 = (
    int(flag) for flag in (FrameFlag.METRICS, FrameFlag.EXPOSURE, FrameFlag.BINNING, FrameFlag.LZ4)
)
_SERVICES: Final = ("HardwareService", "ControlService", "HealthService")
_METHODS: Final[dict[str, descriptor.MethodDescriptor]] = {
    method.name: method
    for service in (
        *(daq_pb2.DESCRIPTOR.services_by_name[name] for name in _SERVICES),
        health_pb2.DESCRIPTOR.services_by_name["Health"],
    )
    for method in service.methods
}
_VALUE_TAG: Final = bytes([daq_pb2.SetParameterRequest.VALUE_FIELD_NUMBER << 3 | 2])
_LONGEST_VALUE: Final = 127
"""Bytes of a storm's value: its length is then one byte."""


class RustDaq:
    """`seam.StreamProtocol` for the daemon."""

    def stream(self, order: Open) -> Request:
        """StreamFrames with the order's quality and rate limit."""
        try:
            quality = f"STREAM_QUALITY_{Quality[order.quality.upper()].name}"
            request = daq_pb2.StreamFramesRequest(device_id=order.device, max_fps=order.max_fps, quality=quality)
        except (KeyError, ValueError, TypeError) as exc:
            raise FormatError(
                f"stream {order.id} cannot be asked for: quality {order.quality!r}, max_fps {order.max_fps!r}",
                hint="quality is full, preview or fast; max_fps is 0 or a positive number",
            ) from exc
        return Request(_path(_METHODS["StreamFrames"]), request.SerializeToString())

    def read_frame(self, message: bytes) -> Frame:
        """The header of a FrameData message; its pixels are hopped over."""
        parts = split(message, _DATA)
        return self.read_head(parts.head, data_offset=parts.offset, data_bytes=parts.size, message_bytes=len(message))

    def read_head(self, head: bytes, *, data_offset: int, data_bytes: int, message_bytes: int) -> Frame:
        """The header from a FrameData message without its `data`."""
        try:
            fields = daq_pb2.FrameData.FromString(head)
        except message.DecodeError as exc:
            raise FormatError(f"a message of {message_bytes} bytes is no FrameData: {exc}") from exc
        metrics = fields.metrics
        flags = 0
        if fields.HasField("metrics"):
            flags |= _METRICS
        if fields.HasField("exposure_ms"):
            flags |= _EXPOSURE
        if fields.HasField("binning_x") and fields.HasField("binning_y"):
            flags |= _BINNING
        if fields.compression == daq_pb2.COMPRESSION_LZ4:
            flags |= _LZ4
        return Frame(
            device=fields.device_id,
            frame_number=fields.frame_number,
            source_ns=fields.timestamp_ns,
            frames_sent=metrics.frames_sent,
            frames_dropped=metrics.frames_dropped,
            exposure_ms=fields.exposure_ms,
            current_fps=metrics.current_fps,
            avg_latency_ms=metrics.avg_latency_ms,
            message_bytes=message_bytes,
            data_bytes=data_bytes,
            uncompressed_bytes=fields.uncompressed_size,
            width=fields.width,
            height=fields.height,
            bit_depth=fields.bit_depth,
            roi_x=fields.roi_x,
            roi_y=fields.roi_y,
            binning_x=fields.binning_x,
            binning_y=fields.binning_y,
            flags=flags,
            data_offset=data_offset,
        )

    def unary(self, method: str, arguments: dict[str, Any]) -> Request:
        """A call of HardwareService, ControlService, HealthService or grpc.health.v1.Health by its method's name."""
        return _request(_unary_method(method), arguments)

    def watch(self, method: str, arguments: dict[str, Any]) -> Request:
        """A call that streams events, by its method's name."""
        found = _METHODS.get(method)
        if found is None or not found.server_streaming or method == "StreamFrames":
            known = sorted(m.name for m in _METHODS.values() if m.server_streaming and m.name != "StreamFrames")
            raise FormatError(f"the daemon streams no events by {method!r}", hint=f"it has {', '.join(known)}")
        return _request(found, arguments)

    def read_events(self, method: str, message: bytes) -> tuple[Event, ...]:
        """The events in an answer or in a stream's message; see `rust_daq_events`."""
        return read_events(method, message)

    def setting(self, device: str, parameter: str) -> Setting:
        """SetParameter of one parameter, again and again."""
        head = daq_pb2.SetParameterRequest(device_id=device, parameter_name=parameter).SerializeToString() + _VALUE_TAG
        return Setting("SetParameter", _path(_METHODS["SetParameter"]), head, _LONGEST_VALUE, _was_set)

    def read_answer(self, method: str, response: bytes) -> UnaryAnswer:
        """The answer's fields, whether it says failure, and whether somebody else had started the camera."""
        answer = _parsed(message_factory.GetMessageClass(_unary_method(method).output_type), response)
        fields = json_format.MessageToDict(
            answer, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
        return UnaryAnswer(
            fields=fields,
            application_failed=fields.get("success") is False,
            already=method == "StartStream" and _ALREADY in str(fields.get("error_message", "")).lower(),
            number=int(fields.get("frames_captured", -1)),
        )

    def probe(self, device: str, parameter: str) -> Request:
        """GetParameter, whose answer carries the daemon's clock."""
        return self.unary("GetParameter", {"device_id": device, "parameter_name": parameter})

    def probe_ns(self, response: bytes) -> int:
        """The daemon's wall clock when it answered, nanoseconds since 1970."""
        value = _parsed(daq_pb2.ParameterValue, response)
        return int(getattr(value, "timestamp_ns", 0))

    def ending(self, status: int, details: str) -> Ending:
        """OK is clean, the stream limit's text is a refusal, everything else a failure."""
        if status == _OK:
            return Ending.CLEAN
        if is_turned_away(status, details):
            return Ending.REFUSED
        return Ending.FAILED


def _path(method: descriptor.MethodDescriptor) -> str:
    return f"/{method.containing_service.full_name}/{method.name}"


def _unary_method(name: str) -> descriptor.MethodDescriptor:
    method = _METHODS.get(name)
    if method is None or method.server_streaming or method.client_streaming:
        unary = sorted(m.name for m in _METHODS.values() if not m.server_streaming)
        raise FormatError(f"the daemon has no unary method {name!r}", hint=f"it has {', '.join(unary)}")
    return method


def _request(found: descriptor.MethodDescriptor, arguments: dict[str, Any]) -> Request:
    request = message_factory.GetMessageClass(found.input_type)()
    try:
        json_format.ParseDict(arguments, request)
    except json_format.ParseError as exc:
        raise FormatError(f"arguments of {found.name}: {exc}") from exc
    return Request(_path(found), request.SerializeToString())


def _was_set(response: bytes) -> bool:
    try:
        return bool(daq_pb2.SetParameterResponse.FromString(response).success)
    except message.DecodeError:
        return False


def _parsed(kind: type[message.Message], response: bytes) -> message.Message:
    answer = kind()
    try:
        answer.ParseFromString(response)
    except message.DecodeError as exc:
        raise FormatError(f"an answer of {len(response)} bytes is no {kind.__name__}: {exc}") from exc
    return answer
