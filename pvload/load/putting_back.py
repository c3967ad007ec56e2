"""What users changed is put back at the run's end, before the camera is stopped."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pvload.load.camera import same_value
from pvload.load.children import ChildError
from pvload.load.engine_client import EngineClient
from pvload.wire import command

TIMEOUT_S: Final = 1.5
"""Of each call: the director waits for all of it."""


def put_back(engine: EngineClient, device: str, before: Mapping[str, str]) -> None:
    """Sets each parameter that is not as `before` (name -> value); what cannot be put back is noted."""
    for name, wished in before.items():
        try:
            read = engine.call("GetParameter", timeout_s=TIMEOUT_S, device_id=device, parameter_name=name)
            if read.status == "OK" and same_value(wished, str(read.answer.get("value", ""))):
                continue
            answered = engine.call(
                "SetParameter", timeout_s=TIMEOUT_S, operator=True, device_id=device, parameter_name=name, value=wished
            )
            said = "" if answered.status == "OK" else f"{answered.status} {answered.details}"
        except ChildError as exc:
            said = exc.message
        if said:
            engine.send(command.Note(note="info", text=f"{name} was not put back to {wished}: {said}"))
