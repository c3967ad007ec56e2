"""Where records are safe until the collector has them: folders in the host's memory, or in the run directory."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import Final

MEMORY: Final = Path("/dev/shm")


def spool_place(run: str, folder: Path, *, room_bytes: int) -> Path:
    """The folder of the spools of `run` (hex): in the host's memory if room_bytes are free there, else in `folder`."""
    try:
        free = shutil.disk_usage(MEMORY).free
    except OSError:
        free = 0
    roomy = free >= room_bytes and os.access(MEMORY, os.W_OK)
    return memory_place(run) if roomy else folder / "spool"


def memory_place(run: str) -> Path:
    """The run's folder in the host's memory."""
    return _memory_root() / run


def memory_places() -> list[Path]:
    """The folders of all runs of this user in the host's memory, in no order."""
    try:
        return [place for place in _memory_root().iterdir() if place.is_dir()]
    except OSError:
        return []


def _memory_root() -> Path:
    return MEMORY / f"pvload-{os.getuid()}"


def remove_empty(folder: Path) -> None:
    """Removes `folder` and the folders in it, as far as they hold nothing: what was not shipped stays."""
    for place, _, _ in os.walk(folder, topdown=False):
        with contextlib.suppress(OSError):  # it holds something, or has gone already
            Path(place).rmdir()
