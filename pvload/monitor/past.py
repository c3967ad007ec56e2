"""What an old log says, without a run: its classes, what happened when, stalls, errors, and the server's own accounts.

Pure: lines in, account out; memory is bounded, whatever the log's length. Lines of several files are told in the order
of their stamps; one without a stamp happened when the stamped line before it in its file did.
"""

from __future__ import annotations

import heapq
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from pvload.clock import NS_PER_S
from pvload.monitor.tokens import Classified, classify, strip_escapes
from pvload.wire.codes import LogClass
from pvload.wire.log_level import hidden_classes
from pvload.wire.log_text import DriverError, StallTick, StreamEnd, driver_error, stall_tick, stream_end

LISTED: Final = 200
"""Of each kind: moments, stalls, errors, ends of streams. More are only counted."""
FIRST_OF_CLASS: Final = 10
LAST_OF_CLASS: Final = 5
"""Lines of one class that stand in the timeline; a thousand drops are one finding."""
TICK_S: Final = 2.0
"""The driver waits so long for a frame before it says that it waited."""
TICK_NS: Final = int(TICK_S * NS_PER_S)
TIMELINE: Final = frozenset(LogClass) - {
    LogClass.OTHER,
    LogClass.CALLBACK,
    LogClass.SLOW_OBSERVER,
    LogClass.DAEMON_WARNING,
    LogClass.SUBSCRIBE,
    LogClass.DISCONNECT,
    LogClass.DROP,
}
"""Classes whose lines are told one by one."""


@dataclass(frozen=True, slots=True)
class PastLine:
    """One line, and when it happened."""

    source: int
    """Which file, from 0."""
    number: int
    """Line number in it, from 1."""
    at_ns: int | None
    """Since the epoch; None: before the first stamp of its file."""
    line: Classified


@dataclass(frozen=True, slots=True)
class Moment:
    """A line that matters."""

    at_ns: int | None
    log_class: str
    source: int
    number: int
    text: str


@dataclass(frozen=True, slots=True)
class PastStall:
    """Ticks in a row: the driver got no frame."""

    first_tick_ns: int | None
    """When the first tick was said; the silence began TICK_S before. Counted back from a stamped end, as ticks have no
    stamp of their own."""
    last_ns: int | None
    ticks: int
    involuntary_stop: bool
    """It ended the acquisition."""
    last_tick: StallTick | None
    """None: only the end was seen."""
    error: str
    """As the driver's last line says it: Timeout, StatusCheckFailed, ReadoutFailed; empty: it does not."""


@dataclass(frozen=True, slots=True)
class PastError:
    """An error of the driver."""

    at_ns: int | None
    error: DriverError
    source: int
    number: int


@dataclass(frozen=True, slots=True)
class PastEnd:
    """The server's account of a subscription."""

    at_ns: int | None
    end: StreamEnd


@dataclass(frozen=True, slots=True)
class Past:
    """What the logs said."""

    lines: int
    first_ns: int | None
    last_ns: int | None
    levelled: int
    """Lines with a level of their own."""
    levels: dict[str, int]
    classes: dict[str, int]
    """Class -> lines, in the order of the classes; those that matter to nobody are not among them."""
    hidden: tuple[str, ...]
    synthetic: str
    timeline: tuple[Moment, ...]
    moments: int
    """Lines that belong in the timeline; more than are listed where a class floods it."""
    stalls: tuple[PastStall, ...]
    errors: tuple[PastError, ...]
    error_codes: dict[str, int]
    """PVCAM's number, or `none` -> lines."""
    ends: tuple[PastEnd, ...]
    ended: int
    """Subscriptions whose end was told; more than are listed in a long log."""
    frames_sent: int
    frames_dropped: int


@dataclass(slots=True)
class _Stall:
    first_ns: int | None
    last_ns: int | None
    ticks: int = 0
    stopped: bool = False
    tick: StallTick | None = None
    error: str = ""
    end_ns: int | None = None
    """Stamp of the first line of its end."""

    def concluded(self) -> PastStall:
        first_ns, last_ns = self.first_ns, self.last_ns
        if self.end_ns is not None:
            last_ns = self.end_ns
            first_ns = max(first_ns or 0, self.end_ns - max(0, self.ticks - 1) * TICK_NS)
        return PastStall(first_ns, last_ns, self.ticks, self.stopped, self.tick, self.error)


@dataclass(slots=True)
class _Kept:
    first: list[Moment] = field(default_factory=list)
    last: deque[Moment] = field(default_factory=lambda: deque(maxlen=LAST_OF_CLASS))


def past_lines(files: Iterable[Iterable[str]]) -> Iterator[PastLine]:
    """The lines of all files, in the order in which they happened; each file is read once, line by line."""
    return heapq.merge(*(_of_file(at, lines) for at, lines in enumerate(files)), key=lambda one: one.at_ns or 0)


def _of_file(source: int, lines: Iterable[str]) -> Iterator[PastLine]:
    at_ns: int | None = None
    for number, text in enumerate(lines, start=1):
        line = classify(strip_escapes(text.rstrip("\r\n")))
        # A clock that was set back must not put what follows before what was: the merge needs an order.
        at_ns = max(line.stamp_wall_ns, at_ns or 0) if line.stamp_wall_ns is not None else at_ns
        yield PastLine(source, number, at_ns, line)


class Reading:
    """Takes lines in order, gives the account at the end."""

    def __init__(self) -> None:
        self._lines = 0
        self._first_ns: int | None = None
        self._last_ns: int | None = None
        self._levels: Counter[str] = Counter()
        self._classes: Counter[LogClass] = Counter()
        self._synthetic = ""
        self._kept: dict[LogClass, _Kept] = {}
        self._stalls: list[PastStall] = []
        self._stall: _Stall | None = None
        self._errors: list[PastError] = []
        self._codes: Counter[str] = Counter()
        self._ends: list[PastEnd] = []
        self._ended = self._sent = self._dropped = 0

    def take(self, past: PastLine) -> None:
        """One line."""
        line, log_class = past.line, past.line.log_class
        self._lines += 1
        self._levels[line.level] += 1
        if past.at_ns is not None:
            self._first_ns = past.at_ns if self._first_ns is None else self._first_ns
            self._last_ns = past.at_ns
        if log_class is LogClass.OTHER:
            return
        self._classes[log_class] += 1
        if log_class in TIMELINE:
            self._keep(past)
        if log_class is LogClass.SYNTHETIC:
            self._synthetic = self._synthetic or line.text
        elif log_class in (LogClass.STALL_TICK, LogClass.STALL_END, LogClass.LOOP_EXIT):
            self._stalled(past)
        elif log_class is LogClass.DRIVER_ERROR:
            self._erred(past)
        elif log_class is LogClass.STREAM_END and (end := stream_end(line.text)) is not None:
            self._ended += 1
            self._sent += end.sent
            self._dropped += end.dropped
            if len(self._ends) < LISTED:
                self._ends.append(PastEnd(past.at_ns, end))
        elif log_class in (LogClass.ACQUISITION_STARTED, LogClass.ACQUISITION_STOPPED):
            self._close_stall()

    def account(self) -> Past:
        """What was said; call it once, at the end."""
        self._close_stall()
        kept = [moment for one in self._kept.values() for moment in (*one.first, *one.last)]
        ordered = sorted(kept, key=lambda one: (one.at_ns or 0, one.source, one.number))
        return Past(
            lines=self._lines,
            first_ns=self._first_ns,
            last_ns=self._last_ns,
            levelled=sum(count for level, count in self._levels.items() if level),
            levels={level or "none": count for level, count in sorted(self._levels.items())},
            classes={log_class.name.lower(): count for log_class, count in sorted(self._classes.items())},
            hidden=hidden_classes(self._levels, self._lines),
            synthetic=self._synthetic,
            timeline=tuple(ordered[:LISTED]),
            moments=sum(count for log_class, count in self._classes.items() if log_class in TIMELINE),
            stalls=_paired(self._stalls),
            errors=tuple(self._errors),
            error_codes=dict(sorted(self._codes.items())),
            ends=tuple(self._ends),
            ended=self._ended,
            frames_sent=self._sent,
            frames_dropped=self._dropped,
        )

    def _keep(self, past: PastLine) -> None:
        line = past.line
        moment = Moment(past.at_ns, line.log_class.name.lower(), past.source, past.number, line.text)
        kept = self._kept.setdefault(line.log_class, _Kept())
        if len(kept.first) < FIRST_OF_CLASS:
            kept.first.append(moment)
        else:
            kept.last.append(moment)

    def _erred(self, past: PastLine) -> None:
        error = driver_error(past.line.text)
        self._codes["none" if error.code is None else str(error.code)] += 1
        if len(self._errors) < LISTED:
            self._errors.append(PastError(past.at_ns, error, past.source, past.number))

    def _stalled(self, past: PastLine) -> None:
        """A tick, or a line of the end that follows the last one."""
        log_class, text = past.line.log_class, past.line.text
        tick = stall_tick(text) if log_class is LogClass.STALL_TICK else None
        stall = self._stall
        if tick is not None and stall is not None and (stall.stopped or tick.timeouts <= stall.ticks):
            self._close_stall()
            stall = None
        if stall is not None and stall.first_ns is None and past.at_ns is not None:  # of a file that has stamps
            self._close_stall()
            stall = None
        if stall is None:
            if log_class is LogClass.LOOP_EXIT:  # it ended in order
                return
            stall = self._stall = _Stall(past.at_ns, past.at_ns)
        stall.last_ns = past.at_ns if past.at_ns is not None else stall.last_ns
        if log_class is LogClass.STALL_END and past.line.stamp_wall_ns is not None and stall.end_ns is None:
            stall.end_ns = past.at_ns
        if tick is not None:
            stall.ticks, stall.tick = tick.timeouts, tick
        elif log_class is LogClass.STALL_TICK:
            stall.ticks += 1
        elif log_class is LogClass.STALL_END:
            stall.stopped = True
            stall.error = stall.error or text.rpartition("error=")[2] if "error=" in text else stall.error

    def _close_stall(self) -> None:
        stall, self._stall = self._stall, None
        if stall is not None and len(self._stalls) < LISTED:
            self._stalls.append(stall.concluded())


def _paired(stalls: list[PastStall]) -> tuple[PastStall, ...]:
    """Ticks of a file without stamps beside the stamped ends of another: the same stalls, where there are as many."""
    untimed = [one for one in stalls if one.first_tick_ns is None and one.involuntary_stop]
    bare = [one for one in stalls if one.first_tick_ns is not None and one.involuntary_stop and not one.ticks]
    if not untimed or len(untimed) != len(bare):
        return tuple(stalls)
    both = [
        replace(
            ticks,
            first_tick_ns=(end.last_ns or 0) - max(0, ticks.ticks - 1) * TICK_NS,
            last_ns=end.last_ns,
            error=ticks.error or end.error,
        )
        for ticks, end in zip(untimed, bare, strict=True)
    ]
    others = [one for one in stalls if one not in untimed and one not in bare]
    return tuple(sorted([*others, *both], key=lambda one: one.first_tick_ns or 0))


def seconds_between(first_ns: int | None, last_ns: int | None) -> float | None:
    """None where one of the two is not known."""
    return None if first_ns is None or last_ns is None else (last_ns - first_ns) / NS_PER_S
