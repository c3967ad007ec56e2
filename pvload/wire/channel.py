"""The gRPC channel options of every connection to a target: what the engine uses and the manifest states.

Without a subchannel pool of its own, a channel shares its TCP connection with every other one of equal options. Without
bdp_probe=0 the receive window grows with use, and a slow reader stays hidden from the server.
"""

from __future__ import annotations

from typing import Final

MAX_MESSAGE_BYTES: Final = 64 * 1024 * 1024
"""As the daemon's own limit; gRPC's default of 4 MiB refuses a real 2048x2048 frame."""


def options(window_bytes: int, server_name: str = "") -> list[tuple[str, int | str]]:
    """Name and value of each option; `window_bytes` is the receive window of the connection's stream."""
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
