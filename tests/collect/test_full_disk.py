"""A collector whose disk is full: it says so, acknowledges nothing more, ends in order, and the run is INVALID."""

from __future__ import annotations

import json
import os
import time
import uuid
from contextlib import closing
from pathlib import Path

import pytest

from pvload.clock import SystemClock
from pvload.collect.__main__ import without_journal
from pvload.profiles.load import canonical_json
from pvload.profiles.schema import Profile, Run
from pvload.profiles.users import Users
from pvload.ship.recorder import Recorder
from pvload.ship.shipper import Shipper
from pvload.ship.spool import Spool
from pvload.verdict.judgement import Result, Verdict
from pvload.wire.batch import Hello
from pvload.wire.event import Kind
from pvload.wire.live import read_live
from pvload.wire.run_directory import PROFILE, REPORT, SUMMARY, Manifest, write_manifest
from rig import LineProcess

RUN, SENDER = uuid.UUID(int=1), uuid.UUID(int=2).bytes
FILE_BYTES = 400_000
RECORDS = 20_000
LIMITED = (
    f"import resource, runpy; resource.setrlimit(resource.RLIMIT_FSIZE, ({FILE_BYTES}, {FILE_BYTES}));"
    "runpy.run_module('pvload.collect', run_name='__main__', alter_sys=True)"
)
"""No file of this process may grow beyond FILE_BYTES: its journal fails as on a full disk."""


def test_a_full_disk_is_said_and_makes_the_run_invalid(tmp_path: Path) -> None:
    """Nothing is lost by it: a collector with room takes up where the journal ends."""
    run_dir, spools = tmp_path / "run", tmp_path / "spools"
    run_dir.mkdir()
    write_manifest(run_dir, Manifest(run=RUN.hex, name="full", created_wall_ns=1))
    profile = Profile(run=Run(name="full", duration=2.0), users=[Users(name="viewers", count=1)])
    (run_dir / PROFILE).write_bytes(canonical_json(profile))
    hello = Hello(role="engine", worker="w0", incarnation=0, host="h", boot="b", pid=os.getpid())
    spool = Spool.create(spools, run=RUN.bytes, sender=SENDER, hello=hello, limit_bytes=1 << 24)
    recorder = Recorder(spool, SystemClock())
    options = ["--run-dir", str(run_dir)]
    with closing(LineProcess(["-c", LIMITED, *options], stderr=tmp_path / "stderr.log")) as collector:
        endpoint = collector.expect("listening")["endpoint"]
        shipper = Shipper(endpoint, spools, run=RUN.bytes, clock=SystemClock(), patience_s=0.5)
        shipper.start()
        for _ in range(RECORDS):
            recorder.append(Kind.HEARTBEAT)
        recorder.close()
        until = time.monotonic() + 20
        while not ((live := read_live(run_dir)) and live.trouble):
            assert time.monotonic() < until, "the trouble was never said"
            shipper.finish(0.05)
        collector.send(json.dumps({"is": "end", "reason": "duration", "expect": ["w0"]}).encode() + b"\n")
        result = collector.expect("result")
        assert collector.process.wait(20) == 0
    assert (result["verdict"], result["exit_code"]) == ("INVALID", 4)
    assert "could not be stored to its end: journal" in (run_dir / REPORT).read_text()
    summary = json.loads((run_dir / SUMMARY).read_text())
    assert summary["verdict"]["result"] == "INVALID"
    assert shipper.acknowledged(SENDER) == summary["accounting"]["delivered"] < RECORDS
    port = endpoint.rpartition(":")[2]
    again = ["-m", "pvload.collect", *options, "--port", port]
    with closing(LineProcess(again, stderr=tmp_path / "stderr.log")) as collector:
        collector.expect("listening")
        assert shipper.finish(20).delivered == RECORDS
        shipper.stop()
        collector.send(b'{"is":"end","reason":"duration"}\n')
        collector.expect("result")
    assert json.loads((run_dir / SUMMARY).read_text())["accounting"]["delivered"] == RECORDS


@pytest.mark.parametrize(
    ("before", "after"),
    [(Result.PASS, Result.INVALID), (Result.INCONCLUSIVE, Result.INVALID), (Result.FAIL, Result.FAIL)],
)
def test_a_run_that_was_not_stored_to_its_end_is_never_pass(before: Result, after: Result) -> None:
    """A failure that was seen stands; everything else is INVALID."""
    verdict = without_journal(Verdict(before, ()), "no room")
    assert verdict.result is after
    assert any("no room" in line for line in verdict.why)
