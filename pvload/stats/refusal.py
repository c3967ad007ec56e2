"""What the texts of unary calls tell: whether a refusal names its reason, and the counter that a value carries."""

from __future__ import annotations

import json
import re
from typing import Any, Final

REFUSALS: Final = frozenset({"INVALID_ARGUMENT", "FAILED_PRECONDITION"})
"""Codes by which a service says no to what it was asked."""

_WORD: Final = re.compile(r"[^\W\d_]{3,}")
_CODE: Final = re.compile(r"\b[A-Z]+(?:_[A-Z]+)*\b")
_COUNTED: Final = re.compile(r"[^0-9{\[]*[^\W\d][^0-9{\[]*([0-9]{1,18})\"?")
_CODES: Final = (
    "aborted argument bad call cancelled code condition could data error errors exception exceeded exhausted exists "
    "failed failure false found grpc internal invalid message none not null operation parameter parameters "
    "permission precondition refused rejected request resource result rpc set setting status success the "
    "unavailable unimplemented unknown value was"
)
_SAYS_NOTHING: Final = frozenset(_CODES.split())
"""Words of codes and of lead-ins: a text of these alone names nothing."""


def refusal_text(details: str, answer: str) -> str:
    """What a call was refused with: the status's text, else the answer's own message."""
    if details or not answer:
        return details
    fields = _fields(answer)
    return next((str(fields[name]) for name in ("error_message", "message", "error") if fields.get(name)), "")


def is_clear(status: str, text: str) -> bool:
    """Whether an answer that is not a success says no and why; status: the code's name, OK where `success` is false."""
    return (status in REFUSALS or status == "OK") and names_a_reason(text)


def names_a_reason(text: str) -> bool:
    """Whether a text says more than that it failed: two words at least, one of them no code and no lead-in.

    >>> names_a_reason("Failed to set parameter: Cannot change ROI while streaming")
    True
    >>> names_a_reason("INVALID_ARGUMENT"), names_a_reason("Failed to set parameter: ")
    (False, False)
    """
    words = [word.lower() for word in _WORD.findall(_CODE.sub(" ", text))]
    return len(words) >= 2 and any(word not in _SAYS_NOTHING for word in words)


def counter_in(request: str) -> tuple[str, int] | None:
    """(parameter, the counter written) of a recorded SetParameter request: the whole number at the end of a text.

    None: there is none; a plain number or a structure is a value and carries no counter.
    """
    fields = _fields(request)
    value = fields.get("value")
    found = _COUNTED.fullmatch(value) if isinstance(value, str) else None
    return (str(fields.get("parameter_name", "")), int(found[1])) if found else None


def _fields(text: str) -> dict[str, Any]:
    if not text.startswith("{"):
        return {}
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
