"""Start-stop cycles by attempt: does the first one after the daemon's start differ from the later ones?"""

from __future__ import annotations

import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pvload.stats.around import NOT_WATCHED, Cycle
from pvload.stats.summary import Summary

_CYCLE: Final = re.compile(r"start, [0-9]+ frames, stop")
"""The text of a cycle among the timeline's actions."""
_LEFT: Final = re.compile(r"[0-9]+ of [0-9]+ left")
"""How the timeline says that it did not come to some of them."""
_SLOWER: Final = 2.0
_SLOWER_BY_MS: Final = 50.0
"""A first attempt is slower if it took so many times, and so much more than, the median of the later ones."""


@dataclass(frozen=True, slots=True)
class Attempts:
    """All cycles of a run."""

    count: int
    failed: int
    first: Cycle | None
    first_differs: bool
    sentence: str
    """What the first did against the later ones; what all did where they did the same."""
    difference: str = ""
    """Its last part: whether the first differs, and in what."""


def attempts(cycles: Sequence[Cycle]) -> Attempts:
    """The first attempt against the later ones, of those that somebody watched."""
    cycles = [one for one in cycles if one.outcome != NOT_WATCHED]
    if not cycles:
        return Attempts(0, 0, None, False, "")
    ordered = sorted(cycles, key=lambda one: (one.attempt, one.started_at_s))
    first, later = ordered[0], ordered[1:]
    failed = sum(one.failed for one in ordered)
    differs = _difference(first, later)
    told = f"attempt {first.attempt} was {said(first)}"
    if not later:
        return Attempts(1, failed, first, False, told)
    good = sum(one.outcome == "ok" for one in later)
    rest = f"{good} of the {len(later)} later ones were ok"
    difference = f"the first differs: {differs}" if differs else "the first does not differ from the later ones"
    sentence = f"{told}, {rest}; {difference}"
    return Attempts(len(ordered), failed, first, bool(differs), sentence, difference)


def asked(summary: Summary) -> bool:
    """Whether the timeline made cycles; a run's own start and stop, restarts and a probe's stops ask nothing."""
    return any(_CYCLE.fullmatch(one.text) for one in summary.around.actions)


def left(summary: Summary) -> str:
    """`41 of 50 left when the run ended`; empty where the timeline came to all of its cycles."""
    undone = (
        one.details for one in summary.around.actions if one.outcome == "not_reached" and _CYCLE.fullmatch(one.text)
    )
    return next((details for details in undone if _LEFT.match(details)), "")


def said(cycle: Cycle) -> str:
    """`ok (100 frames, the first after 110 ms)`."""
    frames = f"{cycle.frames:,} frame{'s' * (cycle.frames != 1)}"
    after = "" if cycle.first_frame_ms is None else f", the first after {cycle.first_frame_ms:,.0f} ms"
    return f"{cycle.outcome} ({frames}{after})"


def _difference(first: Cycle, later: Sequence[Cycle]) -> str:
    """Why the first is unlike the later ones; empty if it is not, or there are none."""
    if not later:
        return ""
    good = sum(one.outcome == "ok" for one in later)
    if (first.outcome == "ok") != (good * 2 > len(later)):
        return "it failed and most of the others did not" if good * 2 > len(later) else "most of the others failed"
    for name, words in (("first_frame_ms", "its first frame"), ("start_ms", "its StartStream")):
        own = getattr(first, name)
        others = [value for one in later if (value := getattr(one, name)) is not None]
        if own is None or not others:
            continue
        median = statistics.median(others)
        if own > _SLOWER * median and own > median + _SLOWER_BY_MS:
            return f"{words} took {own:,.0f} ms, that of the others {median:,.0f} ms (median)"
    return ""
