"""An engine that stands still for a while is late: what waited for it comes in a burst and is not more than was due."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from pvload.profiles.criteria import Criteria
from pvload.profiles.schema import Camera, Profile, Run
from pvload.profiles.users import Users
from pvload.profiles.values import Roi
from rig import running

STOOD_STILL_S = 1.5


def test_a_stopped_engine_is_late_and_the_service_has_not_failed(tmp_path: Path) -> None:
    """SIGSTOP for 1.5 s in the middle of a good stream of 20 frames/s; the pause is the fault itself."""
    profile = Profile(
        run=Run(name="late", duration=4.0, warm_up=0.2),
        camera=Camera(exposure_ms=50.0, roi=Roi(x=0, y=0, width=64, height=64)),
        users=[Users(name="viewer")],
        criteria=Criteria(longest_stall_s=1.0, fps_within=0.2, coverage_at_least=0.9),
    )
    with running(tmp_path, profile) as rig:
        assert rig.engine is not None
        rig.start_camera()
        call = rig.open(stop_after_frames=70)
        rig.engine.answer("first_frame", id=call)
        os.kill(rig.engine.process.pid, signal.SIGSTOP)
        time.sleep(STOOD_STILL_S)
        os.kill(rig.engine.process.pid, signal.SIGCONT)
        rig.engine.answer("ended", id=call)
        verdict = rig.end([])["verdict"]
        summary = rig.summary()
    run, generator = summary["run"], summary["generator"]
    assert verdict != "FAIL"
    assert run["frames"] == 70
    assert 0.8 <= run["coverage"] <= 1.05
    assert run["blind_s"] >= STOOD_STILL_S - 0.2
    assert generator["longest_lag_ms"] >= 1000 * (STOOD_STILL_S - 0.2)
