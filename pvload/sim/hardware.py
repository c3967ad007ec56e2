"""daq.HardwareService as the daemon answers it: codes and texts of its own, oddities included."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Final

import grpc

from pvload._pb import daq_pb2
from pvload.errors import ConfigError
from pvload.sim import watches
from pvload.sim.camera import Camera
from pvload.sim.changes import Changes, Watchers
from pvload.sim.daemonlog import SERVICE
from pvload.sim.devices import FILTERS, MOCK_CAMERA, Device
from pvload.sim.frames import NO_CAMERA, FrameStreams
from pvload.sim.parameters import encoded
from pvload.sim.rpc import Context, RefusedError, invalid, not_found
from pvload.sim.settings import Settable
from pvload.sim.world import World

MOCK_TRIGGER_S: Final = 0.033
"""The mock camera sleeps its default exposure at a trigger."""
COMMAND_BYTES: Final = 64 * 1024


class HardwareService:
    """Methods by the names of the protocol; see the daemon's notes in protos/daq.proto."""

    def __init__(
        self,
        devices: dict[str, Device],
        streams: FrameStreams,
        changes: Changes,
        watchers: Watchers,
        world: World,
    ) -> None:
        self._devices = devices
        self._streams = streams
        self._changes = changes
        self._watchers = watchers
        self._world = world
        self._settable = Settable(devices, changes, world)

    async def ListDevices(self, request: daq_pb2.ListDevicesRequest, context: Context) -> daq_pb2.ListDevicesResponse:
        """Every device, or what the daemon's filters find."""
        listed = list(self._devices)
        if request.HasField("capability_filter"):
            if request.capability_filter not in FILTERS:
                raise invalid(f"Unknown capability filter: {request.capability_filter}")
            listed = [device for device in listed if device in FILTERS[request.capability_filter]]
        return daq_pb2.ListDevicesResponse(devices=[self._devices[device].info for device in listed])

    async def GetDeviceState(
        self, request: daq_pb2.DeviceStateRequest, context: Context
    ) -> daq_pb2.DeviceStateResponse:
        """What the device knows of itself now."""
        log = self._world.log
        log.line("INFO", SERVICE, "GetDeviceState called", span="get_device_state", device_id=request.device_id)
        return self._state(self._device(request.device_id))

    async def SubscribeDeviceState(
        self, request: daq_pb2.DeviceStateSubscribeRequest, context: Context
    ) -> AsyncIterator[daq_pb2.DeviceStateUpdate]:
        """What changes on the devices asked for, or on all."""
        async for update in watches.device_states(
            request,
            lambda name: self._state(self._device(name)),
            list(self._devices),
            watchers=self._watchers,
            peer=context.peer(),
            clock=self._world.clock,
        ):
            yield update

    async def StartStream(self, request: daq_pb2.StartStreamRequest, context: Context) -> daq_pb2.StartStreamResponse:
        """Starts the camera for everybody; frame_count is ignored."""
        camera = self._frame_producer(request.device_id)
        try:
            if camera.start(context.peer()):
                return daq_pb2.StartStreamResponse(success=True)
        except ConfigError as exc:
            raise RefusedError(grpc.StatusCode.RESOURCE_EXHAUSTED, exc.message) from exc
        self._world.log.line(
            "INFO",
            SERVICE,
            "Device already streaming (idempotent success)",
            span="start_stream",
            device_id=request.device_id,
        )
        return daq_pb2.StartStreamResponse(success=True, error_message="Already streaming")

    async def StopStream(self, request: daq_pb2.StopStreamRequest, context: Context) -> daq_pb2.StopStreamResponse:
        """Stops it for everybody; an idle one repeats its last count."""
        camera = self._frame_producer(request.device_id)
        return daq_pb2.StopStreamResponse(success=True, frames_captured=camera.stop_on_order(context.peer()))

    async def StreamFrames(self, request: daq_pb2.StreamFramesRequest, context: Context) -> None:
        """Writes serialised FrameData until the client leaves."""
        await self._streams.serve(request, context)

    async def SetExposure(self, request: daq_pb2.SetExposureRequest, context: Context) -> daq_pb2.SetExposureResponse:
        """Stores it; announced as a "hardware" change only."""
        return await self._settable.exposure(request)

    async def GetExposure(self, request: daq_pb2.GetExposureRequest, context: Context) -> daq_pb2.GetExposureResponse:
        """The parameter's value, whatever the frames show."""
        device = self._exposed(request.device_id)
        return daq_pb2.GetExposureResponse(exposure_ms=_camera_of(device).exposure_ms)

    async def Arm(self, request: daq_pb2.ArmRequest, context: Context) -> daq_pb2.ArmResponse:
        """Sets the armed flag."""
        self._triggerable(request.device_id).armed = True
        return daq_pb2.ArmResponse(success=True, armed=True)

    async def Trigger(self, request: daq_pb2.TriggerRequest, context: Context) -> daq_pb2.TriggerResponse:
        """Answers with the daemon's clock at the trigger; refused if not armed."""
        camera = self._triggerable(request.device_id)
        if not camera.armed:
            raise RefusedError(grpc.StatusCode.FAILED_PRECONDITION, "Camera not armed")
        triggered_ns = self._world.clock.wall_ns()
        if request.device_id == MOCK_CAMERA:
            await asyncio.sleep(MOCK_TRIGGER_S)
        return daq_pb2.TriggerResponse(success=True, trigger_timestamp_ns=triggered_ns)

    async def StageDevice(self, request: daq_pb2.StageDeviceRequest, context: Context) -> daq_pb2.StageDeviceResponse:
        """Only the mock camera can: arms it and sets its frame counter back."""
        self._stageable(request.device_id).stage()
        return daq_pb2.StageDeviceResponse(success=True, staged=True)

    async def UnstageDevice(
        self, request: daq_pb2.UnstageDeviceRequest, context: Context
    ) -> daq_pb2.UnstageDeviceResponse:
        """Takes the staged flag back."""
        self._stageable(request.device_id).parameters["staged"] = False
        return daq_pb2.UnstageDeviceResponse(success=True)

    async def ListParameters(
        self, request: daq_pb2.ListParametersRequest, context: Context
    ) -> daq_pb2.ListParametersResponse:
        """The descriptors; limits are never among them."""
        device = self._devices.get(request.device_id)
        if device is None:
            raise not_found(f"Device '{request.device_id}' not found")
        return daq_pb2.ListParametersResponse(
            parameters=[
                daq_pb2.ParameterDescriptor(
                    device_id=device.id,
                    name=each.name,
                    description=each.description,
                    dtype=each.dtype,
                    units=each.units,
                    readable=True,
                    writable=each.writable,
                    enum_values=each.choices,
                )
                for each in device.parameters.descriptors.values()
            ]
        )

    async def GetParameter(self, request: daq_pb2.GetParameterRequest, context: Context) -> daq_pb2.ParameterValue:
        """The value, with the daemon's clock at the answer."""
        device, name = self._devices.get(request.device_id), request.parameter_name
        if device is None or name not in device.parameters:
            raise not_found(f"Device '{request.device_id}' does not support parameter '{name}'")
        return daq_pb2.ParameterValue(
            device_id=device.id,
            name=name,
            value=encoded(device.parameters[name]),
            timestamp_ns=self._world.clock.wall_ns(),
        )

    async def SetParameter(
        self, request: daq_pb2.SetParameterRequest, context: Context
    ) -> daq_pb2.SetParameterResponse:
        """Stores, echoes and announces; when the camera goes by it depends on the switch `parameters`."""
        return await self._settable.parameter(request, context.peer())

    async def StreamParameterChanges(
        self, request: daq_pb2.StreamParameterChangesRequest, context: Context
    ) -> AsyncIterator[daq_pb2.ParameterChange]:
        """Changes from now on, without a number: a slow reader loses the oldest."""
        names = frozenset(request.parameter_names)
        async for change in self._changes.subscribe(request.device_id, names, peer=context.peer()):
            yield change

    async def StreamObservables(
        self, request: daq_pb2.StreamObservablesRequest, context: Context
    ) -> AsyncIterator[daq_pb2.ObservableValue]:
        """Ends at once unless it asks for the one observable there is, the first camera's temperature."""
        async for value in watches.observables(
            request, watchers=self._watchers, peer=context.peer(), clock=self._world.clock
        ):
            yield value

    async def ExecuteDeviceCommand(
        self, request: daq_pb2.DeviceCommandRequest, context: Context
    ) -> daq_pb2.DeviceCommandResponse:
        """`reset_pp` and `upload_smart_stream` on a PVCAM camera."""
        device = self._device(request.device_id)
        if device.camera is None or device.camera.sensor.driver != "pvcam":
            raise RefusedError(grpc.StatusCode.UNIMPLEMENTED, f"Device '{device.id}' does not support commands")
        if len(request.args) > COMMAND_BYTES:
            raise invalid(f"Command args exceed {COMMAND_BYTES} bytes")
        try:
            args = json.loads(request.args or "{}")
        except ValueError as exc:
            raise invalid(f"Invalid JSON args: {exc}") from exc
        if request.command == "reset_pp":
            return daq_pb2.DeviceCommandResponse(success=True, results="{}")
        if request.command == "upload_smart_stream" and isinstance(args, dict) and args.get("exposures"):
            return daq_pb2.DeviceCommandResponse(success=True, results="{}")
        raise invalid(f"Invalid command: {request.command}")

    def _device(self, name: str) -> Device:
        if name not in self._devices:
            raise not_found(f"Device not found: {name}")
        return self._devices[name]

    def _frame_producer(self, name: str) -> Camera:
        device = self._devices.get(name)
        if device is None or device.camera is None:
            raise not_found(NO_CAMERA.format(name))
        return device.camera

    def _exposed(self, name: str) -> Device:
        device = self._devices.get(name)
        if device is None or device.camera is None:
            raise not_found(f"Device '{name}' not found or has no exposure control")
        return device

    def _triggerable(self, name: str) -> Camera:
        device = self._devices.get(name)
        if device is None or device.camera is None:
            raise not_found(f"Device '{name}' not found or not triggerable")
        return device.camera

    def _stageable(self, name: str) -> Camera:
        device = self._devices.get(name)
        if device is None or device.camera is None or device.camera.sensor.driver != "mock_camera":
            raise not_found(f"Device '{name}' not found or not stageable")
        return device.camera

    def _state(self, device: Device) -> daq_pb2.DeviceStateResponse:
        camera = device.camera
        if camera is None:
            position = device.parameters["position"]
            return daq_pb2.DeviceStateResponse(device_id=device.id, online=True, position=position)
        return daq_pb2.DeviceStateResponse(
            device_id=device.id,
            online=True,
            armed=camera.armed,
            streaming=camera.streaming,
            exposure_ms=camera.exposure_ms,
        )


def _camera_of(device: Device) -> Camera:
    if device.camera is None:
        raise not_found(f"Device '{device.id}' is not a camera")
    return device.camera
