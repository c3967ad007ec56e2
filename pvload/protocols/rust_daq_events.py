"""The daemon's answers and stream messages that are no frames, as events; a table by method.

Quirks: a "user" change carries JSON text and a "hardware" one plain text; SubscribeDeviceState tells plain texts, and
only what changed; a module's heartbeat is told in whole seconds and, more exactly, as a moment of the daemon's clock.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable
from typing import Any, Final

from google.protobuf import message

from pvload._pb import daq_pb2, health_pb2
from pvload.clock import NS_PER_S
from pvload.errors import FormatError
from pvload.protocols.counter import change_counter
from pvload.protocols.events import Event, HealthEvent, ObservableEvent, ParameterEvent, StateEvent
from pvload.wire.codes import Source

_HEALTHY, _UNHEALTHY = 1, 3
_SOURCES: Final = {"user": Source.USER, "hardware": Source.HARDWARE}
_I64: Final = 2**63 - 1


def read_events(method: str, data: bytes) -> tuple[Event, ...]:
    """The events in an answer to the method, or in one message of its stream; none for a method that tells none.

    FormatError if the bytes are no such message.
    """
    found = _READERS.get(method)
    if found is None:
        return ()
    kind, read = found
    told = kind()
    try:
        told.ParseFromString(data)
    except message.DecodeError as exc:
        raise FormatError(f"a message of {len(data)} bytes is no {kind.__name__}: {exc}") from exc
    return read(told)


def _change(told: Any) -> tuple[Event, ...]:
    text = told.new_value
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    source = _SOURCES.get(told.source, Source.OTHER)
    counter = change_counter(text)
    return (ParameterEvent(told.device_id, told.name, source, _ns(told.timestamp_ns), value, counter),)


def _update(told: Any) -> tuple[Event, ...]:
    fields = told.fields_json
    return (
        StateEvent(
            device=told.device_id,
            source_ns=_ns(told.timestamp_ns),
            version=told.version,
            snapshot=told.is_snapshot,
            online=_truth(fields.get("online")),
            streaming=_truth(fields.get("streaming")),
            armed=_truth(fields.get("armed")),
            exposure_ms=_number(fields.get("exposure_ms")),
        ),
    )


def _state(told: Any) -> tuple[Event, ...]:
    return (
        StateEvent(
            device=told.device_id,
            source_ns=0,
            version=0,
            snapshot=False,
            online=told.online,
            streaming=told.streaming if told.HasField("streaming") else None,
            armed=told.armed if told.HasField("armed") else None,
            exposure_ms=told.exposure_ms if told.HasField("exposure_ms") else None,
        ),
    )


def _observable(told: Any) -> tuple[Event, ...]:
    return (ObservableEvent(told.device_id, told.observable_name, _ns(told.timestamp_ns), told.value),)


def _system(told: Any) -> tuple[Event, ...]:
    text = f"{told.healthy_modules} of {told.total_modules} modules healthy" if told.total_modules else ""
    return (HealthEvent("", told.status, text),)


def _modules(told: Any) -> tuple[Event, ...]:
    return tuple(_each_module(told.modules, told.timestamp_ns))


def _health(told: Any) -> tuple[Event, ...]:
    text = told.latest_error.message if told.HasField("latest_error") else ""
    return (HealthEvent("", told.system_status, text), *_each_module(told.modules, told.timestamp_ns))


def _standard(told: Any) -> tuple[Event, ...]:
    return (HealthEvent("", told.status, standard=True),)


def _each_module(modules: Iterable[Any], now_ns: int) -> Iterable[HealthEvent]:
    for module in modules:
        status = _HEALTHY if module.is_healthy else _UNHEALTHY
        age_ns = -1
        if module.last_heartbeat_ns:
            age_ns = now_ns - module.last_heartbeat_ns
            if not 0 <= age_ns <= _I64:
                age_ns = min(module.seconds_since_heartbeat * NS_PER_S, _I64)
        yield HealthEvent(module.name, status, module.status_message, age_ns)


def _ns(value: int) -> int:
    return min(value, _I64)


def _truth(text: str | None) -> bool | None:
    return None if text is None else text.strip('"').lower() == "true"


def _number(text: str | None) -> float | None:
    try:
        value = None if text is None else json.loads(text)
    except ValueError:
        return None
    return float(value) if isinstance(value, int | float) else None


_READERS: Final[dict[str, tuple[type[message.Message], Callable[[Any], tuple[Event, ...]]]]] = {
    "StreamParameterChanges": (daq_pb2.ParameterChange, _change),
    "SubscribeDeviceState": (daq_pb2.DeviceStateUpdate, _update),
    "StreamObservables": (daq_pb2.ObservableValue, _observable),
    "StreamHealthUpdates": (daq_pb2.HealthUpdate, _health),
    "GetDeviceState": (daq_pb2.DeviceStateResponse, _state),
    "GetSystemHealth": (daq_pb2.GetSystemHealthResponse, _system),
    "GetModuleHealth": (daq_pb2.GetModuleHealthResponse, _modules),
    "Check": (health_pb2.HealthCheckResponse, _standard),
    "Watch": (health_pb2.HealthCheckResponse, _standard),
}
