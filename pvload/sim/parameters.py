"""The parameters of the simulated devices: descriptors, values, and the daemon's words when it refuses one.

Values travel as JSON text; what does not parse as JSON is a string. Everything here is pure: a set either gives the new
value or raises `RefusalError` with the text that follows "Failed to set parameter: ".
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from pvload.errors import PvloadError


class RefusalError(PvloadError):
    """The daemon's reason not to take a value."""


@dataclass(frozen=True, slots=True)
class Descriptor:
    """One parameter as ListParameters shows it, and what it takes."""

    name: str
    description: str
    dtype: str
    """enum, float, int, bool, string, object (region of interest) or array (binning)."""
    default: Any
    units: str = ""
    writable: bool = True
    choices: tuple[str, ...] = ()
    limits: tuple[float, float] | None = None
    guarded: str = ""
    """The word of "Cannot change ... while streaming" where the guarded model refuses it; empty: never guarded."""
    hardware_event: bool = True
    """Whether a change is announced a second time with source "hardware" (not for 16-bit integers, ROI, binning)."""


_ENCODER: Final = json.JSONEncoder(separators=(",", ":"), sort_keys=True, ensure_ascii=False)


def encoded(value: Any) -> str:
    """The daemon's JSON text of a value: compact, keys in order, floats always with a point."""
    return _ENCODER.encode(value)


def displayed(value: Any) -> str:
    """Plain text of a value as in "hardware" events: no quotes, 10 for 10.0."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def parsed(descriptor: Descriptor, text: str) -> Any:
    """The value that `text` sets, or RefusalError in the daemon's words."""
    if not descriptor.writable:
        raise RefusalError(f"Parameter '{descriptor.name}' is read-only")
    try:
        given = json.loads(text)
    except ValueError:
        given = text
    value = _TYPES[descriptor.dtype](given)
    if descriptor.limits is not None and not descriptor.limits[0] <= value <= descriptor.limits[1]:
        low, high = descriptor.limits
        raise RefusalError(f"Value {encoded(value)} out of range [{encoded(low)}, {encoded(high)}]")
    if descriptor.choices and value not in descriptor.choices:
        choices = ", ".join(json.dumps(choice) for choice in descriptor.choices)
        raise RefusalError(f"Value {json.dumps(value)} not in choices [{choices}]")
    return value


def _named(value: Any) -> str:
    """How the daemon's decoder names an unexpected value."""
    if isinstance(value, bool):
        return f"boolean `{displayed(value)}`"
    if isinstance(value, int):
        return f"integer `{value}`"
    if isinstance(value, float):
        return f"floating point `{displayed(value)}`"
    if isinstance(value, str):
        return f"string {json.dumps(value, ensure_ascii=False)}"
    if value is None:
        return "null"
    return "map" if isinstance(value, dict) else "sequence"


def _float(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RefusalError(f"invalid type: {_named(value)}, expected f64")
    return float(value)


def _signed_16(value: Any) -> int:
    return _integer(value, name="i16", low=-(2**15), above=2**15)


def _integer(value: Any, *, name: str, low: int, above: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise RefusalError(f"invalid type: {_named(value)}, expected {name}")
    if not low <= value < above:
        raise RefusalError(f"invalid value: {_named(value)}, expected {name}")
    return value


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise RefusalError(f"invalid type: {_named(value)}, expected a boolean")
    return value


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise RefusalError(f"invalid type: {_named(value)}, expected a string")
    return value


def _roi(value: Any) -> dict[str, int]:
    if not isinstance(value, dict):
        raise RefusalError(f"invalid type: {_named(value)}, expected struct Roi")
    for key in ("x", "y", "width", "height"):
        if key not in value:
            raise RefusalError(f"missing field `{key}`")
    return {key: _integer(value[key], name="u32", low=0, above=2**32) for key in ("x", "y", "width", "height")}


def _binning(value: Any) -> list[int]:
    if not isinstance(value, list):
        raise RefusalError(f"invalid type: {_named(value)}, expected a tuple of size 2")
    if len(value) != 2:
        raise RefusalError(f"invalid length {len(value)}, expected a tuple of size 2")
    return [_integer(part, name="u16", low=0, above=2**16) for part in value]


_TYPES: Final[dict[str, Callable[[Any], Any]]] = {
    "float": _float,
    "int": _signed_16,
    "bool": _bool,
    "string": _string,
    "enum": _string,
    "object": _roi,
    "array": _binning,
}


def pvcam(width: int, height: int, exposure_ms: float) -> tuple[Descriptor, ...]:
    """The parameters of a PVCAM camera without SDK, with a sensor of this size."""
    full = {"x": 0, "y": 0, "width": width, "height": height}
    return (
        _of_acquisition("exposure_ms", "Exposure time", "float", exposure_ms, units="ms", limits=(0.1, 60_000.0)),
        _of_acquisition("roi", "Region of interest", "object", full, guarded="ROI", hardware_event=False),
        _of_acquisition("binning", "Binning (x, y)", "array", [1, 1], guarded="binning", hardware_event=False),
        _of_acquisition("armed", "Camera armed for trigger", "bool", False),
        _of_acquisition("streaming", "Camera streaming state", "bool", False),
        *(
            Descriptor(name, text, "enum", choices[0 if not default else choices.index(default)], choices=choices)
            for name, text, default, choices in _CHOICES
        ),
        *(
            Descriptor(name, text, "enum", choices[0], choices=choices, guarded=word)
            for name, text, word, choices in _GUARDED_CHOICES
        ),
        Descriptor("shutter.status", "Current shutter status", "enum", "Closed", writable=False, choices=_SHUTTER),
        Descriptor("thermal.setpoint", "Temperature setpoint", "float", -10.0, units="C", limits=(-100.0, 50.0)),
        *(Descriptor(name, text, "bool", False) for name, text in _SWITCHES),
        Descriptor("readout.adc_offset", "ADC offset", "int", 0, hardware_event=False),
        Descriptor("shutter.open_delay", "Shutter open delay", "int", 0, units="us", hardware_event=False),
        Descriptor("shutter.close_delay", "Shutter close delay", "int", 0, units="us", hardware_event=False),
        Descriptor(
            "processing.host_summing_count",
            "Number of frames to sum on host",
            "int",
            1,
            limits=(1, 1000),
            hardware_event=False,
        ),
        *(Descriptor(name, text, "int", 0, units, writable=False) for name, text, units in _READ_ONLY_INTEGERS),
        *(Descriptor(name, text, "string", "", writable=False) for name, text in _READ_ONLY_STRINGS),
        Descriptor("thermal.temperature", "Current sensor temperature", "float", 0.0, "C", writable=False),
        Descriptor(
            "acquisition.frame_time_us", "Total frame time (Exposure + Readout)", "float", 0.0, "us", writable=False
        ),
    )


def _of_acquisition(name: str, description: str, dtype: str, default: Any, **rest: Any) -> Descriptor:
    return Descriptor(f"acquisition.{name}", description, dtype, default, **rest)


_CHOICES: Final = (
    (
        "acquisition.trigger_mode",
        "Trigger mode",
        "Timed",
        ("Timed", "Strobe", "Bulb", "TriggerFirst", "EdgeTrigger"),
    ),
    (
        "acquisition.clear_mode",
        "Clear mode",
        "PreExposure",
        ("Never", "PreExposure", "PreSequence", "PostSequence", "PrePostSequence", "PreExposurePostSequence"),
    ),
    (
        "acquisition.expose_out_mode",
        "Expose out signal mode",
        "FirstRow",
        ("FirstRow", "AllRows", "AnyRow", "RollingShutter", "LineOutput"),
    ),
    ("processing.host_flip", "Host-side frame flip", "", ("None", "X", "Y", "XY")),
    ("processing.host_rotate", "Host-side frame rotation", "", ("None", "90 CW", "180 CW", "270 CW")),
    ("shutter.mode", "Physical shutter mode", "", ("Normal", "Open", "Closed", "None", "PreOpen")),
    ("streaming.smart_stream_mode", "Smart streaming mode", "", ("Exposures", "Interleaved")),
    ("thermal.fan_speed", "Cooling fan speed", "", ("High", "Medium", "Low", "Off")),
)
_GUARDED_CHOICES: Final = (
    ("acquisition.buffer_mode", "Circular buffer mode", "buffer_mode", ("Overwrite", "No Overwrite")),
    ("readout.port", "Readout port selection", "readout port", ("Normal Port",)),
    ("readout.speed_mode", "Readout speed selection", "speed mode", ("100 MHz", "50 MHz")),
    ("readout.gain_mode", "Gain mode selection", "gain mode", ("High Gain", "Low Gain")),
)
_SHUTTER: Final = ("Closed", "Open", "Opening", "Closing", "Fault", "Unknown")
_SWITCHES: Final = (
    ("streaming.smart_stream_enabled", "Hardware-timed smart streaming"),
    ("processing.metadata_enabled", "Enable per-frame metadata"),
    ("processing.host_summing_enabled", "Enable host-side frame summing"),
)
_READ_ONLY_INTEGERS: Final = (
    ("acquisition.clearing_time_us", "Sensor clearing time", "us"),
    ("acquisition.pixel_time_ns", "Pixel time", "ns"),
    ("acquisition.post_trigger_delay_us", "Post-trigger delay", "us"),
    ("acquisition.pre_trigger_delay_us", "Pre-trigger delay", "us"),
    ("acquisition.readout_time_us", "Readout time", "us"),
    ("info.bit_depth", "ADC Bit Depth", ""),
    ("readout.full_well_capacity", "Full well capacity", ""),
    ("readout.post_mask", "Post-mask pixels", ""),
    ("readout.post_scan", "Post-scan pixels", ""),
    ("readout.pre_mask", "Pre-mask pixels", ""),
    ("readout.pre_scan", "Pre-scan pixels", ""),
)
_READ_ONLY_STRINGS: Final = (
    ("info.firmware_version", "Camera Firmware Version"),
    ("info.model_name", "Camera Model / Chip Name"),
    ("info.serial_number", "Camera Serial Number"),
)

MOCK_CAMERA: Final = (
    Descriptor("armed", "Camera armed", "bool", False),
    Descriptor("staged", "Camera staged", "bool", False),
    Descriptor("exposure_s", "Camera exposure time", "float", 0.033, units="s", limits=(0.001, 10.0)),
    Descriptor("streaming", "Streaming", "bool", False),
)
MOCK_STAGE: Final = (Descriptor("position", "Stage position", "float", 0.0, units="mm", limits=(-1000.0, 1000.0)),)


class ParameterSet:
    """The current values of one device."""

    def __init__(self, descriptors: tuple[Descriptor, ...]) -> None:
        self.descriptors = {descriptor.name: descriptor for descriptor in descriptors}
        self._values = {descriptor.name: descriptor.default for descriptor in descriptors}

    def __contains__(self, name: str) -> bool:
        return name in self.descriptors

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __setitem__(self, name: str, value: Any) -> None:
        if name not in self.descriptors:
            raise KeyError(name)
        self._values[name] = value
