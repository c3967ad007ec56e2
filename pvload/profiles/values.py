"""Values that tables of a profile share: durations, distributions, moments, a region; and the strict table itself."""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo, field_validator

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}
LONGEST_S = 3660 * 86400.0
"""No duration is longer: nanoseconds of it fit into 64 bits many times over."""
_LARGEST_WHOLE = 2**63 - 1
_LARGEST = 1e15


def parse_duration(value: object) -> float:
    """Seconds of `20s`, `1.5min`, `30m`, `24h`, `250ms` or a bare number of them; ValueError says what it expects."""
    if isinstance(value, bool):
        raise ValueError("expected a duration such as '20s' or '30min'")
    if isinstance(value, int | float):
        return _short_enough(value)
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(ms|s|min|m|h|d)\s*", str(value))
    if match is None:
        raise ValueError("expected a duration such as '250ms', '20s', '30min' or '24h'")
    return _short_enough(float(match[1]) * _UNITS_S[match[2]])


def _short_enough(seconds: float) -> float:
    if math.isfinite(seconds) and seconds > LONGEST_S:
        raise ValueError(f"expected at most {LONGEST_S / 86400:.0f}d")
    return float(seconds)


_DISTRIBUTIONS = {"uniform": 2, "exponential": 1}


def times(text: str) -> tuple[str, tuple[float, ...]]:
    """(`fixed`, `uniform` or `exponential`, its lengths in seconds) of a text that `parse_times` has accepted."""
    name, *rest = text.split()
    return (name, tuple(parse_duration(one) for one in rest)) if rest else ("fixed", (parse_duration(name),))


def parse_times(value: object) -> str:
    """The distribution as one text with single blanks; ValueError says what it expects."""
    text = " ".join(str(value).split())
    expected = "expected a duration such as '5s', or 'uniform 1s 5s', or 'exponential 10s'"
    try:
        name, lengths = times(text if not isinstance(value, int | float) else f"{value}s")
    except ValueError as exc:
        raise ValueError(expected) from exc
    if name != "fixed" and _DISTRIBUTIONS.get(name) != len(lengths):
        raise ValueError(expected)
    if name == "uniform" and lengths[0] > lengths[1]:
        raise ValueError(f"{expected}; the first is not above the second")
    return text if not isinstance(value, int | float) else f"{value}s"


def parse_moment(value: object) -> str:
    """The moment as written; ValueError says what it expects."""
    text = str(value).strip()
    if match := re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*%", text):
        if float(match[1]) > 100:
            raise ValueError("expected at most 100%")
        return f"{match[1]}%"
    written = text if isinstance(value, str | bool) else f"{value}s"
    try:
        parse_duration(written)
    except ValueError as exc:
        raise ValueError("expected a moment such as '10s', '2min' or '25%' of the run's length") from exc
    return written


def moment_s(text: str, *, duration_s: float) -> float:
    """Seconds from the run's start, of a text that `parse_moment` has accepted."""
    return float(text[:-1]) / 100 * duration_s if text.endswith("%") else parse_duration(text)


Duration = Annotated[float, BeforeValidator(parse_duration), Field(ge=0)]
"""Seconds."""
Times = Annotated[str, BeforeValidator(parse_times)]
"""A distribution of lengths of time, as written: `5s`, `uniform 1s 5s` or `exponential 10s` (its mean)."""
Moment = Annotated[str, BeforeValidator(parse_moment)]
"""A moment of the run as written: a duration from its start, or a share of its length such as `25%`."""


class Table(BaseModel):
    """A table of a profile: frozen, and strict about its keys and numbers."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    @field_validator("*", mode="before")
    @classmethod
    def _is_a_number_where_one_stands(cls, value: Any, info: ValidationInfo) -> Any:
        """A limit of `true` would be one of 1, which nothing breaks; a number without end breaks what counts."""
        annotation = cls.model_fields[info.field_name or ""].annotation
        forms = {annotation, *get_args(annotation)}
        if not forms & {int, float}:
            return value
        if isinstance(value, bool):
            raise ValueError(f"expected a {'whole ' if int in forms else ''}number")
        largest = _LARGEST_WHOLE if int in forms else _LARGEST
        if isinstance(value, int | float) and math.isfinite(value) and abs(value) > largest:
            raise ValueError(f"expected at most {largest:g}")
        return value


class Roi(Table):
    """A region of the sensor in unbinned pixels."""

    x: int = Field(ge=0)
    y: int = Field(ge=0)
    width: int = Field(gt=0)
    height: int = Field(gt=0)
