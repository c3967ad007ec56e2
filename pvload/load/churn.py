"""When a subscriber leaves, how, and when it comes again: pure, and the same on whatever worker it lives.

Call `number` of subscriber `ordinal` of a population has a draw of its own: Python's Mersenne Twister seeded with
`seed_of(run seed, "<population>/call/<number>", ordinal)` gives three numbers u in [0, 1), in this order: lifetime, way
to leave, pause. Lengths come by inverse transform: fixed a; uniform a + u (b - a); exponential -mean ln(1 - u). The way
to leave is the first of clean, dropped, half_open, killed whose summed share exceeds u. So a call's draws do not depend
on what happened before it, nor on the worker, and a subscriber that comes again on another worker goes on as planned.
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass
from typing import Final

from pvload.plan.share import seed_of
from pvload.profiles.schema import Profile
from pvload.profiles.users import Abort, AbortStyle, Churn, Retry
from pvload.profiles.values import times

STYLES: Final[tuple[AbortStyle, ...]] = ("clean", "dropped", "half_open", "killed")


@dataclass(frozen=True, slots=True)
class Visit:
    """One call of a subscriber that comes and goes."""

    lifetime_s: float
    """From the stream's acceptance to leaving it."""
    style: AbortStyle
    pause_s: float
    """From leaving it to the next call."""


def visit(churn: Churn, *, run_seed: int, population: str, ordinal: int, number: int) -> Visit:
    """What is drawn for call `number` (from 1)."""
    chance = random.Random(seed_of(run_seed, f"{population}/call/{number}", ordinal))
    return Visit(
        lifetime_s=drawn_s(churn.lifetime, chance.random()),
        style=style_of(churn.abort, chance.random()),
        pause_s=drawn_s(churn.pause, chance.random()),
    )


def drawn_s(text: str, u: float) -> float:
    """Seconds of the distribution `text` (as profiles state it) at u in [0, 1)."""
    name, lengths = times(text)
    if name == "uniform":
        low, high = lengths
        return low + u * (high - low)
    return -lengths[0] * math.log1p(-u) if name == "exponential" else lengths[0]


def style_of(abort: Abort, u: float) -> AbortStyle:
    """The way to leave at u in [0, 1)."""
    weights = [float(getattr(abort, style)) for style in STYLES]
    left = u * sum(weights)
    for style, weight in zip(STYLES, weights, strict=True):
        if left < weight:
            return style
        left -= weight
    return next(style for style, weight in zip(STYLES, weights, strict=True) if weight)


def calls_to_kill(profile: Profile) -> int | None:
    """How many calls of a run are left by killing their process, as far as they are made by viewers; None: many."""
    if any(one.count and one.churn is not None and one.churn.abort.killed for one in profile.users):
        return None
    aborts = [one for one in profile.timeline if one.action == "abort"]
    killed = {one.client for one in aborts if one.abort == "killed"}
    opened = [one.client for one in profile.timeline if one.action == "open" and one.client in killed]
    return sum(one.count * opened.count(one.name) for one in profile.users)


class BackOff:
    """Pauses between calls, by the profile's `retry`: each `factor` times the one before up to `longest`, and longer by
    a drawn part of `jitter`. Counts the calls in a row that gave no frame."""

    def __init__(self, retry: Retry, seed: int) -> None:
        self.failures = 0
        """Calls in a row without a frame."""
        self._retry = retry
        self._chance = random.Random(seed)
        self._next_s = retry.delay

    def reset(self) -> None:
        """After a call that gave frames."""
        self.failures = 0
        self._next_s = self._retry.delay

    def failed(self) -> bool:
        """Counts a call without a frame; was it the last that may be made?"""
        self.failures += 1
        return 0 < self._retry.attempts <= self.failures

    def pause_s(self) -> float:
        """The next pause."""
        pause = min(self._next_s, self._retry.longest)
        self._next_s = min(self._retry.factor * pause, self._retry.longest)
        return pause * (1 + self._retry.jitter * self._chance.random())
