"""The values of a verdict and its one rule: a measurement with its doubt, held against limits.

A measurement is an interval: what the true figure may be, given all that could have gone wrong with measuring it; and a
second interval within it for what the generator's own lag, blind time and missing records alone could have done. Doubts
are often one-sided (an error that was seen was there; an unseen one may have been), so they are kept as ends of
intervals and not as one plus-or-minus.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from pvload.errors import USAGE_EXIT_CODE


class Result(StrEnum):
    """What a criterion, or a run, came to."""

    FAIL = "FAIL"
    """The service broke a limit, whatever the measurement could be off by."""
    INVALID = "INVALID"
    """The tool, or the way it was used, does not allow a judgement."""
    INCONCLUSIVE = "INCONCLUSIVE"
    """Too short, too coarse or a witness missing: it could be either."""
    PASS = "PASS"
    """Within the limit, whatever the measurement could be off by."""
    NOT_CHECKED = "NOT CHECKED"
    """Nothing was there to judge by (judged: counts as INCONCLUSIVE), or no limit was named (not judged: shown)."""


_ORDER: Final = (Result.FAIL, Result.INVALID, Result.INCONCLUSIVE, Result.PASS)
EXIT_CODES: Final = {Result.PASS: 0, Result.FAIL: 1, Result.INCONCLUSIVE: 3, Result.INVALID: 4}


@dataclass(frozen=True, slots=True)
class Measurement:
    """A figure and what it could truly be. low <= own_low <= value <= own_high <= high; infinite ends are allowed."""

    value: float
    low: float
    high: float
    own_low: float
    own_high: float

    @property
    def uncertainty(self) -> float:
        """The larger of the two distances to the interval's ends."""
        return max(self.high - self.value, self.value - self.low)


def measured(
    value: float, *, own_down: float = 0.0, own_up: float = 0.0, other: float = 0.0, least: float = -math.inf
) -> Measurement:
    """A figure that the generator may have raised by `own_down` or lowered by `own_up`, and that is off by `other` too.

    least: nothing can truly be lower (0 for counts and lengths).
    """
    return Measurement(
        value=value,
        low=max(least, value - own_down - other),
        high=value + own_up + other,
        own_low=max(least, value - own_down),
        own_high=value + own_up,
    )


def decide(figure: Measurement, *, lower: float | None = None, upper: float | None = None) -> Result:
    """FAIL if the whole interval lies outside the limits, PASS if all of it lies inside.

    Otherwise INVALID if the generator's part of the doubt alone reaches across the limit, else INCONCLUSIVE. A figure
    that is not a number is never PASS.
    """
    least = -math.inf if lower is None else lower
    most = math.inf if upper is None else upper
    if figure.low > most or figure.high < least:
        return Result.FAIL
    if figure.low >= least and figure.high <= most:
        return Result.PASS
    inside = least <= figure.value <= most
    own_inside = least <= figure.own_low and figure.own_high <= most
    own_touches = figure.own_high >= least and figure.own_low <= most
    return Result.INVALID if (not own_inside if inside else own_touches) else Result.INCONCLUSIVE


@dataclass(frozen=True, slots=True)
class Judged:
    """One criterion of a run."""

    name: str
    result: Result
    reason: str
    """One plain sentence with the figures and the moment."""
    judged: bool
    """False: shown only; it has no part in the run's verdict."""
    value: float | None = None
    low: float | None = None
    """The true figure may be as low as this; None: not bounded, or nothing measured."""
    high: float | None = None
    uncertainty: float | None = None
    lower_limit: float | None = None
    upper_limit: float | None = None
    unit: str = ""
    n: int = 0
    """How many samples the value rests on."""
    at_s: float | None = None
    """When it happened, on the run's axis."""
    subject: str = ""
    """The subscriber, device or process it is about; empty: the run."""

    @property
    def limit(self) -> float | None:
        """The limit that is the nearer one to the value, where there are two."""
        if self.lower_limit is None or self.upper_limit is None or self.value is None:
            return self.upper_limit if self.lower_limit is None else self.lower_limit
        return min((self.lower_limit, self.upper_limit), key=lambda limit: abs(limit - (self.value or 0.0)))

    @property
    def counts_as(self) -> Result:
        """Its part in the run's verdict: NOT CHECKED is INCONCLUSIVE."""
        return Result.INCONCLUSIVE if self.result is Result.NOT_CHECKED else self.result


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a run came to."""

    result: Result
    criteria: tuple[Judged, ...]
    why: tuple[str, ...] = field(default=())
    """Sentences, the decisive ones first."""

    @property
    def exit_code(self) -> int:
        """0 PASS, 1 FAIL, 3 INCONCLUSIVE, 4 INVALID."""
        return EXIT_CODES.get(self.result, USAGE_EXIT_CODE)


def worst(results: Iterable[Result]) -> Result:
    """The first in the order FAIL, INVALID, INCONCLUSIVE, PASS; of nothing it is INCONCLUSIVE, never PASS."""
    return min(results, key=_ORDER.index, default=Result.INCONCLUSIVE)


def severity(result: Result) -> int:
    """0 for FAIL, rising towards PASS; NOT CHECKED stands with INCONCLUSIVE."""
    return _ORDER.index(Result.INCONCLUSIVE if result is Result.NOT_CHECKED else result)


def finite(value: float) -> float | None:
    """`value`, or None where it is infinite or no number."""
    return value if math.isfinite(value) else None


def exit_code(results: Iterable[Result]) -> int:
    """Of several runs in one process: that of the worst."""
    return EXIT_CODES[worst(results)]
