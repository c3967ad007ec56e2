"""Reads a profile: TOML and command-line overrides in, frozen values and their canonical text out.

The canonical text (JSON, sorted keys, no spaces) is what travels to workers, stands in the run directory and is hashed:
two profiles that mean the same have the same hash, wherever comments, order or units ("30min", 1800) differ.
"""

from __future__ import annotations

import hashlib
import json
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pvload.errors import ConfigError
from pvload.profiles.faults import fault_lines
from pvload.profiles.schema import Profile, field_annotation

_SHIPPED = Path(__file__).parent / "shipped"
_CHECKOUT = Path(__file__).parents[2] / "profiles"
_AT = r"\(at line (\d+), column (\d+)\)"
_QUOTES = 'text and durations stand in quotes: [{kind="stall", frame=85, duration="3s"}]'


@dataclass(frozen=True, slots=True)
class LoadedProfile:
    """A profile as it will be run, with where it came from."""

    profile: Profile
    source: Path | str
    """The file, or the name of a profile that ships with pvload."""
    canonical_json: bytes
    sha256: str
    """Hex digest of `canonical_json`."""


def load(
    name_or_path: str,
    *,
    overrides: Sequence[str] = (),
    duration: str | None = None,
    target: str | None = None,
    labels: Sequence[str] = (),
) -> LoadedProfile:
    """Reads a named profile or a file and applies `key.path=value` overrides, in order, later ones winning.

    Raises ConfigError with one line for each fault: where, key, value, what was expected.
    """
    path = _find(name_or_path)
    data = _read(path)
    origins: dict[str, str] = {}
    wishes = [("--set", wish) for wish in overrides]
    wishes += [("--label", f"run.labels.{_quoted_key(wish)}") for wish in labels]
    wishes += [("--duration", f"run.duration={duration}")] if duration is not None else []
    wishes += [("--target", f"target.address={target}")] if target is not None else []
    for option, wish in wishes:
        origins[".".join(_apply(data, wish, option=option))] = option
    try:
        profile = Profile.model_validate(data)
    except ValidationError as exc:
        raise ConfigError("\n".join(fault_lines(exc, file=str(path), origins=origins))) from exc
    canonical = canonical_json(profile)
    source: Path | str = path if _is_path(name_or_path) else name_or_path
    return LoadedProfile(profile, source, canonical, hashlib.sha256(canonical).hexdigest())


def names() -> tuple[str, ...]:
    """The profiles that ship with pvload, sorted."""
    return tuple(sorted(path.stem for path in _folder().glob("*.toml")))


def canonical_json(profile: Profile) -> bytes:
    """The one text of a profile: every default written out, keys sorted, UTF-8."""
    values = profile.model_dump(mode="json")
    return json.dumps(values, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def from_canonical(text: bytes) -> Profile:
    """The profile of `canonical_json`; ConfigError if it is not one this version understands."""
    try:
        return Profile.model_validate_json(text)
    except ValidationError as exc:
        raise ConfigError("\n".join(fault_lines(exc, file="profile.json", origins={}))) from exc


def _folder() -> Path:
    return _SHIPPED if _SHIPPED.is_dir() else _CHECKOUT


def _is_path(name: str) -> bool:
    return "/" in name or name.endswith(".toml")


def _find(name: str) -> Path:
    if _is_path(name):
        path = Path(name)
        if path.is_dir():
            found = ", ".join(sorted(file.name for file in path.glob("*.toml"))[:10])
            hint = f"profiles in it: {found}" if found else "there is no .toml file in it"
            raise ConfigError(f"{name}: is a directory, expected a profile file", hint=hint)
        if not path.is_file():
            raise ConfigError(f"{name}: no such profile file", hint=f"profiles that ship: {', '.join(names())}")
        return path
    path = _folder() / f"{name}.toml"
    if path.is_file() and name in names():
        return path
    if Path(name).is_dir():
        return _find(f"./{name}")
    near = get_close_matches(name, names(), n=1)
    guess = f", did you mean {near[0]}?" if near else ""
    raise ConfigError(
        f"no profile is named {name!r}{guess}",
        hint=f"profiles that ship: {', '.join(names())}; your own file is given by its path, such as ./{name}.toml",
    )


def _read(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as exc:
        where = re.search(_AT, str(exc))
        line = f"line {where[1]}, column {where[2]}" if where else "last line"
        raise ConfigError(f"{path}: {line}: {_what(exc)}, expected TOML such as `key = value`") from exc
    except UnicodeDecodeError as exc:
        raise ConfigError(f"{path}: byte {exc.start} is not UTF-8, expected a TOML text file") from exc
    except OSError as exc:
        raise ConfigError(f"{path}: cannot be read: {exc.strerror}") from exc


def _quoted_key(label: str) -> str:
    """A label's key may hold dots; as part of a path it is one key. ConfigError if it is no key=value."""
    key, equals, value = label.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"--label {label}: expected key=value, such as who=me")
    return f"{json.dumps(key, ensure_ascii=False)}{equals}{value}"


def _apply(data: dict[str, Any], wish: str, *, option: str) -> list[str]:
    """Sets one value in `data`; the path as it stands there, populations by number."""
    key, equals, text = wish.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"{option} {wish}: expected key=value, such as camera.exposure_ms=50")
    keys = _key_path(key.strip(), option=option)
    place: Any = data
    path: list[str] = []
    for step in keys[:-1]:
        place, at = _step(place, step, path=path, option=option)
        path.append(at)
    last = keys[-1]
    if isinstance(place, list):
        index = _index(place, last, path=path, option=option)
        path.append(str(index))
        place[index] = _value(text, path=path, option=option)
    else:
        path.append(last)
        place[last] = _value(text, path=path, option=option)
    return path


def _key_path(key: str, *, option: str) -> list[str]:
    """`a."b.c".d` as a list of keys, by TOML's own rules."""
    try:
        nested: Any = tomllib.loads(f"{key} = 0")
    except tomllib.TOMLDecodeError as exc:
        raise ConfigError(f"{option} {key}: not a key, expected something like camera.exposure_ms") from exc
    keys: list[str] = []
    while isinstance(nested, dict):
        step, nested = next(iter(nested.items()))
        keys.append(step)
    return keys


def _step(place: Any, step: str, *, path: list[str], option: str) -> tuple[Any, str]:
    if isinstance(place, list):
        index = _index(place, step, path=path, option=option)
        return place[index], str(index)
    below = place.setdefault(step, {})
    if not isinstance(below, dict | list):
        raise ConfigError(f"{option} {'.'.join([*path, step])}: is {below!r}, which has no keys of its own")
    return below, step


def _index(place: list[Any], step: str, *, path: list[str], option: str) -> int:
    """Number of an element given by number or by its `name`."""
    known = [str(item.get("name", "")) if isinstance(item, dict) else "" for item in place]
    if step in known:
        return known.index(step)
    if step.isdecimal() and int(step) < len(place):
        return int(step)
    choice = [name or str(number) for number, name in enumerate(known)]
    raise ConfigError(
        f"{option} {'.'.join([*path, step])}: no such entry, expected one of {', '.join(choice) or 'none'}"
    )


def _value(text: str, *, path: list[str], option: str) -> Any:
    """`text` as a TOML value; as plain text where it is none, or where the profile wants text anyway.

    ConfigError for a list or table with a fault in it, for nobody means that as text.
    """
    head = "value = "
    stripped = text.strip()
    try:
        parsed = tomllib.loads(f"{head}{stripped}")
    except tomllib.TOMLDecodeError as exc:
        if not stripped.startswith(("[", "{")) or field_annotation(path) is str:
            return text
        where = re.search(_AT, str(exc))
        at = int(where[2]) - len(head) if where and where[1] == "1" else len(stripped) + 1
        place = f"at {stripped[at - 1 : at + 19]!r} (character {at})" if at <= len(stripped) else "at its end"
        raise ConfigError(f"{option} {'.'.join(path)}: no TOML: {_what(exc)}, {place}", hint=_QUOTES) from exc
    value = parsed["value"]
    wants_text = field_annotation(path) is str and not isinstance(value, str)
    return text if len(parsed) > 1 or wants_text else value


def _what(error: tomllib.TOMLDecodeError) -> str:
    """The fault without its position."""
    return re.sub(r"\s*\(at .*\)$", "", str(error))
