"""Connections: one of its own for every stream, with a stated receive window and nothing taken from the environment."""

from __future__ import annotations

from typing import Final

import grpc
import grpc.aio

from pvload.protocols.endpoint import Endpoint

MAX_MESSAGE_BYTES: Final = 64 * 1024 * 1024
UNARY_WINDOW_BYTES: Final = 1024 * 1024


def options(window_bytes: int, server_name: str = "") -> list[tuple[str, int | str]]:
    """Channel options of every connection.

    Without an own subchannel pool, channels with equal options share one connection. Without bdp_probe=0 the receive
    window grows, and hides a slow reader from the server.
    """
    chosen: list[tuple[str, int | str]] = [
        ("grpc.use_local_subchannel_pool", 1),
        ("grpc.enable_http_proxy", 0),
        ("grpc.http2.bdp_probe", 0),
        ("grpc.http2.lookahead_bytes", window_bytes),
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.enable_retries", 0),
    ]
    if server_name:
        chosen.append(("grpc.ssl_target_name_override", server_name))
    return chosen


def connect(endpoint: Endpoint, window_bytes: int) -> grpc.aio.Channel:
    """A channel that shares its connection with no other; it connects with its first call."""
    secret = endpoint.credentials
    if secret is None:
        return grpc.aio.insecure_channel(endpoint.address, options=options(window_bytes))
    credentials = grpc.ssl_channel_credentials(
        root_certificates=secret.ca, private_key=secret.key, certificate_chain=secret.certificate
    )
    return grpc.aio.secure_channel(endpoint.address, credentials, options=options(window_bytes, secret.server_name))
