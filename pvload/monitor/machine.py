"""Disk, network, interrupts and context switches of this host, each interval: MACHINE records.

Increments count from the previous sample; the first has 0. A counter that went back (a card that left) counts as 0.
"""

from __future__ import annotations

import socket
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Final

import psutil

from pvload.clock import NS_PER_MS, Clock
from pvload.ship.recorder import Recorder
from pvload.wire.event import Kind

_NO_DISKS: Final = ("loop", "ram", "zram", "dm-", "md", "sr")
"""What stands on other disks, or on none: its bytes would count twice or not be a disk's."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Totals since boot."""

    disk_read_bytes: int
    disk_written_bytes: int
    network_in_bytes: int
    network_out_bytes: int
    network_drops: int
    interrupts: int
    context_switches: int
    busy_ns: dict[str, int]
    """Disk -> time in which it had something to do."""


def disks() -> tuple[str, ...]:
    """Names of the host's disks."""
    try:
        names = [path.name for path in Path("/sys/block").iterdir()]
    except OSError:
        names = list(psutil.disk_io_counters(perdisk=True) or {})
    return tuple(sorted(name for name in names if not name.startswith(_NO_DISKS)))


def cards(root: Path = Path("/sys/class/net")) -> tuple[str, ...]:
    """Names of the host's network cards; where it has none (a container), of every interface but loopback."""
    try:
        names = [path.name for path in root.iterdir()]
    except OSError:
        names = list(psutil.net_io_counters(pernic=True))
    there = sorted(name for name in names if name not in ("lo", "lo0"))
    real = tuple(name for name in there if (root / name / "device").exists())
    return real or tuple(there)


def read() -> Reading:
    """The totals as they are now."""
    disk = psutil.disk_io_counters(perdisk=True, nowrap=False) or {}
    network = psutil.net_io_counters(pernic=True, nowrap=False)
    drives = {name: disk[name] for name in disks() if name in disk}
    links = [network[name] for name in cards() if name in network]
    stats = psutil.cpu_stats()
    return Reading(
        disk_read_bytes=sum(one.read_bytes for one in drives.values()),
        disk_written_bytes=sum(one.write_bytes for one in drives.values()),
        network_in_bytes=sum(one.bytes_recv for one in links),
        network_out_bytes=sum(one.bytes_sent for one in links),
        network_drops=sum(one.dropin + one.dropout for one in links),
        interrupts=stats.interrupts,
        context_switches=stats.ctx_switches,
        busy_ns={name: getattr(one, "busy_time", 0) * NS_PER_MS for name, one in drives.items()},
    )


def busiest_ns(last: Reading, now: Reading) -> int:
    """How long the busiest disk was busy between the two."""
    spans = (busy_ns - last.busy_ns.get(name, busy_ns) for name, busy_ns in now.busy_ns.items())
    return max(0, *spans, 0)


def lacking() -> list[str]:
    """What this platform does not tell, in words."""
    missing = [] if Path("/proc/pressure/cpu").exists() else ["CPU pressure (PSI)"]
    disk = psutil.disk_io_counters(perdisk=True) or {}
    if not any(name in disk for name in disks()):
        return [*missing, "disk counters"]
    return missing if all(hasattr(one, "busy_time") for one in disk.values()) else [*missing, "busy time of disks"]


class MachineSampler:
    """MACHINE records of this host."""

    def __init__(self, recorder: Recorder, clock: Clock) -> None:
        self._recorder = recorder
        self._clock = clock
        self._name = socket.gethostname()
        self._last: Reading | None = None

    def sample(self) -> None:
        """Records what was since the last sample."""
        now = read()
        last = self._last or now
        self._last = now
        counted = [max(0, new - old) for new, old in zip(astuple(now)[:-1], astuple(last)[:-1], strict=True)]
        self._recorder.append(
            Kind.MACHINE,
            t_ns=self._clock.monotonic_ns(),
            disk_read_bytes=counted[0],
            disk_written_bytes=counted[1],
            disk_busy_ns=busiest_ns(last, now),
            network_in_bytes=counted[2],
            network_out_bytes=counted[3],
            network_drops=counted[4],
            interrupts=counted[5],
            context_switches=counted[6],
            name=self._recorder.text_id(self._name),
        )
