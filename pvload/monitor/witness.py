"""The daemon's log as a witness: its matched lines become LOG records, its presence or absence a NOTE."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from pvload.clock import Clock
from pvload.monitor.allowance import Admitted, Allowance, Seen
from pvload.monitor.follow import MAX_LINE_BYTES, LogFollower
from pvload.monitor.tokens import classify
from pvload.ship.recorder import Recorder
from pvload.wire.codes import NoteClass
from pvload.wire.event import Kind

MAX_TEXT: Final = 400
"""Characters of a line that go into the records."""
KEPT_LINES: Final = 10_000
"""Lines whose text goes into the records; of later ones class, number and times do: memory stays bounded."""
NOT_KEPT: Final = "(text not kept: see the log)"


class LogWitness:
    """Follows the log at `path` (None: there is none to follow) into `recorder`."""

    def __init__(self, path: Path | None, recorder: Recorder, clock: Clock) -> None:
        self._follower = LogFollower(path) if path is not None else None
        self._recorder = recorder
        self._clock = clock
        self._allowance = Allowance()
        self._source = str(path) if path is not None else ""
        self._lines = 0
        self._recorded = 0
        self._present = False

    def start(self) -> None:
        """Lines that the file holds before this are not the run's."""
        if self._follower is not None:
            self._follower.start()
            self._note_presence(self._follower)

    def poll(self) -> int:
        """Records what the log gained; gives the number of lines read, 0 when there was nothing new."""
        if self._follower is None:
            return 0
        lines = self._follower.poll()
        self._note_presence(self._follower)
        self._take(lines)
        self._record(self._allowance.over(self._clock.monotonic_ns()))
        return len(lines)

    def finish(self, *, deadline_ns: int) -> None:
        """Reads the log to its end, or until `deadline_ns`, and says what the records do not show one by one."""
        if self._follower is None:
            self._note(NoteClass.WITNESS_MISSING, "log")
            return
        while self.poll() and self._clock.monotonic_ns() < deadline_ns:
            pass
        self._take(self._follower.close())
        self._record(self._allowance.rest())
        if not self._present:
            self._note(NoteClass.WITNESS_MISSING, "log")
        self._note_what_is_not_shown(self._follower)

    def _note_presence(self, follower: LogFollower) -> None:
        if follower.opened and not self._present:
            self._present = True
            self._note(NoteClass.WITNESS_PRESENT, "log")

    def _note_what_is_not_shown(self, follower: LogFollower) -> None:
        suppressed = self._allowance.suppressed
        if total := suppressed.total():
            classes = ", ".join(f"{c.name.lower()} {n}" for c, n in sorted(suppressed.items()) if n)
            self._note(NoteClass.INFO, f"log lines counted but not recorded one by one: {classes}", total)
        if follower.cut:
            self._note(NoteClass.INFO, f"log lines cut after {MAX_LINE_BYTES} bytes: {follower.cut}", follower.cut)
        if follower.trouble:
            self._note(NoteClass.INFO, f"log: {follower.trouble}")

    def _take(self, lines: Iterable[str]) -> None:
        t_ns = self._clock.monotonic_ns()
        for line in lines:
            self._lines += 1
            self._record(self._allowance.offer(Seen(classify(line), self._lines, t_ns)))

    def _record(self, admitted: Iterable[Admitted]) -> None:
        for each in admitted:
            line = each.seen.line
            text = line.text[:MAX_TEXT] if self._recorded < KEPT_LINES else NOT_KEPT
            self._recorded += 1
            self._recorder.append(
                Kind.LOG,
                t_ns=each.seen.t_ns,
                code=line.log_class,
                line=self._recorder.text_id(text),
                source=self._recorder.text_id(self._source),
                line_number=each.seen.number,
                logged_wall_ns=line.stamp_wall_ns or 0,
                suppressed=each.suppressed,
            )

    def _note(self, note: NoteClass, text: str, value: int = 0) -> None:
        t_ns = self._clock.monotonic_ns()
        self._recorder.append(Kind.NOTE, t_ns=t_ns, code=note, text=self._recorder.text_id(text), value=value)
