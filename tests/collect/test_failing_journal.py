"""When the journal cannot be written: nothing is acknowledged, and it is said; the senders keep what they have."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from collecting import Collecting
from pvload.clock import SystemClock
from pvload.ship.shipper import Delivery, Shipper
from pvload.ship.spool import Spool
from pvload.wire.batch import Hello
from pvload.wire.live import Live, read_live

RUN, SENDER = uuid.UUID(int=1).bytes, uuid.UUID(int=2).bytes


def wait_for(what: Callable[[], Live | None]) -> Live:
    until = time.monotonic() + 10
    while (found := what()) is None:
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.01)
    return found


def test_a_failed_commit_stops_all_acknowledging_and_is_said(tmp_path: Path) -> None:
    """live.json names the trouble within a second; the spool is whole for a later collector, which takes the rest."""
    hello = Hello(role="engine", worker="w", incarnation=0, host="h", boot="b", pid=os.getpid())
    spool = Spool.create(tmp_path / "spools", run=RUN, sender=SENDER, hello=hello, limit_bytes=1 << 24)
    run_dir = tmp_path / "run"

    def troubled() -> Live | None:
        live = read_live(run_dir)
        return live if live is not None and live.trouble else None

    with Collecting(run_dir, RUN) as collecting:
        endpoint = collecting.endpoint
        shipper = Shipper(endpoint, tmp_path / "spools", run=RUN, clock=SystemClock(), patience_s=0.3)
        shipper.start()
        spool.append(bytes(96))
        until = time.monotonic() + 10
        while shipper.acknowledged(SENDER) < 1 and time.monotonic() < until:
            time.sleep(0.01)
        collecting.full = True
        for _ in range(3000):
            spool.append(bytes(96))
        assert "could not be committed" in wait_for(troubled).trouble
        assert shipper.acknowledged(SENDER) == 1
        spool.close()
        assert shipper.finish(0.5) == Delivery(records=3001, delivered=1)
    with Collecting(run_dir, RUN, port=int(endpoint.rpartition(":")[2])) as successor:
        assert shipper.finish(10) == Delivery(records=3001, delivered=3001)
        assert sum(count for _, count, _, _ in successor.stored(SENDER)) == 3001
    shipper.stop()
