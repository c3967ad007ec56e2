"""For tests of what records events: a real recorder on a real spool, and a reader of what it holds."""

from __future__ import annotations

from pathlib import Path

from pvload.clock import NS_PER_S
from pvload.ship.recorder import Recorder
from pvload.ship.spool import Spool, page_name
from pvload.ship.stored import SpoolReader, Stretch
from pvload.wire.batch import Hello
from pvload.wire.event import Kind, Records, decode, rows_of

RUN = bytes(range(16))
SENDER = bytes(range(16, 32))


class SetClock:
    """A clock that stands where it is put."""

    def __init__(self, now_ns: int = 5 * NS_PER_S) -> None:
        self.now_ns = now_ns

    def monotonic_ns(self) -> int:
        return self.now_ns

    def wall_ns(self) -> int:
        return self.now_ns


class Recorded:
    """A recorder with its spool in `folder`, and what was recorded so far."""

    def __init__(self, folder: Path, clock: SetClock) -> None:
        hello = Hello(role="monitor", worker="monitor", incarnation=0, host="h", boot="b", pid=1)
        self.folder = folder
        self.spool = Spool.create(folder, run=RUN, sender=SENDER, hello=hello, limit_bytes=8 * 1024 * 1024)
        self.recorder = Recorder(self.spool, clock)

    def records(self) -> Records:
        """All records, dtype RECORD, in order."""
        reader = SpoolReader.open(self.folder / page_name(SENDER))
        parts, at = [], 0
        while at < reader.count:
            stretch = reader.read(at, 4096)
            assert isinstance(stretch, Stretch)
            parts.append(stretch.records)
            at += stretch.count
        reader.close()
        return decode(b"".join(parts))

    def rows(self, kind: Kind) -> Records:
        """The records of one kind."""
        return rows_of(self.records(), kind)

    def texts(self) -> dict[int, str]:
        """Text id -> text."""
        pieces: dict[int, bytes] = {0: b""}
        for row in self.rows(Kind.TEXT):
            pieces[int(row["ref"])] = pieces.get(int(row["ref"]), b"") + row["bytes"].item()[: int(row["code"])]
        return {number: data.decode() for number, data in pieces.items()}

    def notes(self) -> list[tuple[int, str, int]]:
        """(class, text, value) of the notes, in order."""
        texts = self.texts()
        return [(int(row["code"]), texts[int(row["text"])], int(row["value"])) for row in self.rows(Kind.NOTE)]
