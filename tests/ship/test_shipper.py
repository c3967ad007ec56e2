"""The shipper against a real collector: everything arrives once, whoever was away, and nothing ever hangs."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from collecting import Collecting
from pvload.clock import SystemClock, boot_id
from pvload.ship.shipper import Delivery, Shipper
from pvload.ship.spool import SMALLEST_SEGMENT_RECORDS, Spool, segment_name
from pvload.wire.batch import Hello

RUN = uuid.UUID(int=1).bytes
OLD, OWN = uuid.UUID(int=2).bytes, uuid.UUID(int=3).bytes
SMALL = 96 + SMALLEST_SEGMENT_RECORDS * 96


def make(folder: Path, sender: bytes, *, pid: int, incarnation: int, run: bytes = RUN) -> Spool:
    hello = Hello(role="engine", worker="w", incarnation=incarnation, host="h", boot=boot_id(), pid=pid)
    return Spool.create(folder, run=run, sender=sender, hello=hello, limit_bytes=1 << 26, segment_bytes=SMALL)


def fill(spool: Spool, count: int) -> None:
    for _ in range(count):
        spool.append(spool.count.to_bytes(8, "little") * 12)


def content(stored: list[tuple[int, int, bytes | None, str]]) -> list[int]:
    data = b"".join(records for _, _, records, _ in stored if records is not None)
    return [int.from_bytes(data[at : at + 8], "little") for at in range(0, len(data), 96)]


def wait_until(true: Callable[[], bool], seconds: float = 10.0) -> None:
    until = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.005)


@pytest.fixture
def spools(tmp_path: Path) -> Path:
    return tmp_path / "spools"


@pytest.fixture
def collecting(tmp_path: Path) -> Iterator[Collecting]:
    with Collecting(tmp_path / "run", RUN) as it:
        yield it


@pytest.fixture
def shipper(spools: Path, collecting: Collecting) -> Iterator[Shipper]:
    it = Shipper(collecting.endpoint, spools, run=RUN, clock=SystemClock(), patience_s=0.5)
    yield it
    it.stop()


def test_a_growing_spool_arrives_and_ends(spools: Path, collecting: Collecting, shipper: Shipper) -> None:
    """Records come while the spool grows; at the end all is confirmed and the folder is empty."""
    spool = make(spools, OWN, pid=os.getpid(), incarnation=0)
    shipper.start()
    fill(spool, 1)
    wait_until(lambda: shipper.acknowledged(OWN) == 1)
    assert shipper.connected
    assert shipper.offset == (0, 0)
    fill(spool, 9000)
    wait_until(lambda: shipper.acknowledged(OWN) == 9001)
    assert not (spools / segment_name(OWN, 0)).exists(), "acknowledged segments are unlinked"
    fill(spool, 10)
    spool.close()
    assert shipper.finish(10) == Delivery(records=9011, delivered=9011)
    shipper.stop()
    assert content(collecting.stored(OWN)) == list(range(9011))
    assert collecting.intake.senders()[0].total == 9011
    assert list(spools.iterdir()) == []


def test_a_predecessor_goes_first_under_its_own_identity(
    spools: Path, collecting: Collecting, shipper: Shipper
) -> None:
    """What a dead engine left is its own account, complete, with an end."""
    left = make(spools, OLD, pid=1, incarnation=0)
    fill(left, 100)
    left.close()
    own = make(spools, OWN, pid=os.getpid(), incarnation=1)
    fill(own, 5)
    shipper.start()
    own.close()
    assert shipper.finish(10) == Delivery(records=5, delivered=5)
    assert [(row.sender, row.known, row.total) for row in collecting.intake.senders()] == [(OLD, 100, 100), (OWN, 5, 5)]


def test_a_spool_found_later_interrupts_our_own(spools: Path, collecting: Collecting, shipper: Shipper) -> None:
    """A predecessor that took its time to die is shipped as soon as it is dead."""
    own = make(spools, OWN, pid=os.getpid(), incarnation=1)
    fill(own, 5)
    dying = make(spools, OLD, pid=1, incarnation=0)
    fill(dying, 7)
    shipper.start()
    wait_until(lambda: shipper.acknowledged(OWN) == 5)
    dying.close()
    wait_until(lambda: shipper.acknowledged(OLD) == 7)
    fill(own, 1)
    wait_until(lambda: shipper.acknowledged(OWN) == 6)
    own.close()


def test_a_lost_segment_is_stated_and_blocks_nothing(spools: Path, collecting: Collecting, shipper: Shipper) -> None:
    """Recorded = delivered + stated missing."""
    spool = make(spools, OWN, pid=os.getpid(), incarnation=0)
    fill(spool, 200)
    (spools / segment_name(OWN, 64)).unlink()
    shipper.start()
    spool.close()
    assert shipper.finish(10) == Delivery(records=200, delivered=200)
    stored = collecting.stored(OWN)
    ((first, count, _, reason),) = [row for row in stored if row[2] is None]
    assert (first, count) == (64, 64)
    assert "cannot be read" in reason
    assert content(stored) == [*range(64), *range(128, 200)]


def test_a_collector_that_comes_back_gets_the_rest(tmp_path: Path, spools: Path) -> None:
    """Away at first, there, away, there again at the same port: nothing is lost, nothing twice."""
    with Collecting(tmp_path / "elsewhere", RUN) as unused:
        port = int(unused.endpoint.rpartition(":")[2])
    spool = make(spools, OWN, pid=os.getpid(), incarnation=0)
    fill(spool, 50)
    shipper = Shipper(f"tcp://127.0.0.1:{port}", spools, run=RUN, clock=SystemClock(), patience_s=0.3)
    shipper.start()
    try:
        for known in (50, 150):
            with Collecting(tmp_path / "run", RUN, port=port):
                wait_until(lambda known=known: shipper.acknowledged(OWN) == known)
            wait_until(lambda: not shipper.connected)
            fill(spool, 100)
        spool.close()
        with Collecting(tmp_path / "run", RUN, port=port) as last:
            assert shipper.finish(10) == Delivery(records=250, delivered=250)
            assert content(last.stored(OWN)) == list(range(250))
    finally:
        shipper.stop()


def test_a_refused_sender_keeps_its_spool(spools: Path, collecting: Collecting) -> None:
    """A collector of another run takes nothing, and nothing is dropped; `finish` says what was not delivered."""
    other = uuid.UUID(int=9).bytes
    spool = make(spools, OWN, pid=os.getpid(), incarnation=0, run=other)
    fill(spool, 3)
    spool.close()
    shipper = Shipper(collecting.endpoint, spools, run=other, clock=SystemClock())
    shipper.start()
    assert shipper.finish(10) == Delivery(records=3, delivered=0)
    shipper.stop()
    assert len(list(spools.iterdir())) == 2
    assert collecting.intake.rejected == 1


def test_without_a_collector_nothing_hangs(spools: Path) -> None:
    """`finish` gives up in time, `stop` is quick, the spool stays; another run's spool is named."""
    make(spools, OLD, pid=1, incarnation=0, run=uuid.UUID(int=9).bytes).close()
    spool = make(spools, OWN, pid=os.getpid(), incarnation=0)
    fill(spool, 3)
    shipper = Shipper("tcp://127.0.0.1:9", spools, run=RUN, clock=SystemClock(), patience_s=0.1)
    shipper.start()
    spool.close()
    began = time.monotonic()
    assert shipper.finish(0.3) == Delivery(records=3, delivered=0)
    shipper.stop()
    assert time.monotonic() - began < 3
    assert "belongs to run" in shipper.kept[0]
    assert len(list(spools.iterdir())) == 3


def test_a_port_that_hangs_up_costs_no_processor(spools: Path) -> None:
    """Something that accepts and closes is tried again at the pace of patience, not in a busy loop."""
    spool = make(spools, OWN, pid=os.getpid(), incarnation=0)
    with socket.create_server(("127.0.0.1", 0)) as other:
        stopping = threading.Event()

        def hang_up() -> None:
            other.settimeout(0.05)
            while not stopping.is_set():
                with contextlib.suppress(TimeoutError):
                    other.accept()[0].close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        shipper = Shipper(
            f"tcp://127.0.0.1:{other.getsockname()[1]}", spools, run=RUN, clock=SystemClock(), patience_s=0.5
        )
        shipper.start()
        began = time.process_time()
        stopping.wait(1.0)
        used = time.process_time() - began
        shipper.stop()
        stopping.set()
        thread.join()
    spool.close()
    assert not shipper.connected
    assert used < 0.5


def test_a_dead_one_with_our_pid_is_not_taken_for_our_own(spools: Path, collecting: Collecting) -> None:
    """Where viewers are killed by the thousand, a pid comes again."""
    left = make(spools, OLD, pid=os.getpid(), incarnation=0)
    fill(left, 100)
    left.close()
    own = make(spools, OWN, pid=os.getpid(), incarnation=1)
    fill(own, 5)
    shipper = Shipper(collecting.endpoint, spools, run=RUN, clock=SystemClock(), patience_s=0.5, own=OWN)
    shipper.start()
    own.close()
    assert shipper.finish(10) == Delivery(records=5, delivered=5)
    shipper.stop()
    assert [(row.sender, row.known) for row in collecting.intake.senders()] == [(OLD, 100), (OWN, 5)]
