"""TLS, client certificates and the token. The test authority's certificates are valid until 2120."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest

from pvload._pb import daq_pb2, daq_pb2_grpc, health_pb2, health_pb2_grpc
from pvload.errors import ConfigError
from pvload.sim.server import ServerTls, credentials
from simulated import OPTIONS, simulated

TLS = Path(__file__).parent / "tls"
SERVER = ServerTls(str(TLS / "server.pem"), str(TLS / "server.key"))
STRICT = ServerTls(SERVER.certificate_file, SERVER.key_file, str(TLS / "ca.pem"))


def devices(address: str, *, certificate: bool, authority: bool = True) -> int:
    """How many devices an encrypted client is told of."""
    keys = {"private_key": (TLS / "client.key").read_bytes(), "certificate_chain": (TLS / "client.pem").read_bytes()}
    trusted = {"root_certificates": (TLS / "ca.pem").read_bytes()} if authority else {}
    secure = grpc.ssl_channel_credentials(**trusted, **(keys if certificate else {}))
    options = [*OPTIONS, ("grpc.ssl_target_name_override", "camera.test")]
    with grpc.secure_channel(address, secure, options=options) as channel:
        stub = daq_pb2_grpc.HardwareServiceStub(channel)
        return len(stub.ListDevices(daq_pb2.ListDevicesRequest(), timeout=5).devices)


def test_an_encrypted_server_serves_who_trusts_it(tmp_path: Path) -> None:
    with simulated(tmp_path, tls=SERVER) as sim:
        assert devices(sim.simulator.address, certificate=False) == 4
        with pytest.raises(grpc.RpcError) as refused:
            devices(sim.simulator.address, certificate=False, authority=False)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


def test_a_client_certificate_can_be_demanded(tmp_path: Path) -> None:
    with simulated(tmp_path, tls=STRICT) as sim:
        assert devices(sim.simulator.address, certificate=True) == 4
        with pytest.raises(grpc.RpcError) as refused:
            devices(sim.simulator.address, certificate=False)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE


def test_encryption_passes_through_the_relay(tmp_path: Path) -> None:
    with simulated(tmp_path, tls=SERVER, relay=True) as sim:
        assert devices(sim.simulator.address, certificate=False) == 4


def test_a_missing_key_file_is_named() -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*nowhere\.key"):
        credentials(ServerTls(SERVER.certificate_file, str(TLS / "nowhere.key")))


@pytest.mark.parametrize(
    ("metadata", "text"),
    [
        pytest.param((), "missing authorization token", id="no token"),
        pytest.param((("authorization", "Bearer wrong"),), "invalid authentication token", id="wrong token"),
        pytest.param((("x-api-key", "wrong"),), "invalid authentication token", id="wrong key"),
    ],
)
def test_without_the_token_every_service_refuses(
    tmp_path: Path, metadata: tuple[tuple[str, str], ...], text: str
) -> None:
    with simulated(tmp_path, token="s3cret") as sim:
        health = health_pb2_grpc.HealthStub(sim.channel)
        for call in (
            lambda: sim.stub.ListDevices(daq_pb2.ListDevicesRequest(), timeout=5, metadata=metadata),
            lambda: health.Check(health_pb2.HealthCheckRequest(), timeout=5, metadata=metadata),
            lambda: next(
                sim.stub.StreamFrames(daq_pb2.StreamFramesRequest(device_id="prime_bsi"), timeout=5, metadata=metadata)
            ),
        ):
            with pytest.raises(grpc.RpcError) as refused:
                call()
            assert (refused.value.code(), refused.value.details()) == (grpc.StatusCode.UNAUTHENTICATED, text)


@pytest.mark.parametrize(
    "shown", [("authorization", "Bearer s3cret"), ("authorization", "s3cret"), ("x-api-key", "s3cret")]
)
def test_the_token_is_taken_in_each_of_its_forms(tmp_path: Path, shown: tuple[str, str]) -> None:
    with simulated(tmp_path, token="s3cret") as sim:
        assert sim.stub.ListDevices(daq_pb2.ListDevicesRequest(), timeout=5, metadata=(shown,)).devices
