"""A call as it was opened."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Opening:
    """What OPENED said."""

    ref: int
    opened_ns: int
    place: int
    """Record number in the sender."""
    number: int
    device: str
    quality: int
    max_fps: int
    ordered_ns: int = 0
    """When the user's order for it came; 0: not known."""
    window_bytes: int = 0


def decimated(rate_hz: float, max_fps: int) -> float:
    """What a stream limited to max_fps gets of a steady camera: every k-th frame, no credit carried."""
    if max_fps == 0 or rate_hz <= max_fps:
        return rate_hz
    return rate_hz / float(np.ceil(rate_hz / max_fps))
