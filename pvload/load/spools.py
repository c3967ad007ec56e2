"""How much a worker's spool may hold; where spools are is `pvload.wire.spools`."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pvload.wire import spools
from pvload.wire.spools import memory_place, remove_empty

__all__ = ["SPOOL_BYTES", "memory_place", "remove_empty", "spool_place"]

SPOOL_BYTES: Final = 256 * 1024 * 1024
"""Of one worker."""


def spool_place(run: str, folder: Path) -> Path:
    """The run's folder of spools, with room for one worker's."""
    return spools.spool_place(run, folder, room_bytes=SPOOL_BYTES)
