"""The talk between a Locust worker and its engine: one JSON object a line, commands on stdin, answers on stdout.

The engine's stdin is also its life line: at EOF it closes every stream, ships what it has and ends. Every command but
`end` may come at any time; an id is chosen by the worker and never reused. Answers to one id come in the order
accepted -> headers -> first_frame -> (timeout)* -> ended, each at most once except timeout. Times are CLOCK_MONOTONIC
nanoseconds of the host both processes run on.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Final, get_args

from pvload.errors import FormatError

VERSION: Final = 1
OnSilence = str
"""keep_waiting | resubscribe | end"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """First line: all an engine must know of its run. Answered by Ready, or by Failed and exit code 2."""

    NAME: ClassVar[str] = "start"
    version: int = VERSION
    run: str
    """UUID of the run, hex."""
    worker: str
    incarnation: int
    collector: str
    """ZeroMQ endpoint."""
    spool: str
    """Folder for this worker's segments; what a predecessor of the same run left in it is shipped first."""
    target: dict[str, Any]
    """`pvload.profiles.schema.Target` as JSON, address resolved (never "sim")."""
    spool_bytes: int = 256 * 1024 * 1024
    role: str = "engine"
    """engine | viewer: a process that opens streams only to be killed, whose end is no loss and nobody's blind time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """Open a stream on a connection of its own."""

    NAME: ClassVar[str] = "open"
    id: int
    population: str
    ordinal: int
    number: int
    """Counts the subscriber's calls from 1."""
    device: str
    quality: str = "full"
    max_fps: int = 0
    window_bytes: int = 1024 * 1024
    silence_ms: float = 0.0
    """The watchdog: this long without a frame is a timeout; 0 switches it off."""
    on_silence: OnSilence = "keep_waiting"
    stall_ms: float = 2000.0
    """The profile's stall threshold, recorded with the call."""
    payload: str = "off"
    """off | size | decoded, of every `payload_every`-th frame."""
    payload_every: int = 1
    stop_after_frames: int = 0
    """End the call by order after so many frames; 0: never."""
    read_fps: float = 0.0
    """Read at most so many frames per second; 0: as fast as they come."""
    pause_ms: float = 0.0
    """Wait so long after each frame before reading the next."""
    droppable: bool = False
    """The call may be left by resetting its connection."""
    ping_ms: float = 0.0
    """Ask the server for a sign so often, also while nothing comes; 0: never. Not of a droppable call."""
    ping_timeout_ms: float = 60_000.0
    """A sign that takes longer ends the connection."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Close:
    """Cancel stream `id` and close its connection. Answered by Ended."""

    NAME: ClassVar[str] = "close"
    id: int
    by: str = "order"
    """order | run_end"""
    style: str = "clean"
    """clean | dropped | half_open (reads no more and keeps the connection). `killed` is no order: whoever owns the
    process kills it and records `Left`. An abort is recorded as LEFT before it is done."""
    linger_ms: float = 0.0
    """Of half_open: how long the connection is kept, and then reset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """Make a unary call; `arguments` are the request's fields as in protobuf's JSON with original field names."""

    NAME: ClassVar[str] = "call"
    id: int
    method: str
    arguments: dict[str, Any] = field(default_factory=dict)
    timeout_ms: float = 30_000.0
    due_ns: int = 0
    operator: bool = False
    population: str = ""
    ordinal: int = 0
    """The load user that makes it; empty: the operator or pvload itself."""
    change: int = 0
    """The change that it carries out; 0: none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """From at_ns (this host's monotonic clock) the plan wants the device to run, or not."""

    NAME: ClassVar[str] = "wanted"
    device: str
    at_ns: int
    wanted: bool
    away: bool = False
    """Not wanted because its daemon is being restarted by plan: what ends meanwhile is nobody's failure."""
    rate_hz: float = 0.0
    width: int = 0
    height: int = 0
    binning_x: int = 0
    binning_y: int = 0
    exposure_ms: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """A load user changed state; recorded."""

    NAME: ClassVar[str] = "user"
    population: str
    ordinal: int
    change: str
    """spawned | stopped | could_not_start"""
    details: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something a reader of the report must know; recorded. `note` is a NoteClass name in lower case."""

    NAME: ClassVar[str] = "note"
    note: str
    text: str
    value: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """Read the target's clock with GetParameter `count` times; each good answer becomes a PROBE record."""

    NAME: ClassVar[str] = "probe"
    id: int
    device: str
    parameter: str
    count: int = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEnd:
    """The run's T_end: recorded as END. Streams stay open until they are closed."""

    NAME: ClassVar[str] = "run_end"
    at_ns: int
    reason: str
    """duration | interrupted | failed"""
    warm_up_ns: int
    planned_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """Close what is still open, ship everything, send FIN, answer Finished, exit. EOF on stdin means the same."""

    NAME: ClassVar[str] = "finish"


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Open a stream of events that are no frames, on a connection of its own. Answered by Headers and Ended."""

    NAME: ClassVar[str] = "watch"
    id: int
    population: str
    ordinal: int
    number: int
    device: str
    method: str
    """StreamParameterChanges | SubscribeDeviceState | StreamObservables | StreamHealthUpdates"""
    arguments: dict[str, Any] = field(default_factory=dict)
    window_bytes: int = 1024 * 1024
    pause_ms: float = 0.0
    """After each event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The device is about to be changed: recorded, and every frame of it is held against the change until one shows it.

    Sent to every engine before the call that changes it. Answered by Effect, if a frame shows it, at most once.
    """

    NAME: ClassVar[str] = "change"
    number: int
    device: str
    at_ns: int
    text: str
    kind: str = "other"
    """A ChangeKind name in lower case."""
    again: bool = False
    width: int = 0
    height: int = 0
    binning_x: int = 0
    binning_y: int = 0
    exposure_ms: float = 0.0
    rate_hz: float = 0.0
    population: str = ""
    ordinal: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Storm:
    """Set a parameter on an open-loop schedule; each value carries a counter of its own. Answered by Answered at its
    end; ended early by Close."""

    NAME: ClassVar[str] = "storm"
    id: int
    population: str
    ordinal: int
    device: str
    parameter: str
    values: list[str]
    """Written in turn; `{n}` in one is replaced by the counter."""
    first: int
    """The first counter; counters rise by `stride`, so that several users never write the same."""
    stride: int
    rates_hz: list[float]
    """This user's share of each step's rate."""
    step_ms: float
    begin_ns: int
    """This host's monotonic clock: when the first step begins."""
    in_flight: int = 64
    timeout_ms: float = 30_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Tell when stream `id` has received `frames` frames. Answered by Reached, at once if it has already; 0 asks how
    many have come."""

    NAME: ClassVar[str] = "mark"
    id: int
    frames: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """A subscriber's call was left by plan in a way that its own engine cannot record; recorded."""

    NAME: ClassVar[str] = "left"
    population: str
    ordinal: int
    number: int
    device: str
    style: str
    at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Action:
    """An action of the timeline was done, or not; recorded. `outcome` is an Outcome name in lower case."""

    NAME: ClassVar[str] = "action"
    number: int
    text: str
    outcome: str
    details: str
    due_ns: int
    at_ns: int
    client: str = ""
    change: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Daemon:
    """Something happened to the daemon that pvload started; recorded. `code` and exit_status: as in DAEMON records."""

    NAME: ClassVar[str] = "daemon"
    code: int
    pid: int
    at_ns: int
    details: str = ""
    exit_status: int = 0


Command = (
    Start | Open | Close | Call | Wanted | User | Note | Probe | RunEnd | Finish | Watch | Change | Storm | Mark | Left
    | Action | Daemon
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """The engine runs; `clock_offset_ns` is run axis minus this host's monotonic clock."""

    NAME: ClassVar[str] = "ready"
    pid: int
    sender: str
    clock_offset_ns: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The command with this id (or Start: id -1) could not be carried out at all; nothing was sent to the target."""

    NAME: ClassVar[str] = "failed"
    id: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Headers:
    """The server accepted stream `id`."""

    NAME: ClassVar[str] = "headers"
    id: int
    connect_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstFrame:
    """The first frame of stream `id` came."""

    NAME: ClassVar[str] = "first_frame"
    id: int
    after_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeout:
    """No frame on stream `id` for its silence_ms; what the engine does about it is in `action`."""

    NAME: ClassVar[str] = "timeout"
    id: int
    waited_ms: float
    action: OnSilence


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """Stream `id` is over and its connection closed. `by`: server | order | run_end | watchdog | engine."""

    NAME: ClassVar[str] = "ended"
    id: int
    by: str
    status: str
    """gRPC code name, such as OK or UNAVAILABLE."""
    details: str
    frames: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """The answer to Call or Probe `id`. `answer`: the response as JSON with original field names, {} on failure."""

    NAME: ClassVar[str] = "answered"
    id: int
    status: str
    details: str
    answer: dict[str, Any]
    sent_ns: int
    answered_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregate:
    """Once a second, for Locust's statistics: what came on all streams of one population since the last one."""

    NAME: ClassVar[str] = "aggregate"
    population: str
    frames: int
    message_bytes: int
    interval_ns_total: int
    interval_ns_min: int
    interval_ns_max: int
    interval_ms_histogram: dict[str, int]
    """Inter-arrival in milliseconds, rounded as Locust rounds response times -> number of frames."""
    open_streams: int
    errors: dict[str, int]
    """Normalised `CODE: short text` -> streams that ended so without an order."""
    method: str = ""
    """Empty: frames. Else a method whose calls or events are summed: `frames` are answers (events), intervals are
    latencies from when each call was due (zero for events), `errors` the calls that were not answered OK."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """Everything is shipped and acknowledged (delivered), or it is said how many records are still in the spool."""

    NAME: ClassVar[str] = "finished"
    records: int
    delivered: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """Stream `id` had `frames` frames at at_ns (this host's monotonic clock)."""

    NAME: ClassVar[str] = "reached"
    id: int
    frames: int
    at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """The first frame that shows change `number` came at at_ns, on some stream of this engine."""

    NAME: ClassVar[str] = "effect"
    number: int
    again: bool
    at_ns: int
    population: str
    ordinal: int


Answer = (
    Ready | Failed | Headers | FirstFrame | Timeout | Ended | Answered | Aggregate | Finished | Reached | Effect
)  # fmt: skip

_COMMANDS: Final[dict[str, type[Command]]] = {kind.NAME: kind for kind in get_args(Command)}
_ANSWERS: Final[dict[str, type[Answer]]] = {kind.NAME: kind for kind in get_args(Answer)}


def to_line(message: Command | Answer) -> bytes:
    """One JSON object with its name under `is`, ended by a newline; the text itself holds no raw newline."""
    return json.dumps({"is": message.NAME, **asdict(message)}, separators=(",", ":")).encode() + b"\n"


def command_from_line(line: bytes | str) -> Command:
    """Reads a command; FormatError names the line's fault."""
    name, fields = _split(line)
    kind = _COMMANDS.get(name)
    if kind is None:
        raise FormatError(f"unknown command {name!r}, expected one of {', '.join(_COMMANDS)}")
    try:
        return kind(**fields)
    except TypeError as exc:
        raise FormatError(f"command {name!r}: {exc}") from exc


def answer_from_line(line: bytes | str) -> Answer:
    """Reads an answer; FormatError names the line's fault."""
    name, fields = _split(line)
    kind = _ANSWERS.get(name)
    if kind is None:
        raise FormatError(f"unknown answer {name!r}, expected one of {', '.join(_ANSWERS)}")
    try:
        return kind(**fields)
    except TypeError as exc:
        raise FormatError(f"answer {name!r}: {exc}") from exc


def _split(line: bytes | str) -> tuple[str, dict[str, Any]]:
    try:
        fields = json.loads(line)
    except ValueError as exc:
        raise FormatError(f"not a JSON object: {line[:80]!r}") from exc
    if not isinstance(fields, dict) or not isinstance(fields.get("is"), str):
        raise FormatError(f"a line must be an object that says what it is: {line[:80]!r}")
    return fields.pop("is"), fields
