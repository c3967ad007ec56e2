"""The calls of one sender, from their opening to their end, and the subscribers that made them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from pvload.stats.account import status_name
from pvload.stats.call import CallFold
from pvload.stats.call_rows import End
from pvload.stats.company import Company
from pvload.stats.config import FoldConfig
from pvload.stats.histogram import Int64s
from pvload.stats.hold import by_call, runs_of
from pvload.stats.opening import Opening
from pvload.stats.subscriber import SilenceNote, SubscriberFold
from pvload.stats.summary import LIST_LIMIT
from pvload.stats.tally import Tally
from pvload.stats.told import Told, read
from pvload.stats.windows import Windows
from pvload.wire.admission import is_turned_away
from pvload.wire.codes import Abort, EndedBy
from pvload.wire.event import LAYOUTS, Kind, Records

NO_CALL: Final = 2**32 - 1
KILLED: Final = int(Abort.KILLED)
RESTART: Final = "restart"
"""Who ended a call that ended, or was refused, while its daemon was being restarted by plan."""
_STYLES: Final = {style.value: style.name.lower() for style in Abort}
_ENDS: Final = {EndedBy.SERVER: End.SERVER, EndedBy.ORDER: End.ORDER}
_ENDED_BY: Final = {
    EndedBy.SERVER: "server",
    EndedBy.ORDER: "order",
    EndedBy.RUN_END: "run_end",
    EndedBy.WATCHDOG: "watchdog",
    EndedBy.ENGINE: "engine",
}


@dataclass(frozen=True, slots=True)
class CallNote:
    """A call as it stands at its end (or at the end of the sender's account)."""

    opened_ns: int
    subscriber: str
    number: int
    device: str
    ended_ns: int | None
    ended_by: str
    status: str
    details: str
    first_number: int | None
    last_number: int | None
    accepted: bool
    tally: Tally
    windows: Windows


class SenderCalls:
    """All of them."""

    def __init__(self, told: Told, company: Company, config: FoldConfig) -> None:
        self._told = told
        self._basis, self._texts, self._account = told.basis, told.texts, told.account
        self._company = company
        self._config = config
        self._taken = 0
        """Records folded so far."""
        self._refs: dict[tuple[str, int], int] = {}
        """(subscriber, number) -> id of each open call."""
        self._left: dict[int, int] = {}
        """Calls that were left and whose end is not recorded yet -> their frames."""
        self.open: dict[int, CallFold] = {}
        """By id."""
        self.subscribers: dict[str, SubscriberFold] = {}
        self.notes: list[CallNote] = []
        """The first thousand calls that ended."""
        self.total = 0
        self.frames_checked = True
        """Every call ended with as many frames as were recorded of it."""

    def __getstate__(self) -> dict[str, object]:
        """Without the notes: nothing about an ended call changes any more, so a copy need not have its own."""
        return {**self.__dict__, "notes": []}

    def share_notes(self, original: SenderCalls) -> None:
        """Gives a copy the notes that its original has."""
        self.notes = [*original.notes]

    def place_leaves(self, rows: Records) -> None:
        """Gives each LEFT the id of the call that it is about, if that is this sender's, so that it takes its place."""
        for at in np.flatnonzero((rows["kind"] == Kind.OPENED) | (rows["kind"] == Kind.LEFT)):
            kind = Kind(int(rows["kind"][at]))
            row = read(rows[at], kind)
            name = f"{self._texts.text(int(row['population']))}/{int(row['ordinal'])}"
            key = (name, int(row["number"]))
            if kind is Kind.OPENED:
                self._refs[key] = int(row["ref"])
                continue
            rows["ref"][at] = self._refs.get(key, NO_CALL)
            self._company.take(kind, row, self._texts, self._account.log)

    def fold(self, rows: Records, places: Int64s, *, taken: int) -> None:
        """Folds rows of calls.

        places: the record numbers of the OPENED rows among them, in order; taken: records folded, these included.
        """
        if rows.size == 0:
            return
        self._taken = taken
        opened = {
            int(ref): int(place) for ref, place in zip(rows["ref"][rows["kind"] == Kind.OPENED], places, strict=True)
        }
        for ref, own in by_call(rows):
            for kind, run in runs_of(own):
                self._call_rows(ref, kind, run, opened.get(ref, self._taken))

    def stopped(self, name: str, at_ns: int) -> None:
        """The user of a subscriber stopped: it is not due any more, unless a call of it is still open."""
        subscriber = self.subscribers.get(name)
        if subscriber is not None and not any(call.subscriber is subscriber for call in self.open.values()):
            subscriber.released(at_ns)

    def close(self, end_ns: int, killed: Mapping[tuple[str, int], int]) -> dict[str, SilenceNote]:
        """The account ends at end_ns, with what is open then. Gives the silence of each subscriber.

        killed: (subscriber, number of the call) -> when its viewer was killed, on the run's axis: that call ended then,
        by order.
        """
        for ref in sorted(self.open):
            call = self.open[ref]
            left_ns = killed.get((call.subscriber.name, call.opening.number))
            if left_ns is not None:
                self._leave(call, max(end_ns, left_ns - self._account.clock.axis_offset_ns), KILLED)
                continue
            call.close(end_ns)
            self._keep(call, None, "open", End.OPEN)
        self.open.clear()
        announced = self._basis.timeline.end_ns is not None
        return {name: one.close(end_ns, announced=announced) for name, one in self.subscribers.items()}

    def pack(self, gaps: int) -> None:
        """Takes less memory from now on, for no more records come. gaps: longest ones kept of each subscriber."""
        for call in self.open.values():
            call.pack()
        for subscriber in self.subscribers.values():
            subscriber.tally.pack()
            subscriber.arrivals.longest.pack(gaps)
            subscriber.arrivals.cells.pack()

    def _call_rows(self, ref: int, kind: Kind, run: Records, place: int) -> None:
        if kind is Kind.OPENED:
            self._open(ref, run.view(LAYOUTS[kind])[0], place)
            return
        rows = run.view(LAYOUTS[kind])
        if ref in self._left:
            self._after_leaving(ref, kind, rows)
            return
        call = self.open.get(ref)
        if call is None:
            if kind in (Kind.ENDED, Kind.WAIT_TIMEOUT, Kind.HEADERS, Kind.LEFT):
                return
            call = self._unknown(ref, int(run["t_ns"][0]))
        match kind:
            case Kind.FRAME:
                call.frames(rows)
            case Kind.HEADERS:
                call.accept(int(rows["t_ns"][0]))
            case Kind.WAIT_TIMEOUT:
                call.tally.wait_timeouts += 1
            case Kind.FOLDED:
                _folded(call, rows[0])
            case Kind.LEFT:
                self._left[ref] = call.arrived
                self._leave(call, int(rows["t_ns"][0]), int(rows["code"][0]))
                del self.open[ref]
            case _:
                self._end(call, rows[0])

    def _open(self, ref: int, row: np.void, place: int) -> None:
        device = self._texts.text(int(row["device"]))
        name = f"{self._texts.text(int(row['population']))}/{int(row['ordinal'])}"
        self._begin_call(
            Opening(
                ref=ref,
                opened_ns=int(row["t_ns"]),
                place=place,
                number=int(row["number"]),
                device=device,
                quality=int(row["code"]),
                max_fps=int(row["max_fps"]),
                ordered_ns=int(row["ordered_ns"]),
                window_bytes=int(row["window_bytes"]),
            ),
            name,
        )

    def _unknown(self, ref: int, at_ns: int) -> CallFold:
        """A call whose OPENED was lost: its frames are still counted."""
        self._told.begins(at_ns)
        opening = Opening(ref=ref, opened_ns=at_ns, place=self._taken, number=0, device="?", quality=0, max_fps=0)
        return self._begin_call(opening, "?/0")

    def _begin_call(self, opening: Opening, name: str) -> CallFold:
        operated = self._basis.timeline.edges(opening.device).known_before(opening.place)
        subscriber = self.subscribers.get(name)
        if subscriber is None:
            subscriber = self.subscribers[name] = SubscriberFold(name, opening.device, self._basis, operated=operated)
        subscriber.calls += 1
        subscriber.max_fps, subscriber.quality = opening.max_fps, opening.quality
        self.total += 1
        call = self.open[opening.ref] = CallFold(opening, subscriber, self._basis, self._config)
        return call

    def _end(self, call: CallFold, row: np.void) -> None:
        t_ns, by = int(row["t_ns"]), EndedBy(int(row["code"]))
        status, details = int(row["status"]), self._texts.text(int(row["details"]))
        self.frames_checked &= int(row["frames"]) == call.arrived
        del self.open[call.opening.ref]
        end = _ENDS.get(by, End.OTHER)
        closed = min(t_ns, self._basis.timeline.close_ns)
        if by is EndedBy.SERVER and self._basis.timeline.edges(call.opening.device).away_at(closed):
            call.close(t_ns)
            self._ended(call, by, closed)
            self._keep(call, t_ns, RESTART, End.OTHER, status_name(status), details)
            return
        if by is EndedBy.SERVER and _is_refusal(call, status, details):
            call.refuse()
            call.tally.admission_refused += int(t_ns <= closed)
            end = End.LIMIT
        else:
            call.close(t_ns, by_server=by is EndedBy.SERVER)
            self._ended(call, by, closed)
            if by is EndedBy.SERVER and t_ns <= closed:
                _server_ended(call, status)
        self._keep(call, t_ns, _ENDED_BY[by], end, status_name(status), details)

    def _leave(self, call: CallFold, at_ns: int, style: int) -> None:
        """The call was left by plan: whatever becomes of it, nobody waits for its frames any more."""
        call.close(at_ns)
        self._ended(call, EndedBy.ORDER, min(at_ns, self._basis.timeline.close_ns))
        self._keep(call, at_ns, _ENDED_BY[EndedBy.ORDER], End.ORDER, details=f"left: {_STYLES.get(style, style)}")

    def _after_leaving(self, ref: int, kind: Kind, rows: Records) -> None:
        """Records of a call that was left: only its account of frames is still checked."""
        if kind is Kind.FRAME:
            self._left[ref] += rows.size
        elif kind is Kind.FOLDED:
            self._left[ref] += int(rows["frames"][0])
        elif kind is Kind.ENDED:
            self.frames_checked &= int(rows["frames"][0]) == self._left.pop(ref)

    def _ended(self, call: CallFold, by: EndedBy, at_ns: int) -> None:
        """What the end of a call means for its subscriber."""
        subscriber = call.subscriber
        subscriber.streaming -= int(call.accepted)
        if by in (EndedBy.ORDER, EndedBy.RUN_END):
            subscriber.released(at_ns)
        elif by in (EndedBy.SERVER, EndedBy.WATCHDOG) and call.accepted:
            subscriber.lost(at_ns)

    def _keep(
        self, call: CallFold, ended_ns: int | None, ended_by: str, end: End, status: str = "", details: str = ""
    ) -> None:
        """Adds a closed call to its subscriber and, among the first thousand, to the list of calls."""
        self._refs.pop((call.subscriber.name, call.opening.number), None)
        self._company.call(call, -1 if ended_ns is None else ended_ns, end)
        call.subscriber.tally.merge(call.tally)
        call.subscriber.windows.merge(call.windows)
        call.tally.pack()
        if len(self.notes) < LIST_LIMIT:
            self.notes.append(
                CallNote(
                    opened_ns=call.opening.opened_ns,
                    subscriber=call.subscriber.name,
                    number=call.opening.number,
                    device=call.opening.device,
                    ended_ns=ended_ns,
                    ended_by=ended_by,
                    status=status,
                    details=details,
                    first_number=call.first_number,
                    last_number=call.last_number,
                    accepted=call.accepted,
                    tally=call.tally,
                    windows=call.windows,
                )
            )


def _is_refusal(call: CallFold, status: int, details: str) -> bool:
    """Turned away for the stream limit, before a frame: the real daemon says so after its headers."""
    return is_turned_away(status, details) and call.arrived == 0


def _server_ended(call: CallFold, status: int) -> None:
    tally = call.tally
    if call.subscriber.accepted:
        tally.unexpected_ends += 1
        if status:
            tally.errors[status_name(status)] += 1
    else:
        tally.refused_ends += 1
        tally.refused[status_name(status)] += 1


def _folded(call: CallFold, row: np.void) -> None:
    t_ns, frames = int(row["t_ns"]), int(row["frames"])
    call.folded(
        first_ns=int(row["first_ns"]),
        last_ns=t_ns,
        frames=frames,
        longest_ns=int(row["longest_ns"]),
        message_bytes=int(row["message_bytes"]),
    )
    names = ("frame_number", "source_ns", "frames_sent", "frames_dropped")
    number, source_ns, sent, dropped = (int(row[name].astype(np.int64)) for name in names)
    call.folded_counters(t_ns, frames, (number, source_ns, sent, dropped))
