"""What the plan expects of the camera: frame rate, frame size, data rates. Pure arithmetic on a profile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pvload.profiles.schema import Camera, Profile

BYTES_PER_PIXEL: Final = 2
"""The camera sends 16-bit pixels."""
SHRINK: Final = {"full": 1, "preview": 2, "fast": 4}
"""Side of the block of pixels that a quality averages into one; what does not fill a block is cut off."""
RECORD_BYTES_PER_FRAME: Final = 96
"""Of the journal (docs/decisions/0001-record-size.md)."""
LEDGER_BYTES_PER_FRAME: Final = 370
"""Of the simulator's ledger: a line where a frame is made and one where it is sent."""
JOURNAL_LOG_BYTES: Final = 64 * 2**20
"""What the journal's write-ahead log grows to in a long run, whatever its frames; gone at the end."""


@dataclass(frozen=True, slots=True)
class FrameSize:
    """Of a picture as a subscriber gets it, decoded."""

    width: int
    height: int

    @property
    def decoded_bytes(self) -> int:
        """Of the pixels, before compression."""
        return self.width * self.height * BYTES_PER_PIXEL


@dataclass(frozen=True, slots=True)
class Region:
    """What of the sensor is read, in unbinned pixels."""

    x: int
    y: int
    width: int
    height: int


def expected_rate(camera: Camera) -> float:
    """Frames per second the plan states; 0: it states none, and the rate is measured after warm-up."""
    if camera.rate_hz:
        return camera.rate_hz
    return 1000.0 / camera.exposure_ms if camera.paced_by_exposure else 0.0


def slowest_rate(profile: Profile) -> float:
    """Frames per second of the slowest planned stream, max_fps included; 0: no rate is stated."""
    rate = expected_rate(profile.camera)
    limits = [one.max_fps for one in profile.users if one.max_fps]
    return min([rate, *limits]) if rate else float(min(limits, default=0))


def stall_threshold_s(profile: Profile) -> float:
    """A silence on one call longer than this is a stall: the criterion, else 2 s; at least two frame periods."""
    rate = slowest_rate(profile)
    return max(profile.criteria.stall_threshold_s, 2 / rate if rate else 0.0)


def region(camera: Camera) -> Region:
    """The region of interest; a quarter is half the width by half the height, centred."""
    if camera.roi == "full":
        return Region(0, 0, camera.sensor_width, camera.sensor_height)
    if camera.roi == "quarter":
        width, height = camera.sensor_width // 2, camera.sensor_height // 2
        return Region((camera.sensor_width - width) // 2, (camera.sensor_height - height) // 2, width, height)
    return Region(camera.roi.x, camera.roi.y, camera.roi.width, camera.roi.height)


def frame_size(camera: Camera, quality: str = "full") -> FrameSize:
    """The picture's size after region, binning and quality."""
    area = region(camera)
    width, height = area.width // camera.binning[0], area.height // camera.binning[1]
    shrink = SHRINK[quality]
    if width < shrink or height < shrink:  # the daemon leaves a picture alone that is smaller than the block
        return FrameSize(width, height)
    return FrameSize(width // shrink, height // shrink)


def warm_up_s(profile: Profile) -> float:
    """Seconds from the run's first frame that are left out of rates: as stated, at most a quarter of the duration."""
    return min(profile.run.warm_up, profile.run.duration / 4)
