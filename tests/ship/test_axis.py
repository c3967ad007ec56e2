"""Where the run's axis lies for a host that has a clock of its own."""

from __future__ import annotations

import os
import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collecting import Collecting
from pvload.clock import NS_PER_MS, NS_PER_S, SystemClock
from pvload.ship.axis import WINDOW_NS, AxisNotes, ClockExchange, Offset, is_news
from pvload.ship.recorder import Recorder
from pvload.ship.shipper import Shipper
from pvload.ship.spool import Spool
from pvload.wire.batch import Hello
from pvload.wire.event import Kind, decode, rows_of

RUN, SENDER = uuid.UUID(int=1).bytes, uuid.UUID(int=2).bytes


@given(
    offset=st.integers(-(10**15), 10**15),
    trips=st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 10**6)), min_size=1, max_size=500),
)
def test_the_offset_is_off_by_at_most_half_the_smallest_round_trip(offset: int, trips: list[tuple[int, int]]) -> None:
    """However uneven the two ways are."""
    exchange = ClockExchange()
    now_ns = 10**9
    for there, back in trips:
        exchange.answered(sent_ns=now_ns, collector_ns=now_ns + there + offset, now_ns=now_ns + there + back)
        now_ns += 10**9
    assert exchange.best is not None
    assert exchange.best.round_trip_ns == min(there + back for there, back in trips)
    assert abs(exchange.best.offset_ns - offset) <= exchange.best.round_trip_ns / 2 + 1


def test_a_drifting_clock_is_followed_for_days() -> None:
    """20 microseconds a second: the offset stays within what drifts in the window, in bounded memory."""
    exchange, drift = ClockExchange(), 20_000
    exchange.answered(sent_ns=0, collector_ns=50, now_ns=100)
    for second in range(1, 3 * 24 * 3600, 10):
        now_ns = second * NS_PER_S
        offset_ns = second * drift
        exchange.answered(
            sent_ns=now_ns, collector_ns=now_ns + 100_000 + offset_ns, now_ns=now_ns + 200_000 + second % 7
        )
        assert exchange.best is not None
        assert abs(exchange.best.offset_ns - offset_ns) <= drift * (WINDOW_NS // NS_PER_S + 10) + 100_010
    assert len(exchange._slots) <= 11


def test_one_boot_is_one_clock() -> None:
    """On a shared clock nothing is measured."""
    exchange = ClockExchange()
    assert exchange.best is None
    exchange.share()
    exchange.answered(sent_ns=5, collector_ns=100, now_ns=5)
    assert exchange.best == (0, 0)


@pytest.mark.parametrize(
    ("what", "told", "news"),
    [
        ("nothing was told", None, True),
        ("the same", Offset(1000, 100), False),
        ("within what it may be off by", Offset(1050, 150), False),
        ("beyond what it may be off by", Offset(1051, 150), True),
        ("twice as well known", Offset(1000, 201), True),
    ],
)
def test_what_a_reader_must_be_told(what: str, told: Offset | None, news: bool) -> None:
    """A record for each change that matters, none for jitter."""
    assert is_news(Offset(1000, 100), told) is news


class ShiftedClock(SystemClock):
    """The clock of another host: this one's, an hour and a bit ahead."""

    AHEAD_NS = 3_723 * NS_PER_S

    @staticmethod
    def monotonic_ns() -> int:
        return SystemClock.monotonic_ns() + ShiftedClock.AHEAD_NS


@pytest.mark.parametrize("boot", ["another boot", ""])
def test_a_sender_of_another_boot_records_how_its_clock_stands(tmp_path: Path, boot: str) -> None:
    """The offset comes by exchange, and arrives at the collector in the sender's own records."""
    clock = ShiftedClock()
    hello = Hello(role="monitor", worker="monitor", incarnation=0, host="h", boot=boot, pid=os.getpid())
    with Collecting(tmp_path / "run", RUN) as collecting:
        spool = Spool.create(tmp_path / "spools", run=RUN, sender=SENDER, hello=hello, limit_bytes=1 << 24)
        recorder = Recorder(spool, clock)
        shipper = Shipper(collecting.endpoint, tmp_path / "spools", run=RUN, clock=clock, boot=boot)
        shipper.start()
        until_ns = clock.monotonic_ns() + 10 * NS_PER_S
        notes = AxisNotes(recorder)
        while shipper.offset is None and clock.monotonic_ns() < until_ns:
            shipper.finish(0.005)
        notes.record(shipper.offset)
        notes.record(shipper.offset)
        recorder.close()
        delivery = shipper.finish(10)
        shipper.stop()
        stored = b"".join(records or b"" for _, _, records, _ in collecting.stored(SENDER))
    assert delivery.records == delivery.delivered == 1
    found = rows_of(decode(stored), Kind.CLOCK)
    assert len(found) == 1
    assert abs(int(found["offset_ns"][0]) + ShiftedClock.AHEAD_NS) <= int(found["round_trip_ns"][0])
    assert 0 < int(found["round_trip_ns"][0]) < 5_000 * NS_PER_MS
