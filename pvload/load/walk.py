"""What a parameter-changer may set, and what it draws: pure.

A walk sets drawn values of drawn parameters: choices as ListParameters names them, numbers within a range that the
profile states. A number without a range is not walked, nor is what cannot be written, nor a parameter that a value can
wreck the camera with. Step n of a user has a draw of its own: Python's Mersenne Twister seeded with
`seed_of(run seed, "<population>/walk/<n>", ordinal)` gives the parameter and then the value.
"""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pvload.plan.share import seed_of
from pvload.profiles.users import Change, Changes

DANGEROUS: Final = frozenset(
    {
        "acquisition.streaming",
        "acquisition.armed",
        "streaming",
        "armed",
        "staged",
        "acquisition.roi",
        "acquisition.binning",
    }
)
"""Never walked: flags that start, stop or pretend to, and shapes whose wrong values the camera takes unchecked."""
_WHOLE: Final = ("int", "integer")
_WHOLE_MILLISECONDS: Final = "exposure_ms"
"""The camera's driver cuts an exposure to whole milliseconds."""
COUNTER: Final = "{n}"


@dataclass(frozen=True, slots=True)
class Offered:
    """One row of ListParameters."""

    name: str
    dtype: str
    writable: bool
    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Walkable:
    """A parameter that is walked: among choices, or within a range."""

    name: str
    choices: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 0.0
    whole: bool = False

    def value(self, u: float) -> str:
        """The value at u in [0, 1), as SetParameter wants it."""
        if self.choices:
            return json.dumps(self.choices[int(u * len(self.choices))])
        if self.whole:
            return json.dumps(int(self.low) + int(u * (int(self.high) - int(self.low) + 1)))
        return json.dumps(round(self.low + u * (self.high - self.low), 3))


def offered(answer: Mapping[str, Any]) -> tuple[Offered, ...]:
    """The rows of a ListParameters answer."""
    rows: Iterable[Mapping[str, Any]] = answer.get("parameters", [])
    return tuple(
        Offered(
            name=str(row.get("name", "")),
            dtype=str(row.get("dtype", "")).lower(),
            writable=bool(row.get("writable", False)),
            choices=tuple(str(one) for one in row.get("enum_values", [])),
        )
        for row in rows
    )


def walkables(changes: Changes, rows: Sequence[Offered]) -> tuple[Walkable, ...]:
    """What is walked of what the device offers, by name."""
    found = []
    for row in sorted(rows, key=lambda one: one.name):
        wished = not changes.parameters or row.name in changes.parameters
        if not (wished and row.writable) or row.name in DANGEROUS:
            continue
        if row.choices:
            found.append(Walkable(row.name, choices=row.choices))
        elif row.name in changes.ranges:
            low, high = changes.ranges[row.name]
            whole = row.dtype in _WHOLE or (row.name.endswith(_WHOLE_MILLISECONDS) and high - low >= 1)
            found.append(Walkable(row.name, low=low, high=high, whole=whole))
    return tuple(found)


def walked(among: Sequence[Walkable], *, run_seed: int, population: str, ordinal: int, step: int) -> Change:
    """The change of step `step` (from 0) of a user."""
    chance = random.Random(seed_of(run_seed, f"{population}/walk/{step}", ordinal))
    one = among[int(chance.random() * len(among))]
    return Change(parameter=one.name, value=one.value(chance.random()))


def storm_values(changes: Changes, rows: Sequence[Offered]) -> tuple[str, list[str]]:
    """(parameter, values to be written in turn) of a storm; the parameter is empty if there is none that may be set.

    A choice list is gone through, a number is the counter itself, and a text carries the counter. A real number with a
    range begins at its low end and rises by millionths, so that the camera hardly notices.
    """
    known = {row.name: row for row in rows if row.writable and row.name not in DANGEROUS}
    name = next((one for one in changes.parameters if one in known), "")
    if not name:
        return "", []
    row = known[name]
    if row.choices:
        return name, [json.dumps(one) for one in row.choices]
    if row.dtype not in _WHOLE and name in changes.ranges and changes.ranges[name][0] >= 0:
        return name, [f"{{{changes.ranges[name][0]:f}+n}}"]
    return name, [f"counter {COUNTER}" if row.dtype == "string" else COUNTER]


def shares_of(rates_hz: Sequence[float], users: int) -> list[float]:
    """One user's share of each step's rate."""
    return [rate / max(1, users) for rate in rates_hz]


def due_at_most(rates_hz: Sequence[float], *, step_s: float, elapsed_s: float) -> int:
    """No more calls than this are due within elapsed_s of a schedule, whose last rate stays."""
    due, left_s = 0.0, max(0.0, elapsed_s)
    for rate in rates_hz[:-1]:
        due += rate * min(step_s, left_s)
        left_s -= min(step_s, left_s)
    return math.ceil(due + rates_hz[-1] * left_s) + 1
