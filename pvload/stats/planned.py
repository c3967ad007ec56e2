"""Whether frames show what the plan set: size, binning and exposure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pvload.stats.config import Plan
from pvload.stats.histogram import Int64s
from pvload.stats.opening import Opening
from pvload.stats.planned_changes import Planned, Shows
from pvload.stats.tally import Tally
from pvload.stats.timeline import FOREVER, Edge, Span
from pvload.wire.codes import FrameFlag
from pvload.wire.event import Records
from pvload.wire.shown import EXPOSURE_WITHIN, scale_of

GRACE_NS: Final = 1_000_000_000
"""Frames of the setting before may still arrive this long after a planned change."""

Flags = np.ndarray[tuple[int], np.dtype[np.bool_]]


@dataclass(frozen=True, slots=True)
class Pending:
    """In [begin, end] a change is under way: frames may show its values, and those before it, as well."""

    begin_ns: int
    end_ns: int
    values: tuple[Plan, ...]


def plan_of(edge: Edge | None, plan: Plan) -> Plan:
    """What frames must show by a WANTED record, where it leaves all open by the profile."""
    if edge is None or not (edge.width or edge.height or edge.binning_x or edge.exposure_ms):
        return plan
    return Plan(edge.width, edge.height, edge.binning_x, edge.binning_y, edge.exposure_ms)


def as_plan(shows: Shows) -> Plan:
    """The values that a change sets."""
    return Plan(shows.width, shows.height, shows.binning_x, shows.binning_y, shows.exposure_ms)


def check_plan(
    rows: Records, t_ns: Int64s, span: Span, opening: Opening, plan: Plan, tally: Tally, pending: Sequence[Pending] = ()
) -> None:
    """Counts frames of one wanted span that are not as planned, and keeps the first one in words."""
    edge, want = span.edge, plan_of(span.edge, plan)
    wrong = ~_fits(rows, [want], opening)
    if not wrong.any():
        return
    if edge is not None and edge.at_ns > opening.opened_ns:
        wrong &= t_ns > edge.at_ns + GRACE_NS
    found = np.flatnonzero(wrong)
    if found.size and pending:
        found = _unexpected(rows, t_ns, found, (want, opening), pending)
    if found.size == 0:
        return
    tally.not_as_planned += int(found.size)
    row = rows[found[0]]
    tally.example(int(t_ns[found[0]]), _words(row, want, scale_of(opening.quality)))


def shows(rows: Records, wanted: Shows, opening: Opening) -> tuple[Flags, bool]:
    """Which frames show a change, and whether any of them carries what it changes."""
    told, fit = np.zeros(rows.size, np.bool_), np.ones(rows.size, np.bool_)
    plans = [as_plan(wanted)]
    if wanted.width and wanted.height:
        told |= True
        fit &= _sized(rows, plans, scale_of(opening.quality))
    if wanted.binning_x and wanted.binning_y:
        told |= (rows["flags"] & FrameFlag.BINNING) != 0
        fit &= _binned(rows, plans)
    if wanted.exposure_ms > 0:
        told |= (rows["flags"] & FrameFlag.EXPOSURE) != 0
        fit &= _exposed(rows, plans)
    return fit & told, bool(told.any())


def neither(rows: Records, t_ns: Int64s, old: Plan, changes: Sequence[Planned], opening: Opening) -> int:
    """How many frames show, figure by figure, neither the old plan nor a change that was sent before they came."""
    sent = [Pending(change.at_ns, FOREVER - 1, (as_plan(change.shows),)) for change in changes]
    return _unexpected(rows, t_ns, np.flatnonzero(~_fits(rows, [old], opening)), (old, opening), sent).size


def _unexpected(
    rows: Records, t_ns: Int64s, found: Int64s, base: tuple[Plan, Opening], pending: Sequence[Pending]
) -> Int64s:
    """Those of the rows `found` that fit no change that is under way at their time either."""
    want, opening = base
    edges = sorted({edge for one in pending for edge in (one.begin_ns, one.end_ns + 1)})
    stretch = np.searchsorted(np.array(edges, np.int64), t_ns[found], side="right")
    kept = np.ones(found.size, np.bool_)
    for at in np.unique(stretch):
        mine = stretch == at
        begin_ns = edges[int(at) - 1] if at else -(2**62)
        values = [value for one in pending if one.begin_ns <= begin_ns <= one.end_ns for value in one.values]
        if values:
            kept[mine] = ~_fits(rows[found[mine]], [want, *values], opening)
    return found[kept]


def _fits(rows: Records, plans: Sequence[Plan], opening: Opening) -> Flags:
    """Which frames show, figure by figure, what one of `plans` says; what the first leaves open is not looked at."""
    want, flags = plans[0], rows["flags"]
    fit = np.ones(rows.size, np.bool_)
    if want.width and want.height:
        fit &= _sized(rows, plans, scale_of(opening.quality))
    if want.binning_x and want.binning_y:
        fit &= _binned(rows, plans) | ((flags & FrameFlag.BINNING) == 0)
    if want.exposure_ms > 0:
        fit &= _exposed(rows, plans) | ((flags & FrameFlag.EXPOSURE) == 0)
    return fit


def _sized(rows: Records, plans: Sequence[Plan], scale: int) -> Flags:
    fit, width, height = np.zeros(rows.size, np.bool_), rows["width"], rows["height"]
    for plan in plans:
        if plan.width and plan.height:
            fit |= (width == plan.width // scale) & (height == plan.height // scale)
    return fit


def _binned(rows: Records, plans: Sequence[Plan]) -> Flags:
    fit, across, down = np.zeros(rows.size, np.bool_), rows["binning_x"], rows["binning_y"]
    for plan in plans:
        if plan.binning_x and plan.binning_y:
            fit |= (across == plan.binning_x) & (down == plan.binning_y)
    return fit


def _exposed(rows: Records, plans: Sequence[Plan]) -> Flags:
    fit, exposure = np.zeros(rows.size, np.bool_), rows["exposure_ms"]
    for plan in plans:
        if plan.exposure_ms > 0:
            fit |= np.abs(exposure - plan.exposure_ms) <= EXPOSURE_WITHIN * plan.exposure_ms
    return fit


def _words(row: np.void, want: Plan, scale: int) -> str:
    binning = f", binning {row['binning_x']}x{row['binning_y']}" if row["flags"] & FrameFlag.BINNING else ""
    exposure = f", exposure {row['exposure_ms']:g} ms" if row["flags"] & FrameFlag.EXPOSURE else ""
    planned = f"{want.width // scale}x{want.height // scale}, binning {want.binning_x}x{want.binning_y}"
    return (
        f"frame {row['frame_number']}: {row['width']}x{row['height']}{binning}{exposure}; "
        f"planned {planned}, exposure {want.exposure_ms:g} ms"
    )
