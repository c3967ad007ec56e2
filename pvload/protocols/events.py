"""What a service tells beside frames, in this tool's own values: parameter changes, states, observables, health."""

from __future__ import annotations

from dataclasses import dataclass

from pvload.wire.codes import Source


@dataclass(frozen=True, slots=True)
class ParameterEvent:
    """A parameter has a new value."""

    device: str
    name: str
    source: Source
    source_ns: int
    """When, by the service's clock."""
    value: float
    """NaN where it is no number."""
    counter: int
    """As `counter.change_counter` finds it; -1: none."""


@dataclass(frozen=True, slots=True)
class StateEvent:
    """A device's state, or what changed of it: None is not told."""

    device: str
    source_ns: int
    version: int
    snapshot: bool
    online: bool | None
    streaming: bool | None
    armed: bool | None
    exposure_ms: float | None


@dataclass(frozen=True, slots=True)
class ObservableEvent:
    """An observable's value."""

    device: str
    name: str
    source_ns: int
    value: float


@dataclass(frozen=True, slots=True)
class HealthEvent:
    """What a health service says of a module."""

    module: str
    """Empty: the service as a whole."""
    status: int
    """As in `wire.event.HEALTH`."""
    text: str = ""
    heartbeat_age_ns: int = -1
    standard: bool = False
    """By grpc.health.v1."""


Event = ParameterEvent | StateEvent | ObservableEvent | HealthEvent
