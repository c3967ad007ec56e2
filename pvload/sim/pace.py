"""When a camera's next frame is due: pure arithmetic of deadlines, in nanoseconds of CLOCK_MONOTONIC.

Three paces:
  pvcam-mock   sleeps the whole milliseconds of its exposure, then takes the time that making the image would take;
               sleeps are relative, so it drifts as the real synthetic camera does
  grid         absolute deadlines, one exposure apart; a late one is caught up, so the count over time is exact
  free         the mock camera: does not care for its exposure. The real one runs as fast as a core can; this one keeps
               FREE_HZ, the rate the real one was seen at, which costs a few percent of a core
"""

from __future__ import annotations

import asyncio
import math
from dataclasses import dataclass
from typing import Final, Literal

from pvload.clock import NS_PER_MS, NS_PER_S, Clock
from pvload.sim.images import LARGEST_IMAGE_BYTES

FREE_HZ: Final = 320
FREE_BEHIND_NS: Final = 50 * NS_PER_MS
"""A free-running camera this late goes on from now: it has no grid to keep."""
GRID_BEHIND_NS: Final = NS_PER_S
"""A grid this late gives up what it missed, and says so in the ledger."""
MAKING_NS: Final = 50_000
MAKING_NS_PER_PIXEL: Final = 1.2
"""What making an image takes pvcam-mock beside its sleep: 5 ms at 2048x2048, as seen."""

Pace = Literal["pvcam-mock", "grid", "free"]


@dataclass(frozen=True, slots=True)
class Settings:
    """What StartStream takes from the parameters, for the whole acquisition."""

    exposure_ms: float
    width: int
    height: int
    roi_x: int
    roi_y: int
    binning: tuple[int, int] | None

    @property
    def pixels(self) -> int:
        """Of one image."""
        return self.width * self.height


def fits(settings: Settings) -> bool:
    """Whether an image of these settings is small enough to be made."""
    return settings.pixels * 2 <= LARGEST_IMAGE_BYTES


def period_of(pace: Pace, settings: Settings) -> int:
    """From one frame to the next, where nothing is late."""
    if pace == "free":
        return NS_PER_S // FREE_HZ
    if pace == "grid":
        return max(round(settings.exposure_ms * NS_PER_MS), NS_PER_MS)
    return math.trunc(settings.exposure_ms) * NS_PER_MS + MAKING_NS + round(settings.pixels * MAKING_NS_PER_PIXEL)


def next_deadline(pace: Pace, deadline_ns: int, *, now_ns: int, period_ns: int) -> tuple[int, int]:
    """When the next frame is due, and how many periods were given up to get there."""
    if pace == "pvcam-mock":
        return now_ns + period_ns, 0
    due_ns = deadline_ns + period_ns
    behind_ns = now_ns - due_ns
    if pace == "free":
        return (now_ns + period_ns if behind_ns > FREE_BEHIND_NS else due_ns), 0
    if behind_ns <= GRID_BEHIND_NS:
        return due_ns, 0
    missed = -(-behind_ns // period_ns)
    return due_ns + missed * period_ns, missed


def resumed_ns(pace: Pace, deadline_ns: int, *, stall_ns: int, period_ns: int) -> int:
    """When a stalled camera gives its next frame.

    A grid goes on half a period beside its old one where the stall is nearly whole periods: a camera that stood still
    keeps no phase, and a stall must not look like frames that were lost before they were numbered.
    """
    phase = stall_ns % period_ns
    on_grid = min(phase, period_ns - phase) < period_ns // 4
    return deadline_ns + stall_ns + (period_ns // 2 if pace == "grid" and on_grid else 0)


async def sleep_until(clock: Clock, deadline_ns: int) -> None:
    """Returns at or after the deadline, always after at least one turn of the loop."""
    await asyncio.sleep(0)
    while (left_ns := deadline_ns - clock.monotonic_ns()) > 0:
        await asyncio.sleep(left_ns / NS_PER_S)
