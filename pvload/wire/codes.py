"""Numbers and flags that records carry in `code` and `flags`: part of the format, never reused or renumbered."""

from __future__ import annotations

from enum import IntEnum, IntFlag


class FrameFlag(IntFlag):
    """Which optional fields of a frame were set on the wire, and what its payload showed."""

    METRICS = 1
    EXPOSURE = 2
    BINNING = 4
    LZ4 = 8
    CHECKED_SIZE = 16
    CHECKED_PIXELS = 32


class Payload(IntEnum):
    """Outcome of the payload check of one frame (`code` of a FRAME record)."""

    UNCHECKED = 0
    OK = 1
    SIZE_MISMATCH = 2
    UNDECODABLE = 3
    ALL_ZERO = 4
    REPEATED_IMAGE = 5


class Wish(IntEnum):
    """What the plan wants of a device (`code` of a WANTED record)."""

    STANDS = 0
    RUNS = 1
    AWAY = 2
    """It stands because its daemon is being restarted by plan."""


class EndedBy(IntEnum):
    """Who ended a call (`code` of an ENDED record)."""

    SERVER = 0
    """Nobody here ordered it: status and details say how the server or the network ended it."""
    ORDER = 1
    """The user closed it."""
    RUN_END = 2
    """The run ended."""
    WATCHDOG = 3
    """The silence watchdog closed it because the profile says so; the silence itself is in the frames."""
    ENGINE = 4
    """The engine is going down and closed what was open."""


class Abort(IntEnum):
    """How a client left a call (`code` of a LEFT record)."""

    CLEAN = 0
    """Its call was cancelled and its connection closed in order."""
    DROPPED = 1
    """Its connection was reset."""
    HALF_OPEN = 2
    """Its process hung: the connection stayed, and nobody read from it."""
    KILLED = 3
    """Its process was killed with SIGKILL."""


class ChangeKind(IntEnum):
    """What a change changes (`code` of a CHANGE record)."""

    OTHER = 0
    """Nothing that frames show."""
    EXPOSURE = 1
    ROI = 2
    BINNING = 3


class ChangeFlag(IntFlag):
    """Facts about one CHANGE record."""

    AGAIN = 1
    """The same change (`ref`) looked for again, after a stop and a start."""


class Source(IntEnum):
    """Where a parameter change came from (`code` of a PARAMETER record), by the daemon's own word."""

    OTHER = 0
    USER = 1
    HARDWARE = 2


class StateFlag(IntFlag):
    """What a device's state says (`flags` of a STATE record)."""

    ONLINE = 1
    STREAMING = 2
    STREAMING_KNOWN = 4
    ARMED = 8
    PUSHED = 16
    """By SubscribeDeviceState; else by GetDeviceState."""
    SNAPSHOT = 32


class Outcome(IntEnum):
    """How an action of the timeline went (`code` of an ACTION record)."""

    DONE = 0
    FAILED = 1
    """It could not be done."""
    UNMET = 2
    """An expectation that was not met in its time."""
    NOT_REACHED = 3
    """The run ended before its time or condition came."""


class Quality(IntEnum):
    """`daq.StreamQuality`."""

    FULL = 0
    PREVIEW = 1
    FAST = 2


class UserChange(IntEnum):
    """What became of a Locust user (`code` of a USER record)."""

    SPAWNED = 1
    STOPPED = 2
    COULD_NOT_START = 3


class UnaryFlag(IntFlag):
    """Facts about one unary call that its status does not tell."""

    APPLICATION_FAILED = 1
    """Status OK, but the answer's `success` was false."""
    ALREADY = 2
    """StartStream answered "Already streaming": somebody else's acquisition."""
    OPERATOR = 4
    """Made by the camera operator (setup, start, stop), not by a load user."""


class EndReason(IntEnum):
    """Why a run ended (`code` of an END record)."""

    DURATION = 0
    """The planned duration, or the planned number of frames, was reached."""
    INTERRUPTED = 1
    """Ctrl-C, SIGTERM or the web UI's stop before the planned end."""
    FAILED = 2
    """The run could not go on (operator failed, a process died for good)."""


class LogClass(IntEnum):
    """Classes of the daemon's log lines."""

    OTHER = 0
    READY = 1
    SYNTHETIC = 2
    REGISTRATION = 3
    SUBSCRIBE = 4
    DISCONNECT = 5
    STREAM_END = 6
    DROP = 7
    BAD_FRAME = 8
    LIMIT = 9
    PARAMETER_LAG = 10
    ALREADY_STREAMING = 11
    SLOW_OBSERVER = 12
    STALL_TICK = 13
    STALL_END = 14
    LOOP_EXIT = 15
    RUN_SUMMARY = 16
    POOL = 17
    INTEGRITY = 18
    UNLOCK = 19
    NO_CONSUMERS = 20
    MODE_FALLBACK = 21
    CALLBACK = 22
    DISK = 23
    DRIVER_ERROR = 24
    PANIC = 25
    SHUTDOWN = 26
    ERROR = 27
    """Any other line at level ERROR."""
    ACQUISITION_STARTED = 28
    """A client's StartStream, ours or another's, reached the camera."""
    ACQUISITION_STOPPED = 29
    """A client's StopStream, ours or another's, stopped it."""
    USB = 30
    """A line of the kernel's log about USB."""
    DAEMON_WARNING = 31
    """Any other line at level WARN."""


class NoteClass(IntEnum):
    """Classes of NOTE records."""

    INFO = 0
    CAMERA_NOT_AS_PLANNED = 1
    CAMERA_WAS_RUNNING = 2
    OPERATOR_FAILED = 3
    NOT_CONNECTED = 4
    UNKNOWN_DEVICE = 5
    WITNESS_MISSING = 6
    WITNESS_PRESENT = 7
    ENGINE_REPLACED = 8
    READ_BACK = 9
    """A parameter that frames cannot show was read back (`value` 1: as planned, 0: not)."""
    LOG_LEVEL = 10
    """The classes (lower case, joined by ", ") that the log's level hides, by the lines seen so far; the last one of a
    sender stands. `value`: lines read. See `pvload.wire.log_level`."""
    RESTORED = 11
    """At the end, what the timeline and changers changed was (`value` 1) or was not (0) as at the start, on the frames
    and by its parameters; the text says what differs. Noted before pvload puts anything back itself."""
    GAVE_UP = 12
    """A load user opens no more streams: `value` calls in a row gave no frame, as many as its `retry` allows."""
    PUT_BACK = 13
    """After RESTORED said that something differs, pvload has put all of it back to what it was before the run (`value`
    1), or not (0); the text says what."""
