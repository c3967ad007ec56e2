"""One explanation: how bad, when, and in words."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Severity(IntEnum):
    """How much a reader should care; higher is worse."""

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
