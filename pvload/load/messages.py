"""What director and stations say to each other, by Locust's own messages (msgpack: numbers, texts, lists, dicts).

The director lives in the master or the local runner, a station in every worker and in the local runner. Times are
nanoseconds of the run's axis, which is CLOCK_MONOTONIC of the master's host; a station converts. Everything but the
greeting bears the run's id, so that a late word of an earlier run is recognised and dropped.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar, Final, TypeVar

from locust.env import Environment
from locust.rpc import Message
from locust.runners import Runner

NOBODY: Final = "no such client is there"
"""`details` of an order to a client whose user is not there, or not yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """A station is there. Answered by Welcome."""

    NAME: ClassVar[str] = "pvload.hello"
    version: str
    host: str
    boot: str
    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcome:
    """The station belongs to the run's master, or why it cannot (`refused`)."""

    NAME: ClassVar[str] = "pvload.welcome"
    refused: str = ""
    profile: str = ""
    """Canonical text: the station's user classes are made from it, whatever profile it was started with."""
    sha256: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Begin:
    """A run begins: start an engine. Answered by Ready."""

    NAME: ClassVar[str] = "pvload.begin"
    run: str
    run_dir: str
    boot: str
    """Of the master's host; a station of another host keeps its logs and its spool to itself."""
    collector_host: str
    """Empty: the host that the worker reaches its master by."""
    collector_port: int
    address: str
    """The target's, resolved."""
    profile: str
    sha256: str
    stop_after_frames: int
    stopped_ns: int
    """When this process last stopped the same camera; 0: never."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """The station's engine runs, or why not (`failed`)."""

    NAME: ClassVar[str] = "pvload.ready"
    run: str
    worker: str
    failed: str = ""
    sender: str = ""
    engine_pid: int = 0
    pid: int = 0
    same_host: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class LookUp:
    """List the target's devices before any stream is opened. Answered by Found."""

    NAME: ClassVar[str] = "pvload.look_up"
    run: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the target offers, or the status with which it did not answer."""

    NAME: ClassVar[str] = "pvload.found"
    run: str
    status: str
    details: str
    devices: dict[str, list[str]] = field(default_factory=dict)
    """Device id -> capabilities."""
    daemon: dict[str, str] = field(default_factory=dict)
    """What the daemon says of itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """Something for the record of the run; the station's engine notes it."""

    NAME: ClassVar[str] = "pvload.remark"
    run: str
    note: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """A user wants a number of its own. Answered by Seat."""

    NAME: ClassVar[str] = "pvload.claim"
    run: str
    population: str
    token: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """The user's ordinal, and how many calls that subscriber has made before."""

    NAME: ClassVar[str] = "pvload.seat"
    run: str
    token: int
    population: str
    ordinal: int
    calls: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """The subscriber makes its call `number` now."""

    NAME: ClassVar[str] = "pvload.opened"
    run: str
    population: str
    ordinal: int
    number: int
    at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """The subscriber received the number of frames that were asked for."""

    NAME: ClassVar[str] = "pvload.done"
    run: str
    population: str
    ordinal: int
    at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """The user is gone; its ordinal is free."""

    NAME: ClassVar[str] = "pvload.release"
    run: str
    population: str
    ordinal: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AskCamera:
    """An operator is there. Answered by Camera."""

    NAME: ClassVar[str] = "pvload.ask_camera"
    run: str
    token: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """Is the camera the operator's to start, or did this run start it already?"""

    NAME: ClassVar[str] = "pvload.camera"
    run: str
    token: int
    started: bool
    action: int = 0
    """Which action of the timeline is the next."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Started:
    """The acquisition was started (or joined)."""

    NAME: ClassVar[str] = "pvload.started"
    run: str
    at_ns: int
    """When StartStream was sent."""
    joined: bool
    parameters: dict[str, str]
    """Every camera parameter before any was changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The station cannot go on, and so the run cannot."""

    NAME: ClassVar[str] = "pvload.failed"
    run: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """From at_ns on the plan wants the camera to run, or not (its fields: wire.command.Wanted)."""

    NAME: ClassVar[str] = "pvload.wanted"
    run: str
    device: str
    at_ns: int
    wanted: bool = True
    away: bool = False
    rate_hz: float
    width: int
    height: int
    binning_x: int
    binning_y: int
    exposure_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """The timeline wants this of a client: open, close, abort, or mark (tell when its call has `frames` frames).

    Said to the station that holds the seat, which puts it into the user's inbox. Answered by Ordered.
    """

    NAME: ClassVar[str] = "pvload.order"
    run: str
    token: int
    population: str
    ordinal: int
    action: str
    style: str = "clean"
    """Of an abort: an AbortStyle."""
    linger_ms: float = 0.0
    frames: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ordered:
    """What became of an order: open is done at the stream's headers, close and abort when the call is over, mark when
    reached. Not done: `details` says why."""

    NAME: ClassVar[str] = "pvload.ordered"
    run: str
    token: int
    population: str
    ordinal: int
    done: bool
    details: str
    at_ns: int
    frames: int = 0
    """Of a mark: how many had come then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AskOrder:
    """The timeline's station wants an order carried out wherever the client sits. Answered by Obeyed."""

    NAME: ClassVar[str] = "pvload.ask_order"
    run: str
    token: int
    population: str
    ordinal: int
    action: str
    style: str = "clean"
    linger_ms: float = 0.0
    frames: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Obeyed:
    """What came of it, as in Ordered."""

    NAME: ClassVar[str] = "pvload.obeyed"
    run: str
    token: int
    done: bool
    details: str
    at_ns: int
    frames: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineAt:
    """The timeline begins its action number `action`; who takes over goes on with the next one."""

    NAME: ClassVar[str] = "pvload.timeline_at"
    run: str
    action: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineDone:
    """The last action was done; a run that ends with its timeline may end at at_ns."""

    NAME: ClassVar[str] = "pvload.timeline_done"
    run: str
    at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AskDaemon:
    """Stop the daemon that pvload started, and start it again. Answered by DaemonBack."""

    NAME: ClassVar[str] = "pvload.ask_daemon"
    run: str
    token: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonBack:
    """It answers again; `failed` says why not."""

    NAME: ClassVar[str] = "pvload.daemon_back"
    run: str
    token: int
    failed: str
    exit_status: int
    """Of the one that was stopped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonEvent:
    """For the record: something happened to the daemon that pvload started (wire.command.Daemon)."""

    NAME: ClassVar[str] = "pvload.daemon_event"
    run: str
    code: int
    pid: int
    at_ns: int
    details: str
    exit_status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AskTurn:
    """A station wants the camera to itself: to change it on purpose, to stop or to start it. Answered by Turn."""

    NAME: ClassVar[str] = "pvload.ask_turn"
    run: str
    token: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """Nobody else changes, stops or starts the camera until the station says TurnOver."""

    NAME: ClassVar[str] = "pvload.turn"
    run: str
    token: int
    turn: int
    exposure_ms: float
    """The longer of the one that frames show and the one that was set."""
    running: bool
    """The plan wants it to run."""
    stopped_ns: int
    """When it was last stopped in this run; 0: never."""
    joined: bool = False
    """It ran before the run, which never stops it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnOver:
    """The camera is the next one's."""

    NAME: ClassVar[str] = "pvload.turn_over"
    run: str
    turn: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AskChange:
    """A station, whose turn it is, is about to change the camera. Answered by ChangeNumber when all engines know."""

    NAME: ClassVar[str] = "pvload.ask_change"
    run: str
    token: int
    change: dict[str, Any]
    """profiles.users.Change."""
    population: str = ""
    ordinal: int = 0
    """The user that changes it; empty: the timeline."""
    number: int = 0
    """Not 0: look for that change again, after a stop and a start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeNumber:
    """The change's number, unique in the run; every engine watches for it."""

    NAME: ClassVar[str] = "pvload.change_number"
    run: str
    token: int
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Every engine is to watch for change `number` (its fields: wire.command.Change). Answered by ChangeKnown."""

    NAME: ClassVar[str] = "pvload.change"
    run: str
    number: int
    device: str
    at_ns: int
    text: str
    kind: str
    again: bool
    width: int
    height: int
    binning_x: int
    binning_y: int
    exposure_ms: float
    rate_hz: float
    population: str
    ordinal: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeKnown:
    """The station's engine was told."""

    NAME: ClassVar[str] = "pvload.change_known"
    run: str
    number: int
    again: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangeMade:
    """The call that changes was answered; `accepted`: and well, so that it holds after the next start at the latest."""

    NAME: ClassVar[str] = "pvload.change_made"
    run: str
    number: int
    accepted: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """A station's engine saw the first frame that shows the change."""

    NAME: ClassVar[str] = "pvload.effect"
    run: str
    number: int
    again: bool
    at_ns: int
    population: str
    ordinal: int
    """The subscriber that saw it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EffectSeen:
    """To the station that asked for the change: the first of its effects."""

    NAME: ClassVar[str] = "pvload.effect_seen"
    run: str
    number: int
    again: bool
    at_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Wants:
    """A station stops the camera by plan at at_ns, or starts it (again): every engine is told by Wanted."""

    NAME: ClassVar[str] = "pvload.wants"
    run: str
    wanted: bool
    at_ns: int
    away: bool = False
    """It stops because its daemon is about to be restarted."""
    went_on: bool = False
    """It was to be stopped and was not: what was set meanwhile shows no more than before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """T_end: close every stream. Answered by Closed."""

    NAME: ClassVar[str] = "pvload.end"
    run: str
    at_ns: int
    reason: str
    warm_up_ns: int
    planned_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Closed:
    """No stream of this station is open any more."""

    NAME: ClassVar[str] = "pvload.closed"
    run: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StopCamera:
    """Two frame periods after the last stream: stop the acquisition if `stop`. Answered by Stopped."""

    NAME: ClassVar[str] = "pvload.stop_camera"
    run: str
    stop: bool
    changed: list[str] = field(default_factory=list)
    """Parameters that were changed on purpose during the run: they are put back."""
    before: dict[str, str] = field(default_factory=dict)
    """Every parameter before the run."""
    shown: str = ""
    """What frames show at the end where that is not the plan's; empty: they show what they did at the start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """StopStream was answered; `failed` says how if not well."""

    NAME: ClassVar[str] = "pvload.stopped"
    run: str
    failed: str
    parameters: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finish:
    """Ship everything and end the engine. Answered by Finished."""

    NAME: ClassVar[str] = "pvload.finish"
    run: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The station's engine is gone; records and delivered as it said, -1 if it could not say."""

    NAME: ClassVar[str] = "pvload.finished"
    run: str
    records: int
    delivered: int


Word = (
    Hello | Welcome | Begin | Ready | LookUp | Found | Remark | Claim | Seat | Opened | Done | Release | AskCamera
    | Camera | Started | Failed | Wanted | Order | Ordered | AskOrder | Obeyed | TimelineAt
    | TimelineDone | AskDaemon | DaemonBack
    | DaemonEvent | AskTurn | Turn | TurnOver | AskChange | ChangeNumber
    | Change | ChangeKnown | ChangeMade | Effect | EffectSeen | Wants | End | Closed | StopCamera | Stopped | Finish
    | Finished
)  # fmt: skip
W = TypeVar("W", bound=Word)


def say(runner: Runner, word: Word, *, to: str | None = None) -> None:
    """Sends a word: from a worker to its master, from the master to one worker or to all, a local runner to itself."""
    runner.send_message(word.NAME, asdict(word), to)


def hear(runner: Runner, kind: type[W], listener: Callable[[str, W], None]) -> None:
    """Calls `listener` with (node, word) for each word of that kind; it must not wait, others are queued behind it."""

    def heard(environment: Environment, msg: Message, **_more: Any) -> None:
        del environment
        listener(msg.node_id, kind(**msg.data))

    runner.register_message(kind.NAME, heard)
