"""What a run came to: frozen values, the only thing that verdict and report read.

Counts are integers. Seconds (`_s`) and milliseconds (`_ms`) are floats made from integer nanoseconds at the very end.
`at_s` is time on the run's axis: seconds from `RunFacts.start_ns`, the first event that belongs to the run. A figure
that could not be measured is None, never 0. Lists are bounded (1,000 longest or first) and state how many there were
in all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from pvload.stats.around import Around, Changes
from pvload.stats.quantiles import NO_QUANTILES, Quantiles

SCHEMA: Final = "pvload.summary/1"
LIST_LIMIT: Final = 1000
NOTHING_AROUND: Final = Around(changes=Changes(count=0, outcomes={}, effect_ms=NO_QUANTILES, missing=0, listed=()))


@dataclass(frozen=True, slots=True)
class Stall:
    """Due, and no frame for longer than the threshold, on one call."""

    subscriber: str
    call: int
    """The subscriber's call number."""
    at_s: float
    length_s: float
    frame_index: int
    """Frames received on the call before it (0: the stream never gave one before)."""
    last_frame_number: int | None
    censored: bool
    """It was still going on when the call, the wanting or the run ended."""
    uncertainty_s: float
    """Generator lag and blind time inside it: what of its length could be ours."""


@dataclass(frozen=True, slots=True)
class Stalls:
    """All stalls of one scope."""

    threshold_s: float
    count: int
    total_s: float
    longest_s: float
    longest_uncertainty_s: float
    listed: tuple[Stall, ...]
    """The longest ones, in order of time."""


@dataclass(frozen=True, slots=True)
class Gaps:
    """Time-weighted view of the inter-arrival times within due time: what a random moment of the run would meet."""

    mean_s: float | None
    """Expected length of the gap that a random due moment lies in: sum(g^2) / sum(g)."""
    median_s: float | None
    """Half of the due time lies in gaps longer than this."""
    longest_s: float
    stalled_share: float
    """Share of the due time of open streams that lies in stalls."""


@dataclass(frozen=True, slots=True)
class Freezes:
    """Gaps >= max(3 x average, average + 150 ms)."""

    count: int
    total_s: float
    longest_s: float


@dataclass(frozen=True, slots=True)
class Missing:
    """Missing frames by class, between consecutive frames of a call (docs/definitions.md)."""

    decimated: int = 0
    """Counted in frames_dropped on a call with max_fps > 0: asked for, no loss."""
    backpressure: int = 0
    """Counted in frames_dropped on a call without max_fps."""
    unseen: int = 0
    """Numbered, not counted by the server, not sent."""
    transport: int = 0
    """Sent by the server's count, not received."""
    undecided: int = 0
    """A counter step that fits the server as well as the transport."""
    before_numbering: int | None = None
    """Lost in driver or hardware; None: the source's grid cannot decide it."""

    @property
    def total(self) -> int:
        """All that count as missing: everything but decimation."""
        return self.backpressure + self.unseen + self.transport + self.undecided + (self.before_numbering or 0)

    @property
    def unexplained(self) -> int:
        """Nobody's stated drop."""
        return self.unseen + self.transport + self.undecided


@dataclass(frozen=True, slots=True)
class Hole:
    """Frames missing in one go: between two that followed each other on a call."""

    subscriber: str
    call: int
    at_s: float
    """When the frame after it arrived."""
    count: int
    loss_class: str
    """Field of `Missing` that most of them are in: unseen | transport | undecided | backpressure."""
    number_before: int
    """frame_number of the frame before it."""
    number_after: int
    """frame_number of the frame after it; not above `number_before` where the acquisition began anew."""


@dataclass(frozen=True, slots=True)
class Age:
    """Frame age: arrival minus source timestamp in the target's clock, milliseconds, warm-up left out."""

    offset_known: bool
    """False: "change only": figures are relative to the smallest age seen, and no limit can be judged."""
    uncertainty_ms: float | None
    quantiles: Quantiles
    negative: int
    """Frames whose age came out below zero (never clamped)."""


@dataclass(frozen=True, slots=True)
class ServerMetrics:
    """The server's own figures as of the last frame, with their quirks.

    current_fps counts forwarded frames of the last second and never decays; avg_latency_ms is a running mean before
    compression and queueing; frames_dropped includes decimation by max_fps and excludes losses before the forwarder.
    """

    current_fps: float
    frames_sent: int
    frames_dropped: int
    avg_latency_ms: float


@dataclass(frozen=True, slots=True)
class Figures:
    """One scope (call, subscriber, device or run): totals, and rates over due time without warm-up."""

    frames: int
    message_bytes: int
    decoded_bytes: int
    open_s: float
    due_s: float
    """Of a call: while it was open. Of all else: outages that nobody here ordered included. Without blind time."""
    judged_s: float
    """What fps and coverage are over: due time after warm-up, and the time in which the engine was late (not dead), for
    the frames due then came in a burst after it."""
    judged_frames: int
    blind_s: float
    """Time in which the generator was dead or late, taken out of due time."""
    expected_hz: float | None
    """Rate per stream by the plan, or measured; None: not known. Mean over due time where it changed."""
    expected_is_stated: bool
    fps: float | None
    """judged_frames / judged_s per stream."""
    fps_worst_window: float | None
    frames_due: float | None
    coverage: float | None
    mb_per_s: float | None
    """Message bytes, 10^6 a second."""
    inter_arrival_ms: Quantiles
    gaps: Gaps
    stalls: Stalls
    freezes: Freezes
    longest_silence_s: float
    longest_silence_at_s: float | None
    missing: Missing
    duplicates: int
    duplicates_before_numbering: int
    reorders: int
    restarts: int
    late: int
    """Source timestamps that came late and caught up."""
    lag_losses: int
    """Of `missing.backpressure`: frames lost while the engine's lag exceeded a period (the generator's own)."""
    frames_sent: int
    """By the server: summed over calls."""
    frames_dropped: int
    age: Age
    jitter_ms: float | None
    """Mean absolute difference of transit between neighbours."""
    connect_ms: Quantiles
    first_frame_ms: Quantiles
    payload_checked: int
    payload_errors: dict[str, int]
    """Payload class name -> frames."""
    errors: dict[str, int]
    """gRPC code name -> streams that ended so without an order. Refusals for the stream limit are in `admission`."""
    unexpected_ends: int
    """Ends that nobody here ordered, clean OK included; admission refusals are not among them."""
    admission_refused: int
    wait_timeouts: int
    outages: int
    outages_s: float
    longest_outage_s: float
    folded_frames: int
    """Frames known only as counts because the spool was full."""
    server: ServerMetrics | None
    refused: dict[str, int] = field(default_factory=dict)
    """gRPC code name -> calls that the server ended before it had ever accepted one of the subscriber's: never
    connected, unauthenticated, unknown device. They are in neither `errors` nor `unexpected_ends`."""
    holes: tuple[Hole, ...] = ()
    """Where frames are missing: the first hole and the twenty largest, in order of time; what was lost before it was
    numbered is not among them."""


@dataclass(frozen=True, slots=True)
class Window:
    """One minute (or a multiple, in very long runs) of one subscriber, of a device or of the run.

    Of a device and of the run it is over all their subscribers: counts and times are sums, so `frames / due_s` is the
    rate of a stream; of the rest each field says what it is.
    """

    at_s: float
    length_s: float
    frames: int
    due_s: float
    """Time in which the engine was late included, as in `judged_s`."""
    missing: int
    stalled_s: float
    longest_gap_s: float
    """Of any subscriber."""
    age_p99_ms: float | None
    """Of several subscribers: the worst one's, for percentiles do not add up; None if one has no known offset."""
    message_bytes: int
    server_fps: float | None
    """By the last frame in the window; of several subscribers: the mean of theirs."""
    server_latency_ms: float | None
    """By the last frame in the window; of several subscribers: the largest of theirs."""
    server_frames_sent: int | None = None
    """The server's count on the call of the last frame in the window; it begins anew with each call. Of a subscriber
    only: a silent stream tells nothing, so a sum over streams would sink with every stall."""
    server_frames_dropped: int | None = None
    """Likewise; decimation by max_fps included."""


@dataclass(frozen=True, slots=True)
class Call:
    """One StreamFrames call."""

    subscriber: str
    number: int
    device: str
    opened_at_s: float
    ended_at_s: float | None
    ended_by: str
    """server | order | run_end | watchdog | engine | restart (of the daemon, by plan) | open (its end was never
    recorded)"""
    status: str
    details: str
    first_frame_number: int | None
    last_frame_number: int | None
    figures: Figures
    windows: tuple[Window, ...] = ()


@dataclass(frozen=True, slots=True)
class Subscriber:
    """(population, ordinal), written `population/ordinal`, over all its calls."""

    name: str
    device: str
    calls: int
    opened: int
    """Calls that the server accepted."""
    max_fps: int
    quality: str
    figures: Figures
    windows: tuple[Window, ...]


@dataclass(frozen=True, slots=True)
class Device:
    """All subscribers of one device."""

    name: str
    subscribers: int
    figures: Figures
    wanted_s: float
    not_as_planned: int
    """Frames whose size, exposure or binning was not the plan's."""
    not_as_planned_example: str
    captured: int | None
    """StopStream's frames_captured, where one was answered."""
    windows: tuple[Window, ...] = ()
    """Over all its subscribers."""


@dataclass(frozen=True, slots=True)
class UnaryCalls:
    """All unary calls of one method."""

    method: str
    count: int
    errors: dict[str, int]
    """gRPC code name, or `success=false`, -> count."""
    latency_ms: Quantiles
    """From due (if planned) to answered."""
    examples: tuple[str, ...]
    """First failures that are no refusals: `at 3.2 s: NOT_FOUND Device ...`."""
    refused: dict[str, int] = field(default_factory=dict)
    """Of the errors: changes of the camera that were refused with a reason."""


@dataclass(frozen=True, slots=True)
class Sender:
    """One process that recorded events."""

    id: str
    role: str
    worker: str
    incarnation: int
    host: str
    recorded: int | None
    """By its FIN or its successor's account; None: nobody knows (it died and its spool did not come)."""
    delivered: int
    missing: int
    missing_reasons: tuple[str, ...]
    finished: bool
    frames: int
    last_seen_s: float | None
    clock_offset_ms: float
    clock_uncertainty_ms: float
    fault: str
    """The record that could not be folded; it and all that followed it are in the journal only. Empty: none."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A stretch of the run's axis with a reason."""

    at_s: float
    length_s: float
    reason: str


@dataclass(frozen=True, slots=True)
class Generator:
    """Was the tool itself fit? Over all engines."""

    lag_ms: Quantiles
    """Worst lateness in each heartbeat interval."""
    longest_lag_ms: float | None
    longest_lag_at_s: float | None
    late_intervals: int
    """Intervals with a lag over 100 ms."""
    late: tuple[Interval, ...]
    blind: tuple[Interval, ...]
    blind_s: float
    cpu_share: float | None
    """CPU time of the engines over the run's time (1.0 = one core)."""
    rss_max_bytes: int
    run_queue_s: float
    gc_pause_max_ms: float
    pressure_share: float | None
    steal_share: float | None
    spool_depth_max: int
    open_fds_max: int


@dataclass(frozen=True, slots=True)
class TargetClock:
    """The target's wall clock against ours."""

    probes: int
    offset_ms: float | None
    uncertainty_ms: float | None
    drift_ppm: float | None
    steps: tuple[Interval, ...]


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line of the daemon's log."""

    at_s: float
    """By the line's own stamp; by when it was read, if it has none."""
    log_class: str
    """LogClass name in lower case."""
    text: str


@dataclass(frozen=True, slots=True)
class LogWitness:
    """What the daemon's log said."""

    present: bool
    lines: dict[str, int]
    """LogClass name in lower case -> count (OTHER is not counted)."""
    driver_errors: int
    examples: tuple[str, ...]
    """`at 12.3 s [driver_error] line ...`, first ones of the classes that matter."""
    timeline: tuple[LogLine, ...] = ()
    """Lines of the classes that tell of the camera or the daemon, in order of time: of each class the first 40 and the
    last 20."""


@dataclass(frozen=True, slots=True)
class HostWitness:
    """The host the monitor watched."""

    name: str
    samples: int
    cpu_share: float | None
    """Of all cores, 0..1."""
    memory_used_max_bytes: int
    memory_total_bytes: int
    load_1_max: float
    pressure_share: float | None
    steal_share: float | None


@dataclass(frozen=True, slots=True)
class ProcessWitness:
    """One watched process."""

    name: str
    pid: int
    samples: int
    cpu_share: float | None
    rss_first_bytes: int
    """Median of the second minute (or of all, in a shorter run)."""
    rss_last_bytes: int
    """Median of the last minute."""
    rss_max_bytes: int
    threads_max: int
    fds_max: int


@dataclass(frozen=True, slots=True)
class RunFacts:
    """When, how long, and how it ended."""

    run_id: str
    name: str
    start_ns: int
    """Run axis, nanoseconds: the earliest WANTED or OPENED of any sender; if there was none, the earliest record."""
    end_ns: int
    """T_end on the run's axis; if it was never announced, the last event's time."""
    length_s: float
    """0 if no camera was wanted and no stream opened: nothing began."""
    planned_s: float
    warm_up_s: float
    ended: str
    """duration | interrupted | failed | unknown (no END came: the run was killed)"""
    first_frame_at_s: float | None
    failure: str = ""
    """Why it did not begin, or could not go on, by the word of who ran it; never from records."""


@dataclass(frozen=True, slots=True)
class Accounting:
    """recorded = delivered + missing, or it is said why not."""

    recorded: int | None
    delivered: int
    missing: int
    undelivered: int
    """Recorded by a sender that finished or was succeeded, and neither delivered nor stated missing. Must be 0."""
    frames_checked: bool
    """Every ended call's own frame total equalled the frames folded for it."""
    rejected_batches: int
    senders: tuple[Sender, ...]


@dataclass(frozen=True, slots=True)
class Summary:
    """Everything the judge and the report need."""

    facts: RunFacts
    accounting: Accounting
    target_clock: TargetClock
    generator: Generator
    run: Figures
    devices: tuple[Device, ...]
    subscribers: tuple[Subscriber, ...]
    calls: tuple[Call, ...]
    calls_total: int
    unary: tuple[UnaryCalls, ...]
    log: LogWitness
    hosts: tuple[HostWitness, ...]
    processes: tuple[ProcessWitness, ...]
    users_spawned: int
    users_failed: int
    notes: tuple[str, ...]
    """`class: text`, in order of time."""
    note_counts: dict[str, int] = field(default_factory=dict)
    """NoteClass name in lower case -> count."""
    run_windows: tuple[Window, ...] = ()
    """Minutes of the run, over all subscribers."""
    around: Around = NOTHING_AROUND
    """Changes, calls, watchers, comings and goings, growth."""
