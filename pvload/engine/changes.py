"""Changes of the camera that no frame has shown yet: each frame of the device is held against them until one does.

For the user who waits for an effect. What a run says about effects is concluded from the recorded frames, never from
here; so nothing here need be kept for long. While no change of a device is pending its frames cost one look-up.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from pvload.clock import NS_PER_S
from pvload.protocols.seam import Frame
from pvload.wire import command
from pvload.wire.codes import ChangeKind, FrameFlag, Quality
from pvload.wire.shown import EXPOSURE_WITHIN, scale_of

PENDING_NS: Final = 600 * NS_PER_S
"""A change that no frame has shown for so long is waited for no more."""
DEVICES_LIMIT: Final = 64
"""Devices with pending changes; of each, one change a kind."""


def shows(frame: Frame, change: command.Change, scale: int) -> bool:
    """Whether the frame shows what the change asks for: every value given that the frame tells, and one at least.

    scale: what the stream's quality divides sides by.
    """
    told = 0
    for given, side in ((change.width, frame.width), (change.height, frame.height)):
        if given:
            told += 1
            if side != given // scale:
                return False
    if frame.flags & FrameFlag.BINNING:
        for given, side in ((change.binning_x, frame.binning_x), (change.binning_y, frame.binning_y)):
            if given:
                told += 1
                if side != given:
                    return False
    if frame.flags & FrameFlag.EXPOSURE and change.exposure_ms > 0:
        told += 1
        if abs(frame.exposure_ms - change.exposure_ms) > EXPOSURE_WITHIN * change.exposure_ms:
            return False
    return told > 0


@dataclass(slots=True)
class PendingChanges:
    """Of one engine: at most one change a kind and device, the newest."""

    devices: dict[str, dict[str, command.Change]] = field(default_factory=dict)
    """By device, then kind; a device without a pending change is not in it."""

    def add(self, change: command.Change) -> None:
        """Waits for it from now on, and for an older one of its kind no more."""
        if change.kind == ChangeKind.OTHER.name.lower():
            return
        if change.device not in self.devices and len(self.devices) >= DEVICES_LIMIT:
            del self.devices[next(iter(self.devices))]
        kinds = self.devices.setdefault(change.device, {})
        kinds.pop(change.kind, None)
        kinds[change.kind] = change

    def shown(self, frame: Frame, *, device: str, quality: str, t_ns: int) -> list[command.Change]:
        """The changes that this frame of the device, arrived at t_ns, is the first to show; pending no more."""
        kinds = self.devices[device]
        scale = scale_of(Quality[quality.upper()])
        found = [it for it in kinds.values() if t_ns >= it.at_ns and shows(frame, it, scale)]
        over = [it for it in kinds.values() if t_ns > it.at_ns + PENDING_NS]
        for change in (*found, *over):
            kinds.pop(change.kind, None)
        if not kinds:
            del self.devices[device]
        return found
