"""How a refusal for the stream limit is known, by who opens the stream and by who counts it afterwards."""

from __future__ import annotations

from typing import Final

RESOURCE_EXHAUSTED: Final = 8
"""gRPC's code, which a message too large for the client ends with as well: the text decides."""
LIMIT_TEXT: Final = "maximum concurrent streams"
"""In the daemon's text, in lower case."""


def is_turned_away(status: int, details: str) -> bool:
    """Whether a call ended because the target serves too many streams to one client already."""
    return status == RESOURCE_EXHAUSTED and LIMIT_TEXT in details.lower()
