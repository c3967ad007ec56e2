"""Counts, lengths of time and shares as a person writes them."""

from __future__ import annotations

from pvload.profiles.values import times


def plural(count: int, noun: str) -> str:
    """`1 frame`, `2 frames`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def spoken(seconds: float) -> str:
    """A length of time as a person writes it: `250 ms`, `20 s`, `30 min`, `24 h`."""
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 2 * length and seconds % length == 0:
            return f"{seconds / length:g} {unit}"
    return f"{seconds:g} s" if seconds >= 1 or seconds == 0 else f"{seconds * 1000:g} ms"


def percent(share: float) -> str:
    """`0.05` as `5 %`."""
    return f"{share * 100:.4g} %"


def at_most(count: int, noun: str) -> str:
    """`no error`, `at most 3 errors`."""
    return f"no {noun}" if count == 0 else f"at most {plural(count, noun)}"


def drawn(text: str) -> str:
    """A distribution of lengths of time in words."""
    name, lengths = times(text)
    if name == "uniform":
        return f"{spoken(lengths[0])} to {spoken(lengths[1])}"
    return f"{spoken(lengths[0])} on average" if name == "exponential" else spoken(lengths[0])
