"""Whose limit it was that a storm's rate was not kept, by shares of what was due and not answered.

A generator that waited for the server in a share h of the time and sent n calls could have sent n / (1 - h). What is
missing up to there is the server's, from there to what was due the generator's. Where the generator or its host had no
time left, a server on that host may have had none either, and nothing is laid to the server.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from pvload.stats.concluding_watchers import offset_of
from pvload.stats.sender import SenderFold
from pvload.stats.timeline import LATE_NS

KEPT_SHARE: Final = 0.98
"""A rate was kept if so much of what was due was answered ..."""
KEPT_TIMES: Final = 10.0
"""... and its p99 stayed below so many of the first step's."""
LIMIT_SHARE: Final = 0.05
"""Share of the time from which on a place taken, or a late call, explains a shortfall."""
MOST: Final = 0.75
"""Share of a shortfall that makes it somebody's."""
SATURATED: Final = 0.95
"""Share of a host's cores in use from which on it has no time left."""

Limit = Literal["nothing", "server", "generator", "undecided"]


@dataclass(frozen=True, slots=True)
class Shortfall:
    """A step whose rate was not kept."""

    due: int
    sent: int
    answered: int
    held_share: float
    """Of the time, in which all places were taken and the generator rested."""
    late_share: float
    """Of the time, by which calls were late though a place was free."""
    lateness_ns: int
    p99_ns: float | None
    saturated: bool
    """The generator was late beside that, or its host had no time left."""


def limit_of(step: Shortfall) -> Limit:
    """Whose limit it was."""
    if step.answered >= KEPT_SHARE * step.due:
        found = _slow(step)
    elif max(step.held_share, step.late_share) < LIMIT_SHARE:
        found = "undecided"
    else:
        found = _short(step)
    return "undecided" if found == "server" and step.saturated else found


def _slow(step: Shortfall) -> Limit:
    """Nearly all was answered, and too late."""
    if step.p99_ns is not None and step.lateness_ns < step.p99_ns / 2:
        return "server"
    return "generator" if step.late_share >= max(LIMIT_SHARE, step.held_share) else "undecided"


def _short(step: Shortfall) -> Limit:
    """Too little was answered."""
    missing = step.due - step.answered
    able = step.sent / (1.0 - step.held_share) if step.held_share < 1.0 else float(step.due)
    servers = (min(able, step.due) - step.answered) / missing
    if servers >= MOST:
        return "server"
    return "generator" if servers <= 1.0 - MOST else "undecided"


def is_saturated(senders: list[SenderFold], storming: Iterable[SenderFold], begin_ns: int, end_ns: int) -> bool:
    """Whether an engine that stormed was late for 5 % of the step, or its host's cores had no time left in it.

    begin_ns and end_ns: of the step, on the run's axis.
    """
    own = list(storming)
    for sender in own:
        offset = offset_of(sender)
        late_ns = sender.basis.timeline.late.within(begin_ns - offset, end_ns - offset, LATE_NS)
        if late_ns >= LIMIT_SHARE * (end_ns - begin_ns):
            return True
    names = {sender.hello.host for sender in own if sender.hello is not None}
    for sender in senders:
        begin, end = begin_ns - offset_of(sender), end_ns - offset_of(sender)
        for name in names & sender.company.machines.hosts.keys():
            load = sender.company.machines.hosts[name].load
            times = load.times()
            shares = load.near(times[(times > begin) & (times <= end)], 0)[:, 0]
            shares = shares[~np.isnan(shares)]
            if shares.size and float(shares.mean()) >= SATURATED:
                return True
    return False
