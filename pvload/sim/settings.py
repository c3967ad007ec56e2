"""SetParameter and SetExposure: what is stored, announced, answered, and what the camera makes of it.

Every set call has a number here, by which the ledger joins its answer to the frame that first shows it.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final

import grpc

from pvload._pb import daq_pb2
from pvload.errors import ConfigError
from pvload.sim.camera import EXPOSURE, Camera
from pvload.sim.changes import Changes
from pvload.sim.devices import MOCK_CAMERA, Device
from pvload.sim.parameters import RefusalError, displayed, encoded, parsed
from pvload.sim.rpc import RefusedError, invalid, not_found
from pvload.sim.world import World

EXPOSURE_LIMITS_MS: Final = (0.1, 60_000.0)


class Settable:
    """What clients may set. Call on the loop's thread only."""

    def __init__(self, devices: dict[str, Device], changes: Changes, world: World) -> None:
        self._devices = devices
        self._changes = changes
        self._world = world
        self._sets = 0

    async def parameter(self, request: daq_pb2.SetParameterRequest, peer: str) -> daq_pb2.SetParameterResponse:
        """Stores, echoes and announces."""
        name, number = request.parameter_name, self._numbered()
        device = self._devices.get(request.device_id)
        if device is None or name not in device.parameters:
            text = f"Device '{request.device_id}' does not support settable parameters"
            self._note(number, request.device_id, name, request.value, by="SetParameter", code="NOT_FOUND", text=text)
            raise not_found(text)
        asked_ns = await self._held_up(number, device, name, request.value, by="SetParameter")
        try:
            new = self._accepted(device, name, request.value)
        except RefusalError as refusal:
            text = f"Failed to set parameter: {refusal.message}"
            code = "INVALID_ARGUMENT"
            self._note(number, device.id, name, request.value, by="SetParameter", code=code, text=text)
            raise invalid(text) from refusal
        old = device.parameters[name]
        in_effect = self._apply(device, name, new, number=number, peer=peer)
        value = encoded(new)
        self._changes.user(device.id, name, old=encoded(old), new=value)
        if device.parameters.descriptors[name].hardware_event:
            self._changes.hardware(device.id, name, new)
        self._note(number, device.id, name, value, by="SetParameter", in_effect=in_effect, asked_ns=asked_ns)
        self._maybe_kill(device)
        return daq_pb2.SetParameterResponse(success=True, actual_value=value)

    async def exposure(self, request: daq_pb2.SetExposureRequest) -> daq_pb2.SetExposureResponse:
        """Takes milliseconds, by way of seconds; announced as a "hardware" change only."""
        device, number = self._devices.get(request.device_id), self._numbered()
        asked = displayed(request.exposure_ms)
        low, high = EXPOSURE_LIMITS_MS
        refused: RefusedError | None = None
        if device is None or device.camera is None:
            refused = not_found(f"Device '{request.device_id}' not found or has no exposure control")
        elif device.id == MOCK_CAMERA and request.exposure_ms <= 0:
            refused = RefusedError(grpc.StatusCode.INTERNAL, "Exposure must be positive")
        elif not low <= request.exposure_ms <= high:
            refused = invalid(f"Invalid exposure value: {asked}")
        if device is None or device.camera is None or refused is not None:
            refused = refused or not_found("")
            code, text = refused.code.name, refused.message
            self._note(number, request.device_id, EXPOSURE, asked, by="SetExposure", code=code, text=text)
            raise refused
        asked_ns = await self._held_up(number, device, EXPOSURE, asked, by="SetExposure")
        actual_ms = request.exposure_ms / 1000.0 * 1000.0
        name, value = ("exposure_s", actual_ms / 1000.0) if device.id == MOCK_CAMERA else (EXPOSURE, actual_ms)
        in_effect = device.camera.change(name, value, number=number)
        self._changes.hardware(device.id, name, value)
        self._note(number, device.id, name, encoded(value), by="SetExposure", in_effect=in_effect, asked_ns=asked_ns)
        self._maybe_kill(device)
        return daq_pb2.SetExposureResponse(success=True, actual_exposure_ms=actual_ms)

    def _numbered(self) -> int:
        self._sets += 1
        return self._sets - 1

    def _accepted(self, device: Device, name: str, text: str) -> Any:
        """The value to store, or RefusalError in the daemon's words."""
        described = device.parameters.descriptors[name]
        new = parsed(described, text)
        camera = device.camera
        if camera is None:
            return new
        if described.guarded and self._world.table.parameters == "guarded" and camera.streaming:
            raise RefusalError(f"Cannot change {described.guarded} while streaming")
        try:
            camera.would_fit(name, new)
        except ConfigError as exc:
            raise RefusalError(exc.message) from exc
        return new

    async def _held_up(self, number: int, device: Device, name: str, value: str, *, by: str) -> int:
        """Under the fault set_hangs, waits out its time (0: until the client gives up); when the call came."""
        now_ns = self._world.clock.monotonic_ns()
        fault = device.camera.standing("set_hangs") if device.camera and device.camera.streaming else None
        if fault is None:
            return now_ns
        self._world.ledger.note("fault", kind="set_hangs", device=device.id, call=-1, made=-1, set=number)
        try:
            if fault.duration:
                await asyncio.sleep(fault.duration)
            else:
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            self._note(number, device.id, name, value, by=by, code="CANCELLED", text="hung", asked_ns=now_ns)
            raise
        return now_ns

    def _maybe_kill(self, device: Device) -> None:
        camera = device.camera
        if camera is None or not camera.streaming or camera.silenced:
            return
        if camera.standing("set_kills_stream") is not None:
            self._world.ledger.note("fault", kind="set_kills_stream", device=device.id, call=-1, made=-1)
            camera.kill_stream()

    def _apply(self, device: Device, name: str, value: Any, *, number: int, peer: str) -> str:
        """Stores a value; the mock camera's flags do what they say, the PVCAM cameras' are only flags."""
        camera = device.camera
        if camera is None:
            device.parameters[name] = value
            return "stored"
        if camera.sensor.driver != "pvcam" and name in ("streaming", "staged") and _order(camera, name, value, peer):
            return "stored"
        return camera.change(name, value, number=number)

    def _note(
        self,
        number: int,
        device: str,
        name: str,
        value: str,
        *,
        by: str,
        code: str = "OK",
        text: str = "",
        in_effect: str = "refused",
        asked_ns: int = -1,
    ) -> None:
        self._world.ledger.note(
            "parameter",
            set=number,
            device=device,
            name=name,
            value=value,
            ok=code == "OK",
            by=by,
            code=code,
            text=text,
            in_effect=in_effect,
            asked_ns=asked_ns,
        )


def _order(camera: Camera, name: str, value: bool, peer: str) -> bool:
    """Carries out a flag of the mock camera that is an order; False if it is only to be stored."""
    if name == "streaming" and value:
        camera.start(peer)
    elif name == "streaming":
        camera.stop(peer)
    elif value:
        camera.stage()
    else:
        return False
    return True
