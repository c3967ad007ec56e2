"""A journal's rows put into a fold: live, after a restart, and for a report, by the same lines.

That a report made again equals the live one to the byte rests on this being the only way in.
"""

from __future__ import annotations

from typing import Protocol

from pvload.wire.batch import Hello
from pvload.wire.event import Records, decode
from pvload.wire.journal import BatchRow, FinishedRow, JournalReader, RejectedRow, Row, SenderRow


class Fold(Protocol):
    """What `pvload.stats.fold.RunFold` does for whoever has a journal."""

    def hello(self, sender: bytes, hello: Hello) -> None:
        """A sender is known; before anything else of it."""
        ...

    def add(self, sender: bytes, records: Records) -> None:
        """The sender's next records, in order."""
        ...

    def missing(self, sender: bytes, first: int, count: int, reason: str) -> None:
        """The sender's next `count` records do not exist any more."""
        ...

    def finished(self, sender: bytes, total: int) -> None:
        """The sender made `total` records and they are all accounted for."""
        ...

    def rejected(self, count: int, /) -> None:
        """`count` more messages were refused."""
        ...

    def catch_up(self) -> bool:
        """Works off a piece of what waits inside, in a bounded time. False: there was nothing to do."""
        ...


def feed(fold: Fold, row: Row) -> None:
    """One journal row into the fold."""
    match row:
        case BatchRow(sender=sender, records=bytes(records)):
            fold.add(sender, decode(records))
        case BatchRow(sender=sender, first=first, count=count, reason=reason):
            fold.missing(sender, first, count, reason)
        case SenderRow(sender=sender, hello=hello):
            fold.hello(sender, hello)
        case FinishedRow(sender=sender, total=total):
            fold.finished(sender, total)
        case RejectedRow(count=count):
            fold.rejected(count)


def refold(fold: Fold, journal: JournalReader) -> None:
    """All that the journal holds into a new fold, sender by sender."""
    for row in journal.senders():
        feed(fold, SenderRow(row.sender, row.hello))
        for first, count, records, reason in journal.batches(row.sender):
            feed(fold, BatchRow(row.sender, first, count, records, reason))
        if row.total is not None:
            feed(fold, FinishedRow(row.sender, row.total))
    if journal.rejected:
        fold.rejected(journal.rejected)
