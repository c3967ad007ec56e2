"""The daemon's log and its process as witnesses, from the simulator's file to the run's summary."""

from __future__ import annotations

from pathlib import Path

from pvload.profiles.criteria import Criteria
from pvload.profiles.schema import Camera, Profile, Run
from pvload.profiles.users import Users
from pvload.profiles.values import Roi
from pvload.wire import run_directory
from rig import LineProcess, running

FRAMES = 20


def test_what_the_daemon_logs_and_uses_is_in_the_summary(tmp_path: Path) -> None:
    """A stream begun and ended: the daemon's own lines about it, counted by class; host and target sampled."""
    profile = Profile(
        run=Run(name="witness", duration=4.0, warm_up=0.2),
        camera=Camera(exposure_ms=40.0, roi=Roi(x=0, y=0, width=64, height=64)),
        users=[Users(name="viewer")],
        criteria=Criteria(driver_errors=0),
    )
    with running(tmp_path / "run", profile) as rig:
        assert rig.sim is not None
        monitor = LineProcess(
            [
                *("-m", "pvload.monitor", "--run-hex", rig.run, "--run-dir", str(rig.folder)),
                *("--collector", rig.endpoint, "--log", str(rig.folder / run_directory.DAEMON_LOG)),
                *("--pid", str(rig.sim.process.pid), "--interval", "0.2"),
            ],
            stderr=rig.folder / run_directory.LOGS / "monitor.log",
        )
        try:
            monitor.expect("ready")
            rig.start_camera()
            call_id = rig.open(stop_after_frames=FRAMES)
            assert rig.engine is not None
            rig.engine.answer("ended", id=call_id)
        finally:
            monitor.close()
        assert monitor.process.returncode == 0
        rig.end([])
        summary = rig.summary()
    log = summary["log"]
    assert log["present"]
    assert log["driver_errors"] == 0
    assert log["lines"]["synthetic"] == 2, "what its start said before the monitor came, and StartStream"
    assert log["lines"]["subscribe"] == 2
    (host,) = summary["hosts"]
    (target,) = [process for process in summary["processes"] if process["name"] == "target"]
    assert host["samples"] >= 2
    assert target["samples"] >= 2
    assert target["rss_max_bytes"] > 0
    assert summary["accounting"]["undelivered"] == 0
