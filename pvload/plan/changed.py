"""A change of the camera as a plan sees it: what is set, under which name, and what frames show afterwards. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from pydantic import ValidationError

from pvload.plan.expected import expected_rate, frame_size, region
from pvload.profiles.schema import Camera
from pvload.profiles.users import Change

EXPOSURE: Final = "acquisition.exposure_ms"
ROI: Final = "acquisition.roi"
BINNING: Final = "acquisition.binning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Changed:
    """One change, and the camera after it."""

    kind: str
    """A ChangeKind name in lower case; `other` shows on no frame."""
    text: str
    """In words."""
    parameter: str
    value: str
    """As SetParameter wants them."""
    camera: Camera
    """As it is once the change is in effect."""
    width: int = 0
    height: int = 0
    binning_x: int = 0
    binning_y: int = 0
    exposure_ms: float = 0.0
    """What full-quality frames show of the change; 0: it leaves that open."""

    @property
    def rate_hz(self) -> float:
        """Frames per second after it; 0: unknown."""
        return expected_rate(self.camera)

    @property
    def shows(self) -> bool:
        """Can frames tell that it is in effect?"""
        return self.kind != "other"


def changed(planned: Camera, camera: Camera, change: Change) -> Changed:
    """`change` of `camera` as it is now. planned: as the run began with it; its stated rate belongs to its exposure."""
    change = _by_name(change)
    if change.exposure_ms is not None:
        return _exposure(planned, camera, change.exposure_ms)
    if change.roi is not None:
        after = camera.model_copy(update={"roi": change.roi})
        area, size = region(after), frame_size(after)
        roi = {"x": area.x, "y": area.y, "width": area.width, "height": area.height}
        text = f"region {area.width}x{area.height} at {area.x},{area.y}"
        return Changed(
            kind="roi",
            text=text,
            parameter=ROI,
            value=json.dumps(roi),
            camera=after,
            width=size.width,
            height=size.height,
        )
    if change.binning is not None:
        after = camera.model_copy(update={"binning": change.binning})
        x, y = change.binning
        size = frame_size(after)
        return Changed(
            kind="binning",
            text=f"binning {x}x{y}",
            parameter=BINNING,
            value=json.dumps([x, y]),
            camera=after,
            width=size.width,
            height=size.height,
            binning_x=x,
            binning_y=y,
        )
    text = f"{change.parameter} = {change.value}"
    return Changed(kind="other", text=text, parameter=change.parameter, value=change.value, camera=camera)


def _exposure(planned: Camera, camera: Camera, exposure_ms: float) -> Changed:
    rate_hz = planned.rate_hz if exposure_ms == planned.exposure_ms or not planned.paced_by_exposure else 0.0
    return Changed(
        kind="exposure",
        text=f"exposure {exposure_ms:g} ms",
        parameter=EXPOSURE,
        value=json.dumps(exposure_ms),
        camera=camera.model_copy(update={"exposure_ms": exposure_ms, "rate_hz": rate_hz}),
        exposure_ms=exposure_ms,
    )


def _by_name(change: Change) -> Change:
    """Exposure, region and binning given by their parameters' names are known for what they are, where they can be."""
    try:
        value: Any = json.loads(change.value) if change.parameter in (EXPOSURE, ROI, BINNING) else None
        if value is None:
            return change
        key = {EXPOSURE: "exposure_ms", ROI: "roi", BINNING: "binning"}[change.parameter]
        return Change.model_validate({key: value})
    except (ValueError, ValidationError):
        return change
