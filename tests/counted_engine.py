"""The real engine, with a counter in shared memory raised after each record that its spool has committed.

Run as a script by `kills.py`; the counter's file is named by PVLOAD_TEST_COUNTER (8 bytes, little-endian) and is shared
by all incarnations. A kill between commit and raise leaves it one append behind, never ahead.
"""

from __future__ import annotations

import mmap
import os
import sys
from pathlib import Path

from pvload.engine.__main__ import main
from pvload.ship.spool import Spool
from pvload.wire.event import RECORD_BYTES

with Path(os.environ["PVLOAD_TEST_COUNTER"]).open("r+b") as file:
    counter = memoryview(mmap.mmap(file.fileno(), 8)).cast("q")

append = Spool.append


def counted(self: Spool, record: bytes) -> int:
    """Commits, then counts."""
    first = append(self, record)
    counter[0] += len(record) // RECORD_BYTES
    return first


if __name__ == "__main__":
    Spool.append = counted  # type: ignore[method-assign]  # the only way to see every commit from outside
    sys.exit(main())
