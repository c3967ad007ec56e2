"""Counters carried in parameter values: how a storm writes them, and how whoever is told of a change finds them again.

A value written from `{n}` carries the counter n itself; one written from `{10+n}` carries 10 plus n millionths, for a
parameter that is a real number with a range, and its counter counts in millionths: 10.000123 is 10000123. Either way
the counter that `Template` gives for a value is the one that `change_counter` finds in it, also as a service that
stores numbers as 64-bit floats tells it again. Known weakness: a whole number of such a scale (11.000000) that is told
without its point, as a "hardware" change is, reads as 11.
"""

from __future__ import annotations

import re
from typing import Final

from pvload.errors import FormatError

COUNTS_PER_UNIT: Final = 1_000_000
"""Counters in one unit of a real number."""
_LARGEST: Final = 2**63 - 1
_WHOLE: Final = re.compile(r"\d{1,18}")
_REAL: Final = re.compile(r"\d{1,12}(?:\.\d+)?(?:[eE][-+]?\d{1,2})?")
_LAST_DIGITS: Final = re.compile(r"(\d{1,18})\D*$")
_PLACE: Final = re.compile(r"\{(?:(\d{1,9})(?:\.(\d{1,6}))?\+)?n\}")


def change_counter(value: str) -> int:
    """The counter in a parameter's value as a service tells it, JSON or plain text; -1: it carries none.

    A whole number counts in ones, one with a fraction in millionths, a text by its last run of digits; structures and
    negative numbers carry none.
    """
    text = value.strip()
    if _WHOLE.fullmatch(text):
        return int(text)
    if _REAL.fullmatch(text):
        counter = round(float(text) * COUNTS_PER_UNIT)
        return counter if counter <= _LARGEST else -1
    if not text or text[0] in "{[-":
        return -1
    found = _LAST_DIGITS.search(text)
    return int(found[1]) if found else -1


class Template:
    """A value to write, with one place for the counter: `{n}` or `{BASE+n}`. FormatError for several places."""

    def __init__(self, text: str) -> None:
        places = list(_PLACE.finditer(text))
        if len(places) > 1:
            raise FormatError(f"value {text!r} has {len(places)} places for the counter, expected one at most")
        self._carries = bool(places)
        place = places[0] if places else None
        self._before, self._after = (text[: place.start()], text[place.end() :]) if place else (text, "")
        self._base = -1
        if place and place[1] is not None:
            self._base = int(place[1]) * COUNTS_PER_UNIT + int((place[2] or "").ljust(6, "0"))

    def value(self, n: int) -> tuple[str, int]:
        """The text to write, and the counter that it carries (-1: none)."""
        if not self._carries:
            return self._before, -1
        if self._base < 0:
            return f"{self._before}{n}{self._after}", n
        counter = self._base + n
        whole, part = divmod(counter, COUNTS_PER_UNIT)
        return f"{self._before}{whole}.{part:06d}{self._after}", counter
