"""What is journaled comes into the fold whole and in order, and nobody who waits for an answer waits for that."""

from __future__ import annotations

import threading
import uuid
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import zmq

from collecting import Collecting
from plain_collector import CountingFold
from pvload.collect import backlog
from pvload.collect.backlog import FEED_RECORDS, FOLD_RECORDS, Backlog
from pvload.wire.batch import Envelope, Hello, Message, pack, unpack
from pvload.wire.event import RECORD, RECORD_BYTES, Records
from pvload.wire.journal import BatchRow, FinishedRow, RejectedRow, SenderRow
from pvload.wire.live import read_live

RUN = uuid.UUID(int=1).bytes
ONE, TWO = bytes(16), bytes(15) + b"\1"
HELLO = Hello(role="engine", worker="w", incarnation=0, host="h", boot="b", pid=1)
PIECE_NS = 1_000
PATIENCE_MS = 10_000


class SlowFold:
    """Says what it was given; a piece of what waits inside takes PIECE_NS of its clock, all else nothing."""

    def __init__(self) -> None:
        self.now_ns = 0
        self.pieces = 0
        """Left inside."""
        self.said: list[tuple[bytes, object]] = []

    def monotonic_ns(self) -> int:
        return self.now_ns

    def wall_ns(self) -> int:
        return self.now_ns

    def hello(self, sender: bytes, hello: Hello) -> None:
        self.said.append((sender, "hello"))

    def add(self, sender: bytes, records: Records) -> None:
        assert len(records) <= FEED_RECORDS
        self.said += [(sender, int(t_ns)) for t_ns in records["t_ns"]]

    def missing(self, sender: bytes, first: int, count: int, reason: str) -> None:
        self.said.append((sender, (first, count, reason)))

    def finished(self, sender: bytes, total: int) -> None:
        assert not self.pieces, "a sender's end would fold them in one go"
        self.said.append((sender, "finished"))

    def rejected(self, count: int) -> None:
        self.said.append((b"", count))

    def catch_up(self) -> bool:
        if not self.pieces:
            return False
        self.pieces -= 1
        self.now_ns += PIECE_NS
        return True

    def of(self, sender: bytes) -> list[object]:
        return [said for who, said in self.said if who == sender]


def batch(sender: bytes, first: int, count: int) -> BatchRow:
    """Records whose time is their number."""
    records = np.zeros(count, RECORD)
    records["t_ns"] = np.arange(first, first + count)
    return BatchRow(sender, first, count, records.tobytes())


def test_all_comes_in_order_however_it_is_cut() -> None:
    """Long batches in pieces, short ones together, and what stands between them where it stood."""
    fold = SlowFold()
    waiting = Backlog(fold, fold)
    waiting.add([SenderRow(ONE, HELLO), batch(ONE, 0, 3000), batch(ONE, 3000, 5), SenderRow(TWO, HELLO)])
    waiting.add([batch(TWO, 0, 7), BatchRow(ONE, 3005, 10, None, "lost"), RejectedRow(2, "no")])
    waiting.want()
    waiting.work(until_ns=0)
    waiting.add([batch(ONE, 3015, 5000), FinishedRow(ONE, 8015)])
    waiting.finish()
    assert fold.of(ONE) == ["hello", *range(3005), (3005, 10, "lost"), *range(3015, 8015), "finished"]
    assert fold.of(TWO) == ["hello", *range(7)]
    assert fold.of(b"") == [2]


def test_rows_wait_until_they_are_many_or_wanted() -> None:
    """The fold is cheaper in large pieces."""
    fold = SlowFold()
    waiting = Backlog(fold, fold)
    waiting.add([batch(ONE, 0, FOLD_RECORDS - 1)])
    assert not waiting.is_due
    waiting.work(until_ns=1)
    assert fold.said == []
    waiting.add([batch(ONE, FOLD_RECORDS - 1, 1)])
    assert waiting.is_due
    waiting.work(until_ns=1)
    assert 0 < len(fold.said) < FOLD_RECORDS
    assert not waiting.is_due
    waiting.want()
    waiting.work(until_ns=1)
    assert fold.of(ONE) == [*range(FOLD_RECORDS)]
    assert not waiting.is_due


def test_work_gives_way_in_time_and_goes_on_later() -> None:
    """What waits inside the fold is worked off piece by piece, before a sender's end too."""
    fold = SlowFold()
    fold.pieces = 10
    waiting = Backlog(fold, fold)
    waiting.add([batch(ONE, 0, 5), FinishedRow(ONE, 5)])
    waiting.want()
    waiting.work(until_ns=1)
    assert (fold.pieces, fold.of(ONE)) == (9, [*range(5)])
    waiting.work(until_ns=fold.now_ns + 3 * PIECE_NS)
    assert (fold.pieces, waiting.is_wanted) == (6, True)
    while waiting.is_due:
        waiting.work(until_ns=fold.now_ns + 1)
    assert (fold.pieces, fold.of(ONE)) == (0, [*range(5), "finished"])


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the limit there is no room, until some of it is folded; missing records take none."""
    monkeypatch.setattr(backlog, "BACKLOG_RECORDS", 2 * FEED_RECORDS)
    fold = SlowFold()
    waiting = Backlog(fold, fold)
    waiting.add([BatchRow(ONE, 0, 10**9, None, "lost"), batch(ONE, 10**9, 2 * FEED_RECORDS - 1)])
    assert waiting.room_bytes == RECORD_BYTES
    waiting.add([batch(ONE, 10**9 + 2 * FEED_RECORDS - 1, 1)])
    assert waiting.room_bytes == 0
    waiting.want()
    waiting.work(until_ns=1)
    assert waiting.room_bytes > 0


class EndlessFold(CountingFold):
    """There is always more to work off, until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.let_go = threading.Event()

    def catch_up(self) -> bool:
        return not self.let_go.wait(0.001)


def test_answers_and_live_figures_do_not_wait_for_the_fold(tmp_path: Path) -> None:
    """While the fold has work for ever, records are journaled and acknowledged, and the figures go on."""
    fold = EndlessFold()
    with Collecting(tmp_path / "run", RUN, fold=fold) as it, zmq.Context() as context:
        with closing(context.socket(zmq.DEALER)) as socket:
            socket.setsockopt(zmq.LINGER, 0)
            socket.connect(it.endpoint)

            def answer_to(message: Message, **values: object) -> Envelope:
                socket.send(pack(Envelope(message=message, run=RUN, sender=ONE, **values)))  # type: ignore[arg-type]
                assert socket.poll(PATIENCE_MS), "no answer while the fold works"
                return unpack(socket.recv())

            answer_to(Message.HELLO, payload=HELLO.to_json())
            seen = set()
            first = 0
            while len(seen) < 2:  # figures of two seconds
                answer = answer_to(Message.BATCH, first=first, count=1, payload=bytes(RECORD_BYTES))
                first += 1
                assert answer.count == first
                live = read_live(tmp_path / "run")
                seen |= {live.wall_ns} if live is not None else set()
        fold.let_go.set()
    assert fold.records == first
