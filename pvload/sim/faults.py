"""When the simulated daemon does something wrong: the listed faults, and schedules drawn from a seed.

A fault's `frame` counts the frame periods of one acquisition from StartStream on (its *ordinal*): it goes on over a
counter_reset, and every acquisition begins anew, so a fault strikes each acquisition once.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Final, Literal

from pvload.profiles.simulated import Fault

Kind = Literal[
    "stall",
    "drop_before_numbering",
    "drop_at_observer",
    "drop_at_output",
    "drop_at_compression",
    "drop_at_transport",
    "late",
    "duplicate",
    "reorder",
    "counter_reset",
]
PRODUCER_KINDS: Final = frozenset({"stall", "drop_before_numbering", "counter_reset", "zero_image", "crash", "stop"})
"""Faults of the camera or the daemon: they hit every call alike."""
LASTING_KINDS: Final = frozenset(
    {
        "drop_before_numbering",
        "drop_at_observer",
        "drop_at_output",
        "drop_at_compression",
        "drop_at_transport",
        "late",
        "zero_image",
    }
)
"""Faults that hold for `count` frames; the others happen once, at `frame`."""

SEEDED_KINDS: Final[tuple[Kind, ...]] = (
    "stall",
    "drop_at_observer",
    "drop_at_output",
    "drop_at_compression",
    "drop_at_transport",
    "late",
    "duplicate",
    "reorder",
    "counter_reset",
)
HEAD_FRAMES: Final = 8
"""A schedule leaves these alone: what is lost before a call's first frame no counter shows."""
APART_FRAMES: Final = 6
"""Frames between two faults of a schedule, so that each stands in an interval of its own."""


def schedule(seed: int, rate: float, frames: int) -> tuple[Fault, ...]:
    """About `rate` faults per 100 of `frames` frames, the same for the same arguments, in the order of their frames.

    Stalls are 0.6 to 0.9 s, so above a threshold of 0.5 s; late frames 20 to 120 ms.
    """
    chance = random.Random(f"pvload-faults-{seed}")
    faults: list[Fault] = []
    at = HEAD_FRAMES
    mean_step = 100.0 / rate
    while True:
        at += max(APART_FRAMES, round(chance.expovariate(1.0 / mean_step)))
        if at >= frames - APART_FRAMES:
            return tuple(faults)
        faults.append(_drawn(chance, at))
        at += faults[-1].count


def _drawn(chance: random.Random, frame: int) -> Fault:
    kind = chance.choice(SEEDED_KINDS)
    if kind == "stall":
        return Fault(kind=kind, frame=frame, duration=round(chance.uniform(0.6, 0.9), 3))
    if kind == "late":
        return Fault(kind=kind, frame=frame, duration=round(chance.uniform(0.02, 0.12), 3))
    if kind.startswith("drop_"):
        return Fault(kind=kind, frame=frame, count=chance.randint(1, 3))
    return Fault(kind=kind, frame=frame)


class FaultTable:
    """Faults by the ordinal they hit."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self._producer: dict[int, list[Fault]] = {}
        self._calls: dict[int, list[Fault]] = {}
        for fault in faults:
            table = self._producer if fault.kind in PRODUCER_KINDS else self._calls
            length = fault.count if fault.kind in LASTING_KINDS else 1
            for ordinal in range(fault.frame, fault.frame + length):
                table.setdefault(ordinal, []).append(fault)

    def of_producer(self, ordinal: int) -> list[Fault]:
        """What the camera does wrong at this frame, in the order listed."""
        return self._producer.get(ordinal, [])

    def of_call(self, call: int, ordinal: int) -> list[Fault]:
        """What happens to this frame on this call, in the order listed."""
        found = self._calls.get(ordinal)
        if found is None:
            return []
        return [fault for fault in found if fault.subscriber in (-1, call)]
