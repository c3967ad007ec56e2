"""One monitor, from its first sample to its FIN: a thin loop that waits for what is due next or for the order to end.

Everything is due at absolute times on the monotonic clock; an interval that was missed is skipped, not made up for.
"""

from __future__ import annotations

import contextlib
import os
import select
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from socket import gethostname
from typing import Final

from pvload.clock import NS_PER_MS, NS_PER_S, Clock, boot_id
from pvload.monitor.sample import HostSampler, ProcessSampler, Watched
from pvload.monitor.witness import LogWitness
from pvload.ship.axis import AxisNotes
from pvload.ship.recorder import Recorder
from pvload.ship.shipper import Shipper
from pvload.ship.spool import Spool
from pvload.wire.batch import Hello
from pvload.wire.event import Kind

WORKER: Final = "monitor"
SPOOL_BYTES: Final = 16 * 1024 * 1024
HEARTBEAT_NS: Final = NS_PER_S
LOG_POLL_NS: Final = 100 * NS_PER_MS
DRAIN_NS: Final = 3 * NS_PER_S
"""How long the end may spend on reading what the log still holds."""
FINISH_S: Final = 6.0
"""How long the end may spend on shipping; with DRAIN_NS less than the collector's patience of 10 s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a monitor is told on its command line."""

    run: bytes
    run_dir: Path
    collector: str
    """ZeroMQ endpoint."""
    log: Path | None
    watched: tuple[Watched, ...]
    interval_ns: int


class Order:
    """The order to end: end of file on a descriptor, or a signal. Whichever comes first wakes a waiting loop."""

    def __init__(self, lifeline_fd: int) -> None:
        self._lifeline = lifeline_fd
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self.given = False

    def give(self) -> None:
        """Orders the end; may be called from a signal handler, and again."""
        self.given = True
        os.write(self._wake_write, b"\0")

    def wait(self, timeout_s: float) -> None:
        """Returns after timeout_s, or as soon as the end is ordered."""
        readable, _, _ = select.select([self._lifeline, self._wake_read], [], [], max(0.0, timeout_s))
        if self._lifeline in readable and not os.read(self._lifeline, 4096):
            self.given = True


@dataclass(slots=True)
class _Task:
    """Something done every period_ns."""

    work: Callable[[], object]
    period_ns: int
    due_ns: int


def run_tasks(tasks: list[_Task], order: Order, clock: Clock) -> None:
    """Does each task when it is due until the end is ordered."""
    while not order.given:
        for task in tasks:
            now = clock.monotonic_ns()
            if now >= task.due_ns:
                task.work()
                task.due_ns += task.period_ns * (1 + (now - task.due_ns) // task.period_ns)
        order.wait((min(task.due_ns for task in tasks) - clock.monotonic_ns()) / NS_PER_S)


def spool_folder(run: bytes, run_dir: Path) -> Path:
    """Where this monitor's records are safe: memory of the host if it has such a filesystem, else the run directory."""
    memory = Path("/dev/shm")
    if os.access(memory, os.W_OK):
        return memory / f"pvload-{os.getuid()}" / run.hex() / WORKER
    return run_dir / "spool" / WORKER


def monitor(settings: Settings, order: Order, clock: Clock, announce: Callable[[], None]) -> bool:
    """Runs until the end is ordered; `announce` is called when everything is under way.

    Gives whether every record was delivered; what was not stays in the spool. PvloadError if no spool can be made.
    """
    sender = uuid.uuid4().bytes
    hello = Hello(role="monitor", worker=WORKER, incarnation=0, host=gethostname(), boot=boot_id(), pid=os.getpid())
    folder = spool_folder(settings.run, settings.run_dir)
    spool = Spool.create(folder, run=settings.run, sender=sender, hello=hello, limit_bytes=SPOOL_BYTES)
    recorder = Recorder(spool, clock)
    shipper = Shipper(settings.collector, folder, run=settings.run, clock=clock)
    axis = AxisNotes(recorder)
    log = LogWitness(settings.log, recorder, clock)
    host = HostSampler(recorder, clock)
    processes = [ProcessSampler(watched, recorder, clock) for watched in settings.watched]

    def sample() -> None:
        host.sample()
        for process in processes:
            process.sample()

    def heartbeat() -> None:
        axis.record(shipper.offset)
        recorder.append(
            Kind.HEARTBEAT,
            t_ns=clock.monotonic_ns(),
            wall_ns=clock.wall_ns(),
            spool_records=spool.count,
            acknowledged=shipper.acknowledged(sender),
        )

    log.start()
    shipper.start()
    try:
        announce()
        now = clock.monotonic_ns()
        tasks = [
            _Task(heartbeat, HEARTBEAT_NS, now),
            _Task(sample, settings.interval_ns, now),
            _Task(log.poll, LOG_POLL_NS, now),
        ]
        run_tasks(tasks, order, clock)
        sample()
        log.finish(deadline_ns=clock.monotonic_ns() + DRAIN_NS)
        heartbeat()
        recorder.close()
        return shipper.finish(FINISH_S).delivered == spool.count
    finally:
        shipper.stop()
        for emptied in (folder, folder.parent):
            with contextlib.suppress(OSError):  # what was not shipped stays, and its folder with it
                emptied.rmdir()
