"""Owns the services spoken, one file each: open a stream, read a frame's header, change a parameter, tell its end."""

from __future__ import annotations

from pvload.errors import ConfigError
from pvload.protocols.rust_daq import RustDaq
from pvload.protocols.seam import StreamProtocol

_SPOKEN: dict[str, type[StreamProtocol]] = {"rust-daq": RustDaq}


def protocol_named(name: str) -> StreamProtocol:
    """The protocol that a profile's `target.protocol` names; ConfigError lists the known ones."""
    try:
        return _SPOKEN[name]()
    except KeyError as exc:
        raise ConfigError(f"unknown protocol {name!r}", hint=f"known: {', '.join(_SPOKEN)}") from exc
