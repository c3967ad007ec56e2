"""`python -m pvload.collect`: from records on the wire to summary and report, and every way it may end."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import zmq

from pvload.clock import NS_PER_MS, NS_PER_S, SystemClock, boot_id
from pvload.profiles.load import canonical_json
from pvload.profiles.schema import Profile, Run
from pvload.profiles.users import Users
from pvload.report.recompute import recompute
from pvload.ship.recorder import Recorder
from pvload.ship.shipper import Shipper
from pvload.ship.spool import Spool
from pvload.wire.batch import Hello
from pvload.wire.codes import EndedBy
from pvload.wire.event import FRAME_STRUCT, Kind
from pvload.wire.journal import FILE_NAME, JournalReader
from pvload.wire.live import read_live
from pvload.wire.run_directory import MANIFEST, PROFILE, REPORT, SUMMARY, Manifest, write_manifest
from rig import LineProcess

RUN = uuid.UUID(int=1)
SENDER = uuid.UUID(int=2).bytes
PROFILE_OF_RUN = Profile(run=Run(name="short", duration=2.0), users=[Users(name="viewers", count=1)])


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    write_manifest(folder, Manifest(run=RUN.hex, name="short", created_wall_ns=1))
    (folder / PROFILE).write_bytes(canonical_json(PROFILE_OF_RUN))
    return folder


@pytest.fixture
def collector(run_dir: Path, tmp_path: Path) -> Iterator[LineProcess]:
    with closing(LineProcess(arguments(run_dir), stderr=tmp_path / "stderr.log")) as process:
        yield process


def arguments(run_dir: Path, port: int = 0) -> list[str]:
    return ["-m", "pvload.collect", "--run-dir", str(run_dir), "--port", str(port)]


def order(collector: LineProcess, line: dict[str, object]) -> None:
    collector.send(json.dumps(line).encode() + b"\n")


def close_stdin(collector: LineProcess) -> None:
    assert collector.process.stdin is not None
    collector.process.stdin.close()


def make_spool(folder: Path) -> Spool:
    hello = Hello(role="engine", worker="w0", incarnation=0, host="h", boot=boot_id(), pid=os.getpid())
    return Spool.create(folder, run=RUN.bytes, sender=SENDER, hello=hello, limit_bytes=1 << 24)


def record_a_call(recorder: Recorder, *, frames: int) -> None:
    """One stream of 100 ms frames that begins now, with its ends."""
    began = time.monotonic_ns()
    device, population = recorder.text_id("camera"), recorder.text_id("viewers")
    recorder.append(Kind.WANTED, t_ns=began, code=1, device=device, rate_hz=10.0, known_ns=began)
    recorder.append(
        Kind.OPENED,
        t_ns=began,
        ref=1,
        population=population,
        device=device,
        number=1,
        ordered_ns=began,
        stall_ns=2 * NS_PER_S,
    )
    recorder.append(Kind.HEADERS, t_ns=began, ref=1)
    for number in range(frames):
        t_ns = began + (number + 1) * 100 * NS_PER_MS
        values = (
            Kind.FRAME,
            1,
            0,
            1,
            t_ns,
            number,
            t_ns,
            number + 1,
            0,
            100.0,
            10.0,
            1.0,
            50,
            40,
            40,
            4,
            4,
            0,
            0,
            1,
            1,
        )
        recorder.frame(struct.pack(FRAME_STRUCT, *values))
    end = began + frames * 100 * NS_PER_MS
    recorder.append(Kind.END, t_ns=end, code=0, planned_ns=2 * NS_PER_S)
    recorder.append(Kind.ENDED, t_ns=end, ref=1, code=EndedBy.RUN_END, frames=frames, message_bytes=50 * frames)


def test_from_records_to_a_report_that_recomputes_to_the_byte(
    run_dir: Path, tmp_path: Path, collector: LineProcess
) -> None:
    """Journal, live figures, summary and report; the summary made from the journal alone is the same."""
    endpoint = collector.expect("listening")["endpoint"]
    shipper = Shipper(endpoint, tmp_path / "spool", run=RUN.bytes, clock=SystemClock())
    recorder = Recorder(make_spool(tmp_path / "spool"), SystemClock())
    shipper.start()
    record_a_call(recorder, frames=60)
    order(collector, {"is": "end", "at_ns": 0, "reason": "duration", "expect": ["w0"]})
    recorder.close()
    delivery = shipper.finish(10)
    shipper.stop()
    result = collector.expect("result")
    assert collector.process.wait(20) == 0
    assert delivery.records == delivery.delivered > 63
    summary = json.loads((run_dir / SUMMARY).read_text())
    assert summary["run"]["frames"] == 60
    assert summary["accounting"]["delivered"] == delivery.records
    assert summary["verdict"]["result"] == result["verdict"]
    assert result["report"] == str(run_dir / REPORT)
    live = read_live(run_dir)
    assert live is not None
    assert (live.state, live.verdict, live.figures.frames) == ("ended", result["verdict"], 60)
    assert live.accounting.delivered == delivery.records
    ((name, frames),) = [(row.name, row.frames) for row in live.figures.populations]
    assert name == "viewers"
    assert 0 < frames <= 60, "what must wait for later records is not in it yet"
    first = (run_dir / SUMMARY).read_bytes()
    recompute(run_dir)
    assert (run_dir / SUMMARY).read_bytes() == first


def test_a_collector_killed_in_the_middle_goes_on_where_its_journal_ends(
    run_dir: Path, tmp_path: Path, collector: LineProcess
) -> None:
    """Restarted at its port it refolds the journal, takes the rest, and the report holds every frame once."""
    endpoint = collector.expect("listening")["endpoint"]
    shipper = Shipper(endpoint, tmp_path / "spool", run=RUN.bytes, clock=SystemClock())
    recorder = Recorder(make_spool(tmp_path / "spool"), SystemClock())
    shipper.start()
    recorder.append(Kind.HEARTBEAT)
    until = time.monotonic() + 10
    while not shipper.acknowledged(SENDER) and time.monotonic() < until:
        time.sleep(0.01)
    collector.kill()
    record_a_call(recorder, frames=30)
    recorder.close()
    port = int(endpoint.rpartition(":")[2])
    with closing(LineProcess(arguments(run_dir, port), stderr=tmp_path / "stderr.log")) as successor:
        assert successor.expect("listening")["endpoint"] == endpoint
        delivery = shipper.finish(20)
        shipper.stop()
        order(successor, {"is": "end", "reason": "duration", "expect": [SENDER.hex()]})
        successor.expect("result")
        assert successor.process.wait(20) == 0
    assert delivery.records == delivery.delivered
    summary = json.loads((run_dir / SUMMARY).read_text())
    assert (summary["run"]["frames"], summary["accounting"]["delivered"]) == (30, delivery.records)
    first = (run_dir / SUMMARY).read_bytes()
    recompute(run_dir)
    assert (run_dir / SUMMARY).read_bytes() == first


def test_a_sender_with_a_fault_stops_no_collector(run_dir: Path, tmp_path: Path, collector: LineProcess) -> None:
    """A record of no kind is journaled and acknowledged; whoever folds it, first or after a restart, says so."""
    endpoint = collector.expect("listening")["endpoint"]
    shipper = Shipper(endpoint, tmp_path / "spool", run=RUN.bytes, clock=SystemClock())
    spool = make_spool(tmp_path / "spool")
    recorder = Recorder(spool, SystemClock())
    recorder.append(Kind.HEARTBEAT)
    spool.append(bytes(96))
    recorder.append(Kind.HEARTBEAT)
    recorder.close()
    shipper.start()
    delivery = shipper.finish(10)
    shipper.stop()
    assert delivery.records == delivery.delivered == 3
    until = time.monotonic() + 10
    while (live := read_live(run_dir)) is None or live.accounting.delivered < 3:
        assert time.monotonic() < until, "the live figures do not show it"
        time.sleep(0.01)
    collector.kill()
    with closing(LineProcess(arguments(run_dir), stderr=tmp_path / "stderr.log")) as successor:
        successor.expect("listening")
        order(successor, {"is": "end", "reason": "duration", "expect": ["w0"]})
        assert successor.expect("result")["verdict"] == "INVALID"
        assert successor.process.wait(20) == 0
    (sender,) = json.loads((run_dir / SUMMARY).read_text())["accounting"]["senders"]
    assert (sender["delivered"], sender["recorded"]) == (3, 3)
    assert sender["fault"].startswith("record 1 (of unknown kind 0)")


@pytest.mark.parametrize("how", ["stdin", "SIGTERM"])
def test_a_collector_left_alone_ends_and_still_reports(run_dir: Path, collector: LineProcess, how: str) -> None:
    """EOF on stdin and SIGTERM: at once, exit code 0, a report, and no data is never PASS."""
    collector.expect("listening")
    if how == "stdin":
        close_stdin(collector)
    else:
        os.kill(collector.process.pid, signal.SIGTERM)
    assert collector.expect("result")["verdict"] != "PASS"
    assert collector.process.wait(20) == 0
    assert (run_dir / REPORT).exists()


def test_an_end_without_a_sender_waits_until_the_deadline_only(collector: LineProcess) -> None:
    """Who was expected and never came does not hold the report up."""
    collector.expect("listening")
    began = time.monotonic()
    deadline_ns = time.monotonic_ns() + NS_PER_S // 2
    order(collector, {"is": "end", "reason": "duration", "expect": ["w0"], "deadline_ns": deadline_ns})
    assert collector.expect("result")["verdict"] != "PASS"
    assert 0.4 < time.monotonic() - began < 10


def test_junk_on_the_port_is_refused_and_counted(run_dir: Path, collector: LineProcess) -> None:
    """Bytes that are no ZeroMQ, and messages that are none of ours: the collector goes on, the journal counts."""
    endpoint = collector.expect("listening")["endpoint"]
    host, port = endpoint.removeprefix("tcp://").split(":")
    assert host == "127.0.0.1"
    with socket.create_connection((host, int(port)), timeout=5) as junk:
        junk.sendall(b"GET / HTTP/1.1\r\n\r\n" * 100)
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    dealer = context.socket(zmq.DEALER)
    dealer.connect(endpoint)
    for message in (b"", b"junk", b"PVLB" + bytes(200)):
        dealer.send(message)
    dealer.send_multipart([b"two", b"frames"])
    until = time.monotonic() + 10
    while _rejected(run_dir) < 4 and time.monotonic() < until:
        time.sleep(0.02)
    context.destroy(linger=0)
    assert _rejected(run_dir) == 4
    close_stdin(collector)
    collector.expect("result")
    assert json.loads((run_dir / SUMMARY).read_text())["accounting"]["rejected_batches"] == 4


def _rejected(run_dir: Path) -> int:
    with JournalReader.open(run_dir / FILE_NAME) as journal:
        return journal.rejected


def test_a_second_collector_in_the_same_directory_is_refused(
    run_dir: Path, tmp_path: Path, collector: LineProcess
) -> None:
    """One journal has one writer."""
    collector.expect("listening")
    with closing(LineProcess(arguments(run_dir), stderr=tmp_path / "second.log")) as second:
        assert second.process.wait(20) == 2
    assert "another collector works in" in (tmp_path / "second.log").read_text()


@pytest.mark.parametrize("name", [MANIFEST, PROFILE])
def test_a_directory_that_is_none_is_refused(run_dir: Path, tmp_path: Path, name: str) -> None:
    """Exit code 2 and one line that names the file."""
    (run_dir / name).unlink()
    with closing(LineProcess(arguments(run_dir), stderr=tmp_path / "stderr.log")) as process:
        assert process.process.wait(20) == 2
    text = (tmp_path / "stderr.log").read_text()
    assert name in text
    assert "Traceback" not in text


def test_a_taken_port_is_refused(run_dir: Path, tmp_path: Path) -> None:
    """The message says which address."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with closing(LineProcess(arguments(run_dir, port), stderr=tmp_path / "stderr.log")) as process:
            assert process.process.wait(20) == 2
    assert f"cannot listen on 127.0.0.1:{port}" in (tmp_path / "stderr.log").read_text()
