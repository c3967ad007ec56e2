"""Events that are no frames on their way into the spool, whoever asked for them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from pvload.protocols.events import Event, HealthEvent, ObservableEvent, ParameterEvent, StateEvent
from pvload.ship.recorder import Recorder
from pvload.wire.codes import StateFlag
from pvload.wire.event import Kind

STANDARD: Final = 1
"""`flags` of a HEALTH record: by grpc.health.v1."""
HEALTHY: Final = 1
"""`code` of a HEALTH record, by either service."""
DEVICES_LIMIT: Final = 256
"""Devices whose state one call remembers."""
TEXT_LIMIT: Final = 500
"""Characters of a message that are recorded."""


@dataclass(frozen=True, slots=True)
class Teller:
    """Which call told the events, and for whom it was made."""

    call: int
    population: str
    ordinal: int
    sent_ns: int = 0
    """When it was asked for; 0: it was pushed."""


class EventLog:
    """Records what one call was told. A pushed state tells what changed; what it left out is as it was told before."""

    def __init__(self, recorder: Recorder, teller: Teller) -> None:
        self._recorder = recorder
        self._teller = teller
        self._states: dict[str, StateEvent] = {}

    def record(self, event: Event, t_ns: int) -> None:
        """One event that arrived at t_ns."""
        match event:
            case ParameterEvent():
                self._parameter(event, t_ns)
            case StateEvent():
                self._state(self._completed(event), t_ns)
            case ObservableEvent():
                self._observable(event, t_ns)
            case HealthEvent():
                self._health(event, t_ns)

    def _parameter(self, event: ParameterEvent, t_ns: int) -> None:
        self._recorder.append(
            Kind.PARAMETER,
            ref=self._teller.call,
            t_ns=t_ns,
            code=event.source,
            device=self._recorder.text_id(event.device),
            name=self._recorder.text_id(event.name),
            source_ns=event.source_ns,
            value=event.value,
            counter=event.counter,
        )

    def _completed(self, event: StateEvent) -> StateEvent:
        before = self._states.get(event.device)
        if before is not None:
            event = replace(
                event,
                online=before.online if event.online is None else event.online,
                streaming=before.streaming if event.streaming is None else event.streaming,
                armed=before.armed if event.armed is None else event.armed,
                exposure_ms=before.exposure_ms if event.exposure_ms is None else event.exposure_ms,
            )
        if before is not None or len(self._states) < DEVICES_LIMIT:
            self._states[event.device] = event
        return event

    def _state(self, event: StateEvent, t_ns: int) -> None:
        """A device of which nothing else was ever said is online: it told something."""
        flags = StateFlag(0) if self._teller.sent_ns else StateFlag.PUSHED
        flags |= StateFlag(0) if event.online is False else StateFlag.ONLINE
        flags |= StateFlag.STREAMING if event.streaming else StateFlag(0)
        flags |= StateFlag(0) if event.streaming is None else StateFlag.STREAMING_KNOWN
        flags |= StateFlag.ARMED if event.armed else StateFlag(0)
        flags |= StateFlag.SNAPSHOT if event.snapshot else StateFlag(0)
        self._recorder.append(
            Kind.STATE,
            ref=self._teller.call,
            t_ns=t_ns,
            flags=flags,
            device=self._recorder.text_id(event.device),
            sent_ns=self._teller.sent_ns,
            source_ns=event.source_ns,
            version=event.version,
            exposure_ms=event.exposure_ms or 0.0,
        )

    def _observable(self, event: ObservableEvent, t_ns: int) -> None:
        self._recorder.append(
            Kind.OBSERVABLE,
            ref=self._teller.call,
            t_ns=t_ns,
            device=self._recorder.text_id(event.device),
            name=self._recorder.text_id(event.name),
            source_ns=event.source_ns,
            value=event.value,
        )

    def _health(self, event: HealthEvent, t_ns: int) -> None:
        # A healthy module's message is a reading that differs each time, and each would be one more distinct text.
        text = "" if event.status == HEALTHY else event.text[:TEXT_LIMIT]
        self._recorder.append(
            Kind.HEALTH,
            ref=self._teller.call,
            t_ns=t_ns,
            code=event.status,
            flags=STANDARD if event.standard else 0,
            module=self._recorder.text_id(event.module),
            text=self._recorder.text_id(text),
            heartbeat_age_ns=event.heartbeat_age_ns,
            sent_ns=self._teller.sent_ns,
            population=self._recorder.text_id(self._teller.population),
            ordinal=self._teller.ordinal,
        )
