"""`pvload devices`: what a daemon offers. The one file of the command line that speaks gRPC itself."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Final

import grpc
import typer
from rich.console import Console
from rich.table import Table

from pvload._pb import daq_pb2, daq_pb2_grpc
from pvload.errors import ConfigError, PvloadError
from pvload.plan.check import check_target
from pvload.profiles.load import load
from pvload.profiles.schema import Target

_TIMEOUT_S: Final = 10.0
_OPTIONS: Final = (("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1))


class TargetError(PvloadError):
    """The target did not answer: nothing can be said of it."""

    exit_code = 4


def devices(
    target: Annotated[str, typer.Argument(metavar="HOST:PORT", help="The daemon's address.")],
    profile: Annotated[str, typer.Option(help="Take TLS and token from this profile.")] = "scenario-a",
    set_: Annotated[list[str] | None, typer.Option("--set", help="Override a value: target.token=env:TOKEN.")] = None,
) -> None:
    """List the devices of a daemon, with what they can do."""
    loaded = load(profile, overrides=set_ or [], target=target)
    if target == "sim":
        raise ConfigError(
            'devices: "sim" has no address', hint="start `pvload sim` and give the address that it prints"
        )
    check_target(loaded.profile)
    rows = _listed(loaded.profile.target)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for head in ("device", "name", "driver", "size", "can"):
        table.add_column(head, overflow="fold")
    for row in rows:
        about = row.metadata
        size = f"{about.frame_width}x{about.frame_height}" if about.frame_width else "-"
        table.add_row(row.id, row.name, row.driver_type, size, ", ".join(row.capabilities))
    Console(highlight=False).print(table)


def _listed(target: Target) -> list[Any]:
    with _channel(target) as channel:
        stub = daq_pb2_grpc.HardwareServiceStub(channel)
        try:
            answer = stub.ListDevices(daq_pb2.ListDevicesRequest(), timeout=_TIMEOUT_S, metadata=_token(target))
        except grpc.RpcError as exc:
            said = f"{exc.code().name} {exc.details()}"
            hint = "is the daemon running, and is this its address?"
            raise TargetError(f"{target.address} does not list its devices: {said}", hint=hint) from exc
    return list(answer.devices)


def _channel(target: Target) -> grpc.Channel:
    tls = target.tls
    if tls is None:
        return grpc.insecure_channel(target.address, options=_OPTIONS)
    credentials = grpc.ssl_channel_credentials(
        root_certificates=_file(tls.ca_file),
        private_key=_file(tls.key_file),
        certificate_chain=_file(tls.certificate_file),
    )
    named = (("grpc.ssl_target_name_override", tls.server_name),) if tls.server_name else ()
    return grpc.secure_channel(target.address, credentials, options=(*_OPTIONS, *named))


def _file(path: str) -> bytes | None:
    try:
        return Path(path).read_bytes() if path else None
    except OSError as exc:
        raise ConfigError(f"{path} cannot be read: {exc.strerror}") from exc


def _token(target: Target) -> tuple[tuple[str, str], ...]:
    from os import environ

    token = environ.get(target.token.removeprefix("env:"), "") if target.token.startswith("env:") else target.token
    return (("authorization", f"Bearer {token}"),) if token else ()
