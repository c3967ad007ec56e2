"""Time as an argument: everything that measures or waits is handed a `Clock`, so a test can hand it another.

Durations and arrivals are read from CLOCK_MONOTONIC (shared by all processes of one boot of one host); wall time serves
only to compare with the stamps of other machines, always together with a measured offset.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Protocol

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000
_INITIAL_CLOCKS = "time:[4026531834]"
"""The kernel's own name of the time namespace that every process is in unless it was put into another."""


class Clock(Protocol):
    """Two readings of now, both int64 nanoseconds."""

    def monotonic_ns(self) -> int:
        """Nanoseconds of CLOCK_MONOTONIC; comparable between processes of one boot of one host only."""
        ...

    def wall_ns(self) -> int:
        """Nanoseconds since the Unix epoch; may step."""
        ...


class SystemClock:
    """The clocks of this host."""

    monotonic_ns = staticmethod(time.monotonic_ns)
    wall_ns = staticmethod(time.time_ns)


def boot_id() -> str:
    """Identity of this host's current boot: two processes with the same value share CLOCK_MONOTONIC.

    Empty where the kernel does not tell; an empty value equals no other.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""
    try:
        clocks = Path("/proc/self/ns/time").readlink().name
    except OSError:  # a kernel without time namespaces has one clock
        return boot
    return boot if clocks == _INITIAL_CLOCKS else f"{boot}/{clocks}"
