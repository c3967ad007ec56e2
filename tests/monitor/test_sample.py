"""Samples of the host and of processes, and what becomes of a process that ends."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from pvload.monitor.sample import HostSampler, ProcessSampler, Watched, pressure_total_ns
from pvload.wire.codes import NoteClass
from pvload.wire.event import Kind
from recorded import Recorded, SetClock


@pytest.fixture
def recorded(tmp_path: Path) -> Recorded:
    return Recorded(tmp_path, SetClock())


@pytest.mark.parametrize(
    ("text", "expected_ns"),
    [
        ("some avg10=11.97 avg60=5.26 avg300=1.73 total=10365081\nfull avg10=0.00 total=3\n", 10365081000),
        ("full avg10=0.00 avg60=0.00 avg300=0.00 total=3\n", 0),
        ("", 0),
    ],
)
def test_pressure_is_the_total_of_some(text: str, expected_ns: int) -> None:
    """Microseconds in the kernel's file; absent where it does not tell."""
    assert pressure_total_ns(text) == expected_ns


def test_the_host_is_sampled_with_increments(recorded: Recorded) -> None:
    """The first sample has no increment; later ones never a negative one."""
    sampler = HostSampler(recorded.recorder, SetClock())
    sampler.sample()
    sum(range(3_000_000))
    sampler.sample()
    first, second = recorded.rows(Kind.HOST)
    assert (first["cpu_ns"], first["steal_ns"], first["pressure_ns"]) == (0, 0, 0)
    assert second["cpu_ns"] >= 0
    assert 0 < second["memory_used_bytes"] < second["memory_total_bytes"]
    assert second["cores"] == os.cpu_count()
    assert recorded.texts()[int(second["name"])] == os.uname().nodename


def test_a_process_is_sampled_under_its_role(recorded: Recorded) -> None:
    """CPU as increments, memory, threads and descriptors as readings."""
    sampler = ProcessSampler(Watched("engine", os.getpid()), recorded.recorder, SetClock())
    sampler.sample()
    before = os.times()
    while sum(os.times()[:2]) - sum(before[:2]) < 0.05:
        sum(range(100_000))
    sampler.sample()
    first, second = recorded.rows(Kind.PROCESS)
    assert first["cpu_ns"] == 0
    assert second["cpu_ns"] >= 40_000_000
    assert second["pid"] == os.getpid()
    assert min(second["rss_bytes"], second["threads"], second["fds"]) > 0
    assert recorded.texts()[int(second["name"])] == "engine"


def test_a_process_that_ended_is_noted_once(recorded: Recorded) -> None:
    """Whether it still waits to be reaped or its pid is free; the others are sampled on."""
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    sampler = ProcessSampler(Watched("target", child.pid), recorded.recorder, SetClock())
    sampler.sample()
    child.communicate(b"\n", timeout=20)
    for _ in range(3):
        sampler.sample()
    assert len(recorded.rows(Kind.PROCESS)) == 1
    assert recorded.notes() == [(NoteClass.INFO, f"process target (pid {child.pid}) is gone", child.pid)]


def test_an_unreaped_process_is_gone(recorded: Recorded) -> None:
    """A zombie uses nothing and does nothing."""
    child = subprocess.Popen([sys.executable, "-c", "pass"])
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    ProcessSampler(Watched("target", child.pid), recorded.recorder, SetClock()).sample()
    child.wait(timeout=20)
    assert len(recorded.rows(Kind.PROCESS)) == 0
    assert len(recorded.notes()) == 1


def test_a_pid_that_never_existed_is_noted_not_raised(recorded: Recorded) -> None:
    """A wrong pid on the command line is a note."""
    ProcessSampler(Watched("target", 2**22 + 1), recorded.recorder, SetClock()).sample()
    assert len(recorded.notes()) == 1
