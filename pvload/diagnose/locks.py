"""What decides when a stream stalls: a number of frames, a time, or a number of bytes.

A stall after 85 frames each time may be the 85th frame, the second second, or the 700th megabyte. Over stalls at
different frame periods p and frame sizes b, log(index) is fitted by c + alpha log(p) + beta log(b): a number of frames
gives (0, 0), a time (-1, 0), a number of bytes (0, -1). What did not vary cannot be told, and it is said.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from pvload.stats.summary import Call, Summary

LEAST: Final = 3
"""Stalls needed to say anything."""
_SPREAD: Final = 1.3
"""A period or size has varied if its largest is so many times its smallest."""
_SCATTER: Final = 0.15
"""Largest standard deviation, in log(index), that counts as locked."""
_NEAR: Final = 0.35
"""How far a fitted exponent may lie from 0 or -1."""

LockKind = Literal["frames", "time", "bytes", "undecided", "none"]


@dataclass(frozen=True, slots=True)
class StallPoint:
    """One stall, by what could have decided its moment."""

    index: int
    """Frames before it, since the acquisition's or the stream's start; above 0."""
    period_s: float
    frame_bytes: float
    """Of a decoded frame."""


@dataclass(frozen=True, slots=True)
class Lock:
    """What the stalls have in common."""

    kind: LockKind
    """undecided: the index is the same each time, and neither period nor size varied enough to tell what decides it;
    none: they have nothing in common, or there are too few."""
    not_ruled_out: str
    """What `frames` could as well be, because period or size did not vary; empty: nothing."""
    stalls: int
    index: float
    """Median number of frames before a stall."""
    time_s: float
    """Median of index times period."""
    size_bytes: float
    """Median of index times frame size."""

    @property
    def sentence(self) -> str:
        """In words; empty where nothing is common."""
        after = f"{self.stalls} stalls came after {self.index:,.0f} frames (median)"
        match self.kind:
            case "frames":
                rest = f" ({self.not_ruled_out} not ruled out)" if self.not_ruled_out else ""
                return f"{after} each time: locked to the number of frames{rest}"
            case "time":
                return f"{self.stalls} stalls came {self.time_s:.2f} s after the start (median): locked to time"
            case "bytes":
                size = f"{self.size_bytes / 1e6:,.0f} MB"
                return f"{self.stalls} stalls came after {size} (median): locked to the number of bytes"
            case "undecided":
                return (
                    f"{after}, {self.time_s:.2f} s and {self.size_bytes / 1e6:,.0f} MB each time: locked to frames, "
                    "time or bytes, which only another exposure and another region could tell apart"
                )
            case _:
                return ""


def lock_of(points: Iterable[StallPoint]) -> Lock:
    """What decides when the stalls come, of one run or of several together."""
    known = [one for one in points if one.index > 0 and one.period_s > 0 and one.frame_bytes > 0]
    if not known:
        return Lock("none", "", 0, 0.0, 0.0, 0.0)
    kind, not_ruled_out = _kind(known) if len(known) >= LEAST else ("none", "")
    return Lock(
        kind=kind,
        not_ruled_out=not_ruled_out,
        stalls=len(known),
        index=statistics.median(one.index for one in known),
        time_s=statistics.median(one.index * one.period_s for one in known),
        size_bytes=statistics.median(one.index * one.frame_bytes for one in known),
    )


def points_of(summary: Summary) -> tuple[StallPoint, ...]:
    """The first stall of every call, or every cycle that stalled, with its stream's period and frame size.

    A later stall of a call is counted from no beginning.
    """
    calls = {(one.subscriber, one.number): one for one in summary.calls}
    found = []
    if summary.around.cycles:
        period_s, size = _period_and_size(summary.calls)
        found = [StallPoint(one.frames, period_s, size) for one in summary.around.cycles if one.outcome == "stalled"]
    else:
        for stall in sorted(summary.run.stalls.listed, key=lambda one: one.at_s):
            call = calls.pop((stall.subscriber, stall.call), None)
            if call is not None:
                found.append(StallPoint(stall.frame_index, *_period_and_size([call])))
    return tuple(one for one in found if one.index > 0 and one.period_s > 0 and one.frame_bytes > 0)


def _period_and_size(calls: Sequence[Call]) -> tuple[float, float]:
    """Of the first call that knows both; zeros if none does."""
    for call in calls:
        figures = call.figures
        if figures.expected_hz and figures.frames:
            return 1 / figures.expected_hz, figures.decoded_bytes / figures.frames
    return 0.0, 0.0


def _kind(points: list[StallPoint]) -> tuple[LockKind, str]:
    """The lock, and what it could as well be."""
    index, period, size = (
        np.log(np.array([getattr(one, name) for one in points], dtype=np.float64))
        for name in ("index", "period_s", "frame_bytes")
    )
    varied = {
        name: values for name, values in (("time", period), ("bytes", size)) if np.ptp(values) >= math.log(_SPREAD)
    }
    columns = np.column_stack([np.ones(len(points)), *varied.values()])
    if len(points) <= columns.shape[1] or np.linalg.matrix_rank(columns) < columns.shape[1]:
        return "none", ""
    fitted, *_ = np.linalg.lstsq(columns, index, rcond=None)
    if float(np.std(index - columns @ fitted)) > _SCATTER:
        return "none", ""
    if not varied:
        return "undecided", ""
    return _named({name: float(one) for name, one in zip(varied, fitted[1:], strict=True)})


def _named(exponents: dict[str, float]) -> tuple[LockKind, str]:
    """By the exponents of what varied."""
    near = {name: [value for value in (0, -1) if abs(one - value) <= _NEAR] for name, one in exponents.items()}
    if any(not values for values in near.values()):
        return "none", ""
    locked = [name for name, values in near.items() if values == [-1]]
    if len(locked) == 1:
        return ("time" if locked == ["time"] else "bytes"), ""
    return ("none", "") if locked else ("frames", " and ".join({"time", "bytes"} - set(exponents)))
