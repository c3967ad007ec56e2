"""What a run came to beside its frames: changes, calls, watchers, comings and goings, growth. Part of `Summary`.

As in `summary`: frozen values, `_s` and `_ms` floats made from integer nanoseconds at the very end, `at_s` on the run's
axis, None for what could not be measured, lists bounded by LIST_LIMIT with their totals beside them. Every figure that
finds nothing states over what it looked, so that a reader can tell "none in thirty minutes" from "nobody looked".

A long file, on purpose: it is nothing but the list of what one room writes and three others read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from pvload.stats.quantiles import Quantiles

ChangeOutcome = Literal[
    "effective",  # it showed on the frames while the stream went on
    "refused_then_effective",  # refused with a reason, frames went on, and it showed after a stop and a start
    "refused",  # refused with a reason, frames went on; not tried again, or without effect after the restart
    "refused_unclear",  # refused without a reason
    "ignored_until_restart",  # answered OK, changed nothing, and showed after a stop and a start
    "ignored",  # answered OK and changed nothing
    "killed",  # frames ended with it: the server ended a stream, or one fell silent and no other went on
    "hung",  # never answered
    "failed",  # the call failed without an answer of the daemon's: it was away, or its connection went
    "answered",  # answered OK; frames cannot show it, or nobody looked
    "not_judged",  # no stream was open to see it, or the run ended too soon
]


NOT_WATCHED: Final = "not watched"
"""Outcome of a start-stop cycle in which no stream was open."""


@dataclass(frozen=True, slots=True)
class ChangeEffect:
    """One change as one subscriber saw it."""

    subscriber: str
    effect_after_ms: float | None
    """From sending the change to the arrival of the first frame that shows it; None: it never showed."""
    frames_before_effect: int
    """Frames that arrived between the two."""
    missing: int
    """Missing frames from one second before the change to one second after the effect, or its time limit."""
    longest_gap_s: float
    """In the same stretch."""
    not_as_either: int
    """Frames in it that show neither the old plan nor the new one."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change of the camera while it was wanted, by a changer or the timeline."""

    number: int
    by: str
    """`population/ordinal`, or `timeline`."""
    device: str
    kind: str
    """exposure | roi | binning | other"""
    text: str
    at_s: float
    """When it was sent."""
    answered_after_ms: float | None
    status: str
    """gRPC code name; OK also where `success` was false; empty: no answer came."""
    details: str
    """The answer's text where it was refused."""
    effect_after_ms: float | None
    """The earliest of any subscriber's, before any restart."""
    effect_after_restart_ms: float | None
    """From the StartStream after it; None: no restart, or it never showed."""
    restarted_at_s: float | None
    outcome: ChangeOutcome
    effects: tuple[ChangeEffect, ...]


@dataclass(frozen=True, slots=True)
class Changes:
    """All changes."""

    count: int
    outcomes: dict[str, int]
    """ChangeOutcome -> count."""
    effect_ms: Quantiles
    """Time to effect of the effective ones."""
    missing: int
    """Frames lost across changes, over all subscribers."""
    listed: tuple[Change, ...]
    """The first thousand."""


@dataclass(frozen=True, slots=True)
class MethodCalls:
    """Unary calls of one method by one population of load users."""

    population: str
    method: str
    count: int
    ok: int
    refused: int
    """Answered with a reason: INVALID_ARGUMENT, FAILED_PRECONDITION, or `success` false with a text."""
    failed: dict[str, int]
    """Other codes -> count; DEADLINE_EXCEEDED among them."""
    latency_ms: Quantiles
    """From when it was due (else sent) to answered."""
    slowest_at_s: float | None
    examples: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StormStep:
    """One rate of a storm, all its users together."""

    population: str
    at_s: float
    length_s: float
    offered_hz: float
    due: int
    sent: int
    answered: int
    ok: int
    latency_ms: Quantiles
    """From due to answered."""
    held_share: float
    """Share of the time, mean of its users, in which every place was taken by unanswered calls: the server's limit."""
    lateness_ms: float
    """How late at worst a call was sent though a place was free: the generator's."""
    longest_gap_s: float | None
    """Of any frame subscriber meanwhile."""
    events: int
    """Change events that watchers were told meanwhile."""


@dataclass(frozen=True, slots=True)
class Storm:
    """A paced storm of calls."""

    population: str
    method: str
    parameter: str
    steps: tuple[StormStep, ...]
    knee_hz: float | None
    """The highest offered rate that was kept: answered at least 98 % of due, p99 below ten times the first step's;
    None: not even the first."""
    achieved_hz: float
    """Answered per second, in the best step."""
    limited_by: Literal["nothing", "server", "generator", "undecided"]
    """Whose limit the shortfall at the highest rate was."""


@dataclass(frozen=True, slots=True)
class ParameterEvents:
    """What one parameter watcher was told."""

    name: str
    events: int
    by_source: dict[str, int]
    first_counter: int | None
    last_counter: int | None
    counted: int
    """Different counters seen."""
    lost: int | None
    """Counters that were written (answered OK) between the first and the last one seen and were never told; None: the
    values carry no counter, or nobody recorded what was written."""
    longest_loss: int
    """Most counters missing in a row."""
    out_of_order: int
    """Counters told after a later one of the same writer's."""
    delay_ms: Quantiles
    """From the answer to the call that wrote the counter to the event, where both are known."""
    ended: str
    """How its stream ended; empty: by us."""


@dataclass(frozen=True, slots=True)
class StateChange:
    """The streaming flag of a device, when it was first seen so."""

    at_s: float
    device: str
    streaming: bool
    online: bool
    pushed: bool


@dataclass(frozen=True, slots=True)
class States:
    """What state watchers saw of one device."""

    device: str
    polls: int
    poll_failures: int
    pushes: int
    changes: tuple[StateChange, ...]
    """The first state seen, and every change of the streaming or online flag, polled or pushed."""
    longest_silence_s: float | None
    """Between two answers to polls."""


@dataclass(frozen=True, slots=True)
class Observed:
    """One observable as one watcher saw it."""

    watcher: str
    name: str
    values: int
    first: float | None
    last: float | None
    least: float | None
    most: float | None
    longest_gap_s: float | None
    ended: str


@dataclass(frozen=True, slots=True)
class ModuleHealth:
    """One module of the daemon's health, or a service's liveness."""

    name: str
    probes: int
    statuses: dict[str, int]
    """Status name in lower case -> answers."""
    oldest_heartbeat_s: float | None
    oldest_heartbeat_at_s: float | None


@dataclass(frozen=True, slots=True)
class StopProbe:
    """How long an emergency stop takes: one stop or start."""

    at_s: float
    call: str
    """StopStream | StartStream"""
    took_ms: float | None
    """None: it failed or was never answered."""
    status: str
    silent_after_ms: float | None
    """Of a stop: from its sending to the last frame on any stream after it; None: no stream was open."""
    during_storm: bool


@dataclass(frozen=True, slots=True)
class Churn:
    """One population that comes and goes."""

    population: str
    opened: int
    """Calls sent."""
    accepted: int
    with_frames: int
    admission_refused: int
    attempts_max: int
    """Most calls in a row without a frame."""
    left: dict[str, int]
    """clean | dropped | half_open | killed -> count."""
    first_frame_ms: Quantiles
    resubscribe_hole_ms: Quantiles
    """From the last frame of a call to the first frame of the next one, less the pause that was planned."""
    ended_by_server: int
    refused_after_leaving: int
    """Refusals though we had fewer streams open than the limit: a slot that was not given back."""
    server_streams_after: int | None = None
    """Streams that the server's log shows begun and not ended at the run's end, less those of ours open then (of all
    populations together): 0 when its count came back to base; None: its log does not show them."""


@dataclass(frozen=True, slots=True)
class Undisturbed:
    """What a disturbance did to one subscriber that had no part in it."""

    subscriber: str
    longest_gap_s: float
    """From one second before it to two after, or to the first frame if that is later."""
    periods: float | None
    """That gap over the frame period expected of the stream."""
    missing: int
    frames_after: int
    silent: bool
    """No frame came to it any more, until the next change of the plan or the end of the run."""


@dataclass(frozen=True, slots=True)
class Disturbance:
    """Somebody came, left, died or read slowly."""

    at_s: float
    kind: str
    """joined | clean | dropped | half_open | killed | server (its stream was ended by the server)"""
    subscriber: str
    device: str
    last: bool
    """No other stream of the device was open."""
    streaming_after: bool | None
    """The camera's flag in the latest state seen within ten seconds, before the plan changed, a stream that got frames
    was opened or another client left; None: unseen."""
    others: tuple[Undisturbed, ...]
    streaming_after_s: float | None = None
    """How long after the disturbance that state was told."""


@dataclass(frozen=True, slots=True)
class Disturbances:
    """All of them: what they did to the rest."""

    count: int
    worst_gap_s: float | None
    worst_periods: float | None
    worst_gap_at_s: float | None
    worst_subscriber: str
    missing: int
    silenced: int
    """Disturbances after which at least one other stream stayed silent."""
    looked_at: int
    """Pairs of a disturbance and another subscriber: what the figures rest on."""
    listed: tuple[Disturbance, ...]
    """The first hundred, and those with the worst gaps, in order of time."""


@dataclass(frozen=True, slots=True)
class SlowReader:
    """A subscriber that reads slowly by plan, and what became of it."""

    subscriber: str
    reads_hz: float | None
    """As planned: 1 / (pause, or 1 / read_fps)."""
    received_hz: float | None
    skipped: int
    """Frames that the server left out for it (backpressure)."""
    age_p50_ms: float | None
    age_last_ms: float | None
    ended_by_server: int
    window_bytes: int
    buffered_frames_max: float | None
    """The most that can lie between server and reader by its age: age over period."""
    policy: Literal["skip", "block", "disconnect", "buffer", "not_felt"]
    """skip: frames are left out and the age stays; block: the others slow down with it; disconnect: it is thrown out;
    buffer: the age grows and hardly anything is left out; not_felt: it is fast enough."""


@dataclass(frozen=True, slots=True)
class Cycle:
    """One start and stop of the acquisition."""

    attempt: int
    """Since the daemon's start, as far as we saw it, from 1."""
    started_at_s: float
    start_ms: float | None
    first_frame_ms: float | None
    frames: int
    """Most frames that any subscriber had between the two."""
    longest_gap_s: float
    last_frame_number: int | None
    stop_ms: float | None
    captured: int | None
    outcome: str
    """ok | no frames | stalled | refused: ... | hung | not watched (no stream was open in it)"""

    @property
    def failed(self) -> bool:
        """It did not give its frames though somebody was there to have them."""
        return self.outcome not in ("ok", NOT_WATCHED)


@dataclass(frozen=True, slots=True)
class LogAccount:
    """The log's end-of-stream line of one call, held against ours."""

    at_s: float
    subscriber: str
    """Empty: no call of ours ended near it."""
    call: int
    sent_by_log: int
    dropped_by_log: int
    received: int
    sent_by_frames: int
    """frames_sent of the last frame received."""
    dropped_by_frames: int
    on_the_way: int
    """sent_by_log - sent_by_frames: left unread when the call ended; up to 8 and what the window holds is normal."""
    agrees: bool


@dataclass(frozen=True, slots=True)
class Growth:
    """Does one figure of one process grow, by the rule of docs/definitions.md."""

    process: str
    pid: int
    figure: str
    """rss | fds | threads"""
    result: Literal["flat", "grows", "too_short"]
    windows: int
    window_s: float
    correlation_s: float | None
    first: float | None
    """Median of the first window after warm-up."""
    last: float | None
    per_hour: float | None
    """Theil-Sen slope."""
    per_hour_low: float | None
    """One-sided 95 % lower limit of the slope."""
    reason: str


@dataclass(frozen=True, slots=True)
class ActionDone:
    """One action of the timeline."""

    number: int
    at_s: float
    due_s: float | None
    text: str
    client: str
    change: int
    outcome: str
    """done | failed | unmet | not_reached"""
    details: str


@dataclass(frozen=True, slots=True)
class Machine:
    """Disk, network and interrupts of one host over the run."""

    name: str
    samples: int
    disk_read_mb_s: float | None
    disk_written_mb_s: float | None
    disk_busy_share: float | None
    network_in_mb_s: float | None
    network_out_mb_s: float | None
    network_drops: int
    interrupts_per_s: float | None
    context_switches_per_s: float | None


@dataclass(frozen=True, slots=True)
class Resource:
    """One second of host and daemon, for the report's look around a finding."""

    at_s: float
    cpu_share: float | None
    pressure_share: float | None
    steal_share: float | None
    memory_used_bytes: int
    load_1: float
    disk_busy_share: float | None
    network_mb_s: float | None
    interrupts_per_s: float | None
    target_cpu_share: float | None
    target_rss_bytes: int | None
    target_threads: int | None
    target_fds: int | None


@dataclass(frozen=True, slots=True)
class DaemonLife:
    """The daemon that pvload started."""

    at_s: float
    change: str
    """started | answers | stopping | gone"""
    pid: int
    exit_status: int | None
    details: str


@dataclass(frozen=True, slots=True)
class Around:
    """All of the above."""

    changes: Changes
    calls: tuple[MethodCalls, ...] = ()
    storms: tuple[Storm, ...] = ()
    watchers: tuple[ParameterEvents, ...] = ()
    states: tuple[States, ...] = ()
    observed: tuple[Observed, ...] = ()
    health: tuple[ModuleHealth, ...] = ()
    stop_probes: tuple[StopProbe, ...] = ()
    churn: tuple[Churn, ...] = ()
    disturbances: Disturbances | None = None
    slow_readers: tuple[SlowReader, ...] = ()
    cycles: tuple[Cycle, ...] = ()
    log_accounts: tuple[LogAccount, ...] = ()
    growth: tuple[Growth, ...] = ()
    actions: tuple[ActionDone, ...] = ()
    machines: tuple[Machine, ...] = ()
    resources: tuple[Resource, ...] = ()
    """Every second of a run of up to fifteen minutes; in a longer one the seconds around stalls, holes, errors and
    disturbances, and one in ten of the rest, at most 4,000 in all."""
    daemon: tuple[DaemonLife, ...] = ()
    hidden_log_classes: tuple[str, ...] = ()
    """Classes of the daemon's log that the level it runs at hides, as far as its lines show that level."""
    synthetic_camera: str = ""
    """The log line that tells of a synthetic camera; empty: none did."""
    longest_runs: dict[str, int] | None = None
    """Subscriber -> most frames in a row without a stall and without one missing."""
