"""The logs as witnesses: their matched lines become LOG records, their presence or absence NOTEs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final, Protocol

from pvload.clock import NS_PER_S, Clock
from pvload.monitor.allowance import Admitted, Allowance, Seen
from pvload.monitor.follow import MAX_LINE_BYTES
from pvload.monitor.kernel import KernelLog
from pvload.monitor.tokens import Classified, classify
from pvload.ship.recorder import Recorder
from pvload.wire.codes import LogClass, NoteClass
from pvload.wire.event import Kind
from pvload.wire.log_level import hidden_classes

MAX_TEXT: Final = 400
"""Characters of a line that go into the records; of a longer one the beginning and the end, where its fields stand."""
_HEAD: Final = 150
_CUT: Final = " ... "
KEPT_LINES: Final = 10_000
"""Lines whose text goes into the records; of later ones class, number and times do: memory stays bounded."""
NOT_KEPT: Final = "(text not kept: see the log)"
LEVEL_EVERY_NS: Final = 60 * NS_PER_S
LOG: Final = "log"
KERNEL: Final = "kernel"


class Source(Protocol):
    """Where lines of the daemon's log come from."""

    name: str
    """File or command."""
    opened: bool
    """It is known to give the daemon's lines."""
    trouble: str
    """Why it does not, the last time that it did not."""

    @property
    def cut(self) -> int:
        """Lines of which the end was dropped."""
        ...

    def start(self) -> None:
        """Lines of before are not the run's."""
        ...

    def poll(self) -> list[str]:
        """New lines, without escapes and line ends; empty if there are none. Never blocks."""
        ...

    def close(self) -> list[str]:
        """Lets go of it; gives what was left."""
        ...


class Lines:
    """Puts matched lines into the records, within what each class is allowed."""

    def __init__(self, recorder: Recorder, clock: Clock) -> None:
        self._recorder = recorder
        self._clock = clock
        self._allowance = Allowance()
        self._sources: dict[LogClass, str] = {}
        self._recorded = 0

    def take(self, line: Classified, *, number: int, source: str) -> None:
        """One line read now from `source`, the number-th of it."""
        self._sources[line.log_class] = source
        seen = Seen(line, number, self._clock.monotonic_ns())
        self._record(self._allowance.offer(seen), source)

    def settle(self) -> None:
        """Records what was held back in seconds that are over."""
        self._record(self._allowance.over(self._clock.monotonic_ns()))

    def finish(self) -> None:
        """Records what is held back still, and says of which classes not every line stands alone."""
        self._record(self._allowance.rest())
        suppressed = self._allowance.suppressed
        if total := suppressed.total():
            classes = ", ".join(f"{c.name.lower()} {n}" for c, n in sorted(suppressed.items()) if n)
            self.note(NoteClass.INFO, f"log lines counted but not recorded one by one: {classes}", total)

    def note(self, note: NoteClass, text: str, value: int = 0) -> None:
        """One NOTE."""
        t_ns = self._clock.monotonic_ns()
        self._recorder.append(Kind.NOTE, t_ns=t_ns, code=note, text=self._recorder.text_id(text), value=value)

    def _record(self, admitted: Iterable[Admitted], source: str = "") -> None:
        for each in admitted:
            line = each.seen.line
            text = shortened(line.text) if self._recorded < KEPT_LINES else NOT_KEPT
            self._recorded += 1
            self._recorder.append(
                Kind.LOG,
                t_ns=each.seen.t_ns,
                code=line.log_class,
                line=self._recorder.text_id(text),
                source=self._recorder.text_id(source or self._sources.get(line.log_class, "")),
                line_number=each.seen.number,
                logged_wall_ns=line.stamp_wall_ns or 0,
                suppressed=each.suppressed,
            )


def shortened(text: str) -> str:
    """At most MAX_TEXT characters of `text`: its beginning and its end."""
    if len(text) <= MAX_TEXT:
        return text
    return f"{text[:_HEAD]}{_CUT}{text[_HEAD + len(_CUT) - MAX_TEXT :]}"


class LogWitness:
    """Follows the daemon's log in all its sources (none: there is no log to follow) into `recorder`."""

    def __init__(self, sources: Sequence[Source], recorder: Recorder, clock: Clock) -> None:
        self._sources = sources
        self._clock = clock
        self._lines = Lines(recorder, clock)
        self._read = [0] * len(sources)
        self._levels: Counter[str] = Counter()
        self._stamps = [0] * len(sources)
        self._present: bool | None = None
        self._trouble = [""] * len(sources)
        self._hidden: tuple[str, ...] = ()
        self._level_ns = clock.monotonic_ns() + LEVEL_EVERY_NS

    def start(self) -> None:
        """Lines that the sources hold before this are not the run's; what they say of the camera's build is."""
        for source in self._sources:
            source.start()
            old_line = getattr(source, "synthetic", "")
            if old_line:
                self._lines.take(classify(old_line), number=0, source=source.name)
        self._note_presence()

    def poll(self) -> int:
        """Records what the logs gained; gives the number of lines read, 0 when there was nothing new."""
        if not self._sources:
            return 0
        count = self._take([source.poll() for source in self._sources])
        self._note_presence()
        self._lines.settle()
        if self._clock.monotonic_ns() >= self._level_ns:
            self._level_ns = self._clock.monotonic_ns() + LEVEL_EVERY_NS
            self._note_level()
        return count

    def finish(self, *, deadline_ns: int) -> None:
        """Reads the logs to their end, or until `deadline_ns`, and says what the records do not show one by one."""
        while self.poll() and self._clock.monotonic_ns() < deadline_ns:
            pass
        self._take([source.close() for source in self._sources])
        self._lines.finish()
        self._note_level()
        if self._present is None:
            self._lines.note(NoteClass.WITNESS_MISSING, LOG)
        if cut := sum(source.cut for source in self._sources):
            self._lines.note(NoteClass.INFO, f"log lines cut after {MAX_LINE_BYTES} bytes: {cut}", cut)

    def _note_presence(self) -> None:
        for at, source in enumerate(self._sources):
            if source.trouble and source.trouble != self._trouble[at]:
                self._trouble[at] = source.trouble
                self._lines.note(NoteClass.INFO, f"log: {source.trouble}")
        present = any(source.opened for source in self._sources)
        if present != bool(self._present):
            self._present = present
            self._lines.note(NoteClass.WITNESS_PRESENT if present else NoteClass.WITNESS_MISSING, LOG)

    def _note_level(self) -> None:
        read = sum(self._read)
        hidden = hidden_classes(self._levels, read)
        if hidden != self._hidden:
            self._hidden = hidden
            self._lines.note(NoteClass.LOG_LEVEL, ", ".join(hidden), read)

    def _take(self, read: list[list[str]]) -> int:
        """Records the lines of one poll, of all sources in the order of their stamps; one without follows its own."""
        merged: list[tuple[int, int, int, Classified]] = []
        now_ns = self._clock.wall_ns()
        for at, lines in enumerate(read):
            for text in lines:
                line = classify(text)
                self._levels[line.level] += 1
                self._read[at] += 1
                self._stamps[at] = line.stamp_wall_ns or self._stamps[at] or now_ns
                merged.append((self._stamps[at], at, self._read[at], line))
        for _, at, number, line in sorted(merged, key=lambda one: one[:3]):
            self._lines.take(line, number=number, source=self._sources[at].name)
        return len(merged)


class KernelWitness:
    """The kernel's USB lines, as LOG records of their own class; where they cannot be had, one NOTE."""

    def __init__(self, kernel: KernelLog, recorder: Recorder, clock: Clock) -> None:
        self._kernel = kernel
        self._clock = clock
        self._lines = Lines(recorder, clock)
        self._count = 0
        self._said = False

    def start(self) -> None:
        """Lines of before are not the run's."""
        self._kernel.start()
        self._say_absent()

    def poll(self) -> None:
        """Records what is new, stamped with the wall clock of when the kernel wrote it."""
        for line in self._kernel.poll():
            self._count += 1
            written_ns = self._clock.wall_ns() - (self._clock.monotonic_ns() - line.at_ns)
            seen = Classified(LogClass.USB, "", written_ns, line.text)
            self._lines.take(seen, number=self._count, source=KERNEL)
        self._lines.settle()
        self._say_absent()

    def finish(self) -> None:
        """Records what is left and lets go of it."""
        self.poll()
        self._lines.finish()
        if self._kernel.lost:
            self._lines.note(NoteClass.INFO, "kernel log: lines were overwritten before they were read")
        self._kernel.close()

    def _say_absent(self) -> None:
        if self._kernel.absent and not self._said:
            self._said = True
            self._lines.note(
                NoteClass.INFO, f"kernel log: not readable, USB trouble is not seen ({self._kernel.absent})"
            )
