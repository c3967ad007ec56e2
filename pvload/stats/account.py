"""The rest of a sender's records: heartbeats, lag, clocks, host, processes, log, unary calls and notes."""

from __future__ import annotations

from collections import Counter, deque
from typing import Final

import numpy as np

from pvload.stats.refusal import is_clear, refusal_text
from pvload.stats.summary import LIST_LIMIT
from pvload.stats.texts import Texts
from pvload.stats.timeline import LATE_NS
from pvload.stats.witness import (
    ClockTally,
    HostTally,
    LagTally,
    LogTally,
    Moment,
    Moments,
    ProbeNote,
    ProcessTally,
    UnaryTally,
)
from pvload.wire.codes import LogClass, NoteClass, UnaryFlag
from pvload.wire.event import Kind

_STATUS: Final = (
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
)
DRIVER_ERRORS: Final = frozenset({LogClass.DRIVER_ERROR, LogClass.PANIC, LogClass.STALL_END, LogClass.UNLOCK})
"""Lines that count as errors of the driver: its own, a panic, an acquisition given up, a failed buffer unlock."""
_TELLING: Final = DRIVER_ERRORS | {
    LogClass.ERROR,
    LogClass.BAD_FRAME,
    LogClass.LIMIT,
    LogClass.STALL_TICK,
    LogClass.NO_CONSUMERS,
    LogClass.INTEGRITY,
    LogClass.DISK,
    LogClass.SHUTDOWN,
}
_TIMELINE: Final = _TELLING | {
    LogClass.READY,
    LogClass.REGISTRATION,
    LogClass.ALREADY_STREAMING,
    LogClass.LOOP_EXIT,
    LogClass.POOL,
    LogClass.MODE_FALLBACK,
    LogClass.ACQUISITION_STARTED,
    LogClass.ACQUISITION_STOPPED,
}
"""Lines that may explain what befell a stream at that moment: no line that every stream or frame has."""
_LOG_CLASSES: Final = {kind.value: kind for kind in LogClass}
_NOTE_NAMES: Final = {kind.value: kind.name.lower() for kind in NoteClass}
STEP_NS: Final = 5_000_000
"""A target clock that is this far off beyond the round trips has stepped."""
WITNESS_LOG: Final = "log"
EARLY_LAGS: Final = 64
"""LAG records kept until the run's start is told: that takes a second or so, and there is about one a second."""


def status_name(status: int) -> str:
    """Name of a gRPC status code."""
    return _STATUS[status] if status < len(_STATUS) else f"CODE_{status}"


class Account:
    """Sums of one sender's witnesses."""

    def __init__(self) -> None:
        self.lag = LagTally()
        self._early_lags: deque[np.void] = deque(maxlen=EARLY_LAGS)
        self.clock = ClockTally()
        self.hosts: dict[str, HostTally] = {}
        self.processes: dict[tuple[str, int], ProcessTally] = {}
        self.unary: dict[str, UnaryTally] = {}
        self.log = LogTally()
        self.notes = Moments(LIST_LIMIT)
        self.note_counts: Counter[str] = Counter()
        self.users_spawned = 0
        self.users_failed = 0
        self.captured: dict[str, tuple[int, int]] = {}
        """Device -> when StopStream answered with a number, and the number; the last answer."""
        self.stops: list[tuple[int, str]] = []
        """StopStream calls of ours: when they were sent, and the device; the first thousand."""
        self.heartbeats = 0
        self.last_heartbeat_ns: int | None = None

    def take(self, kind: Kind, row: np.void, texts: Texts) -> None:
        """Folds one record that is of no call."""
        match kind:
            case Kind.HEARTBEAT:
                self.heartbeats += 1
                self.log.wall_offset_ns = int(row["wall_ns"]) - int(row["t_ns"]) if int(row["wall_ns"]) else None
                self.last_heartbeat_ns = int(row["t_ns"])
            case Kind.CLOCK:
                self._clock(row)
            case Kind.HOST:
                self._host(row, texts)
            case Kind.PROCESS:
                self._process(row, texts)
            case Kind.UNARY:
                self._unary(row, texts)
            case Kind.LOG:
                self._line(row, texts)
            case Kind.NOTE:
                self._note(row, texts)
            case _:
                pass

    def probe(self, note: ProbeNote, *, before_frames: bool) -> None:
        """Takes one reading of the target's clock."""
        clock = self.clock
        clock.probes += 1
        if before_frames:
            if clock.best is None or note.round_trip_ns < clock.best.round_trip_ns:
                clock.best = note
        elif clock.best is not None:
            change = abs(note.offset_ns - clock.best.offset_ns)
            clock.worst_change_ns = max(clock.worst_change_ns, change)
        if clock.last is not None:
            step = note.offset_ns - clock.last.offset_ns
            if abs(step) > STEP_NS + (note.round_trip_ns + clock.last.round_trip_ns) // 2:
                clock.steps.add(Moment(note.at_ns, f"target clock stepped by {step / 1e6:.1f} ms"))
        clock.first = clock.first or note
        clock.last = note

    def lag_told(self, row: np.void, begins_ns: int | None, end_ns: int | None) -> None:
        """Takes a LAG record; only what lies between the run's start and its end is the run's."""
        if begins_ns is None:
            self._early_lags.append(row)
            return
        self.lags_begin(begins_ns)
        if end_ns is None or int(row["t_ns"]) - int(row["interval_ns"]) < end_ns:
            self._lag(row, begins_ns)

    def lags_begin(self, begins_ns: int | None) -> None:
        """Takes what was told before the start was; without any start, all of it."""
        while self._early_lags:
            row = self._early_lags.popleft()
            self._lag(row, int(row["t_ns"]) - int(row["interval_ns"]) if begins_ns is None else begins_ns)

    def _lag(self, row: np.void, begins_ns: int) -> None:
        lag, t_ns = self.lag, int(row["t_ns"])
        if t_ns <= begins_ns:
            return
        until = int(row["latest_ns"]) or t_ns
        if until > begins_ns:
            self._lateness(max(until - int(row["lateness_ns"]), begins_ns), until)
        lag.interval_ns += int(row["interval_ns"])
        lag.cpu_ns += int(row["cpu_ns"])
        lag.run_queue_ns += int(row["run_queue_ns"])
        lag.pressure_ns += int(row["pressure_ns"])
        lag.steal_ns += int(row["steal_ns"])
        lag.gc_pause_ns = max(lag.gc_pause_ns, int(row["gc_pause_ns"]))
        lag.rss_bytes = max(lag.rss_bytes, int(row["rss_bytes"]))
        lag.spool_depth = max(lag.spool_depth, int(row["spool_depth"]))
        lag.open_fds = max(lag.open_fds, int(row["open_fds"]))

    def _lateness(self, begin_ns: int, until_ns: int) -> None:
        lag, lateness = self.lag, until_ns - begin_ns
        lag.lateness.one(lateness)
        if lateness > lag.worst[0]:
            lag.worst = (lateness, until_ns)
        if lateness > LATE_NS:
            lag.late_intervals += 1
            if len(lag.late) < LIST_LIMIT:
                lag.late.append((begin_ns, until_ns, lateness))

    def _clock(self, row: np.void) -> None:
        clock, round_trip = self.clock, int(row["round_trip_ns"])
        if clock.axis_round_trip_ns is None or round_trip < clock.axis_round_trip_ns:
            clock.axis_offset_ns, clock.axis_round_trip_ns = int(row["offset_ns"]), round_trip

    def _host(self, row: np.void, texts: Texts) -> None:
        name = texts.text(int(row["name"]))
        host = self.hosts.setdefault(name, HostTally(name))
        if host.samples == 0:
            host.first_ns = int(row["t_ns"])
        else:
            host.cpu_ns += int(row["cpu_ns"])
            host.pressure_ns += int(row["pressure_ns"])
            host.steal_ns += int(row["steal_ns"])
        host.samples += 1
        host.last_ns = int(row["t_ns"])
        host.cores = int(row["cores"])
        host.memory_used_max = max(host.memory_used_max, int(row["memory_used_bytes"]))
        host.memory_total = int(row["memory_total_bytes"])
        host.load_1_max = max(host.load_1_max, float(row["load_1"]))

    def _process(self, row: np.void, texts: Texts) -> None:
        key = (texts.text(int(row["name"])), int(row["pid"]))
        process = self.processes.setdefault(key, ProcessTally(*key))
        process.sample(
            int(row["t_ns"]), int(row["cpu_ns"]), int(row["rss_bytes"]), int(row["threads"]), int(row["fds"])
        )

    def _unary(self, row: np.void, texts: Texts) -> None:
        if texts.text(int(row["population"])):
            self._stopped(row, texts)
            return
        method = texts.text(int(row["method"]))
        tally = self.unary.setdefault(method, UnaryTally(method))
        t_ns, sent_ns = int(row["t_ns"]), int(row["sent_ns"])
        tally.count += 1
        tally.latency.one(t_ns - (int(row["due_ns"]) or sent_ns))
        status, details = int(row["status"]), texts.text(int(row["details"]))
        failed = status_name(status) if status else ""
        if not status and int(row["flags"]) & UnaryFlag.APPLICATION_FAILED:
            failed = "success=false"
        if failed:
            tally.errors[failed] += 1
            if int(row["change"]) and is_clear(
                status_name(status), refusal_text(details, texts.text(int(row["answer"])))
            ):
                tally.refused[failed] += 1
            else:
                tally.examples.add(Moment(t_ns, f"{failed} {details}".strip()))
        self._stopped(row, texts)

    def _stopped(self, row: np.void, texts: Texts) -> None:
        if texts.text(int(row["method"])).rpartition("/")[2] != "StopStream":
            return
        device, number = texts.text(int(row["device"])), int(row["number"])
        if len(self.stops) < LIST_LIMIT:
            self.stops.append((int(row["sent_ns"]), device))
        if number >= 0:
            self.captured[device] = (int(row["t_ns"]), number)

    def _line(self, row: np.void, texts: Texts) -> None:
        code = int(row["code"])
        kind = _LOG_CLASSES.get(code, LogClass.OTHER)
        if kind is LogClass.OTHER:
            return
        lines = 1 + int(row["suppressed"])
        self.log.lines[kind.name.lower()] += lines
        if kind in DRIVER_ERRORS:
            self.log.driver_errors += lines
        if kind in _TIMELINE:
            at_ns = self.log.stamped_ns(int(row["t_ns"]), int(row["logged_wall_ns"]))
            self.log.line(Moment(at_ns, texts.text(int(row["line"])), kind.name.lower()))
        if kind in _TELLING:
            self.log.examples.add(Moment(int(row["t_ns"]), texts.text(int(row["line"])), kind.name.lower()))

    def _note(self, row: np.void, texts: Texts) -> None:
        code, text = int(row["code"]), texts.text(int(row["text"]))
        name = _NOTE_NAMES.get(code, f"note_{code}")
        if code in (NoteClass.RESTORED, NoteClass.PUT_BACK) and not row["value"]:
            name = f"not_{name}"
        self.note_counts[name] += 1
        self.notes.add(Moment(int(row["t_ns"]), text, name))
        told = code in (NoteClass.WITNESS_PRESENT, NoteClass.WITNESS_MISSING)
        if told and text.split(":")[0].strip() == WITNESS_LOG:
            self.log.present = code == NoteClass.WITNESS_PRESENT
