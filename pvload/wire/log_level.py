"""Which lines of the daemon's log its level hides: what is not there was not said, or could not be said.

Pure. The daemon prints a class of lines at one level; a log in which no line of that level, or of a chattier one, ever
appears cannot show the class. Lines that the driver prints past the logging (`[PVCAM ...]`) have no level.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from pvload.wire.codes import LogClass

LEVELS: Final = ("TRACE", "DEBUG", "INFO", "WARN", "ERROR")
"""From the chattiest on."""

RUST_LOG: Final = (
    "info,server=debug,hardware=info,daq_driver_pvcam=debug,daq_driver_mock=info,pvcam=debug,pvcam_pool=debug,"
    "daq_server=debug,daq_pvcam=debug,daq_hardware=info"
)
"""For a daemon that pvload starts: everything the log witness knows, under the names of today's modules and of the old
ones (the last row); not the per-frame traces (pvcam_frame_trace, pvcam_alloc_trace)."""

CLASS_LEVELS: Final[dict[LogClass, str]] = {
    LogClass.DROP: "DEBUG",
    LogClass.SUBSCRIBE: "INFO",
    LogClass.STREAM_END: "INFO",
    LogClass.ALREADY_STREAMING: "INFO",
    LogClass.ACQUISITION_STARTED: "INFO",
    LogClass.ACQUISITION_STOPPED: "INFO",
    LogClass.RUN_SUMMARY: "INFO",
    LogClass.DISCONNECT: "WARN",
    LogClass.SYNTHETIC: "WARN",
    LogClass.LIMIT: "WARN",
    LogClass.PARAMETER_LAG: "WARN",
    LogClass.SLOW_OBSERVER: "WARN",
    LogClass.POOL: "WARN",
    LogClass.INTEGRITY: "WARN",
    LogClass.NO_CONSUMERS: "WARN",
    LogClass.MODE_FALLBACK: "WARN",
    LogClass.BAD_FRAME: "WARN",
    LogClass.DAEMON_WARNING: "WARN",
}
"""The level that the telling lines of a class are printed at; a class that is not here is printed whatever it is."""


def hidden_classes(levels_seen: Mapping[str, int], lines: int) -> tuple[str, ...]:
    """Names (lower case, in the order of their numbers) of the classes that a log of so many lines cannot show.

    levels_seen: level -> lines of it. lines: all lines read, those without a level too. Nothing is concluded from a
    log of which no line was read: empty.
    """
    if not lines:
        return ()
    chattiest = next((at for at, level in enumerate(LEVELS) if levels_seen.get(level)), LEVELS.index("ERROR"))
    hidden = (log_class for log_class, level in CLASS_LEVELS.items() if LEVELS.index(level) < chattiest)
    return tuple(log_class.name.lower() for log_class in sorted(hidden))
