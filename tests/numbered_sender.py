"""A process that records numbered events as fast as told, and proves in shared memory what it has committed.

Run by path: FOLDER RUN ENDPOINT COUNTERS INCARNATION SEED. After every append the 8 bytes of COUNTERS/<sender> are
raised to the number of records committed. Prints `ready SENDER`; a line on stdin ends it in order, with `finished
RECORDS DELIVERED`. Every session begins with some records that the collector has already, as the protocol allows.
"""

from __future__ import annotations

import mmap
import os
import random
import select
import sys
import time
import uuid
from pathlib import Path

from pvload.clock import SystemClock, boot_id
from pvload.ship import session
from pvload.ship.outbox import Outbox
from pvload.ship.shipper import Shipper
from pvload.ship.spool import Spool
from pvload.wire.batch import Hello
from pvload.wire.event import Kind, encode


class Repeating(Outbox):
    """Goes on a little before where the collector says it is."""

    chance = random.Random(7)

    def resume(self, known: int) -> None:
        super().resume(max(0, known - self.chance.randint(0, 500)))


def main() -> None:
    session.Outbox = Repeating  # type: ignore[misc] - a sender that repeats itself is allowed
    folder, run, endpoint, counters, incarnation, seed = sys.argv[1:]
    chance = random.Random(int(seed))
    sender = uuid.UUID(int=chance.getrandbits(128)).bytes
    counter = Path(counters) / sender.hex()
    counter.write_bytes(bytes(8))
    with counter.open("r+b") as file:
        committed = memoryview(mmap.mmap(file.fileno(), 8)).cast("q")
    hello = Hello(
        role="engine", worker="w0", incarnation=int(incarnation), host="here", boot=boot_id(), pid=os.getpid()
    )
    spool = Spool.create(
        Path(folder), run=bytes.fromhex(run), sender=sender, hello=hello, limit_bytes=1 << 28, segment_bytes=1 << 18
    )
    shipper = Shipper(endpoint, Path(folder), run=bytes.fromhex(run), clock=SystemClock(), patience_s=1.0)
    shipper.start()
    print("ready", sender.hex(), flush=True)
    template = encode(Kind.NOTE, t_ns=0)
    number = 0
    while not select.select([sys.stdin], [], [], 0)[0]:
        for _ in range(chance.randint(1, 40)):
            size = chance.randint(1, 5)
            spool.append(
                b"".join(template[:24] + (number + i).to_bytes(8, "little") + template[32:] for i in range(size))
            )
            number += size
            committed[0] = number
        time.sleep(0.001)
    spool.close()
    delivery = shipper.finish(20)
    shipper.stop()
    print("finished", delivery.records, delivery.delivered, flush=True)


main()
