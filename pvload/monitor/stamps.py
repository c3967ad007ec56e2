"""The time and the level a log line states, whatever stands before it: a journal's prefix, a foreign time zone.

Pure. The daemon's own stamp (RFC 3339, at most 120 characters into the line) counts; where it has none, a journal's in
ISO form with its offset from UTC; a journal's short form has no year and no zone and tells nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from pvload.clock import NS_PER_S

LONGEST_PREFIX: Final = 120
_TIME: Final = r"(?P<second>\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)(?:[.,](?P<fraction>\d{1,9})\d*)?"
_STAMPED: Final = re.compile(
    _TIME + r"(?P<zone>Z|[+-]\d\d:?\d\d)\s+(?P<text>(?P<level>TRACE|DEBUG|INFO|WARN|ERROR)\s.*)", re.DOTALL
)
_UNIT: Final = r"(?:\S+\s+)?[^\s\[\]:]+\[\d+\]:\s"
_JOURNAL: Final = re.compile(
    rf"(?:[A-Z][a-z]{{2}}\s+\d+\s+\d\d:\d\d:\d\d(?:\.\d+)?|{_TIME}(?P<zone>Z|[+-]\d\d:?\d\d))\s+{_UNIT}(?P<text>.*)",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Stamped:
    """A line taken apart."""

    wall_ns: int | None
    """Nanoseconds since the epoch; None: the line states no usable time."""
    level: str
    """Empty: none."""
    text: str
    """The line without stamps and prefixes, its level included."""


def stamped(line: str) -> Stamped:
    """The parts of one line without escapes and line end."""
    own = _STAMPED.match(line)
    if own is not None:
        return Stamped(_wall_ns(own), own["level"], own["text"])
    journal = _JOURNAL.match(line)
    outer = _wall_ns(journal) if journal is not None and journal["second"] else None
    text = journal["text"] if journal is not None else line
    own = _STAMPED.match(text)
    if own is None and (own := _STAMPED.search(line[: LONGEST_PREFIX + 40])) is not None:
        own = _STAMPED.match(line, own.start()) if own.start() <= LONGEST_PREFIX else None
    if own is None:
        return Stamped(outer, "", text)
    return Stamped(_wall_ns(own), own["level"], own["text"])


def _wall_ns(found: re.Match[str]) -> int | None:
    """Exact; None for a stamp that is no time (second 61, month 13)."""
    zone = "+0000" if found["zone"] == "Z" else found["zone"].replace(":", "")
    try:
        moment = datetime.fromisoformat(found["second"] + zone)
    except ValueError:
        return None
    return int(moment.timestamp()) * NS_PER_S + int((found["fraction"] or "").ljust(9, "0"))
