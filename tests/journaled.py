"""What a run's journal holds, sender by sender, for tests that look behind the summary."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pvload.wire.batch import Hello
from pvload.wire.event import Kind, Records, decode, rows_of
from pvload.wire.journal import FILE_NAME, JournalReader


@dataclass(frozen=True, slots=True)
class Journaled:
    """One sender and all its records, in order."""

    hello: Hello
    records: Records

    def rows(self, kind: Kind) -> Records:
        """The records of one kind."""
        return rows_of(self.records, kind)


def journaled(folder: Path) -> list[Journaled]:
    """All senders of a finished run, in the order they came."""
    with JournalReader.open(folder / FILE_NAME) as journal:
        return [
            Journaled(
                sender.hello,
                decode(b"".join(records or b"" for _, _, records, _ in journal.batches(sender.sender))),
            )
            for sender in journal.senders()
        ]
