"""The monitor as a process: it watches, ends in order, and everything it saw is delivered."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from pvload.monitor.__main__ import parse
from pvload.monitor.session import spool_folder
from pvload.wire.codes import LogClass, NoteClass
from pvload.wire.event import Kind, Records, rows_of
from rig import LineProcess
from sink import Sink

STALL = "2026-11-21T11:23:05.5Z ERROR daq_driver_pvcam: Acquisition error (involuntary stop) error=Timeout\n"


def start(folder: Path, endpoint: str, *more: str) -> tuple[LineProcess, bytes]:
    run = uuid.uuid4()
    arguments = ["-m", "pvload.monitor", "--run-hex", run.hex, "--run-dir", str(folder), "--collector", endpoint]
    process = LineProcess([*arguments, "--interval", "0.05", *more], stderr=folder / "monitor.log")
    process.expect("ready")
    return process, run.bytes


def texts(records: Records) -> dict[int, str]:
    found: dict[int, bytes] = {0: b""}
    for row in rows_of(records, Kind.TEXT):
        found[int(row["ref"])] = found.get(int(row["ref"]), b"") + row["bytes"].item()[: int(row["code"])]
    return {number: data.decode() for number, data in found.items()}


def at_least(kind: Kind, count: int) -> Callable[[Records], bool]:
    return lambda records: int((records["kind"] == kind).sum()) >= count


def close_stdin(process: LineProcess) -> None:
    assert process.process.stdin is not None
    process.process.stdin.close()


def terminate(process: LineProcess) -> None:
    os.kill(process.process.pid, signal.SIGTERM)


@pytest.mark.parametrize("end", [close_stdin, terminate])
def test_a_monitor_delivers_what_it_saw_and_ends_in_order(tmp_path: Path, end: Callable[[LineProcess], None]) -> None:
    """Samples, heartbeats and log lines, the last line too, which came just before the order; FIN; exit code 0."""
    log = tmp_path / "daemon.log"
    with Sink() as sink:
        process, run = start(
            tmp_path, sink.endpoint, "--log", str(log), "--pid", str(os.getpid()), "--watch", f"gone={2**22 + 1}"
        )
        log.write_text(STALL)
        sink.wait_until(lambda records: all(at_least(k, 2)(records) for k in (Kind.HOST, Kind.PROCESS, Kind.HEARTBEAT)))
        sink.wait_until(at_least(Kind.LOG, 1))
        with log.open("a") as file:
            file.write("thread 'main' panicked at src/x.rs:1:1")
        end(process)
        assert sink.finished.wait(20)
        assert process.process.wait(20) == 0
        process.close()
        records = sink.records()
    named = texts(records)
    assert rows_of(records, Kind.LOG)["code"].tolist() == [LogClass.STALL_END, LogClass.PANIC]
    assert {named[int(row["name"])] for row in rows_of(records, Kind.PROCESS)} == {"target", "monitor"}
    notes = [
        (int(r["code"]), named[int(r["text"])]) for r in rows_of(records, Kind.NOTE) if r["code"] != NoteClass.LOG_LEVEL
    ]
    assert sorted(notes) == [
        (NoteClass.INFO, f"process gone (pid {2**22 + 1}) is gone"),
        (NoteClass.WITNESS_PRESENT, "log"),
    ]
    beats = rows_of(records, Kind.HEARTBEAT)
    assert beats["t_ns"].tolist() == sorted(beats["t_ns"].tolist())
    assert (beats["acknowledged"] <= beats["spool_records"]).all()
    assert beats["acknowledged"][-1] > 0
    assert sink.hello is not None
    assert (sink.hello.role, sink.hello.worker) == ("monitor", "monitor")
    assert not spool_folder(run, tmp_path).parent.exists(), "all was shipped, nothing is left"


def test_without_a_log_the_witness_is_missing(tmp_path: Path) -> None:
    """No --log: said in the records, not in silence."""
    with Sink() as sink:
        process, _ = start(tmp_path, sink.endpoint)
        process.close()
        assert sink.finished.wait(20)
        records = sink.records()
    named = texts(records)
    (note,) = rows_of(records, Kind.NOTE)
    assert (int(note["code"]), named[int(note["text"])]) == (NoteClass.WITNESS_MISSING, "log")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--run-hex", "ab"], "32 hex digits"),
        (["--run-hex", "xy"], "--run-hex"),
        (["--watch", "engine"], "NAME=PID"),
        (["--watch", "=7"], "NAME=PID"),
        (["--interval", "0"], "0.01 to 3600"),
    ],
)
def test_a_wrong_command_line_is_refused(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 and the argument that is wrong."""
    valid = ["--run-hex", "ab" * 16, "--run-dir", str(tmp_path), "--collector", "tcp://127.0.0.1:1"]
    with pytest.raises(SystemExit) as exit_:
        parse([*valid, *arguments])
    assert exit_.value.code == 2
    assert said in capsys.readouterr().err


def run_patched(folder: Path, patch: str, run_dir: Path) -> subprocess.CompletedProcess[str]:
    """A monitor whose input is at its end already, with one value of its session replaced."""
    command = ["--run-hex", uuid.uuid4().hex, "--run-dir", str(run_dir), "--collector", "tcp://127.0.0.1:1"]
    code = (
        "import sys; from pathlib import Path; from pvload.monitor import session, __main__ as m;"
        f"folder = Path({str(folder)!r}); session.{patch}; sys.exit(m.main({command!r}))"
    )
    return subprocess.run(
        [sys.executable, "-c", code], stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30
    )


def test_a_folder_that_cannot_hold_a_spool_ends_with_a_message(tmp_path: Path) -> None:
    """Where the spool should be is a file: exit code 2, no traceback."""
    (tmp_path / "file").write_text("")
    done = run_patched(tmp_path, "spool_folder = lambda run, run_dir, worker: folder / 'file' / 'spool'", tmp_path)
    assert done.returncode == 2
    assert "no spool can be made" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_a_collector_the_records_stay_in_the_spool(tmp_path: Path) -> None:
    """The end is bounded in time, exit code 1 says that something was not delivered, and it is still there."""
    done = run_patched(
        tmp_path, "FINISH_S = 0.2; session.spool_folder = lambda run, run_dir, worker: folder / 'spool'", tmp_path
    )
    assert done.returncode == 1
    assert "stay in the spool" in done.stderr
    assert list((tmp_path / "spool").glob("*.records"))
