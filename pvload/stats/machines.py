"""What monitors read each second of host, target and daemon, kept so that a moment of the run can be looked up later.

Samples are kept one by one up to 65,536 (18 hours of seconds); beyond that every second one, and so on.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import nan
from typing import Final

import numpy as np
import numpy.typing as npt

from pvload.stats.histogram import Int64s
from pvload.stats.series import Series
from pvload.stats.texts import Texts
from pvload.wire.event import Kind

SAMPLES: Final = 65_536
PROCESSES: Final = 256
"""Processes whose growth is looked at."""
DAEMONS: Final = 200
TARGET: Final = "target"
MEGABYTE: Final = 1e6


_SamplesState = tuple[int, int, Int64s, npt.NDArray[np.float32]]


class Samples:
    """Rows of floats in order of time; NaN for what was not measured. Single precision.

    The memory for all of them is taken with the first one: a table that fills up for a day would look like a leak.
    """

    __slots__ = ("_count", "_every", "_seen", "_times", "_values", "_width")

    def __init__(self, width: int) -> None:
        self._width = width
        self._every = 1
        self._seen = 0
        self._count = 0
        self._times = np.zeros(0, np.int64)
        self._values = np.zeros((0, width), np.float32)

    def add(self, at_ns: int, *values: float) -> None:
        """Takes one row."""
        if self._seen % self._every == 0:
            if self._count == SAMPLES:
                self._every *= 2
                self._count = SAMPLES // 2
                self._times[: self._count] = self._times[::2].copy()
                self._values[: self._count] = self._values[::2].copy()
            if self._seen % self._every == 0:
                if self._count == self._times.size:
                    self._take_room()
                self._times[self._count] = at_ns
                self._values[self._count] = values
                self._count += 1
        self._seen += 1

    def times(self) -> Int64s:
        """When each row was read, shape (n,)."""
        return self._times[: self._count]

    def rows(self, places: Int64s) -> npt.NDArray[np.float64]:
        """Some of the rows, shape (n, width)."""
        return self._values[places].astype(np.float64)

    def near(self, times: Int64s, within_ns: int) -> npt.NDArray[np.float64]:
        """The row nearest to each time, shape (n, width); NaN where none is as near as within_ns."""
        own = self.times()
        if own.size == 0:
            return np.full((times.size, self._width), nan)
        after = np.clip(np.searchsorted(own, times), 0, own.size - 1)
        before = np.maximum(after - 1, 0)
        nearest = np.where(np.abs(own[before] - times) <= np.abs(own[after] - times), before, after)
        rows = self._values[nearest].astype(np.float64)
        rows[np.abs(own[nearest] - times) > within_ns] = nan
        return rows

    def __getstate__(self) -> _SamplesState:
        """Only the rows that there are: the state is copied every few seconds."""
        return self._every, self._seen, self.times(), self._values[: self._count]

    def __setstate__(self, state: _SamplesState) -> None:
        self._every, self._seen, self._times, self._values = state
        self._count, self._width = self._values.shape

    def _take_room(self) -> None:
        # Ones and not zeros: a page of zeros is no memory until it is written.
        times, values = np.ones(SAMPLES, np.int64), np.ones((SAMPLES, self._width), np.float32)
        times[: self._count], values[: self._count] = self._times, self._values
        self._times, self._values = times, values


@dataclass(slots=True)
class MachineTally:
    """Sums of one host's MACHINE records, from its second one on."""

    samples: int = 0
    first_ns: int = 0
    last_ns: int = 0
    read_bytes: int = 0
    written_bytes: int = 0
    busy_ns: int = 0
    in_bytes: int = 0
    out_bytes: int = 0
    drops: int = 0
    interrupts: int = 0
    switches: int = 0


@dataclass(frozen=True, slots=True)
class DaemonNote:
    """One DAEMON record."""

    at_ns: int
    code: int
    pid: int
    exit_status: int
    details: str


@dataclass(slots=True)
class Host:
    """One host by its HOST and MACHINE records."""

    load: Samples = field(default_factory=lambda: Samples(5))
    """Shares of CPU, pressure and steal, memory used, load."""
    machine: Samples = field(default_factory=lambda: Samples(3))
    """Share of time the disks were busy, network megabytes and interrupts a second."""
    tally: MachineTally = field(default_factory=MachineTally)
    last_ns: int | None = None


class Machines:
    """One monitor's readings."""

    def __init__(self) -> None:
        self.hosts: dict[str, Host] = {}
        self.target = Samples(4)
        """Share of a core, resident bytes, threads and open files of the daemon."""
        self._target: tuple[int, int] | None = None
        """Its pid, and when it was last read."""
        self.growth: dict[tuple[str, int], Series] = {}
        """(name, pid) -> resident bytes, open files, threads."""
        self.daemon: list[DaemonNote] = []

    def take(self, kind: Kind, row: np.void, texts: Texts) -> None:
        """Takes a HOST, MACHINE, PROCESS or DAEMON record."""
        at_ns = int(row["t_ns"])
        match kind:
            case Kind.HOST:
                self._host(self.hosts.setdefault(texts.text(int(row["name"])), Host()), row, at_ns)
            case Kind.MACHINE:
                _machine(self.hosts.setdefault(texts.text(int(row["name"])), Host()), row, at_ns)
            case Kind.PROCESS:
                self._process(texts.text(int(row["name"])), row, at_ns)
            case Kind.DAEMON if len(self.daemon) < DAEMONS:
                self.daemon.append(
                    DaemonNote(
                        at_ns=at_ns,
                        code=int(row["code"]),
                        pid=int(row["pid"]),
                        exit_status=int(row["exit_status"]),
                        details=texts.text(int(row["details"])),
                    )
                )
            case _:
                pass

    def _host(self, host: Host, row: np.void, at_ns: int) -> None:
        span = nan if host.last_ns is None or at_ns <= host.last_ns else float(at_ns - host.last_ns)
        cores = int(row["cores"]) or 1
        host.last_ns = at_ns
        host.load.add(
            at_ns,
            int(row["cpu_ns"]) / (span * cores),
            int(row["pressure_ns"]) / span,
            int(row["steal_ns"]) / (span * cores),
            float(row["memory_used_bytes"]),
            float(row["load_1"]),
        )

    def _process(self, name: str, row: np.void, at_ns: int) -> None:
        pid, rss, fds, threads = (int(row[field]) for field in ("pid", "rss_bytes", "fds", "threads"))
        key = (name, pid)
        if key in self.growth or len(self.growth) < PROCESSES:
            self.growth.setdefault(key, Series(3)).add(at_ns, rss, fds, threads)
        if name != TARGET:
            return
        before = self._target
        span = float(at_ns - before[1]) if before is not None and before[0] == pid and at_ns > before[1] else nan
        self._target = (pid, at_ns)
        self.target.add(at_ns, int(row["cpu_ns"]) / span, rss, threads, fds)


def _machine(host: Host, row: np.void, at_ns: int) -> None:
    tally = host.tally
    if tally.samples == 0:
        tally.first_ns = tally.last_ns = at_ns
        tally.samples = 1
        return
    span = float(at_ns - tally.last_ns) if at_ns > tally.last_ns else nan
    network = int(row["network_in_bytes"]) + int(row["network_out_bytes"])
    host.machine.add(
        at_ns,
        int(row["disk_busy_ns"]) / span,
        network / MEGABYTE / (span / 1e9),
        int(row["interrupts"]) / (span / 1e9),
    )
    tally.samples += 1
    tally.last_ns = at_ns
    tally.read_bytes += int(row["disk_read_bytes"])
    tally.written_bytes += int(row["disk_written_bytes"])
    tally.busy_ns += int(row["disk_busy_ns"])
    tally.in_bytes += int(row["network_in_bytes"])
    tally.out_bytes += int(row["network_out_bytes"])
    tally.drops += int(row["network_drops"])
    tally.interrupts += int(row["interrupts"])
    tally.switches += int(row["context_switches"])
