"""One sender's records, folded in their order into calls, subscribers and witnesses.

Nothing outside this sender's own records enters, so neither other senders nor their order can matter.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from pvload.stats.account import Account
from pvload.stats.arrivals import GAPS
from pvload.stats.basis import Basis
from pvload.stats.company import Company
from pvload.stats.config import FoldConfig
from pvload.stats.hold import Hold, stretches
from pvload.stats.sender_calls import KILLED, SenderCalls
from pvload.stats.sound import Soundness
from pvload.stats.subscriber import SilenceNote
from pvload.stats.tenths import Tenths
from pvload.stats.told import Told, read
from pvload.wire.batch import Hello
from pvload.wire.codes import UserChange
from pvload.wire.event import Kind, Records, rows_of

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
RECONNECTED_NS: Final = 1_000_000_000
"""An engine's connection finds a daemon that is back within so long."""


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
        self.calls = SenderCalls(self.told, self.company, config)
        self.frames = 0
        """FRAME records delivered."""
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
        self.calls.place_leaves(rows)
        for start, stop in stretches(rows):
            part, part_kinds = rows[start:stop], kinds[start:stop]
            mine = _OF_CALLS[part_kinds]
            places = np.flatnonzero(part_kinds == Kind.OPENED) + place + start
            self.calls.fold(part if mine.all() else part[mine], places, taken=self.hold.taken)
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
        end_ns = self.account_end_ns
        if end_ns is not None:
            self.silences = self.calls.close(end_ns, killed if self.is_viewer else {})

    def finished(self, total: int) -> None:
        """It made so many records, and none will follow. It takes less memory from now on: there may be hundreds."""
        self.recorded = total
        self.fold(everything=True)
        if self.arrivals:
            self.arrivals = deque([np.concatenate(self.arrivals)])
        self.calls.pack(VIEWER_GAPS if self.is_viewer else GAPS)

    @property
    def account_end_ns(self) -> int | None:
        """When the account closes; None without records."""
        newest = self.hold.newest_ns
        return self.basis.timeline.end_ns if self.basis.timeline.end_ns is not None else newest

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
            self.calls.stopped(name, min(int(row["t_ns"]), self.basis.timeline.close_ns))


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
