"""The fold of a run: records in, live figures at any time, the summary at the end.

Each sender is folded from its own records alone, in their order (`sender`); the summary puts senders together by sums
that do not depend on their order (`tally`, `merge`). So neither the cutting of records into batches nor the
interleaving of senders can change a summary: tests hold it to that, value for value.
"""

from __future__ import annotations

import pickle
import zlib
from dataclasses import dataclass

from pvload.stats.conclude import conclude
from pvload.stats.config import FoldConfig
from pvload.stats.live import LiveFigures, live_figures
from pvload.stats.live_part import LivePart
from pvload.stats.sender import LIVE_SPAN_NS, SenderFold, killed_of
from pvload.stats.sender_calls import CallNote
from pvload.stats.summary import LIST_LIMIT, Summary
from pvload.wire.batch import Hello
from pvload.wire.event import Records


@dataclass(frozen=True, slots=True)
class _Put:
    """A viewer that is gone, packed until a summary wants it: a day of churn has thousands of them."""

    packed: bytes
    notes: list[CallNote]

    @classmethod
    def away(cls, sender: SenderFold) -> _Put:
        """Packs it."""
        return cls(zlib.compress(pickle.dumps(sender), 6), sender.calls.notes)

    def back(self) -> SenderFold:
        """A copy of its own for each who asks."""
        sender: SenderFold = pickle.loads(zlib.decompress(self.packed))
        sender.calls.notes = [*self.notes]
        return sender


class RunFold:
    """One run. Memory is bounded by streams, the window limit and lists of a thousand, whatever the run's length; but a
    viewer process that came and went leaves some ten kilobytes."""

    def __init__(self, config: FoldConfig) -> None:
        self._config = config
        self._senders: dict[bytes, SenderFold] = {}
        self._gone: dict[bytes, _Put] = {}
        self._gone_live = LivePart()
        """What those add to the live figures."""
        self._rejected = 0

    def hello(self, sender: bytes, hello: Hello) -> None:
        """A sender says who it is; comes before its records."""
        self._sender(sender).greet(hello)

    def add(self, sender: bytes, records: Records) -> None:
        """The next records of one sender, in order. The array is copied."""
        self._sender(sender).add(records)

    def missing(self, sender: bytes, first: int, count: int, reason: str) -> None:
        """Records that can never come: stated by the sender."""
        fold = self._sender(sender)
        fold.missing += count
        if len(fold.missing_reasons) < LIST_LIMIT:
            fold.missing_reasons.append(f"{count} from {first}: {reason}")

    def finished(self, sender: bytes, total: int) -> None:
        """The sender made `total` records in all and none will follow."""
        fold = self._sender(sender)
        fold.finished(total)
        if fold.is_viewer:
            self._gone_live.take(fold, None, stall_ns=self._config.stall_ns)
            self._gone_live.ages.pack()
            self._gone[sender] = _Put.away(fold)
            del self._senders[sender]

    def rejected(self, n: int) -> None:
        """So many messages were refused: damaged, foreign or not to be read."""
        self._rejected += n

    def catch_up(self) -> bool:
        """Folds one piece of what waits: some tenths of a second's work at most. False: there was nothing to fold."""
        return any(sender.fold(everything=False) for sender in self._senders.values())

    def live(self) -> LiveFigures:
        """How the run stands, by what is folded: `catch_up` comes before."""
        figures = live_figures(list(self._senders.values()), self._gone_live, self._config)
        if figures.at_ns is not None:
            self._gone_live.forget(figures.at_ns - LIVE_SPAN_NS)
        return figures

    def summary(self) -> Summary:
        """What the run came to, as if it ended with the last records. Changes nothing; more records may follow."""
        # A copy of the whole state, several times faster than `copy.deepcopy`; the bytes never leave this line.
        originals = list(self._senders.values())
        senders: list[SenderFold] = pickle.loads(pickle.dumps(originals))
        for sender, original in zip(senders, originals, strict=True):
            sender.calls.share_notes(original.calls)
        senders = sorted([*senders, *(gone.back() for gone in self._gone.values())], key=lambda sender: sender.sender)
        for sender in senders:
            sender.fold(everything=True)
        killed = killed_of(senders)
        for sender in senders:
            sender.finish(killed)
        return conclude(senders, self._config, self._rejected)

    def _sender(self, sender: bytes) -> SenderFold:
        found = self._senders.get(sender)
        if found is None:
            found = self._senders[sender] = SenderFold(sender, self._config)
        return found
