"""What the host and the watched processes use, read each interval from the kernel.

Increments count from the previous sample; the first sample of anything has 0, so that a sum of increments belongs to
the time between the first and the last sample. A figure that the kernel does not give to us is 0.
"""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path

import psutil

from pvload.clock import Clock
from pvload.ship.recorder import Recorder
from pvload.wire.codes import NoteClass
from pvload.wire.event import Kind

_NS_PER_US = 1_000


@dataclass(frozen=True, slots=True)
class _HostReading:
    """Totals since boot, nanoseconds over all cores."""

    busy_ns: int
    steal_ns: int
    pressure_ns: int


def pressure_total_ns(text: str) -> int:
    """Total time in which some task waited, from the text of a file in /proc/pressure; 0 if it has no such line."""
    for line in text.splitlines():
        if line.startswith("some "):
            return int(line.rpartition("total=")[2]) * _NS_PER_US
    return 0


def _read_host() -> _HostReading:
    times = psutil.cpu_times()
    # Guest time is contained in user time, steal is time that we did not get.
    busy = times.user + times.nice + times.system + times.irq + times.softirq
    try:
        pressure = pressure_total_ns(Path("/proc/pressure/cpu").read_text())
    except OSError:
        pressure = 0
    return _HostReading(busy_ns=int(busy * 1e9), steal_ns=int(times.steal * 1e9), pressure_ns=pressure)


class HostSampler:
    """HOST records of this host."""

    def __init__(self, recorder: Recorder, clock: Clock) -> None:
        self._recorder = recorder
        self._clock = clock
        self._name = socket.gethostname()
        self._cores = os.cpu_count() or 1
        self._last: _HostReading | None = None

    def sample(self) -> None:
        """Records the host as it is now."""
        now, memory, load = _read_host(), psutil.virtual_memory(), psutil.getloadavg()
        last = self._last or now
        self._last = now
        self._recorder.append(
            Kind.HOST,
            t_ns=self._clock.monotonic_ns(),
            cpu_ns=now.busy_ns - last.busy_ns,
            pressure_ns=now.pressure_ns - last.pressure_ns,
            steal_ns=now.steal_ns - last.steal_ns,
            memory_used_bytes=memory.total - memory.available,
            memory_total_bytes=memory.total,
            load_1=load[0],
            load_5=load[1],
            load_15=load[2],
            cores=self._cores,
            name=self._recorder.text_id(self._name),
        )


@dataclass(frozen=True, slots=True)
class Watched:
    """A process to watch and the role it plays."""

    name: str
    pid: int


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process uses at one moment."""

    cpu_ns: int
    """Since it began."""
    rss_bytes: int
    threads: int
    fds: int
    """0: not told to us."""


def usage(process: psutil.Process) -> Usage:
    """Raises psutil.NoSuchProcess for a pid that ended, was given to another process or waits to be reaped."""
    if not process.is_running():
        raise psutil.NoSuchProcess(process.pid)
    with process.oneshot():
        if process.status() == psutil.STATUS_ZOMBIE:
            raise psutil.NoSuchProcess(process.pid)
        times, rss, threads = process.cpu_times(), process.memory_info().rss, process.num_threads()
    try:
        fds = process.num_fds()
    except (psutil.AccessDenied, AttributeError):
        fds = 0
    return Usage(int((times.user + times.system) * 1e9), rss, threads, fds)


class ProcessSampler:
    """PROCESS records of one process until it is gone; then one NOTE."""

    def __init__(self, watched: Watched, recorder: Recorder, clock: Clock) -> None:
        self.name = watched.name
        self._watched = watched
        self._recorder = recorder
        self._clock = clock
        self._process: psutil.Process | None = None
        self._last_cpu_ns: int | None = None
        self.gone = False
        """It will not be sampled any more."""

    def sample(self) -> None:
        """Records the process as it is now, or once that it is gone."""
        if self.gone:
            return
        try:
            self._record()
        except psutil.NoSuchProcess:
            self.gone = True
            text = f"process {self._watched.name} (pid {self._watched.pid}) is gone"
            self._recorder.append(
                Kind.NOTE,
                t_ns=self._clock.monotonic_ns(),
                code=NoteClass.INFO,
                text=self._recorder.text_id(text),
                value=self._watched.pid,
            )

    def _record(self) -> None:
        """Raises psutil.NoSuchProcess as `usage` does; a process of another user is sampled as far as it may be."""
        pid = self._watched.pid
        if self._process is None:
            self._process = psutil.Process(pid)
        now = usage(self._process)
        last, self._last_cpu_ns = self._last_cpu_ns, now.cpu_ns
        self._recorder.append(
            Kind.PROCESS,
            t_ns=self._clock.monotonic_ns(),
            cpu_ns=now.cpu_ns - last if last is not None else 0,
            rss_bytes=now.rss_bytes,
            threads=now.threads,
            fds=now.fds,
            pid=pid,
            name=self._recorder.text_id(self._watched.name),
        )
