"""One monitor, from its first sample to its FIN: a thin loop that waits for what is due next or for the order to end.

Everything is due at absolute times on the monotonic clock; an interval that was missed is skipped, not made up for.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from socket import gethostname
from typing import Final

from pvload.clock import NS_PER_MS, NS_PER_S, Clock, boot_id
from pvload.errors import PvloadError
from pvload.monitor.command import CommandFollower
from pvload.monitor.follow import LogFollower
from pvload.monitor.kernel import KernelLog
from pvload.monitor.machine import MachineSampler, lacking
from pvload.monitor.processes import ProcessWatch
from pvload.monitor.sample import HostSampler, Watched
from pvload.monitor.witness import KernelWitness, LogWitness, Source
from pvload.ship.axis import AxisNotes
from pvload.ship.recorder import Recorder
from pvload.ship.shipper import Shipper
from pvload.ship.spool import Spool
from pvload.wire.batch import Hello
from pvload.wire.codes import NoteClass
from pvload.wire.event import Kind
from pvload.wire.spools import remove_empty, spool_place

WORKER: Final = "monitor"
SPOOL_BYTES: Final = 16 * 1024 * 1024
HEARTBEAT_NS: Final = NS_PER_S
LOG_POLL_NS: Final = 100 * NS_PER_MS
DRAIN_NS: Final = 3 * NS_PER_S
"""How long the end may spend on reading what the log still holds."""
FINISH_S: Final = 6.0
"""How long the end may spend on shipping; with DRAIN_NS less than the collector's patience of 10 s."""


GONE_NS: Final = 120 * NS_PER_S
"""A monitor that joined a run by itself gives up when the collector was away for so long."""
JOIN_NS: Final = 15 * NS_PER_S
"""And when it cannot be reached at all at the beginning."""
JOIN_HINT: Final = "the run says the exact command line, and both sides need the same pvload"
_WORDS_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a monitor is told on its command line."""

    run: bytes
    run_dir: Path
    """Where the spool goes if the host's memory has no room for it."""
    collector: str
    """ZeroMQ endpoint."""
    logs: tuple[Path, ...] = ()
    whole_log: bool = False
    """What the logs hold already is the run's, too."""
    log_command: str = ""
    watched: tuple[Watched, ...] = ()
    named: tuple[str, ...] = ()
    """Names of processes that are the target's, whenever one is started."""
    roots: tuple[int, ...] = ()
    """Processes whose offspring is the run's own, and is watched too."""
    interval_ns: int = NS_PER_S
    host: bool = True
    kernel_log: bool = False
    worker: str = WORKER
    joined: bool = False
    """It came by itself, beside the target: the collector's word ends it, and its silence."""
    boot: str | None = None
    """Identity of the boot whose clock is read; None: this host's. A test takes another for another host."""


class Order:
    """The order to end: end of file on a descriptor, or a signal. Whichever comes first wakes a waiting loop.

    Lines on the descriptor are words to the monitor: `{"is": "watch", "name": "target", "pid": 123}`.
    """

    def __init__(self, lifeline_fd: int | None) -> None:
        """lifeline_fd: None where nobody holds one."""
        self._lifeline = lifeline_fd
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._words = b""
        self.given = False
        self.to_watch: list[Watched] = []
        """Told of since it was last looked at."""

    def give(self) -> None:
        """Orders the end; may be called from a signal handler, and again."""
        self.given = True
        os.write(self._wake_write, b"\0")

    def wait(self, timeout_s: float) -> None:
        """Returns after timeout_s, or as soon as the end is ordered or something is said."""
        descriptors = [self._wake_read] if self._lifeline is None else [self._lifeline, self._wake_read]
        readable, _, _ = select.select(descriptors, [], [], max(0.0, timeout_s))
        if self._lifeline is None or self._lifeline not in readable:
            return
        heard = os.read(self._lifeline, 4096)
        if not heard:
            self.given = True
            return
        *lines, self._words = (self._words + heard)[-_WORDS_BYTES:].split(b"\n")
        self.to_watch += [one for one in map(_to_watch, lines) if one is not None]


def _to_watch(line: bytes) -> Watched | None:
    """The process that a line names; None if it names none."""
    try:
        word = json.loads(line)
    except ValueError:
        return None
    if not isinstance(word, dict) or word.get("is") != "watch":
        return None
    name, pid = word.get("name"), word.get("pid")
    return Watched(name, pid) if isinstance(name, str) and isinstance(pid, int) and pid > 0 else None


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


@dataclass(slots=True)
class Attendance:
    """Whether the collector is there, for a monitor that joined a run by itself."""

    began_ns: int
    away_since_ns: int | None = None
    met: bool = False
    why: str = ""
    """Why the monitor gives up; empty: it does not."""
    _gone_ns: int = field(default=GONE_NS)

    def look(self, *, connected: bool, refused: str, now_ns: int) -> None:
        """Takes what is so now."""
        if refused:
            self.why = f"the collector refused this monitor: {refused}"
        elif connected:
            self.met, self.away_since_ns = True, None
        elif not self.met and now_ns - self.began_ns > JOIN_NS:
            self.why = f"no collector answered within {JOIN_NS // NS_PER_S} s"
        elif self.met and self.away_since_ns is None:
            self.away_since_ns = now_ns
        elif self.away_since_ns is not None and now_ns - self.away_since_ns > self._gone_ns:
            self.why = f"the collector has been away for {self._gone_ns // NS_PER_S} s"


def spool_folder(run: bytes, run_dir: Path, worker: str = WORKER) -> Path:
    """Where this monitor's records are safe."""
    return spool_place(run.hex(), run_dir, room_bytes=SPOOL_BYTES) / worker


class Witnesses:
    """All that one monitor looks at."""

    def __init__(self, settings: Settings, recorder: Recorder, clock: Clock) -> None:
        self._recorder = recorder
        self._clock = clock
        sources: list[Source] = [LogFollower(path, whole=settings.whole_log) for path in settings.logs]
        sources += [CommandFollower(settings.log_command, clock)] if settings.log_command else []
        self.log = LogWitness(sources, recorder, clock)
        self.kernel = KernelWitness(KernelLog(clock), recorder, clock) if settings.kernel_log else None
        self._host = (HostSampler(recorder, clock), MachineSampler(recorder, clock)) if settings.host else ()
        self.processes = ProcessWatch(
            settings.watched, named=settings.named, roots=settings.roots, recorder=recorder, clock=clock
        )

    def start(self) -> None:
        """Begins to follow; says what this platform does not tell."""
        self.log.start()
        if self.kernel is not None:
            self.kernel.start()
        if self._host and (missing := lacking()):
            text = f"not told by this host: {', '.join(missing)}"
            self._recorder.append(
                Kind.NOTE, t_ns=self._clock.monotonic_ns(), code=NoteClass.INFO, text=self._recorder.text_id(text)
            )

    def sample(self) -> None:
        """Host and processes as they are now."""
        for sampler in self._host:
            sampler.sample()
        self.processes.sample()

    def poll(self) -> None:
        """What the logs gained."""
        self.log.poll()
        if self.kernel is not None:
            self.kernel.poll()

    def finish(self) -> None:
        """The last sample, and the logs to their end."""
        self.sample()
        self.log.finish(deadline_ns=self._clock.monotonic_ns() + DRAIN_NS)
        if self.kernel is not None:
            self.kernel.finish()


def monitor(settings: Settings, order: Order, clock: Clock, announce: Callable[[], None]) -> bool:
    """Runs until the end is ordered; `announce` is called when everything is under way.

    Gives whether every record was delivered; what was not stays in the spool. PvloadError if no spool can be made, or
    if a monitor that joined by itself was refused or left alone.
    """
    sender = uuid.uuid4().bytes
    boot = boot_id() if settings.boot is None else settings.boot
    hello = Hello(role="monitor", worker=settings.worker, incarnation=0, host=gethostname(), boot=boot, pid=os.getpid())
    folder = spool_folder(settings.run, settings.run_dir, settings.worker)
    spool = Spool.create(folder, run=settings.run, sender=sender, hello=hello, limit_bytes=SPOOL_BYTES)
    recorder = Recorder(spool, clock)
    shipper = Shipper(settings.collector, folder, run=settings.run, clock=clock, boot=boot)
    axis = AxisNotes(recorder)
    seen = Witnesses(settings, recorder, clock)
    attendance = Attendance(clock.monotonic_ns())

    def heartbeat() -> None:
        axis.record(shipper.offset)
        recorder.append(
            Kind.HEARTBEAT,
            t_ns=clock.monotonic_ns(),
            wall_ns=clock.wall_ns(),
            spool_records=spool.count,
            acknowledged=shipper.acknowledged(sender),
        )

    def attend() -> None:
        while order.to_watch:
            seen.processes.add(order.to_watch.pop(0))
        if settings.joined:
            fault = shipper.refused or version_fault(shipper.collector_version)
            attendance.look(connected=shipper.connected, refused=fault, now_ns=clock.monotonic_ns())
            if shipper.run_ends or attendance.why:
                order.give()

    seen.start()
    shipper.start()
    try:
        announce()
        now = clock.monotonic_ns()
        tasks = [
            _Task(heartbeat, HEARTBEAT_NS, now),
            _Task(seen.sample, settings.interval_ns, now),
            _Task(seen.poll, LOG_POLL_NS, now),
            _Task(attend, LOG_POLL_NS, now),
        ]
        run_tasks(tasks, order, clock)
        seen.finish()
        heartbeat()
        recorder.close()
        if attendance.why:
            raise PvloadError(attendance.why, hint=JOIN_HINT)
        return shipper.finish(FINISH_S).delivered == spool.count
    finally:
        shipper.stop()
        if shipper.refused or (settings.joined and not attendance.met):
            discard(folder)
        remove_empty(folder)
        with contextlib.suppress(OSError):  # others' folders are in it, or it has gone
            folder.parent.rmdir()


def version_fault(theirs: str) -> str:
    """Why a collector of that version cannot be served; empty if it can, or does not say."""
    ours = version("pvload")
    return f"it has pvload {theirs}, this is {ours}" if theirs not in ("", ours) else ""


def discard(folder: Path) -> None:
    """Removes a spool that belongs to no run: nobody will ever ask for it."""
    for path in folder.glob("*"):
        path.unlink(missing_ok=True)
