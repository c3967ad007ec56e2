"""The real engine on the real simulator: secured, with whole images, many streams, nobody to ship to, and killed."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from pvload.profiles.criteria import Criteria
from pvload.profiles.schema import Camera, Profile, Run, Target, Tls
from pvload.profiles.simulated import Simulator
from pvload.profiles.users import Users
from pvload.profiles.values import Roi
from pvload.wire import command
from rig import EngineProcess, Rig, running

TLS = Path(__file__).parents[1] / "sim" / "tls"
SERVED_SECURELY = (
    *("--tls-cert", str(TLS / "server.pem"), "--tls-key", str(TLS / "server.key")),
    *("--tls-client-ca", str(TLS / "ca.pem"), "--token", "s3cret"),
)
SMALL = Roi(x=0, y=0, width=64, height=64)


def profile(*, exposure_ms: float = 20.0, roi: Any = SMALL, target: Target | None = None, **simulator: Any) -> Profile:
    return Profile(
        run=Run(name="rig", duration=4.0, warm_up=0.2),
        target=target or Target(),
        camera=Camera(exposure_ms=exposure_ms, roi=roi),
        users=[Users(name="viewer", payload="decoded")],
        criteria=Criteria(longest_stall_s=1.0),
        simulator=Simulator(**simulator),
    )


def secured(**changes: Any) -> Target:
    papers = {"ca_file": "ca.pem", "certificate_file": "client.pem", "key_file": "client.key"} | changes
    files = {name: str(TLS / file) for name, file in papers.items() if name.endswith("_file") and file}
    tls = Tls(**files, server_name=papers.get("server_name", "camera.test"))
    return Target(tls=tls, token=papers.get("token", "s3cret"))


def ordered(rig: Rig, **changes: Any) -> int:
    """Orders a stream and gives its id; nothing of its answers is read."""
    assert rig.engine is not None
    number = rig.engine.next_id()
    order = {"population": "viewer", "ordinal": 0, "number": 1, "device": rig.profile.target.device}
    rig.engine.order(command.Open(id=number, **order | changes))
    return number


def each(engine: EngineProcess, name: str, calls: list[int]) -> list[Any]:
    """The answer of this name of each call, in whatever order they come."""
    found, missing = [], set(calls)
    while missing:
        found.append(engine.answer(name))
        missing.discard(getattr(found[-1], "id", -1))
    return found


def opened(rig: Rig, **changes: Any) -> command.Ended:
    """How a stream ends that is closed after its second frame."""
    assert rig.engine is not None
    number = ordered(rig, stop_after_frames=2, **changes)
    end = rig.engine.answer("ended", id=number)
    assert isinstance(end, command.Ended)
    return end


def test_a_secured_simulator_is_measured_with_the_right_papers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """CA, client certificate, server's name and token; a proxy in the environment is not asked."""
    for name in ("http_proxy", "https_proxy", "grpc_proxy", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with running(tmp_path, profile(target=secured()), sim_options=SERVED_SECURELY) as rig:
        rig.start_camera()
        assert opened(rig).frames == 2
        rig.end([])
    assert rig.summary()["run"]["frames"] == 2


@pytest.mark.parametrize(
    ("changes", "status", "said"),
    [
        ({"ca_file": "client.pem"}, "UNAVAILABLE", "CERTIFICATE_VERIFY_FAILED"),
        ({"server_name": ""}, "UNAVAILABLE", "127.0.0.1"),
        ({"certificate_file": "", "key_file": ""}, "UNAVAILABLE", ""),
        ({"token": "wrong"}, "UNAUTHENTICATED", "invalid authentication token"),
        ({"token": ""}, "UNAUTHENTICATED", "missing authorization token"),
    ],
    ids=["another authority", "no server name", "no certificate of ours", "a wrong token", "no token"],
)
def test_wrong_papers_are_an_end_with_a_reason(tmp_path: Path, changes: dict[str, Any], status: str, said: str) -> None:
    """Nothing was measured, and that is never PASS."""
    with running(tmp_path, profile(target=secured(**changes)), sim_options=SERVED_SECURELY) as rig:
        end = opened(rig)
        assert (end.frames, end.status) == (0, status)
        assert said.lower() in end.details.lower()
        assert rig.end([])["verdict"] == "INVALID"


def test_a_whole_noisy_image_arrives(tmp_path: Path) -> None:
    """2048 by 2048 pixels that do not compress: 8 MB a message, beyond gRPC's own limit of 4."""
    with running(tmp_path, profile(exposure_ms=300.0, roi="full", images="noise")) as rig:
        rig.start_camera()
        assert opened(rig, payload="decoded").frames == 2
        rig.end([])
    figures = rig.summary()["run"]
    assert figures["message_bytes"] > 2 * 8_000_000
    assert (figures["payload_checked"], figures["payload_errors"]) == (2, {})


def test_a_stopped_collector_and_a_full_spool_cost_no_count(tmp_path: Path) -> None:
    """Frames that stand in sums are still frames: the summary's total is the engine's own."""
    with running(tmp_path, profile(exposure_ms=5.0), spool_bytes=60_000) as rig:
        assert rig.collector is not None
        assert rig.engine is not None
        rig.start_camera()
        calls = [rig.open(ordinal=ordinal, stop_after_frames=500) for ordinal in range(2)]
        os.kill(rig.collector.process.pid, signal.SIGSTOP)
        ends = each(rig.engine, "ended", calls)
        os.kill(rig.collector.process.pid, signal.SIGCONT)
        rig.end([])
    frames = sum(getattr(end, "frames", 0) for end in ends)
    summary = rig.summary()
    account = summary["accounting"]
    assert frames == 1000
    assert summary["run"]["frames"] == frames
    assert account["recorded"] == account["delivered"] + account["missing"]
    assert account["frames_checked"]
    assert account["senders"][0]["frames"] < frames, "some of them stand in sums"


def test_many_streams_leave_nothing_behind(tmp_path: Path) -> None:
    """As many connections as streams while they are open, none and no thread more after they are closed."""
    streams = 64
    with running(tmp_path, profile(exposure_ms=100.0, streams_per_client=0)) as rig:
        assert rig.engine is not None
        process = psutil.Process(rig.engine.process.pid)
        rig.start_camera()
        rounds = []
        for number in (1, 2):
            calls = [ordered(rig, ordinal=ordinal, number=number) for ordinal in range(streams)]
            each(rig.engine, "first_frame", calls)
            assert streams <= connections(process, rig.address) <= streams + 1
            for call in calls:
                rig.engine.order(command.Close(id=call))
            each(rig.engine, "ended", calls)
            until(lambda: connections(process, rig.address) <= 1)
            rounds.append((process.num_fds(), process.num_threads()))
        assert rounds[1][0] <= rounds[0][0] + 2
        assert rounds[1][1] <= rounds[0][1] + 2
        rig.end([])


def connections(process: psutil.Process, address: str) -> int:
    port = int(address.rpartition(":")[2])
    return sum(one.raddr.port == port for one in process.net_connections("tcp") if one.raddr)


def until(true: Any) -> None:
    end = time.monotonic() + 10.0
    while not true():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


def test_a_killed_engine_is_blind_time_and_not_the_servers_fault(tmp_path: Path) -> None:
    """Two seconds without an engine: no stall of the server's, no FAIL, and the report says when nobody looked."""
    with running(tmp_path, profile()) as rig:
        assert rig.engine is not None
        started_ns = rig.start_camera()
        rig.engine.answer("first_frame", id=rig.open())
        rig.engine.kill()
        rig.engine.close()
        time.sleep(2.0)  # the outage under test
        rig.start_engine()
        rig.want_camera(started_ns)
        call = rig.open(number=2)
        assert rig.engine is not None
        rig.engine.answer("first_frame", id=call)
        result = rig.end([call])
    summary = rig.summary()
    assert summary["generator"]["blind_s"] > 1.9
    assert summary["run"]["stalls"]["count"] == 0
    assert result["verdict"] in ("PASS", "INCONCLUSIVE", "INVALID")
