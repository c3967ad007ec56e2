"""The fold of a run: records in, live figures at any time, the summary at the end.

Each sender is folded from its own records alone, in their order (`sender`); the summary puts senders together by sums
that do not depend on their order (`tally`, `merge`). So neither the cutting of records into batches nor the
interleaving of senders can change a summary: tests hold it to that, value for value.
"""

from __future__ import annotations

import pickle

from pvload.stats.conclude import conclude
from pvload.stats.config import FoldConfig
from pvload.stats.live import LiveFigures, live_figures
from pvload.stats.sender import SenderFold, killed_of
from pvload.stats.summary import LIST_LIMIT, Summary
from pvload.wire.batch import Hello
from pvload.wire.event import Records


class RunFold:
    """One run. Memory is bounded by streams, the window limit and lists of a thousand, whatever the run's length."""

    def __init__(self, config: FoldConfig) -> None:
        self._config = config
        self._senders: dict[bytes, SenderFold] = {}
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
        self._sender(sender).finished(total)

    def rejected(self, n: int) -> None:
        """So many messages were refused: damaged, foreign or not to be read."""
        self._rejected += n

    def catch_up(self) -> bool:
        """Folds one piece of what waits: some tenths of a second's work at most. False: there was nothing to fold."""
        return any(sender.fold(everything=False) for sender in self._senders.values())

    def live(self) -> LiveFigures:
        """How the run stands, by what is folded: `catch_up` comes before."""
        return live_figures(list(self._senders.values()), self._config)

    def summary(self) -> Summary:
        """What the run came to, as if it ended with the last records. Changes nothing; more records may follow."""
        # A copy of the whole state, several times faster than `copy.deepcopy`; the bytes never leave this line.
        originals = [self._senders[key] for key in sorted(self._senders)]
        senders: list[SenderFold] = pickle.loads(pickle.dumps(originals))
        for sender, original in zip(senders, originals, strict=True):
            sender.calls.share_notes(original.calls)
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
