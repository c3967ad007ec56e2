"""The run's own processes: named after who started them, replaced, and viewers as one group."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pvload.monitor.family import Family, Relative, module_of
from pvload.monitor.processes import VIEWERS, ProcessWatch, pids_named
from pvload.monitor.sample import Watched
from pvload.wire.event import Kind
from recorded import Recorded, SetClock

ENGINE, LOCUST, COLLECT = "pvload.engine", "locust", "pvload.collect"


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["/usr/bin/python3", "-m", "pvload.engine"], "pvload.engine"),
        (["python", "-X", "dev", "-m", "locust", "-f", "x"], ""),
        (["python", "-u", "-m", "locust"], "locust"),
        (["python", "script.py", "-m", "locust"], ""),
        (["bash"], ""),
        ([], ""),
    ],
)
def test_a_module_is_read_off_a_command_line(command: list[str], expected: str) -> None:
    """Only what Python itself was told."""
    assert module_of(command) == expected


def test_an_engine_beside_a_living_one_is_a_viewer_and_one_after_it_replaces_it() -> None:
    """Names stay with the worker, whatever becomes of its processes."""
    family = Family({20: "engine-local"})
    worker, engine = Relative(10, 1, LOCUST), Relative(20, 10, ENGINE)
    assert family.look([worker, engine]) == {10: "locust"}
    assert family.look([worker, engine, Relative(30, 10, ENGINE), Relative(31, 10, "")]) == {}
    assert family.viewers == {30}
    assert family.look([worker, engine, Relative(32, 10, ENGINE)]) == {}
    assert family.viewers == {32}, "30 is gone"
    assert family.look([worker, Relative(32, 10, ENGINE), Relative(33, 10, ENGINE)]) == {33: "engine-local"}
    assert family.look([worker, Relative(33, 10, ENGINE), Relative(40, 1, COLLECT)]) == {40: "collector"}
    assert family.viewers == set()


def test_a_collectors_copy_is_not_watched() -> None:
    """It judges the run so far and is gone; a collector that replaces another is no copy."""
    family = Family({})
    collector = Relative(40, 1, COLLECT)
    assert family.look([collector, Relative(41, 40, COLLECT)]) == {40: "collector"}
    assert family.look([Relative(50, 1, COLLECT)]) == {50: "collector"}


def test_processes_below_a_root_are_found_and_viewers_summed(tmp_path: Path) -> None:
    """With real processes: a stand-in for a worker with an engine and two viewers."""
    (tmp_path / "pvload").mkdir()
    (tmp_path / "pvload" / "__init__.py").write_text("")
    (tmp_path / "pvload" / "engine.py").write_text("import os, sys; os.write(1, b'u'); sys.stdin.read()")
    worker = (
        "import subprocess, sys\n"
        "go = lambda: subprocess.Popen([sys.executable, '-m', 'pvload.engine'], stdin=subprocess.PIPE)\n"
        "engines = [go(), go(), go()]\n"
        "sys.stdin.read()\n"
        "[one.communicate() for one in engines]\n"
    )
    root = subprocess.Popen([sys.executable, "-c", worker], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=tmp_path)
    assert root.stdout is not None
    assert root.stdout.read(3) == b"uuu", "all three run"
    clock = SetClock()
    recorded = Recorded(tmp_path / "spool", clock)
    watch = ProcessWatch((), roots=(root.pid,), recorder=recorded.recorder, clock=clock)
    watch.sample()
    rows, texts = recorded.rows(Kind.PROCESS), recorded.texts()
    named = {texts[int(row["name"])]: row for row in rows}
    assert set(named) == {"engine", VIEWERS}
    assert named[VIEWERS]["pid"] == 0
    assert named[VIEWERS]["threads"] >= 2 * named["engine"]["threads"]
    assert named[VIEWERS]["rss_bytes"] > named["engine"]["rss_bytes"]
    root.communicate(timeout=20)  # closes the pipes, too
    watch.sample()
    assert len(recorded.rows(Kind.PROCESS)) == 2
    assert [text for _, text, _ in recorded.notes()] == [f"process engine (pid {named['engine']['pid']}) is gone"]


def test_a_process_told_of_during_the_run_is_watched(tmp_path: Path) -> None:
    """The daemon's new pid after a restart, under the same name; told twice, it is watched once."""
    recorded = Recorded(tmp_path, SetClock())
    watch = ProcessWatch((Watched("target", os.getppid()),), recorder=recorded.recorder, clock=SetClock())
    watch.add(Watched("target", os.getpid()))
    watch.add(Watched("target", os.getpid()))
    watch.sample()
    assert sorted(recorded.rows(Kind.PROCESS)["pid"].tolist()) == sorted([os.getpid(), os.getppid()])


def test_a_process_is_found_by_its_name() -> None:
    """By the name of the program that it runs; no name finds none."""
    child = subprocess.Popen(["daemon-of-this-test", "60"], executable="/bin/sleep")
    try:
        deadline = time.monotonic() + 10
        while child.pid not in pids_named(("daemon-of-this-test",)):
            assert time.monotonic() < deadline
        assert pids_named(()) == []
    finally:
        child.kill()
        child.wait(10)
