"""Connections: one of its own for every stream, with a stated receive window and nothing taken from the environment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import grpc
import grpc.aio

from pvload.protocols.endpoint import Endpoint
from pvload.wire.channel import options

UNARY_WINDOW_BYTES: Final = 1024 * 1024


def pings(every_ms: float, timeout_ms: float) -> list[tuple[str, int | str]]:
    """The channel options that ask the server for a sign, also while nothing comes; none for every_ms 0."""
    if not every_ms:
        return []
    return [
        ("grpc.keepalive_time_ms", round(every_ms)),
        ("grpc.keepalive_timeout_ms", round(timeout_ms)),
        ("grpc.http2.ping_timeout_ms", round(timeout_ms)),  # the one that ends the connection
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
    ]


def connect(endpoint: Endpoint, window_bytes: int, more: Sequence[tuple[str, int | str]] = ()) -> grpc.aio.Channel:
    """A channel that shares its connection with no other, with `more` options; it connects with its first call."""
    secret = endpoint.credentials
    server_name = secret.server_name if secret is not None else ""
    chosen = [*options(window_bytes, server_name), *more]
    if secret is None:
        return grpc.aio.insecure_channel(endpoint.address, options=chosen)
    credentials = grpc.ssl_channel_credentials(
        root_certificates=secret.ca, private_key=secret.key, certificate_chain=secret.certificate
    )
    return grpc.aio.secure_channel(endpoint.address, credentials, options=chosen)
