"""When the simulated daemon does something wrong: the listed faults, and schedules drawn from a seed.

A fault's `frame` counts the frame periods of one acquisition from StartStream on (its *ordinal*): it goes on over a
counter_reset, and every acquisition begins anew, so a fault strikes each acquisition once, or only the one it names.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Final, Literal

from pvload.clock import NS_PER_S
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
PRODUCER_KINDS: Final = frozenset(
    {
        "stall",
        "drop_before_numbering",
        "counter_reset",
        "zero_image",
        "crash",
        "stop",
        "second_producer",
        "starved",
        "driver_error",
    }
)
"""Faults of the camera or the daemon: they hit every call alike."""
STANDING_KINDS: Final = frozenset({"set_kills_stream", "set_hangs", "slot_leak"})
"""Faults that lie in wait from `frame` on, until the acquisition ends: a set call or a leaving client meets them."""
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
    """Faults by the acquisition and the ordinal they hit."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        self._producer: dict[int, list[Fault]] = {}
        self._calls: dict[int, list[Fault]] = {}
        self._standing: dict[str, list[Fault]] = {}
        self._locked: list[Fault] = []
        for fault in faults:
            if fault.kind in STANDING_KINDS:
                self._standing.setdefault(fault.kind, []).append(fault)
                continue
            if fault.kind == "stall" and (fault.after or fault.after_bytes):
                self._locked.append(fault)
                continue
            table = self._producer if fault.kind in PRODUCER_KINDS else self._calls
            length = fault.count if fault.kind in LASTING_KINDS else 1
            for ordinal in range(fault.frame, fault.frame + length):
                table.setdefault(ordinal, []).append(fault)

    def of_producer(self, acquisition: int, ordinal: int) -> list[Fault]:
        """What the camera does wrong at this frame, in the order listed."""
        return [fault for fault in self._producer.get(ordinal, ()) if fault.acquisition in (0, acquisition)]

    def of_call(self, call: int, acquisition: int, ordinal: int) -> list[Fault]:
        """What happens to this frame on this call, in the order listed."""
        found = self._calls.get(ordinal)
        if found is None:
            return []
        return [fault for fault in found if fault.subscriber in (-1, call) and fault.acquisition in (0, acquisition)]

    def locked_stalls(self, acquisition: int) -> list[Fault]:
        """Stalls of this acquisition that go by time or by bytes."""
        return [fault for fault in self._locked if fault.acquisition in (0, acquisition)]

    def standing(self, kind: str, acquisition: int, ordinal: int, *, call: int = -1) -> Fault | None:
        """The fault of a kind that holds from its frame on, if it holds here; ordinal: frames made so far."""
        for fault in self._standing.get(kind, ()):
            concerned = call == -1 or fault.subscriber in (-1, call)
            if fault.acquisition in (0, acquisition) and ordinal >= fault.frame and concerned:
                return fault
        return None


def due(fault: Fault, *, since_start_ns: int, produced_bytes: int) -> bool:
    """Whether a locked stall's moment has come."""
    if fault.after:
        return since_start_ns >= round(fault.after * NS_PER_S)
    return produced_bytes >= fault.after_bytes
