"""How late this process itself was: the evidence by which a finding can be the generator's own.

Two timers fire every few milliseconds, one in a native thread (what scheduler and interpreter lock do to it) and one in
the loop (what stands in the loop's way before a frame can be stamped); the worse of the two counts.
"""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pvload.clock import NS_PER_S, Clock

TICK_NS: Final = 10_000_000
_PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Lag:
    """One interval's lag; fields as in `wire.event.LAG`."""

    interval_ns: int
    lateness_ns: int
    latest_ns: int
    run_queue_ns: int
    gc_pause_ns: int
    cpu_ns: int
    rss_bytes: int
    pressure_ns: int
    steal_ns: int
    open_fds: int


@dataclass(frozen=True, slots=True)
class _Counters:
    """Readings that only grow."""

    t_ns: int
    run_queue_ns: int
    gc_pause_ns: int
    cpu_ns: int
    pressure_ns: int
    steal_ns: int


class _Worst:
    """The worst lateness since it was last taken, and when that moment ended."""

    def __init__(self) -> None:
        self.lateness_ns = 0
        self.at_ns = 0

    def see(self, lateness_ns: int, at_ns: int) -> None:
        if lateness_ns > self.lateness_ns:
            self.lateness_ns, self.at_ns = lateness_ns, at_ns

    def take(self) -> tuple[int, int]:
        taken = (self.lateness_ns, self.at_ns)
        self.lateness_ns = self.at_ns = 0
        return taken


class LagMeter:
    """Measures from `start` to `stop`; `take` gives what was since the last one."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._thread_worst = _Worst()
        self._loop_worst = _Worst()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._tick_in_thread, name="lateness", daemon=True)
        self._timer: asyncio.TimerHandle | None = None
        self._gc_began_ns = 0
        self._gc_pause_ns = 0
        self._last = self._read()

    def start(self) -> None:
        """Begins; to be called in the loop whose lateness counts."""
        gc.callbacks.append(self._collecting)
        self._last = self._read()
        self._thread.start()
        self._arm(asyncio.get_running_loop())

    def stop(self) -> None:
        """Ends both timers. May be repeated."""
        self._stopping.set()
        if self._timer is not None:
            self._timer.cancel()
        if self._collecting in gc.callbacks:
            gc.callbacks.remove(self._collecting)

    def take(self) -> Lag:
        """The lag since the last call, or since the start."""
        now, last = self._read(), self._last
        self._last = now
        lateness_ns, latest_ns = max(self._thread_worst.take(), self._loop_worst.take())
        return Lag(
            interval_ns=now.t_ns - last.t_ns,
            lateness_ns=lateness_ns,
            latest_ns=latest_ns,
            run_queue_ns=now.run_queue_ns - last.run_queue_ns,
            gc_pause_ns=now.gc_pause_ns - last.gc_pause_ns,
            cpu_ns=now.cpu_ns - last.cpu_ns,
            rss_bytes=_rss_bytes(),
            pressure_ns=max(0, now.pressure_ns - last.pressure_ns),
            steal_ns=max(0, now.steal_ns - last.steal_ns),
            open_fds=_open_fds(),
        )

    def _read(self) -> _Counters:
        return _Counters(
            t_ns=self._clock.monotonic_ns(),
            run_queue_ns=_run_queue_ns(),
            gc_pause_ns=self._gc_pause_ns,
            cpu_ns=time.process_time_ns(),
            pressure_ns=pressure_ns(),
            steal_ns=steal_ns(),
        )

    def _tick_in_thread(self) -> None:
        while not self._stopping.is_set():
            due_ns = self._clock.monotonic_ns() + TICK_NS
            time.sleep(TICK_NS / NS_PER_S)
            now_ns = self._clock.monotonic_ns()
            self._thread_worst.see(now_ns - due_ns, now_ns)

    def _arm(self, loop: asyncio.AbstractEventLoop) -> None:
        due_ns = self._clock.monotonic_ns() + TICK_NS

        def fire() -> None:
            now_ns = self._clock.monotonic_ns()
            self._loop_worst.see(now_ns - due_ns, now_ns)
            if not self._stopping.is_set():
                self._arm(loop)

        self._timer = loop.call_later(TICK_NS / NS_PER_S, fire)

    def _collecting(self, phase: str, _info: dict[str, Any]) -> None:
        now_ns = self._clock.monotonic_ns()
        if phase == "start":
            self._gc_began_ns = now_ns
        else:
            self._gc_pause_ns += now_ns - self._gc_began_ns


def pressure_ns() -> int:
    """Time for which some task of this host waited for a CPU; 0 where the kernel does not tell."""
    for line in _lines("/proc/pressure/cpu"):
        if line.startswith("some"):
            return int(line.rpartition("total=")[2]) * 1000
    return 0


def steal_ns() -> int:
    """Time that the hypervisor gave to others, all CPUs together; 0 where the kernel does not tell."""
    for line in _lines("/proc/stat"):
        fields = line.split()
        return int(fields[8]) * NS_PER_S // _TICKS_PER_S if len(fields) > 8 else 0
    return 0


def _run_queue_ns() -> int:
    """Time for which the main thread, the loop's, was ready to run and did not."""
    for line in _lines("/proc/self/schedstat"):
        return int(line.split()[1])
    return 0


def _rss_bytes() -> int:
    for line in _lines("/proc/self/statm"):
        return int(line.split()[1]) * _PAGE_BYTES
    return 0


def _open_fds() -> int:
    try:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - every second; names are not needed as paths
    except OSError:
        return 0


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []
