"""Work on what a process knows, done by a copy of the process: forked, so that it costs neither time nor memory here.

The copy sees everything as it stood (copy on write), works on it at low priority, says one text and is gone. Only the
thread that forks exists in it, so it touches no socket and no journal, and closes what it has of them first.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import warnings
from collections.abc import Callable
from typing import Final

from pvload.lifeline import end_with_parent

_log = logging.getLogger(__name__)

LARGEST_TEXT: Final = 4096
"""Bytes; a pipe takes them at once."""
_NICE: Final = 10
_MOST_FDS: Final = 65_536


class Aside:
    """One piece of work at a time: `begin`, then `text` until it says something; `close` ends it."""

    def __init__(self, work: Callable[[], str]) -> None:
        self._work = work
        self._pid = 0
        self._pipe = -1

    def is_busy(self) -> bool:
        """Whether the work has begun and is not done."""
        return self._pid > 0

    def begin(self) -> None:
        """Begins the work, unless it is under way; where no process can be made, it says so in the log."""
        if self.is_busy():
            return
        reading, writing = os.pipe()
        parent = os.getpid()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of threads; see the module
                self._pid = os.fork()
        except OSError as exc:
            _log.warning("no process for work aside: %s", exc)
            os.close(reading)
            os.close(writing)
            return
        if self._pid == 0:
            _do(self._work, writing, parent)
        os.close(writing)
        os.set_blocking(reading, False)
        self._pipe = reading

    def text(self) -> str | None:
        """What the work came to, once; None: it is under way, was never begun, or failed (the log says how)."""
        if not self.is_busy():
            return None
        try:
            said = os.read(self._pipe, LARGEST_TEXT)
        except BlockingIOError:
            return None
        self._end()
        return said.decode() if said else None

    def close(self) -> None:
        """Ends the work where it stands."""
        if self.is_busy():
            os.kill(self._pid, signal.SIGKILL)
            self._end()

    def _end(self) -> None:
        os.close(self._pipe)
        os.waitpid(self._pid, 0)
        self._pid, self._pipe = 0, -1


def _do(work: Callable[[], str], writing: int, parent: int) -> None:
    """The copy's whole life. Nothing of the parent's is unwound in it."""
    status = 1
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        end_with_parent()
        if os.getppid() == parent:
            gc.disable()
            os.nice(_NICE)
            os.closerange(3, writing)
            os.closerange(writing + 1, _MOST_FDS)
            os.write(writing, work().encode()[:LARGEST_TEXT])
            status = 0
    except Exception:  # noqa: BLE001 - nothing may leave here but by the end of the process
        _log.exception("work aside failed")
    finally:
        os._exit(status)
