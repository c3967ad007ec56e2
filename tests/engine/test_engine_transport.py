"""Streams do not disturb each other, and a secured target is spoken to with what the profile names."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pvload.wire import command
from pvload.wire.event import Kind, rows_of

PERIOD_NS = 20_000_000
OpenStream = Callable[..., int]


def test_stalled_streams_do_not_slow_down_healthy_ones(bench: Any, open_stream: OpenStream) -> None:
    """20 beside 20: the healthy ones' gaps stay within two periods of what was sent, plus the lag that was recorded."""
    engine = bench.start(bench.serve())
    for _ in range(20):
        open_stream(engine, "silent")
    healthy = [open_stream(engine, "steady", stop_after_frames=60) for _ in range(20)]
    missing = set(healthy)
    while missing:
        missing.discard(engine.answer("ended").id)
    records = bench.records(engine)
    frames, lags = rows_of(records, Kind.FRAME), rows_of(records, Kind.LAG)
    added = []
    for call in healthy:
        own = frames[frames["ref"] == call]
        assert len(own) == 60
        # The server stamps with the clock the arrivals are stamped with; the first frames wait for the connections.
        added.append(np.max(np.diff(own["t_ns"] - own["source_ns"])[10:]))
    assert max(added) <= 2 * PERIOD_NS + lags["lateness_ns"].max() + lags["run_queue_ns"].max()


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ca.pem, server.pem and client.pem with their keys; the server's certificate is for the name daq.test."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.fail("the openssl command makes this test's certificates: install the package openssl")
    folder = tmp_path_factory.mktemp("certificates")

    def run(*arguments: str) -> None:
        subprocess.run([openssl, *arguments], cwd=folder, check=True, capture_output=True, timeout=60)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    run("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ca", "-days", "2")
    for name, alternative in (("server", "DNS:daq.test"), ("client", "DNS:client.test")):
        run("req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        (folder / f"{name}.ext").write_text(f"subjectAltName={alternative}\n")
        sign = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", f"{name}.ext"]
        run("x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.pem", *sign)
    return folder


CLIENTS = [
    ("all right", {"ca_file": "ca.pem", "server_name": "daq.test", "client": True}, 2),
    ("no server name", {"ca_file": "ca.pem", "client": True}, 0),
    ("no client certificate", {"ca_file": "ca.pem", "server_name": "daq.test"}, 0),
    ("unknown CA", {"ca_file": "client.pem", "server_name": "daq.test", "client": True}, 0),
]


@pytest.mark.parametrize(("chosen", "frames"), [case[1:] for case in CLIENTS], ids=[case[0] for case in CLIENTS])
def test_a_secured_server_is_reached_with_the_right_papers_only(
    bench: Any, open_stream: OpenStream, certificates: Path, chosen: dict[str, Any], frames: int
) -> None:
    def path(name: str) -> str:
        return str(certificates / name)

    secured = ["--tls-key", path("server.key"), "--tls-certificate", path("server.pem"), "--client-ca", path("ca.pem")]
    tls = {"ca_file": path(chosen["ca_file"]), "server_name": chosen.get("server_name", "")}
    if chosen.get("client"):
        tls |= {"certificate_file": path("client.pem"), "key_file": path("client.key")}
    engine = bench.start(bench.serve(*secured), target={"tls": tls})
    number = open_stream(engine, "steady", stop_after_frames=2)
    end = engine.answer("ended", id=number)
    assert isinstance(end, command.Ended)
    assert (end.frames, end.status) == (frames, "CANCELLED" if frames else "UNAVAILABLE")
    bench.records(engine)


def test_a_refused_stream_never_stood(bench: Any, open_stream: OpenStream) -> None:
    """Forty refusals at once: not one of them looks for a moment like an accepted stream."""
    engine = bench.start(bench.serve("--token", "s3cret"))
    missing = {open_stream(engine, "steady") for _ in range(40)}
    while missing:
        missing.discard(engine.answer("ended").id)
    records = bench.records(engine)
    assert len(rows_of(records, Kind.HEADERS)) == 0
    assert set(rows_of(records, Kind.ENDED)["status"].tolist()) == {16}
