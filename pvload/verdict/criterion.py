"""How a criterion is made: a measurement held against its limit, or the word for there being none."""

from __future__ import annotations

from dataclasses import dataclass

from pvload.verdict.judgement import Judged, Measurement, Result, decide, finite, measured
from pvload.verdict.streams import doubt_words


@dataclass(frozen=True, slots=True)
class Case:
    """What was measured for one criterion of the run."""

    name: str
    figure: Measurement
    reason: str
    unit: str = ""
    n: int = 0
    at_s: float | None = None
    subject: str = ""


def held(case: Case, *, judged: bool, lower: float | None = None, upper: float | None = None) -> Judged:
    """The case against its limits; shown where it is not judged."""
    result = decide(case.figure, lower=lower, upper=upper) if judged else Result.NOT_CHECKED
    return Judged(
        name=case.name,
        result=result,
        reason=f"{case.reason}{doubt_words(result, case.figure, case.unit)}",
        judged=judged,
        value=case.figure.value,
        low=finite(case.figure.low),
        high=finite(case.figure.high),
        uncertainty=finite(case.figure.uncertainty),
        lower_limit=lower,
        upper_limit=upper,
        unit=case.unit,
        n=case.n,
        at_s=case.at_s,
        subject=case.subject,
    )


def stated(
    name: str,
    result: Result,
    reason: str,
    *,
    judged: bool = True,
    n: int = 0,
    at_s: float | None = None,
    subject: str = "",
    value: float | None = None,
) -> Judged:
    """A criterion without a limit in numbers; shown where it is not judged."""
    return Judged(
        name=name,
        result=result if judged else Result.NOT_CHECKED,
        reason=reason,
        judged=judged,
        value=value,
        n=n,
        at_s=at_s,
        subject=subject,
    )


def nothing(name: str, reason: str) -> Judged:
    """Named, and nothing was measured that should have been: INVALID."""
    return Judged(name, Result.INVALID, reason, judged=True)


def unwitnessed(name: str, reason: str) -> Judged:
    """Named, and nobody was there to see it: NOT CHECKED."""
    return Judged(name, Result.NOT_CHECKED, reason, judged=True)


def at_least(total: int, records: int) -> Measurement:
    """What was recorded happened; each missing record may have been one more."""
    return measured(total, own_up=records)
