"""Where the target is and how it is spoken to securely, checked once when an engine starts."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pvload.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Credentials:
    """What an encrypted connection needs, read from its files."""

    ca: bytes | None
    """PEM; None: the system's roots."""
    certificate: bytes | None
    key: bytes | None
    server_name: str
    """What the server's certificate must be for; empty: the host of the address."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """The target as the engine connects to it."""

    protocol: str
    address: str
    credentials: Credentials | None
    """None: not encrypted."""
    metadata: tuple[tuple[str, str], ...]
    """Sent with every call: the bearer token, if there is one."""


def endpoint(fields: Mapping[str, Any]) -> Endpoint:
    """From `Start.target`; ConfigError names what cannot be used: a field, a file, an unset variable."""
    # Profiles cost a third of an engine's start: a process that is made to be killed does without.
    from pydantic import ValidationError

    from pvload.profiles.schema import Target

    try:
        target = Target.model_validate(dict(fields))
    except ValidationError as exc:
        raise ConfigError(f"target cannot be used: {exc}") from exc
    if target.address == "sim":
        raise ConfigError('target address "sim" must be resolved before an engine starts')
    return checked_endpoint(target.model_dump(mode="json"))


def checked_endpoint(fields: Mapping[str, Any]) -> Endpoint:
    """As `endpoint`, for the fields of a whole Target that an engine of the same run has checked before."""
    absent = [name for name in ("protocol", "address", "tls", "token") if name not in fields]
    if absent:
        raise ConfigError(f"target is not whole, it lacks {', '.join(absent)}")
    token = _token(fields["token"])
    return Endpoint(
        protocol=fields["protocol"],
        address=fields["address"],
        credentials=None if fields["tls"] is None else _credentials(fields["tls"]),
        metadata=(("authorization", f"Bearer {token}"),) if token else (),
    )


def _token(text: str) -> str:
    if not text.startswith("env:"):
        return text
    name = text.removeprefix("env:")
    token = os.environ.get(name, "")
    if not token:
        raise ConfigError(f"token comes from the environment variable {name}, which is not set")
    return token


def _credentials(tls: Mapping[str, str]) -> Credentials:
    if bool(tls["certificate_file"]) != bool(tls["key_file"]):
        raise ConfigError("a client certificate needs certificate_file and key_file")
    return Credentials(
        ca=_read(tls["ca_file"]),
        certificate=_read(tls["certificate_file"]),
        key=_read(tls["key_file"]),
        server_name=tls["server_name"],
    )


def _read(path: str) -> bytes | None:
    if not path:
        return None
    try:
        return Path(path).read_bytes()
    except OSError as exc:
        raise ConfigError(f"file of target.tls cannot be read: {exc}") from exc
