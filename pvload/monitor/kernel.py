"""USB lines of the kernel's log: from /dev/kmsg, else from `journalctl -k`; where neither may be read, that is said.

/dev/kmsg stamps with a clock of its own that drifts from CLOCK_MONOTONIC by seconds a day. Lines are read at most a
poll after they were written, so the smallest distance between reading and stamp, over all lines so far, is the distance
of the two clocks, too large by at most one poll.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pvload.clock import Clock
from pvload.monitor.command import CommandFollower

KMSG: Final = Path("/dev/kmsg")
JOURNAL: Final = "journalctl -k -q -f -n 0 -o short-iso-precise"
RECORDS_PER_POLL: Final = 500
_RECORD_BYTES: Final = 8192
"""The kernel refuses to give a record to a smaller buffer."""
_NS_PER_US: Final = 1_000
_PROBE_S: Final = 3.0
_USB: Final = re.compile(r"\b(?:usb\w*|[xeuo]hci\w*|cdc_\w+|uvcvideo)\b|\bhub \d", re.IGNORECASE)
_RECORD: Final = re.compile(r"(?P<prefix>\d+),\d+,(?P<stamp_us>\d+),[^;]*;(?P<text>[^\n]*)(?P<more>.*)", re.DOTALL)
_JOURNALED: Final = re.compile(r"^(?P<stamp>\S+)\s+\S+\s+kernel:\s(?P<text>.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class KernelLine:
    """One line of the kernel's log about USB."""

    text: str
    at_ns: int
    """CLOCK_MONOTONIC of this host, when it was written."""


class KernelAxis:
    """The kernel log's stamps on CLOCK_MONOTONIC."""

    def __init__(self) -> None:
        self._distance_ns: int | None = None

    def at_ns(self, stamp_ns: int, read_ns: int) -> int:
        """When a line stamped so and read then was written; never later than it was read."""
        distance_ns = read_ns - stamp_ns
        self._distance_ns = distance_ns if self._distance_ns is None else min(self._distance_ns, distance_ns)
        return stamp_ns + self._distance_ns


def usb_record(record: bytes) -> tuple[int, str] | None:
    """(stamp in the kernel log's own ns, text) of one record of /dev/kmsg, if it is about USB."""
    found = _RECORD.match(record.decode("utf-8", "replace"))
    if found is None:
        return None
    about_usb = "\n SUBSYSTEM=usb" in found["more"] or _USB.search(found["text"])
    return (int(found["stamp_us"]) * _NS_PER_US, found["text"]) if about_usb else None


def usb_text(line: str) -> str:
    """The text of a line of `journalctl -k`, if it is about USB; else empty."""
    found = _JOURNALED.match(line)
    text = found["text"] if found is not None else ""
    return text if _USB.search(text) else ""


def open_kmsg() -> int:
    """A descriptor that gives what the kernel says from now on."""
    file = os.open(KMSG, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        os.lseek(file, 0, os.SEEK_END)
    except OSError:
        os.close(file)
        raise
    return file


def journal_shows_the_kernel() -> bool:
    """Whether `journalctl -k` gives this user any line."""
    program = shutil.which("journalctl")
    if program is None:
        return False
    command = [program, "-k", "-q", "-n", "1", "-o", "short-iso-precise", "--no-pager"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_PROBE_S, check=False, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0 and _JOURNALED.match(done.stdout.decode("utf-8", "replace")) is not None


class KernelLog:
    """The kernel's new USB lines. `absent` says why there are none to be had."""

    def __init__(
        self,
        clock: Clock,
        *,
        opened: Callable[[], int] = open_kmsg,
        journal: Callable[[], bool] = journal_shows_the_kernel,
    ) -> None:
        self.absent = ""
        self.lost = 0
        """Times that the kernel overwrote lines before they were read."""
        self._clock = clock
        self._opened = opened
        self._journal = journal
        self._file = -1
        self._axis = KernelAxis()
        self._follower: CommandFollower | None = None

    def start(self) -> None:
        """Opens what may be read; `absent` tells the reason if nothing may."""
        try:
            self._file = self._opened()
        except OSError as exc:
            if self._journal():
                self._follower = CommandFollower(JOURNAL, self._clock)
                self._follower.start()
            else:
                self.absent = f"{KMSG}: {exc.strerror or exc}; journalctl -k: no line"

    def poll(self) -> list[KernelLine]:
        """USB lines since the last poll."""
        if self._file >= 0:
            return self._read()
        if self._follower is None:
            return []
        now_ns = self._clock.monotonic_ns()
        return [KernelLine(text, now_ns) for line in self._follower.poll() if (text := usb_text(line))]

    def close(self) -> None:
        """Lets go of it."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        if self._follower is not None:
            self._follower.close()
            self._follower = None

    def _read(self) -> list[KernelLine]:
        lines = []
        for _ in range(RECORDS_PER_POLL):
            try:
                record = os.read(self._file, _RECORD_BYTES)
            except BlockingIOError:
                break
            except OSError as exc:
                if exc.errno == errno.EPIPE:
                    self.lost += 1
                    continue
                self.absent = f"{KMSG}: {exc.strerror}"
                self.close()
                break
            if not record:
                break
            if (found := usb_record(record)) is not None:
                lines.append(KernelLine(found[1], self._axis.at_ns(found[0], self._clock.monotonic_ns())))
        return lines
