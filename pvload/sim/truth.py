"""From a ledger to what is true of each call: what a subscriber that received every sent frame must report.

The truth follows from what the simulator did to each frame, not from differences of the counters it sent: frames of a
device are numbered by `made`, so what lies between two sent ones, and what became of it, is known.

The counters cannot tell everything apart, and the truth says what they show:
  - with max_fps, all that frames_dropped counts is decimation, since a skip for a full queue looks the same;
  - a failed compression raises both counters and is "undecided"; together with a frame lost unseen in the same interval
    the pair looks like one dropped and one lost in transport;
  - across a restart frame_number says nothing, while the two counters go on: what was lost unseen there shows nowhere
    (`across_restart`), and a failed compression looks like one dropped and one lost in transport;
  - what was lost before a call's first frame or after its last shows nowhere.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Final

import numpy as np
import numpy.typing as npt

Int64s = npt.NDArray[np.int64]
COUNTED: Final = ("output", "decimated")
"""Stages whose losses frames_dropped counts alone."""


@dataclass(frozen=True, slots=True)
class Missing:
    """Frames missing between the frames of one call, by the class a reader of the counters must give them."""

    decimated: int = 0
    backpressure: int = 0
    unseen: int = 0
    """Lost in the server before any counter saw them."""
    transport: int = 0
    """Counted as sent, never sent."""
    undecided: int = 0
    before_numbering: int = 0
    """Never numbered; only the timestamps of a steady camera show it."""
    across_restart: int = 0
    """Lost unseen, or never numbered, in an interval across which the numbers started over: shows nowhere."""

    @property
    def numbered(self) -> int:
        """All that the counters show."""
        return self.decimated + self.backpressure + self.unseen + self.transport + self.undecided


@dataclass(frozen=True, slots=True)
class CallTruth:
    """One admitted StreamFrames call. Arrays are in the order of the wire, duplicates included, length n."""

    call: int
    device: str
    peer: str
    max_fps: int
    quality: int
    opened_ns: int
    ended_ns: int
    """-1: still open when the ledger ended."""
    code: str
    """Status of the end; empty while open."""
    frame_number: Int64s
    made: Int64s
    frames_sent: Int64s
    sent_ns: Int64s
    """CLOCK_MONOTONIC just before the write."""
    done_ns: Int64s
    """When the write was through."""
    bytes: Int64s
    missing: Missing
    duplicates: int
    reorders: int
    restarts: int

    @property
    def frames(self) -> int:
        """Messages that were sent."""
        return len(self.frame_number)

    def gaps_longer_than(self, threshold_ns: int) -> list[tuple[int, int]]:
        """(start, length) of each time between two sends above the threshold, in nanoseconds."""
        steps = np.diff(self.sent_ns)
        return [(int(self.sent_ns[at]), int(steps[at])) for at in np.flatnonzero(steps > threshold_ns)]


@dataclass(slots=True)
class _Call:
    opened: dict[str, Any]
    sent: list[dict[str, Any]] = field(default_factory=list)
    lost: list[tuple[int, str]] = field(default_factory=list)
    ended: dict[str, Any] | None = None


def call_truths(entries: Iterable[dict[str, Any]], received: Mapping[int, int] | None = None) -> list[CallTruth]:
    """The truth of every admitted call, in the order of call numbers; from `read_ledger`.

    `received` cuts a call (by its number) after so many messages: what was still on the way when its client left.
    """
    calls: dict[int, _Call] = {}
    lost_early: defaultdict[str, list[int]] = defaultdict(list)
    for entry in entries:
        kind = entry["is"]
        if kind == "call_opened":
            calls[entry["call"]] = _Call(entry)
        elif kind == "sent" and entry["ok"]:
            if received is None or len(calls[entry["call"]].sent) < received.get(entry["call"], 0):
                calls[entry["call"]].sent.append(entry)
        elif kind == "dropped" and entry["stage"] == "before_numbering":
            lost_early[entry["device"]].append(entry["made"])
        elif kind == "dropped":
            calls[entry["call"]].lost.append((entry["made"], entry["stage"]))
        elif kind == "call_ended":
            calls[entry["call"]].ended = entry
    return [_truth(call, lost_early[call.opened["device"]]) for _, call in sorted(calls.items())]


def _truth(call: _Call, lost_early: list[int]) -> CallTruth:
    opened, ended = call.opened, call.ended
    once = [entry for entry in call.sent if not entry["again"]]
    made = [entry["made"] for entry in once]
    return CallTruth(
        call=opened["call"],
        device=opened["device"],
        peer=opened["peer"],
        max_fps=opened["max_fps"],
        quality=opened["quality"],
        opened_ns=opened["t_ns"],
        ended_ns=-1 if ended is None else ended["t_ns"],
        code="" if ended is None else ended["code"],
        frame_number=_column(call.sent, "frame_number"),
        made=_column(call.sent, "made"),
        frames_sent=_column(call.sent, "frames_sent"),
        sent_ns=_column(call.sent, "t_ns"),
        done_ns=_column(call.sent, "done_ns"),
        bytes=_column(call.sent, "bytes"),
        missing=_missing(once, [*call.lost, *((number, "before_numbering") for number in lost_early)], opened),
        duplicates=len(call.sent) - len(once),
        reorders=sum(after < before for before, after in pairwise(made)),
        restarts=len(_restarts(once)),
    )


def _column(entries: list[dict[str, Any]], key: str) -> Int64s:
    return np.array([entry[key] for entry in entries], dtype=np.int64)


def _restarts(once: list[dict[str, Any]]) -> set[int]:
    """Places, in the order of making, between whose frames the numbers started over."""
    ordered = sorted(once, key=lambda entry: entry["made"])
    return {place for place, (a, b) in enumerate(pairwise(ordered), start=1) if a["numbering"] != b["numbering"]}


def _missing(once: list[dict[str, Any]], lost: list[tuple[int, str]], opened: dict[str, Any]) -> Missing:
    """Every loss put into the interval between the two sent frames around it, then classed interval by interval."""
    made = sorted(entry["made"] for entry in once)
    restarts = _restarts(once)
    intervals: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for number, stage in lost:
        place = bisect_right(made, number)
        if 0 < place < len(made):
            intervals[place][stage] += 1
    total: Counter[str] = Counter()
    for place, stages in intervals.items():
        early = stages.pop("before_numbering", 0)
        if place in restarts:
            total["across_restart"] += early + stages.pop("observer", 0)
            # Without a step of frame_number each failed compression shows as a pair, as beside a frame lost unseen.
            stages["observer"] = stages["compression"]
        else:
            total["before_numbering"] += early
        total.update(_shown(stages, decimating=bool(opened["max_fps"])))
    return Missing(**total)


def _shown(stages: Counter[str], *, decimating: bool) -> Counter[str]:
    """The classes that the counters show for what happened in one interval."""
    pairs = min(stages["observer"], stages["compression"])
    return Counter(
        {
            "decimated" if decimating else "backpressure": sum(stages[stage] for stage in COUNTED) + pairs,
            "unseen": stages["observer"] - pairs,
            "transport": stages["transport"] + pairs,
            "undecided": stages["compression"] - pairs,
        }
    )
