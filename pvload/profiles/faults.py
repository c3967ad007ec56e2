"""Says in plain words what is wrong in a profile: for each fault one line with file, key, value and expectation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pvload.profiles.schema import known_keys
from pvload.profiles.timeline import AFTER, WHEN

_EXPECTED = {
    "string_type": "text in quotes",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "list_type": "a list in [ ]",
    "tuple_type": "a list in [ ]",
    "dict_type": "a table",
    "model_type": "a table",
    "model_attributes_type": "a table",
}
_LIMITS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}
_PATTERNS = {AFTER: '"600 frames", of one frame or more', WHEN: '"b has 100 frames", with a client\'s name'}
_ROI = '"full", "quarter" or {x = .., y = .., width = .., height = ..}'


def fault_lines(error: ValidationError, *, file: str, origins: Mapping[str, str]) -> list[str]:
    """The faults in the order of the file; `origins`: dotted key -> the option that set it instead of the file."""
    lines: dict[str, None] = {}
    for detail in error.errors(include_url=False):
        if _is_other_form(detail):
            continue
        path, expected = _path_and_expected(detail)
        key = ".".join(map(str, path))
        origin = next((option for name, option in origins.items() if _concerns(name, key)), None)
        where = f"{file}: {key}" if origin is None else f"{origin} {key}"
        shown = "" if detail["type"] == "missing" else f" = {_shown(detail['input'])}"
        lines.setdefault(f"{where}{shown}: {expected}" if path else f"{file}: {expected}")
    return list(lines)


def _is_other_form(detail: ErrorDetails) -> bool:
    """A union reports once for each form it could have had: a table is not blamed for not being a word."""
    return (
        _region_at(detail["loc"]) is not None
        and detail["type"] == "literal_error"
        and isinstance(detail["input"], dict)
    )


def _region_at(path: tuple[int | str, ...]) -> int | None:
    """Where in the path a region's key stands, of [camera] or of a change; None if there is none."""
    if path[:2] == ("camera", "roi"):
        return 1
    of_a_change = path[:1] == ("timeline",) or (path[:1] == ("users",) and "steps" in path)
    return path.index("roi") if of_a_change and "roi" in path else None


def _concerns(name: str, key: str) -> bool:
    return key == name or key.startswith(f"{name}.")


def _path_and_expected(detail: ErrorDetails) -> tuple[tuple[int | str, ...], str]:
    """The key as written in the file, and the rest of the sentence."""
    path = detail["loc"]
    kind = detail["type"]
    at = _region_at(path)
    if at is not None:
        path = (*path[: at + 1], *path[at + 2 :])  # the step after it names the union's branch, no key of the file
        if len(path) == at + 1:
            return path, f"expected {_ROI}"
    if kind == "extra_forbidden":
        return path, _unknown(path[:-1], path[-1:])
    if kind == "missing":
        return path, "is missing and has no default"
    return path, f"expected {_expected(detail)}"


def _unknown(table: tuple[int | str, ...], key: tuple[int | str, ...]) -> str:
    known = known_keys(table)
    near = get_close_matches(str(key[-1]) if key else "", known, n=1, cutoff=0.6)
    if near:
        return f"unknown key, did you mean {near[0]}?"
    return f"unknown key, expected one of {', '.join(known)}"


def _expected(detail: ErrorDetails) -> str:
    kind = detail["type"]
    context: dict[str, Any] = detail.get("ctx", {})
    if kind in _EXPECTED:
        return _EXPECTED[kind]
    if kind in _LIMITS:
        name, words = _LIMITS[kind]
        return f"{words} {context[name]:g}"
    if kind == "literal_error":
        return f"one of {str(context['expected']).replace(' or ', ', ')}"
    if kind == "string_pattern_mismatch" and context["pattern"] in _PATTERNS:
        return _PATTERNS[context["pattern"]]
    if kind == "string_pattern_mismatch":
        return f"a name of lower-case letters, digits, - and _ (pattern {context['pattern']})"
    if kind in ("too_short", "too_long"):
        least = context.get("min_length", context.get("max_length"))
        return f"{'at least' if kind == 'too_short' else 'at most'} {least} of them, got {context['actual_length']}"
    if kind == "value_error":
        return str(context["error"]).removeprefix("expected ")
    if kind == "json_invalid":
        return "JSON as pvload writes it"
    return detail["msg"][:1].lower() + detail["msg"][1:]


def _shown(value: object) -> str:
    """The offending value as the file would write it, cut where it is long."""
    if isinstance(value, BaseModel):
        value = value.model_dump()
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except ValueError:
        text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
