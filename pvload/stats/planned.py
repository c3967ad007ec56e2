"""Whether frames show what the plan set: size, binning and exposure."""

from __future__ import annotations

from typing import Final

import numpy as np

from pvload.stats.config import Plan
from pvload.stats.histogram import Int64s
from pvload.stats.opening import Opening
from pvload.stats.tally import Tally
from pvload.stats.timeline import Span
from pvload.wire.codes import FrameFlag
from pvload.wire.event import Records

GRACE_NS: Final = 1_000_000_000
"""Frames of the setting before may still arrive this long after a planned change."""
_SCALE: Final = (1, 2, 4)
"""Sides of a frame are divided by this at quality full, preview, fast."""


def check_plan(rows: Records, t_ns: Int64s, span: Span, opening: Opening, plan: Plan, tally: Tally) -> None:
    """Counts frames of one wanted span that are not as planned, and keeps the first one in words."""
    edge = span.edge
    want: Plan = plan
    if edge is not None and (edge.width or edge.height or edge.binning_x or edge.exposure_ms):
        want = Plan(edge.width, edge.height, edge.binning_x, edge.binning_y, edge.exposure_ms)
    flags = rows["flags"]
    wrong = np.zeros(rows.size, np.bool_)
    scale = _SCALE[opening.quality] if opening.quality < len(_SCALE) else 1
    if want.width and want.height:
        wrong |= (rows["width"] != want.width // scale) | (rows["height"] != want.height // scale)
    if want.binning_x and want.binning_y:
        told = (flags & FrameFlag.BINNING) != 0
        wrong |= told & ((rows["binning_x"] != want.binning_x) | (rows["binning_y"] != want.binning_y))
    if want.exposure_ms > 0:
        told = (flags & FrameFlag.EXPOSURE) != 0
        wrong |= told & (np.abs(rows["exposure_ms"] - want.exposure_ms) > 0.001 * want.exposure_ms)
    if not wrong.any():
        return
    if edge is not None and edge.at_ns > opening.opened_ns:
        wrong &= t_ns > edge.at_ns + GRACE_NS
    found = np.flatnonzero(wrong)
    if found.size == 0:
        return
    tally.not_as_planned += int(found.size)
    row = rows[found[0]]
    tally.example(int(t_ns[found[0]]), _words(row, want, scale))


def _words(row: np.void, want: Plan, scale: int) -> str:
    binning = f", binning {row['binning_x']}x{row['binning_y']}" if row["flags"] & FrameFlag.BINNING else ""
    exposure = f", exposure {row['exposure_ms']:g} ms" if row["flags"] & FrameFlag.EXPOSURE else ""
    planned = f"{want.width // scale}x{want.height // scale}, binning {want.binning_x}x{want.binning_y}"
    return (
        f"frame {row['frame_number']}: {row['width']}x{row['height']}{binning}{exposure}; "
        f"planned {planned}, exposure {want.exposure_ms:g} ms"
    )
