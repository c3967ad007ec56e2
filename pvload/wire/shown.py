"""How a camera's settings show on its frames: one rule for who waits for a change and for who judges it afterwards."""

from __future__ import annotations

from typing import Final

EXPOSURE_WITHIN: Final = 0.005
"""Relative to the exposure that was asked for; cameras round exposures to their clock."""
SCALES: Final = (1, 2, 4)
"""By `codes.Quality`: sides of a frame are divided by this and rounded down. Exposure and binning are not scaled."""


def scale_of(quality: int) -> int:
    """What the sides of a stream's frames are divided by; 1 for a quality that is not known."""
    return SCALES[quality] if 0 <= quality < len(SCALES) else 1
