"""One sender's records, folded in their order into calls, subscribers and witnesses.

Nothing outside this sender's own records enters, so neither other senders nor their order can matter.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pvload.stats.account import Account, status_name
from pvload.stats.arrivals import GAPS
from pvload.stats.basis import Basis
from pvload.stats.call import CallFold
from pvload.stats.call_rows import End
from pvload.stats.company import Company
from pvload.stats.config import FoldConfig
from pvload.stats.hold import Hold, by_call, runs_of, stretches
from pvload.stats.opening import Opening
from pvload.stats.sound import Soundness
from pvload.stats.subscriber import SilenceNote, SubscriberFold
from pvload.stats.summary import LIST_LIMIT
from pvload.stats.tally import Tally
from pvload.stats.tenths import Tenths
from pvload.stats.told import Told, read
from pvload.stats.windows import Windows
from pvload.wire.admission import is_turned_away
from pvload.wire.batch import Hello
from pvload.wire.codes import Abort, EndedBy, UserChange
from pvload.wire.event import LAYOUTS, Kind, Records, rows_of

_OF_CALLS: Final = np.zeros(256, np.bool_)
_OF_CALLS[[Kind.FRAME, Kind.OPENED, Kind.HEADERS, Kind.ENDED, Kind.FOLDED, Kind.WAIT_TIMEOUT, Kind.LEFT]] = True
_TOLD: Final = np.zeros(256, np.bool_)
_TOLD[[Kind.TEXT, Kind.WANTED, Kind.END, Kind.LAG, Kind.CHANGE, Kind.OFFERED]] = True
"""Kinds that are wholly dealt with in advance."""
_MANY: Final = (Kind.CALLED, Kind.PARAMETER, Kind.OBSERVABLE)
"""Kinds that come by the thousand and are taken kind by kind."""
_APART: Final = _OF_CALLS | _TOLD
_APART[list(_MANY)] = True
LIVE_SPAN_NS: Final = 5_000_000_000
LIVE_BATCHES: Final = 4096
"""Most batches kept for the live rate; with more of them in five seconds the rate reads low."""
VIEWER: Final = "viewer"
"""The role of a process that is there to be killed."""
VIEWER_GAPS: Final = 256
"""Longest gaps kept of a viewer that is gone: a soak has hundreds."""
NO_CALL: Final = 2**32 - 1
KILLED: Final = int(Abort.KILLED)
RECONNECTED_NS: Final = 1_000_000_000
"""An engine's connection finds a daemon that is back within so long."""
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


class SenderFold:
    """The account of one sender."""

    def __init__(self, sender: bytes, config: FoldConfig) -> None:
        self.sender = sender
        self.config = config
        self.hello: Hello | None = None
        self.hold = Hold()
        self.basis = Basis(
            window_ns=config.window_ns,
            warm_up_ns=config.warm_up_ns,
            successor=False,
            gaps=Tenths() if config.storms else None,
        )
        self.account = Account()
        self.told = Told(self.basis, self.account, config)
        self.around = self.told.around
        self.texts = self.told.texts
        self.company = Company()
        self._refs: dict[tuple[str, int], int] = {}
        """(subscriber, number) -> id of each open call."""
        self._left: dict[int, int] = {}
        """Calls that were left and whose end is not recorded yet -> their frames."""
        self.calls: dict[int, CallFold] = {}
        self.subscribers: dict[str, SubscriberFold] = {}
        self.call_notes: list[CallNote] = []
        """The first thousand calls that ended."""
        self.calls_total = 0
        self.frames = 0
        """FRAME records delivered."""
        self.frames_checked = True
        self.folded_to_ns: int | None = None
        self.silences: dict[str, SilenceNote] = {}
        """Filled by `finish`."""
        self.delivered = 0
        self.missing = 0
        self.missing_reasons: list[str] = []
        self.recorded: int | None = None
        self.soundness = Soundness()
        self.arrivals: deque[np.ndarray[tuple[int], np.dtype[np.int64]]] = deque()
        """Arrival times of frames of the last seconds, batch by batch, for the live rate."""

    def greet(self, hello: Hello) -> None:
        """Takes who the sender is; must come before its records."""
        self.hello = hello
        self.basis.successor = hello.incarnation > 0 or hello.role == VIEWER
        self.told.is_engine = self.is_engine

    @property
    def is_engine(self) -> bool:
        """Whether its lag is the generator's."""
        return self.hello is None or self.hello.role in ("engine", VIEWER)

    @property
    def is_viewer(self) -> bool:
        """Whether it is a process that may be killed on purpose."""
        return self.hello is not None and self.hello.role == VIEWER

    @property
    def begins_ns(self) -> int | None:
        """The earliest WANTED or OPENED."""
        return self.told.begins_ns

    @property
    def first_opened_ns(self) -> int | None:
        """The first OPENED."""
        return self.told.first_opened_ns

    def add(self, records: Records) -> None:
        """Takes the next records, and folds them as far as they are sound."""
        first = self.delivered + self.missing
        self.delivered += records.size
        records = records[: self.soundness.sound(records, first=first)]
        frames = records["t_ns"][records["kind"] == Kind.FRAME]
        if frames.size:
            self.frames += frames.size
            self.arrivals.append(frames.copy())
            newest = int(frames[-1])
            while int(self.arrivals[0][-1]) < newest - LIVE_SPAN_NS or len(self.arrivals) > LIVE_BATCHES:
                self.arrivals.popleft()
        self.hold.add(records)
        while self.hold.is_full:
            self.fold(everything=False)

    def fold(self, *, everything: bool) -> bool:
        """Folds everything, or one piece of what may be folded; False: there was nothing."""
        self.hold.tell(self.told.take, self.told.first_frame)
        rows = self.hold.ripe(everything=everything)
        place = self.hold.taken - rows.size
        if rows.size == 0:
            return False
        kinds = rows["kind"]
        self._place_leaves(rows)
        for start, stop in stretches(rows):
            part, part_kinds = rows[start:stop], kinds[start:stop]
            mine = _OF_CALLS[part_kinds]
            places = np.flatnonzero(part_kinds == Kind.OPENED) + place + start
            self._calls(part if mine.all() else part[mine], places)
            if mine.all():
                continue
            for at in np.flatnonzero(~_APART[part_kinds]):
                self._other(Kind(int(part_kinds[at])), part[at])
            for kind in _MANY:
                if (part_kinds == kind).any():
                    self.around.many(kind, rows_of(part, kind))
        self.folded_to_ns = self.hold.folded_ns
        return True

    def finish(self, killed: Mapping[tuple[str, int], int]) -> None:
        """Closes the account where it stands: at the run's end if it was told, else at its last record.

        killed: (subscriber, number of the call) -> when its viewer was killed, on the run's axis: that call ended then,
        by order.
        """
        self.fold(everything=True)
        self.account.lags_begin(self.told.begins_ns)
        announced = self.basis.timeline.end_ns is not None
        end_ns = self.account_end_ns
        if end_ns is None:
            return
        for ref in sorted(self.calls):
            call = self.calls[ref]
            left_ns = killed.get((call.subscriber.name, call.opening.number)) if self.is_viewer else None
            if left_ns is not None:
                self._leave(call, max(end_ns, left_ns - self.account.clock.axis_offset_ns), KILLED)
                continue
            call.close(end_ns)
            self._keep(call, None, "open", End.OPEN)
        self.calls.clear()
        for name, subscriber in self.subscribers.items():
            self.silences[name] = subscriber.close(end_ns, announced=announced)

    def finished(self, total: int) -> None:
        """It made so many records, and none will follow. It takes less memory from now on: there may be hundreds."""
        self.recorded = total
        self.fold(everything=True)
        if self.arrivals:
            self.arrivals = deque([np.concatenate(self.arrivals)])
        for call in self.calls.values():
            call.pack()
        for subscriber in self.subscribers.values():
            subscriber.tally.pack()
            subscriber.arrivals.longest.pack(VIEWER_GAPS if self.is_viewer else GAPS)
            subscriber.arrivals.cells.pack()

    @property
    def account_end_ns(self) -> int | None:
        """When the account closes; None without records."""
        newest = self.hold.newest_ns
        return self.basis.timeline.end_ns if self.basis.timeline.end_ns is not None else newest

    # -- calls ---------------------------------------------------------------------------------------------------

    def _calls(self, rows: Records, places: np.ndarray[tuple[int], np.dtype[np.int64]]) -> None:
        """Folds rows of calls; `places`: the record numbers of the OPENED rows among them, in order."""
        if rows.size == 0:
            return
        opened = {
            int(ref): int(place) for ref, place in zip(rows["ref"][rows["kind"] == Kind.OPENED], places, strict=True)
        }
        for ref, own in by_call(rows):
            for kind, run in runs_of(own):
                self._call_rows(ref, kind, run, opened.get(ref, self.hold.taken))

    def _call_rows(self, ref: int, kind: Kind, run: Records, place: int) -> None:
        if kind is Kind.OPENED:
            self._open(ref, run.view(LAYOUTS[kind])[0], place)
            return
        rows = run.view(LAYOUTS[kind])
        if ref in self._left:
            self._after_leaving(ref, kind, rows)
            return
        call = self.calls.get(ref)
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
                del self.calls[ref]
            case _:
                self._end(call, rows[0])

    def _open(self, ref: int, row: np.void, place: int) -> None:
        device = self.texts.text(int(row["device"]))
        name = f"{self.texts.text(int(row['population']))}/{int(row['ordinal'])}"
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
        self.told.begins(at_ns)
        opening = Opening(ref=ref, opened_ns=at_ns, place=self.hold.taken, number=0, device="?", quality=0, max_fps=0)
        return self._begin_call(opening, "?/0")

    def _begin_call(self, opening: Opening, name: str) -> CallFold:
        operated = self.basis.timeline.edges(opening.device).known_before(opening.place)
        subscriber = self.subscribers.get(name)
        if subscriber is None:
            subscriber = self.subscribers[name] = SubscriberFold(name, opening.device, self.basis, operated=operated)
        subscriber.calls += 1
        subscriber.max_fps, subscriber.quality = opening.max_fps, opening.quality
        self.calls_total += 1
        call = self.calls[opening.ref] = CallFold(opening, subscriber, self.basis, self.config)
        return call

    def _end(self, call: CallFold, row: np.void) -> None:
        t_ns, by = int(row["t_ns"]), EndedBy(int(row["code"]))
        status, details = int(row["status"]), self.texts.text(int(row["details"]))
        self.frames_checked &= int(row["frames"]) == call.arrived
        del self.calls[call.opening.ref]
        end = _ENDS.get(by, End.OTHER)
        closed = min(t_ns, self.basis.timeline.close_ns)
        if by is EndedBy.SERVER and self.basis.timeline.edges(call.opening.device).away_at(closed):
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
        self._ended(call, EndedBy.ORDER, min(at_ns, self.basis.timeline.close_ns))
        self._keep(call, at_ns, _ENDED_BY[EndedBy.ORDER], End.ORDER, details=f"left: {_STYLES.get(style, style)}")

    def _after_leaving(self, ref: int, kind: Kind, rows: Records) -> None:
        """Records of a call that was left: only its account of frames is still checked."""
        if kind is Kind.FRAME:
            self._left[ref] += rows.size
        elif kind is Kind.FOLDED:
            self._left[ref] += int(rows["frames"][0])
        elif kind is Kind.ENDED:
            self.frames_checked &= int(rows["frames"][0]) == self._left.pop(ref)

    def _place_leaves(self, rows: Records) -> None:
        """Gives each LEFT the id of the call that it is about, if that is this sender's, so that it takes its place."""
        for at in np.flatnonzero((rows["kind"] == Kind.OPENED) | (rows["kind"] == Kind.LEFT)):
            kind = Kind(int(rows["kind"][at]))
            row = read(rows[at], kind)
            name = f"{self.texts.text(int(row['population']))}/{int(row['ordinal'])}"
            key = (name, int(row["number"]))
            if kind is Kind.OPENED:
                self._refs[key] = int(row["ref"])
                continue
            rows["ref"][at] = self._refs.get(key, NO_CALL)
            self.company.take(kind, row, self.texts, self.account.log)

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
        self.company.call(call, -1 if ended_ns is None else ended_ns, end)
        call.subscriber.tally.merge(call.tally)
        call.subscriber.windows.merge(call.windows)
        call.tally.pack()
        if len(self.call_notes) < LIST_LIMIT:
            self.call_notes.append(
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

    # -- all else ------------------------------------------------------------------------------------------------

    def _other(self, kind: Kind, record: np.void) -> None:
        row = read(record, kind)
        if self._is_of_a_restart(kind, row):
            self.around.during_restart(kind, row)
            return
        if kind is Kind.USER:
            self._user(row)
        else:
            self.account.take(kind, row, self.texts)
            self.around.take(kind, row)
            self.company.take(kind, row, self.texts, self.account.log)

    def _is_of_a_restart(self, kind: Kind, row: np.void) -> bool:
        """A call that failed, or a watch that ended, because its daemon was just being restarted by plan."""
        if kind is not Kind.WATCHED and not (kind is Kind.UNARY and row["status"]):
            return False
        t_ns = int(row["t_ns"])
        return any(self.basis.timeline.away_at(at_ns) for at_ns in (t_ns, t_ns - RECONNECTED_NS))

    def _user(self, row: np.void) -> None:
        change = int(row["code"])
        if change == UserChange.SPAWNED:
            self.account.users_spawned += 1
        elif change == UserChange.COULD_NOT_START:
            self.account.users_failed += 1
        elif change == UserChange.STOPPED:
            name = f"{self.texts.text(int(row['population']))}/{int(row['ordinal'])}"
            subscriber = self.subscribers.get(name)
            if subscriber is not None and not any(call.subscriber is subscriber for call in self.calls.values()):
                at_ns = min(int(row["t_ns"]), self.basis.timeline.close_ns)
                subscriber.released(at_ns)


def killed_of(senders: Sequence[SenderFold]) -> dict[tuple[str, int], int]:
    """(subscriber, number of the call) -> when its viewer was killed on purpose, run axis, as far as folded."""
    found: dict[tuple[str, int], int] = {}
    for sender in senders:
        leaves = sender.company.leaves.rows
        for row in leaves[leaves["style"] == KILLED]:
            key = (sender.company.names.texts[int(row["subscriber"])], int(row["number"]))
            at_ns = int(row["at_ns"]) + sender.account.clock.axis_offset_ns
            found[key] = min(found.get(key, at_ns), at_ns)
    return found


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
