"""One explanation: how bad, when, in words, and what the daemon's log said around it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from pvload.stats.around import Resource
from pvload.stats.summary import LogLine, Summary

AROUND_S: Final = 2.0
"""A log line, or a second of the resources, this near to the beginning or end of something is told beside it."""


class Severity(IntEnum):
    """How much a reader should care; higher is worse."""

    FACT = 0
    """Says something about the run; nothing happened."""
    NOTICE = 1
    """Worth knowing."""
    DOUBT = 2
    """The measurement itself is in question."""
    FAULT = 3
    """The service did something wrong."""
    DEATH = 4
    """The service was gone."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What probably happened."""

    severity: Severity
    at_s: float | None
    """Time on the run's axis; None: the whole run."""
    text: str
    length_s: float = 0.0


def log_around(summary: Summary, finding: Finding) -> tuple[LogLine, ...]:
    """Lines of the daemon's log within two seconds of the beginning or the end of a finding, in order of time.

    What it says after the run's end is about our own leaving.
    """
    if finding.at_s is None:
        return ()
    ends = {finding.at_s, finding.at_s + finding.length_s}
    return tuple(
        line
        for line in summary.log.timeline
        if line.at_s <= summary.facts.length_s and any(abs(line.at_s - end) <= AROUND_S for end in ends)
    )


def resources_around(summary: Summary, finding: Finding) -> tuple[Resource, ...]:
    """What host and daemon used within two seconds of the beginning or the end of a finding, in order of time."""
    if finding.at_s is None:
        return ()
    ends = {finding.at_s, finding.at_s + finding.length_s}
    return tuple(one for one in summary.around.resources if any(abs(one.at_s - end) <= AROUND_S for end in ends))


def first_line(summary: Summary, classes: Iterable[str], from_s: float, to_s: float) -> LogLine | None:
    """The first log line of these classes within [from_s, to_s]."""
    wanted = frozenset(classes)
    return next(
        (line for line in summary.log.timeline if line.log_class in wanted and from_s <= line.at_s <= to_s), None
    )


def names(of: set[str]) -> str:
    """Up to three names, and how many more there are."""
    ordered = sorted(of)
    return ", ".join(ordered[:3]) + (f" and {len(ordered) - 3} more" if len(ordered) > 3 else "")
