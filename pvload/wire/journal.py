"""The run's journal: one SQLite file that holds every record the collector has ever acknowledged. The product of a run.

What arrives in one group is one transaction: batches, what each sender is known to, and refusals. So the data and the
state that keeps anything from being counted twice cannot part, whenever the writer is killed. WAL, synchronous=FULL:
once `commit` returns, the group survives a power failure, and only then may it be acknowledged. Readers never block
the writer; a reader sees one moment from its opening to its close. Closed in order, a journal is one plain file.

Tables: `meta` (key, value), `senders` (sender, hello, known = last record number + 1, total once finished), `batches`
(sender, first, count, records, or no records and a reason). Whoever reads finds each sender's batches contiguous.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote

from pvload.errors import FormatError, PvloadError
from pvload.wire.batch import Hello
from pvload.wire.event import RECORD_BYTES

MAGIC: Final = "pvload.journal"
VERSION: Final = 1
FILE_NAME: Final = "journal.sqlite"
_PAGE_BYTES: Final = 16_384
_CHECKPOINT_PAGES: Final = 4096
"""64 MiB of log before it is copied into the file."""
LOG_BYTES: Final = _PAGE_BYTES * _CHECKPOINT_PAGES
"""What the log beside the file may need on the disk while a run goes on; a short run's log is smaller."""
_CLOSING_MS: Final = 500
"""How long the end waits for a reader to let go."""

_SCHEMA: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE senders (
  id INTEGER PRIMARY KEY, sender BLOB NOT NULL UNIQUE, hello BLOB NOT NULL, known INTEGER NOT NULL, total INTEGER
) STRICT;
CREATE TABLE batches (
  id INTEGER PRIMARY KEY, sender INTEGER NOT NULL, first INTEGER NOT NULL, count INTEGER NOT NULL, records BLOB,
  reason TEXT NOT NULL
) STRICT;
CREATE INDEX batches_in_order ON batches (sender, first);
"""


class JournalError(PvloadError):
    """The journal could not be written. What was not committed must not be acknowledged, and nothing is retried."""


@dataclass(frozen=True, slots=True)
class SenderRow:
    """A sender said HELLO for the first time."""

    sender: bytes
    hello: Hello


@dataclass(frozen=True, slots=True)
class BatchRow:
    """Records [first, first + count) of a known sender; records None: missing for ever, for `reason`."""

    sender: bytes
    first: int
    count: int
    records: bytes | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class FinishedRow:
    """The sender's FIN stands: it made `total` records, all of them journaled or stated missing."""

    sender: bytes
    total: int


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """`count` messages were refused, the first of them for `reason`."""

    count: int
    reason: str


Row = SenderRow | BatchRow | FinishedRow | RejectedRow


@dataclass(frozen=True, slots=True)
class JournaledSender:
    """What the journal knows of one sender."""

    sender: bytes
    hello: Hello
    known: int
    """Records journaled or stated missing: the next number expected."""
    total: int | None
    """Records it ever made, once its FIN stood."""


class JournalWriter:
    """The one writer of a journal (the caller sees to that). Not thread-safe."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self.path = path
        self._connection = connection
        self._ids: dict[bytes, int] = {}

    @classmethod
    def open(cls, path: Path, *, run: bytes) -> Self:
        """Creates or continues the journal. FormatError if it is another run's; JournalError if it cannot be used."""
        try:
            connection = sqlite3.connect(path, isolation_level=None)
        except sqlite3.Error as exc:
            raise JournalError(f"journal {path} cannot be opened: {exc}") from exc
        try:
            found = _prepare(connection, path, run)
        except sqlite3.Error as exc:
            connection.close()
            raise JournalError(f"journal {path} cannot be written: {exc}") from exc
        except FormatError:
            connection.close()
            raise
        if found != run.hex():
            connection.close()
            raise FormatError(f"journal {path} belongs to run {found}, expected {run.hex()}")
        writer = cls(connection, path)
        writer._ids = dict(connection.execute("SELECT sender, id FROM senders"))
        return writer

    def senders(self) -> tuple[JournaledSender, ...]:
        """All senders with the numbers they are known to, in the order of their first HELLO."""
        return _senders(self._connection)

    def commit(self, rows: Sequence[Row]) -> None:
        """Makes `rows` durable, all or none. JournalError on any failure; then this writer is of no more use."""
        if not rows:
            return
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._insert(rows)
            self._connection.execute("COMMIT")
        except sqlite3.Error as exc:
            with contextlib.suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise JournalError(f"journal {self.path} could not be committed: {exc}") from exc

    def close(self) -> None:
        """Copies the log into the file and leaves one plain file, unless a reader is in the way: then the log stays."""
        try:
            with contextlib.suppress(sqlite3.OperationalError):
                self._connection.execute(f"PRAGMA busy_timeout={_CLOSING_MS}")
                self._connection.execute("PRAGMA journal_mode=DELETE")
            self._connection.close()
        except sqlite3.Error as exc:
            raise JournalError(f"journal {self.path} could not be closed: {exc}") from exc

    def _insert(self, rows: Sequence[Row]) -> None:
        execute = self._connection.execute
        known: dict[int, int] = {}
        batches: list[tuple[int, int, int, bytes | None, str]] = []
        for row in rows:
            match row:
                case BatchRow(sender=sender, first=first, count=count, records=records, reason=reason):
                    number = self._ids[sender]
                    batches.append((number, first, count, records, reason))
                    known[number] = first + count
                case SenderRow(sender=sender, hello=hello):
                    cursor = execute(
                        "INSERT INTO senders (sender, hello, known) VALUES (?, ?, 0)", (sender, hello.to_json())
                    )
                    self._ids[sender] = cursor.lastrowid or 0
                case FinishedRow(sender=sender, total=total):
                    execute("UPDATE senders SET total = ? WHERE id = ?", (total, self._ids[sender]))
                case RejectedRow(count=count, reason=reason):
                    execute("UPDATE meta SET value = CAST(value AS INTEGER) + ? WHERE key = 'rejected'", (count,))
                    execute("INSERT OR IGNORE INTO meta VALUES ('first_rejection', ?)", (reason,))
        self._connection.executemany(
            "INSERT INTO batches (sender, first, count, records, reason) VALUES (?, ?, ?, ?, ?)", batches
        )
        for number, upto in known.items():
            execute("UPDATE senders SET known = ? WHERE id = ?", (upto, number))


class JournalReader:
    """Reads a journal, finished, crashed or still being written, as of the moment it was opened."""

    def __init__(self, connection: sqlite3.Connection, path: Path, run_hex: str) -> None:
        self.path = path
        self.run_hex = run_hex
        self._connection = connection

    @classmethod
    def open(cls, path: Path) -> JournalReader:
        """FormatError if there is no journal of this version at `path`."""
        if not path.is_file():
            raise FormatError(f"there is no journal at {path}")
        try:
            connection = _connect_reading(path)
        except sqlite3.Error as exc:
            raise FormatError(f"journal {path} cannot be read: {exc}") from exc
        try:
            connection.execute("BEGIN")
            return cls(connection, path, _check(connection, path))
        except sqlite3.Error as exc:
            connection.close()
            raise FormatError(f"journal {path} cannot be read: {exc}") from exc
        except FormatError:
            connection.close()
            raise

    @property
    def rejected(self) -> int:
        """Messages refused in the run."""
        return int(_meta(self._connection, "rejected") or 0)

    @property
    def missing(self) -> int:
        """Records stated missing, over all senders."""
        query = "SELECT coalesce(sum(count), 0) FROM batches WHERE records IS NULL"
        return int(self._connection.execute(query).fetchone()[0])

    def senders(self) -> tuple[JournaledSender, ...]:
        """All senders, in the order of their first HELLO."""
        return _senders(self._connection)

    def batches(self, sender: bytes) -> Iterator[tuple[int, int, bytes | None, str]]:
        """(first, count, records or None, reason) of one sender, in the order of its numbers.

        FormatError where they do not join: a journal that counts a record twice, or skips one, must not be folded.
        """
        expected = 0
        query = (
            "SELECT first, count, records, reason FROM batches"
            " WHERE sender = (SELECT id FROM senders WHERE sender = ?) ORDER BY first, id"
        )
        try:
            for first, count, records, reason in self._connection.execute(query, (sender,)):
                if first != expected or (records is not None and len(records) != count * RECORD_BYTES):
                    raise FormatError(
                        f"journal {self.path}: sender {sender.hex()} has a batch of {count} records at {first},"
                        f" expected one at {expected}"
                    )
                expected = first + count
                yield first, count, records, reason
        except sqlite3.Error as exc:
            raise FormatError(f"journal {self.path} cannot be read: {exc}") from exc

    def close(self) -> None:
        """Lets go of the file."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.close()


def is_in_use(path: Path) -> bool:
    """Whether another process has the journal open, as its collector does from the run's beginning to its end."""
    if not path.is_file():
        return False
    try:
        with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute("PRAGMA busy_timeout=0")
            return bool(connection.execute("PRAGMA journal_mode=DELETE").fetchone()[0] != "delete")
    except sqlite3.Error:
        return True


def _prepare(connection: sqlite3.Connection, path: Path, run: bytes) -> str:
    """Settings for a writer, tables if there are none yet; the hex of the run that the file is of."""
    connection.execute(f"PRAGMA page_size={_PAGE_BYTES}")
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
    connection.execute(f"PRAGMA journal_size_limit={LOG_BYTES}")
    if not connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
        _create(connection, run)
    return _check(connection, path)


def _create(connection: sqlite3.Connection, run: bytes) -> None:
    connection.execute("BEGIN IMMEDIATE")
    for statement in _SCHEMA.split(";"):
        connection.execute(statement)
    values = {"magic": MAGIC, "version": str(VERSION), "run": run.hex(), "rejected": "0"}
    connection.executemany("INSERT INTO meta VALUES (?, ?)", values.items())
    connection.execute("COMMIT")


def _check(connection: sqlite3.Connection, path: Path) -> str:
    """The run's hex; FormatError if the file is not a journal of this version."""
    magic, version = _meta(connection, "magic"), _meta(connection, "version")
    if magic != MAGIC or version != str(VERSION):
        raise FormatError(f"{path} says that it is {magic!r} version {version}, expected {MAGIC!r} version {VERSION}")
    return _meta(connection, "run") or ""


def _meta(connection: sqlite3.Connection, key: str) -> str | None:
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
    return None if row is None else str(row[0])


def _senders(connection: sqlite3.Connection) -> tuple[JournaledSender, ...]:
    rows = connection.execute("SELECT sender, hello, known, total FROM senders ORDER BY id").fetchall()
    return tuple(JournaledSender(sender, Hello.from_json(hello), known, total) for sender, hello, known, total in rows)


def _connect_reading(path: Path) -> sqlite3.Connection:
    """A connection that changes nothing. Without a log nobody writes, so it takes no lock and leaves no file behind."""
    log, undo = (path.with_name(path.name + suffix) for suffix in ("-wal", "-journal"))
    address = f"file:{quote(str(path.absolute()))}"
    if not log.exists() and not undo.exists():
        return _connected(f"{address}?immutable=1")
    try:
        return _connected(f"{address}?mode={'rw' if undo.exists() else 'ro'}")  # rw: a writer died while it closed
    except sqlite3.OperationalError:
        if not log.exists() or log.stat().st_size:
            raise
        return _connected(f"{address}?immutable=1")  # an empty log where nothing at all may be written


def _connected(address: str) -> sqlite3.Connection:
    """A connection that was used once, so that what cannot be read is known here."""
    connection = sqlite3.connect(address, uri=True, isolation_level=None)
    try:
        connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    except sqlite3.Error:
        connection.close()
        raise
    return connection
