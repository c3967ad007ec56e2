"""Where records are safe until the collector has them: folders in the host's memory, or in the run directory."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import Final

SPOOL_BYTES: Final = 256 * 1024 * 1024
"""Of one worker."""
MEMORY: Final = Path("/dev/shm")


def spool_place(run: str, folder: Path) -> Path:
    """The run's folder of spools: in the host's memory if a spool has room there, else in `folder`."""
    try:
        free = shutil.disk_usage(MEMORY).free
    except OSError:
        free = 0
    roomy = free >= SPOOL_BYTES and os.access(MEMORY, os.W_OK)
    return memory_place(run) if roomy else folder / "spool"


def memory_place(run: str) -> Path:
    """The run's folder in the host's memory."""
    return MEMORY / f"pvload-{os.getuid()}" / run


def remove_empty(folder: Path) -> None:
    """Removes `folder` and the folders in it, as far as they hold nothing: what was not shipped stays."""
    for place, _, _ in os.walk(folder, topdown=False):
        with contextlib.suppress(OSError):  # it holds something, or has gone already
            Path(place).rmdir()
