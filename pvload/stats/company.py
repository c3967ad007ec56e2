"""What one sender's records say of comings and goings, and of what else went on around the streams.

Filled record by record; `pvload.stats.together` puts the senders' parts together.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import Final

import numpy as np

from pvload.stats.call import CallFold
from pvload.stats.call_rows import ROW, ROWS, End, Names, RowList
from pvload.stats.machines import Machines
from pvload.stats.stream_lines import StreamLines
from pvload.stats.texts import Texts
from pvload.stats.witness import LogTally
from pvload.wire.codes import LogClass, NoteClass, StateFlag
from pvload.wire.event import Kind
from pvload.wire.log_text import StreamEnd, stream_end

LEAVES: Final = 65_536
STREAM_ENDS: Final = 1000
FLAG_RUNS: Final = 10_000
FLAG_GAP_NS: Final = 10_000_000_000
"""States further apart than this are two runs: between them nobody looked."""

LEAVE: Final = np.dtype(
    [("subscriber", "<i8"), ("number", "<i8"), ("style", "<i8"), ("device", "<i8"), ("at_ns", "<i8")]
)
"""One LEFT record; subscriber and device: places in `Company.names`."""


@dataclass(frozen=True, slots=True)
class StreamEndLine:
    """One end-of-stream line of the daemon's log."""

    at_ns: int
    account: StreamEnd


class FlagRuns:
    """A device's streaming flag: runs of states that say the same, each within ten seconds of the one before."""

    __slots__ = ("_runs",)

    def __init__(self) -> None:
        self._runs: list[list[int]] = []
        """[first, last, flag]"""

    def add(self, at_ns: int, streaming: bool) -> None:
        """Takes one state."""
        if self._runs:
            last = self._runs[-1]
            if last[2] == int(streaming) and 0 <= at_ns - last[1] <= FLAG_GAP_NS:
                last[1] = at_ns
                return
        if len(self._runs) < FLAG_RUNS:
            self._runs.append([at_ns, at_ns, int(streaming)])

    def latest(self, after_ns: int, until_ns: int) -> tuple[int, bool] | None:
        """The last state told after after_ns and before until_ns: when, and what it said.

        Of a run that goes on beyond until_ns single states are not known; it counts as told just before until_ns.
        """
        at = bisect_left(self._runs, until_ns, key=lambda run: run[0]) - 1
        if at < 0 or self._runs[at][1] <= after_ns:
            return None
        _, last, flag = self._runs[at]
        return min(last, until_ns - 1), bool(flag)


class Company:
    """One sender's part."""

    def __init__(self) -> None:
        self.names = Names()
        self.calls = RowList(ROW, ROWS)
        self.leaves = RowList(LEAVE, LEAVES)
        self.machines = Machines()
        self.flags: dict[str, FlagRuns] = {}
        self.stream_ends: list[StreamEndLine] = []
        """The first thousand."""
        self.stream_lines = StreamLines()
        self.synthetic: tuple[int, str] | None = None
        self.hidden = ""
        """Classes that the log's level hides, joined by ", "."""
        self.level_told = False
        """Anything was said of the log's level."""

    def take(self, kind: Kind, row: np.void, texts: Texts, log: LogTally) -> None:
        """Takes a record that is of no call."""
        match kind:
            case Kind.LEFT:
                self._left(row, texts)
            case Kind.HOST | Kind.MACHINE | Kind.PROCESS | Kind.DAEMON:
                self.machines.take(kind, row, texts)
            case Kind.STATE:
                flags = StateFlag(int(row["flags"]))
                if flags & StateFlag.STREAMING_KNOWN:
                    runs = self.flags.setdefault(texts.text(int(row["device"])), FlagRuns())
                    runs.add(int(row["t_ns"]), bool(flags & StateFlag.STREAMING))
            case Kind.LOG:
                self._line(row, texts, log)
            case Kind.NOTE if int(row["code"]) == NoteClass.LOG_LEVEL:
                self.hidden, self.level_told = texts.text(int(row["text"])), True
            case _:
                pass

    def call(self, call: CallFold, ended_ns: int, end: End) -> None:
        """Takes a call at its end (-1: it was open when the sender's account ended)."""
        opening, frames = call.opening, call.tally.frames
        accepted = call.accepted
        if end is End.SERVER and not accepted:
            end = End.REFUSED
        self.calls.add(
            (
                self.names.place(call.subscriber.name),
                self.names.place(opening.device),
                opening.number,
                int(end),
                opening.opened_ns,
                opening.ordered_ns or -1,
                call.accepted_ns if accepted else -1,
                call.first_ns,
                call.last_ns if call.first_ns >= 0 else -1,
                ended_ns,
                call.arrived,
                *call.told,
                call.tally.message_bytes // max(1, frames),
                opening.window_bytes,
            )
        )

    def _left(self, row: np.void, texts: Texts) -> None:
        name = f"{texts.text(int(row['population']))}/{int(row['ordinal'])}"
        device = self.names.place(texts.text(int(row["device"])))
        self.leaves.add((self.names.place(name), int(row["number"]), int(row["code"]), device, int(row["t_ns"])))

    def _line(self, row: np.void, texts: Texts, log: LogTally) -> None:
        at_ns = log.stamped_ns(int(row["t_ns"]), int(row["logged_wall_ns"]))
        match int(row["code"]):
            case LogClass.SYNTHETIC if self.synthetic is None:
                self.synthetic = (at_ns, texts.text(int(row["line"])))
            case LogClass.READY:
                self.stream_lines.ready(at_ns, texts.text(int(row["line"])))
            case LogClass.SUBSCRIBE:
                self.stream_lines.subscribed(at_ns, texts.text(int(row["line"])), int(row["suppressed"]))
            case LogClass.STREAM_END:
                self.stream_lines.ended(at_ns, int(row["suppressed"]))
                account = stream_end(texts.text(int(row["line"])))
                if account is not None and len(self.stream_ends) < STREAM_ENDS:
                    self.stream_ends.append(StreamEndLine(at_ns, account))
            case _:
                pass
