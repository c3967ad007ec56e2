"""The devices of the simulated daemon: two PVCAM cameras without SDK, the mock camera and a stage."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pvload._pb import daq_pb2
from pvload.profiles.schema import Camera as CameraTable
from pvload.profiles.simulated import Simulator as SimulatorTable
from pvload.sim import parameters
from pvload.sim.camera import Camera
from pvload.sim.images import check_size
from pvload.sim.parameters import ParameterSet
from pvload.sim.world import Sensor, World

PVCAM: Final = {"prime_bsi": ("PVCAM (no SDK)", 2048, 2048), "prime_95b": ("PVCAM Prime 95B (no SDK)", 1200, 1200)}
"""Name and sensor by device id."""
MOCK_CAMERA: Final = "mock_camera"
MOCK_STAGE: Final = "mock_stage"
FIRST_EXPOSURE_MS: Final = 100.0
"""The daemon's, before anybody sets another."""
CAMERA_CAPABILITIES: Final = ("triggerable", "frame_producer", "exposure_controllable", "parameterized")
FILTERS: Final[dict[str, tuple[str, ...]]] = {
    "movable": (MOCK_STAGE,),
    "readable": (),
    "triggerable": tuple(PVCAM),
    "frame_producer": tuple(PVCAM),
    "frameproducer": tuple(PVCAM),
    "exposure_control": tuple(PVCAM),
    "exposurecontrol": tuple(PVCAM),
}
"""What the daemon's filters find: they miss cameras from a device file, though their capabilities say more."""


@dataclass(frozen=True, slots=True)
class Device:
    """One device: its entry in ListDevices, its parameters, and the camera if it is one."""

    info: daq_pb2.DeviceInfo
    parameters: ParameterSet
    camera: Camera | None = None

    @property
    def id(self) -> str:
        """As requests name it."""
        return str(self.info.id)


def devices(table: SimulatorTable, camera: CameraTable, target_device: str, world: World) -> dict[str, Device]:
    """By id, in the daemon's order. The profile's sensor size is that of its target device, if a PVCAM camera."""
    found = {MOCK_STAGE: _stage()}
    for device, (name, width, height) in PVCAM.items():
        if device == target_device:
            width, height = camera.sensor_width, camera.sensor_height
        check_size(width, height)
        sensor = Sensor(device, "pvcam", width, height, table.model, table.images, 0)
        found[device] = _camera(sensor, name, parameters.pvcam(width, height, FIRST_EXPOSURE_MS), world)
    sensor = Sensor(MOCK_CAMERA, "mock_camera", 640, 480, "free", "checkerboard", 1)
    found[MOCK_CAMERA] = _camera(sensor, "Demo Camera (Mock)", parameters.MOCK_CAMERA, world)
    return found


def _stage() -> Device:
    info = daq_pb2.DeviceInfo(
        id=MOCK_STAGE,
        name="Demo Stage (Mock)",
        driver_type="mock_stage",
        category=daq_pb2.DEVICE_CATEGORY_STAGE,
        is_movable=True,
        is_parameterized=True,
        metadata=daq_pb2.DeviceMetadata(),
        capabilities=["movable", "parameterized"],
    )
    return Device(info, ParameterSet(parameters.MOCK_STAGE))


def _camera(sensor: Sensor, name: str, described: tuple[parameters.Descriptor, ...], world: World) -> Device:
    metadata = daq_pb2.DeviceMetadata()
    if sensor.driver == "pvcam":
        metadata.frame_width, metadata.frame_height = sensor.width, sensor.height
    info = daq_pb2.DeviceInfo(
        id=sensor.device,
        name=name,
        driver_type=sensor.driver,
        category=daq_pb2.DEVICE_CATEGORY_CAMERA,
        is_triggerable=True,
        is_frame_producer=True,
        is_exposure_controllable=True,
        is_parameterized=True,
        metadata=metadata,
        capabilities=CAMERA_CAPABILITIES,
    )
    values = ParameterSet(described)
    return Device(info, values, Camera(sensor, values, world))
