"""What the supervisor does about a child that does not do its part, and about signals; the child is a small script."""

from __future__ import annotations

import errno
import io
import os
import signal
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from drive import until
from pvload.plan.check import check
from pvload.profiles.load import load
from pvload.run import supervisor
from pvload.run.command import Wish
from pvload.run.progress import LineDisplay
from pvload.run.supervisor import CAMERA_WARNING, Outcome, Patience, Supervisor, limit_s

CHILD = """
import json, os, pathlib, signal, subprocess, sys, time
if sys.argv[2] == "mute":
    time.sleep(60)
folder, deaf = pathlib.Path(sys.argv[1]), sys.argv[2] == "deaf"
def end(*_):
    ended = {"is": "ended", "verdict": "INCONCLUSIVE", "exit_code": 3, "report": str(folder / "report.txt")}
    print(json.dumps(ended), flush=True)
    sys.exit(3)
signal.signal(signal.SIGINT, signal.SIG_IGN if deaf else end)
(folder / "logs").mkdir(parents=True)
(folder / "report.txt").write_text("INCONCLUSIVE\\n")
(folder / "spool" / "worker-0").mkdir(parents=True)
print(json.dumps({"is": "began", "run_dir": str(folder), "run": "0" * 32, "spool": str(folder / "spool")}), flush=True)
print("a line of Locust's log", file=sys.stderr, flush=True)
if sys.argv[2] == "dies":
    idle = [sys.executable, "-c", "import time; time.sleep(60)"]
    (folder / "worker").write_text(str(subprocess.Popen(idle).pid))
    daemon = subprocess.Popen(["sh", "-c", '"$0" "$@" & echo $!; wait', *idle], stdout=-1, start_new_session=True)
    (folder / "of-daemon").write_text(daemon.stdout.readline().decode())
    print(json.dumps({"is": "daemon", "pid": daemon.pid}), flush=True)
    daemon.send_signal(signal.SIGTERM)  # as the kernel does when its starter dies
    os.kill(os.getpid(), signal.SIGKILL)
time.sleep(60)
"""


class _Case:
    """One supervised script in a folder of its own."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        self.said = io.StringIO()
        self._patch = monkeypatch
        monkeypatch.setattr("tempfile.tempdir", str(folder))

    @property
    def run_dir(self) -> Path:
        return self.folder / "run"

    def run(self, manner: str, patience: Patience, target: str = "sim") -> Outcome:
        words = [sys.executable, "-c", CHILD, str(self.run_dir), manner]
        self._patch.setattr(supervisor, "arguments", lambda *_, **__: words)
        overrides = ["run.duration=1s", f"target.address={target}", "simulator.faults=[]"]
        plan = check(load("quick", overrides=overrides).profile)
        return Supervisor(Wish(profile="quick"), LineDisplay(self.said), plan, patience=patience).run()

    def signal_when_it_records(self, number: int) -> None:
        def send() -> None:
            until(lambda: "recording in" in self.said.getvalue(), 20, "it records")
            os.kill(os.getpid(), number)

        threading.Thread(target=send).start()


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> _Case:
    return _Case(tmp_path, monkeypatch)


def test_a_child_that_goes_on_after_its_plan_is_told_to_end(case: _Case) -> None:
    """And then its own verdict counts."""
    outcome = case.run("obedient", Patience(over_s=-1.0))
    assert (outcome.exit_code, outcome.verdict, outcome.errors) == (3, "INCONCLUSIVE", [])
    assert "long after its planned end" in case.said.getvalue()


def test_a_child_that_does_not_end_when_told_is_killed_and_the_run_is_invalid(case: _Case) -> None:
    """4 with the reason; what the collector wrote stays, empty spools do not, and the camera is not forgotten."""
    outcome = case.run("deaf", Patience(over_s=-1.0, order_s=0.2), target="127.0.0.1:50051")
    assert outcome.exit_code == 4
    assert "did not end by itself" in outcome.errors[0].message
    assert outcome.report == case.run_dir / "report.txt"
    assert CAMERA_WARNING in case.said.getvalue()
    assert not (case.run_dir / "spool").exists()


def test_a_child_that_dies_leaves_nobody_behind_and_the_report_is_shown(case: _Case) -> None:
    """Workers hold its stdout and would do so until they miss it; what its daemon had started hears of nothing."""
    outcome = case.run("dies", Patience())
    assert (outcome.exit_code, outcome.report) == (4, case.run_dir / "report.txt")
    assert "without a verdict (signal 9)" in str(outcome.errors[0])
    for name in ("worker", "of-daemon"):
        pid = int((case.run_dir / name).read_text())
        until(lambda pid=pid: not _lives(pid), 5, f"{name} is gone")  # type: ignore[misc]


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False


def test_a_child_that_never_begins_is_killed(case: _Case) -> None:
    """4: nothing was recorded."""
    outcome = case.run("mute", Patience(begin_s=0.0))
    assert outcome.exit_code == 4
    assert outcome.run_dir is None
    assert "did not end by itself" in outcome.errors[0].message


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
def test_each_way_of_being_told_to_end_is_passed_on_in_order(case: _Case, number: int) -> None:
    """A terminal that closes is one of them; Locust's log is kept with the run."""
    case.signal_when_it_records(number)
    assert case.run("obedient", Patience()).exit_code == 3
    assert "a line of Locust's log" in (case.run_dir / "logs" / "locust.log").read_text()
    assert not list(case.folder.glob("pvload-locust-*"))


def test_a_terminal_that_closes_sends_more_than_one_signal(case: _Case) -> None:
    """They count as one; a Ctrl-C after them is the second."""
    one = Supervisor(Wish(profile="quick"), LineDisplay(case.said), check(load("quick").profile))
    with one._signals():
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGHUP)
        assert one._interrupts == 1
        signal.raise_signal(signal.SIGINT)
        assert one._interrupts == 2


def test_a_hang_up_that_was_switched_off_stays_so(case: _Case) -> None:
    """As nohup does."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        case.signal_when_it_records(signal.SIGHUP)
        outcome = case.run("obedient", Patience(over_s=0.5))
    finally:
        signal.signal(signal.SIGHUP, before)
    assert outcome.exit_code == 3
    assert "once more to end at once" not in case.said.getvalue()


def test_a_log_that_cannot_be_kept_with_the_run_stays_where_it_is(case: _Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is full: said, and the verdict is not touched."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("shutil.move", full)
    assert case.run("obedient", Patience(over_s=-1.0)).verdict == "INCONCLUSIVE"
    log = next(case.folder.glob("pvload-locust-*"))
    assert f"stays in {log}: No space left" in case.said.getvalue()


def test_a_run_by_frames_may_last_twice_as_long_as_it_should() -> None:
    """A run by time has its duration."""
    plan = check(load("quick", overrides=["run.duration=20s", "camera.exposure_ms=50"]).profile)
    assert limit_s(plan, 0) == 20.0
    target = plan.profile.target.model_copy(update={"start": "daemon", "start_within": 90.0})
    started = replace(plan, profile=plan.profile.model_copy(update={"target": target}))
    assert limit_s(started, 0) == 110.0, "its daemon may take that long to answer"
    assert limit_s(plan, 200) == pytest.approx(2 * 200 / plan.rate_hz + 30.0)
