"""What came for one population since the last second, frames or calls: figures for Locust, never for the verdict."""

from __future__ import annotations

import re
from typing import Final

from pvload.clock import NS_PER_MS
from pvload.wire.command import Aggregate

ERRORS_LIMIT: Final = 50
"""Distinct error texts kept a second; further ones are counted under OTHER."""
OTHER: Final = "OTHER: further kinds of error"
_TEXT_LENGTH: Final = 80
_KNOWN: Final = (
    "Connection refused",
    "Connection reset by peer",
    "Socket closed",
    "Deadline Exceeded",
    "Broken pipe",
    "Handshake failed",
    "certificate verify failed",
    "Timeout occurred",
)
_VARIABLE: Final = re.compile(r"0x[0-9a-f]+|\d+(?:[.:]\d+)*", re.IGNORECASE)


def normalised(code: str, details: str) -> str:
    """`CODE: short text` without what differs from one stream to the next (numbers, addresses)."""
    for phrase in _KNOWN:
        if phrase.lower() in details.lower():
            return f"{code}: {phrase}"
    text = _VARIABLE.sub("#", details.splitlines()[0] if details else "").strip()
    return f"{code}: {text[:_TEXT_LENGTH]}" if text else code


def rounded_ms(interval_ns: int) -> int:
    """Milliseconds with two significant digits, as Locust rounds response times."""
    ms = interval_ns / NS_PER_MS
    if ms < 100:
        return round(ms)
    if ms < 1000:
        return int(round(ms, -1))
    if ms < 10_000:
        return int(round(ms, -2))
    return int(round(ms, -3))


class Tally:
    """Sums of one population, taken and begun anew each second."""

    def __init__(self, population: str, method: str = "") -> None:
        """method: of calls or events; empty: frames."""
        self.population = population
        self.method = method
        self.open_streams = 0
        self._frames = self._bytes = self._total_ns = self._max_ns = 0
        self._min_ns = -1
        self._histogram: dict[int, int] = {}
        self._errors: dict[str, int] = {}

    def frame(self, message_bytes: int, interval_ns: int) -> None:
        """One frame; interval_ns since the call's frame before it, negative for the call's first. Of a storm: one
        answer, and its latency; of a stream of events: one event, and a negative number."""
        self._frames += 1
        self._bytes += message_bytes
        if interval_ns < 0:
            return
        self._total_ns += interval_ns
        self._min_ns = interval_ns if self._min_ns < 0 else min(self._min_ns, interval_ns)
        self._max_ns = max(self._max_ns, interval_ns)
        ms = rounded_ms(interval_ns)
        self._histogram[ms] = self._histogram.get(ms, 0) + 1

    def error(self, code: str, details: str) -> None:
        """A stream ended so, and nobody here ordered it."""
        text = normalised(code, details)
        if text not in self._errors and len(self._errors) >= ERRORS_LIMIT:
            text = OTHER
        self._errors[text] = self._errors.get(text, 0) + 1

    def take(self) -> Aggregate:
        """What came since the last take."""
        taken = Aggregate(
            population=self.population,
            frames=self._frames,
            message_bytes=self._bytes,
            interval_ns_total=self._total_ns,
            interval_ns_min=max(self._min_ns, 0),
            interval_ns_max=self._max_ns,
            interval_ms_histogram={str(ms): n for ms, n in self._histogram.items()},
            open_streams=self.open_streams,
            errors=self._errors,
            method=self.method,
        )
        self._frames = self._bytes = self._total_ns = self._max_ns = 0
        self._min_ns = -1
        self._histogram, self._errors = {}, {}
        return taken
