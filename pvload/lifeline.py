"""What ties a process to the one that started it, for every process that must not outlive a run."""

from __future__ import annotations

import ctypes
import signal
from typing import Final

_PR_SET_PDEATHSIG: Final = 1


def end_with_parent() -> None:
    """Has the kernel send this process SIGTERM when the thread that started it ends (Linux only).

    It covers a parent that was killed while a sibling still holds the pipe that would otherwise tell of its end.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
