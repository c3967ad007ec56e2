"""One event is one record of 96 little-endian bytes, whatever its kind. Read this file first.

Every process that observes something (engine, monitor, plugin) writes records into its spool, numbered densely from 0;
the collector folds exactly those bytes. All kinds have the same size, so record n lies at offset 96 n, a batch is a
numpy array without parsing, and one kind is a view of the rows whose `kind` matches (`rows_of`).

Every record starts with the same 16 bytes: kind, flags, code, ref, t_ns. `t_ns` is always CLOCK_MONOTONIC of the
sender's host. Text (status details, names, log lines) never stands in a record: a record names it by id, and the
TEXT records that carry the id come earlier in the same sender's numbering. Text id 0 is the empty text.

Invariants, relied on by the fold: a call is opened by OPENED before any other record names it; call ids are never
reused by a sender; what frames are judged by (WANTED, RATE, END) is in the sender's own stream before it is used.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt

RECORD_BYTES: Final = 96
TEXT_CHUNK_BYTES: Final = 80
VERSION: Final = 1


class Kind(IntEnum):
    """What a record tells. Numbers are part of the format: never reused, never renumbered."""

    FRAME = 1
    TEXT = 2
    OPENED = 3
    HEADERS = 4
    ENDED = 5
    UNARY = 6
    WANTED = 7
    END = 8
    HEARTBEAT = 9
    LAG = 10
    CLOCK = 11
    PROBE = 12
    USER = 13
    LOG = 14
    HOST = 15
    PROCESS = 16
    FOLDED = 17
    WAIT_TIMEOUT = 18
    NOTE = 19
    WATCHING = 20
    WATCHED = 21
    PARAMETER = 22
    STATE = 23
    OBSERVABLE = 24
    HEALTH = 25
    CHANGE = 26
    CALLED = 27
    OFFERED = 28
    LEFT = 29
    ACTION = 30
    MACHINE = 31
    DAEMON = 32


_HEAD: Final = [("kind", "u1"), ("flags", "u1"), ("code", "<u2"), ("ref", "<u4"), ("t_ns", "<i8")]


def _layout(*fields: tuple[str, str]) -> np.dtype[np.void]:
    """The common head, then `fields`, padded to the record size; refuses a layout that would not fit."""
    spec: list[tuple[str, str]] = [*_HEAD, *fields]
    used = np.dtype(spec).itemsize
    if used > RECORD_BYTES:
        raise ValueError(f"a record of {used} bytes exceeds {RECORD_BYTES}")
    if used < RECORD_BYTES:
        spec.append(("_pad", f"V{RECORD_BYTES - used}"))
    return np.dtype(spec)


RECORD: Final = _layout()
"""Any record: only the common head is named."""

FRAME: Final = _layout(
    ("frame_number", "<u8"),
    ("source_ns", "<i8"),
    ("frames_sent", "<u8"),
    ("frames_dropped", "<u8"),
    ("exposure_ms", "<f8"),
    ("current_fps", "<f4"),
    ("avg_latency_ms", "<f4"),
    ("message_bytes", "<u4"),
    ("data_bytes", "<u4"),
    ("uncompressed_bytes", "<u4"),
    ("width", "<u4"),
    ("height", "<u4"),
    ("roi_x", "<u4"),
    ("roi_y", "<u4"),
    ("binning_x", "<u2"),
    ("binning_y", "<u2"),
)
"""A frame arrived on call `ref` at `t_ns`. `code` = Payload, `flags` = FrameFlag.

source_ns: the frame's `timestamp_ns`, in the target's clock. message_bytes: the gRPC message as received, without
its 5-byte prefix. exposure_ms is meaningful only with EXPOSURE, binning only with BINNING, the three server metrics
only with METRICS (frames_sent and frames_dropped are 0 without it)."""

TEXT: Final = _layout(("bytes", f"V{TEXT_CHUNK_BYTES}"))
"""A piece of text `ref` (UTF-8). `code` = bytes used here; `flags` 1 on the last piece. Pieces come in order."""

OPENED: Final = _layout(
    ("ordered_ns", "<i8"),
    ("population", "<u4"),
    ("device", "<u4"),
    ("ordinal", "<u4"),
    ("number", "<u4"),
    ("max_fps", "<u4"),
    ("window_bytes", "<u4"),
    ("stall_ns", "<i8"),
)
"""Call `ref` was sent at `t_ns`. `code` = Quality. population, device: text ids; (population, ordinal) is the
subscriber and `number` counts its calls from 1. ordered_ns: when the user's command reached the engine."""

HEADERS: Final = _layout()
"""Call `ref` got the server's initial metadata at `t_ns` (the subscription stands; no frame needs to exist yet)."""

ENDED: Final = _layout(("details", "<u4"), ("status", "<u4"), ("frames", "<u8"), ("message_bytes", "<u8"))
"""Call `ref` ended at `t_ns`. `code` = EndedBy, status = gRPC status code (0 OK), details: text id. frames and
message_bytes: totals of the call, by which the fold checks that it saw every frame."""

UNARY: Final = _layout(
    ("due_ns", "<i8"),
    ("sent_ns", "<i8"),
    ("status", "<u4"),
    ("method", "<u4"),
    ("details", "<u4"),
    ("request", "<u4"),
    ("answer", "<u4"),
    ("device", "<u4"),
    ("number", "<i8"),
    ("population", "<u4"),
    ("ordinal", "<u4"),
    ("change", "<u4"),
)
"""A unary call was answered at `t_ns`. `flags` = UnaryFlag, `ref` = the command's id. (population, ordinal): the load
user that made it, 0 for the operator and for pvload itself. change: the CHANGE that it carries out, 0: none.
 method, details, request,
answer, device: text ids (request and answer as compact JSON). due_ns: when the plan wanted it. number: the one figure
the answer carries, if any (frames_captured of StopStream), else -1."""

WANTED: Final = _layout(
    ("device", "<u4"),
    ("width", "<u4"),
    ("height", "<u4"),
    ("binning_x", "<u2"),
    ("binning_y", "<u2"),
    ("rate_hz", "<f8"),
    ("exposure_ms", "<f8"),
    ("known_ns", "<i8"),
)
"""From `t_ns` on the plan wants the device to run (`code` 1) or not (`code` 0; 2: not, since its daemon is being
restarted by plan: what ends or fails until the next WANTED is nobody's failure), at rate_hz (0: no stated rate, take
the measured one). width, height, binning, exposure_ms: what full-quality frames must show (0: not planned). known_ns:
when this sender was told."""

END: Final = _layout(("warm_up_ns", "<i8"), ("planned_ns", "<i8"))
"""The run's statistics close at `t_ns` (T_end). `code`: why, see EndReason. Later arrivals are not the run's."""

HEARTBEAT: Final = _layout(
    ("wall_ns", "<i8"),
    ("frames", "<u8"),
    ("spool_records", "<u8"),
    ("acknowledged", "<u8"),
    ("streams", "<u4"),
)
"""The sender lives. (`t_ns`, wall_ns) is a clock pair. frames: all FRAME records ever made by this sender;
spool_records: records committed so far; acknowledged: records the collector has confirmed; streams: open now."""

LAG: Final = _layout(
    ("interval_ns", "<i8"),
    ("lateness_ns", "<i8"),
    ("run_queue_ns", "<i8"),
    ("gc_pause_ns", "<i8"),
    ("cpu_ns", "<i8"),
    ("rss_bytes", "<u8"),
    ("pressure_ns", "<i8"),
    ("steal_ns", "<i8"),
    ("open_fds", "<u4"),
    ("spool_depth", "<u4"),
    ("latest_ns", "<i8"),
)
"""How late the generator itself was in the interval_ns before `t_ns`. lateness_ns: the worst lateness of a timer
that should fire every few ms; latest_ns: when that worst moment ended. The rest are increments over the interval (run
queue wait of this process, garbage collection, CPU time, host CPU pressure "some", steal) or readings."""

CLOCK: Final = _layout(("offset_ns", "<i8"), ("round_trip_ns", "<i8"))
"""run axis = sender's monotonic + offset_ns, off by at most round_trip_ns / 2 (both 0 on the collector's own boot)."""

PROBE: Final = _layout(("sent_ns", "<i8"), ("target_ns", "<i8"), ("wall_ns", "<i8"), ("device", "<u4"))
"""The target read target_ns off its clock between sent_ns and `t_ns` (both ours); wall_ns: our wall clock at `t_ns`.
target clock = our monotonic + (target_ns - (sent_ns + t_ns) / 2), off by at most half the round trip."""

USER: Final = _layout(("population", "<u4"), ("ordinal", "<u4"), ("details", "<u4"))
"""A load user changed state: `code` = UserChange."""

LOG: Final = _layout(
    ("line", "<u4"),
    ("source", "<u4"),
    ("line_number", "<u8"),
    ("logged_wall_ns", "<i8"),
    ("suppressed", "<u4"),
)
"""A line of the daemon's log matched at `t_ns`. `code` = pvload.wire.codes.LogClass; line, source: text ids;
logged_wall_ns: the line's own stamp (0: it has none). suppressed: lines of the same class since its last record that
came too fast to be recorded one by one; so a class had as many lines as the sum of 1 + suppressed."""

HOST: Final = _layout(
    ("cpu_ns", "<i8"),
    ("pressure_ns", "<i8"),
    ("steal_ns", "<i8"),
    ("memory_used_bytes", "<u8"),
    ("memory_total_bytes", "<u8"),
    ("load_1", "<f4"),
    ("load_5", "<f4"),
    ("load_15", "<f4"),
    ("cores", "<u4"),
    ("name", "<u4"),
)
"""The host at `t_ns`; cpu_ns (busy), pressure_ns and steal_ns are increments since the previous sample."""

PROCESS: Final = _layout(
    ("cpu_ns", "<i8"),
    ("rss_bytes", "<u8"),
    ("threads", "<u4"),
    ("fds", "<u4"),
    ("pid", "<u4"),
    ("name", "<u4"),
)
"""One process at `t_ns`; cpu_ns since the previous sample; name: text id (its role: target, engine, collector ...)."""

FOLDED: Final = _layout(
    ("first_ns", "<i8"),
    ("frames", "<u8"),
    ("message_bytes", "<u8"),
    ("frames_sent", "<u8"),
    ("frames_dropped", "<u8"),
    ("frame_number", "<u8"),
    ("longest_ns", "<i8"),
    ("source_ns", "<i8"),
)
"""The spool was full: `frames` arrivals of call `ref` between first_ns and `t_ns` stand here as counts; the last one's
counters and the longest gap between them are kept, all else is not known."""

WAIT_TIMEOUT: Final = _layout(("waited_ns", "<i8"), ("action", "<u4"), ("frames", "<u8"))
"""The engine's watchdog saw no frame on call `ref` for waited_ns while its user waited. For the user, not for stalls:
those are derived from arrivals alone."""

NOTE: Final = _layout(("text", "<u4"), ("value", "<i8"))
"""Something about the run itself that a reader must know; `code` = NoteClass."""

WATCHING: Final = _layout(
    ("method", "<u4"), ("device", "<u4"), ("population", "<u4"), ("ordinal", "<u4"), ("number", "<u4")
)
"""A stream of events that are no frames was opened at `t_ns` as call `ref` (ids are shared with frame calls). method:
StreamParameterChanges, SubscribeDeviceState, StreamObservables, StreamHealthUpdates."""

WATCHED: Final = _layout(("details", "<u4"), ("status", "<u4"), ("events", "<u8"))
"""It ended: `code` = EndedBy, as in ENDED; events: how many came."""

PARAMETER: Final = _layout(
    ("device", "<u4"), ("name", "<u4"), ("source_ns", "<i8"), ("value", "<f8"), ("counter", "<i8")
)
"""A parameter change was told on call `ref` at `t_ns`. `code` = Source. value: the new value where it is a number, else
NaN. counter: what `change_counter` finds in the new value, -1: none; a watcher of a storm knows losses by it."""

STATE: Final = _layout(
    ("device", "<u4"), ("sent_ns", "<i8"), ("source_ns", "<i8"), ("version", "<u8"), ("exposure_ms", "<f8")
)
"""A device's state at `t_ns`. `flags` = StateFlag, `ref` = the call that told it. sent_ns: when it was asked for (0: it
was pushed)."""

OBSERVABLE: Final = _layout(("device", "<u4"), ("name", "<u4"), ("source_ns", "<i8"), ("value", "<f8"))
"""An observable's value arrived on call `ref` at `t_ns`."""

HEALTH: Final = _layout(
    ("module", "<u4"),
    ("text", "<u4"),
    ("heartbeat_age_ns", "<i8"),
    ("sent_ns", "<i8"),
    ("population", "<u4"),
    ("ordinal", "<u4"),
)
"""A health service answered at `t_ns`. module: text id, 0: the daemon as a whole; `code`: its status as the service
numbers it (grpc.health.v1: 1 SERVING; daq: SystemHealthStatus, or 1 for a healthy module and 3 for another); `flags` 1:
by grpc.health.v1. heartbeat_age_ns: how old the module's heartbeat is, -1: it has none. text: its message."""

CHANGE: Final = _layout(
    ("device", "<u4"),
    ("text", "<u4"),
    ("width", "<u4"),
    ("height", "<u4"),
    ("binning_x", "<u2"),
    ("binning_y", "<u2"),
    ("exposure_ms", "<f8"),
    ("rate_hz", "<f8"),
    ("known_ns", "<i8"),
    ("population", "<u4"),
    ("ordinal", "<u4"),
)
"""Change `ref` of the device is sent at `t_ns` or a little later; every engine is told before it is. `code` =
ChangeKind, `flags` = ChangeFlag. width .. exposure_ms: what full-quality frames show once it is in effect (0: the
change leaves that open); text: the change in words; rate_hz: the rate it gives, 0: unknown."""

CALLED: Final = _layout(
    ("due_ns", "<i8"),
    ("sent_ns", "<i8"),
    ("counter", "<i8"),
    ("status", "<u4"),
    ("population", "<u4"),
    ("ordinal", "<u4"),
    ("method", "<u4"),
    ("device", "<u4"),
)
"""A call of a storm was answered at `t_ns`; `flags` = UnaryFlag, `ref` = the storm's id, counter: the one it wrote."""

OFFERED: Final = _layout(
    ("interval_ns", "<i8"),
    ("rate_hz", "<f8"),
    ("due", "<u8"),
    ("sent", "<u8"),
    ("answered", "<u8"),
    ("held_ns", "<i8"),
    ("lateness_ns", "<i8"),
    ("population", "<u4"),
    ("ordinal", "<u4"),
    ("ok", "<u8"),
)
"""Storm `ref` in the interval_ns before `t_ns`: calls due at rate_hz (this user's share), sent, answered, of these ok.
held_ns: time in which all its places were taken by unanswered calls (the server's doing); lateness_ns: how late at
worst a call was sent though a place was free (ours)."""

LEFT: Final = _layout(("population", "<u4"), ("ordinal", "<u4"), ("number", "<u4"), ("device", "<u4"))
"""The subscriber's call `number` was left by plan at `t_ns`. `code` = Abort. It may be recorded by another sender than
the call's own: one whose process was killed can say nothing."""

ACTION: Final = _layout(
    ("due_ns", "<i8"), ("number", "<u4"), ("text", "<u4"), ("details", "<u4"), ("client", "<u4"), ("change", "<u4")
)
"""Action `number` (from 0, as in the profile; those of a cycle repeat it) was done at `t_ns`. `code` = Outcome, text:
the action in words, details: what came of it, client and change: whom and which it was about, 0: none."""

MACHINE: Final = _layout(
    ("disk_read_bytes", "<u8"),
    ("disk_written_bytes", "<u8"),
    ("disk_busy_ns", "<i8"),
    ("network_in_bytes", "<u8"),
    ("network_out_bytes", "<u8"),
    ("network_drops", "<u8"),
    ("interrupts", "<u8"),
    ("context_switches", "<u8"),
    ("name", "<u4"),
)
"""What HOST has no room for, increments since the previous sample. name: the host's, as in HOST."""

DAEMON: Final = _layout(("pid", "<u4"), ("details", "<u4"), ("exit_status", "<i8"))
"""The daemon that pvload started: `code` 0 it was started, 1 it answers, 2 it was asked to stop, 3 it is gone with
exit_status (negative: the signal that ended it)."""


LAYOUTS: Final[dict[Kind, np.dtype[np.void]]] = {
    Kind.FRAME: FRAME,
    Kind.TEXT: TEXT,
    Kind.OPENED: OPENED,
    Kind.HEADERS: HEADERS,
    Kind.ENDED: ENDED,
    Kind.UNARY: UNARY,
    Kind.WANTED: WANTED,
    Kind.END: END,
    Kind.HEARTBEAT: HEARTBEAT,
    Kind.LAG: LAG,
    Kind.CLOCK: CLOCK,
    Kind.PROBE: PROBE,
    Kind.USER: USER,
    Kind.LOG: LOG,
    Kind.HOST: HOST,
    Kind.PROCESS: PROCESS,
    Kind.FOLDED: FOLDED,
    Kind.WAIT_TIMEOUT: WAIT_TIMEOUT,
    Kind.NOTE: NOTE,
    Kind.WATCHING: WATCHING,
    Kind.WATCHED: WATCHED,
    Kind.PARAMETER: PARAMETER,
    Kind.STATE: STATE,
    Kind.OBSERVABLE: OBSERVABLE,
    Kind.HEALTH: HEALTH,
    Kind.CHANGE: CHANGE,
    Kind.CALLED: CALLED,
    Kind.OFFERED: OFFERED,
    Kind.LEFT: LEFT,
    Kind.ACTION: ACTION,
    Kind.MACHINE: MACHINE,
    Kind.DAEMON: DAEMON,
}

Records = npt.NDArray[np.void]
"""Shape (n,), dtype RECORD or one of LAYOUTS."""


def decode(payload: bytes | memoryview) -> Records:
    """The records of `payload` in order, dtype RECORD, without a copy; its length must be a multiple of 96."""
    return np.frombuffer(payload, dtype=RECORD)


def rows_of(records: Records, kind: Kind) -> Records:
    """The rows of one kind, in order, as a copy with that kind's fields."""
    rows: Records = records[records["kind"] == kind].view(LAYOUTS[kind])
    return rows


def encode(
    kind: Kind, *, t_ns: int, flags: int = 0, code: int = 0, ref: int = 0, **fields: int | float | bytes
) -> bytes:
    """One record. For everything but the frame path, where `FRAME_STRUCT` is used directly.

    Raises ValueError for a field that the kind does not have; out-of-range integers raise OverflowError.
    """
    row = np.zeros(1, dtype=LAYOUTS[kind])
    row["kind"], row["flags"], row["code"], row["ref"], row["t_ns"] = kind, flags, code, ref, t_ns
    for name, value in fields.items():
        row[name] = np.void(value.ljust(TEXT_CHUNK_BYTES, b"\0")) if isinstance(value, bytes) else value
    return row.tobytes()


FRAME_STRUCT: Final = "<BBHIqQqQQdffIIIIIIIHH"
"""`struct` format of FRAME, field for field, for the hot path."""

CALLED_STRUCT: Final = "<BBHIqqqqIIIII36x"
"""`struct` format of CALLED, field for field: a storm makes thousands a second."""


def encode_text(text_id: int, text: str, *, t_ns: int) -> list[bytes]:
    """The TEXT records that define `text_id`; longer text spans several records, each cut at 80 bytes."""
    data = text.encode("utf-8", "replace")
    pieces = [data[i : i + TEXT_CHUNK_BYTES] for i in range(0, len(data), TEXT_CHUNK_BYTES)] or [b""]
    last = len(pieces) - 1
    return [
        encode(Kind.TEXT, t_ns=t_ns, flags=int(i == last), code=len(piece), ref=text_id, bytes=piece)
        for i, piece in enumerate(pieces)
    ]
