"""`[criteria]`: the limits that a run is judged by."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from pvload.profiles.values import Table

DEFAULT_STALL_S = 2.0
DisconnectPolicy = Literal["per-client", "stops-all", "zombie"]
SlowReaderPolicy = Literal["skip", "block", "disconnect"]


class Criteria(Table):
    """`[criteria]`: limits. A criterion that is not named is shown and not judged."""

    fps_within: float | None = Field(default=None, gt=0, lt=1)
    """Share of the expected rate by which fps may differ, on both sides."""
    drop_rate_below: float | None = Field(default=None, ge=0, le=1)
    """Upper limit of the worse of frames_dropped / frames_sent and missing / due (decimation by max_fps left out)."""
    longest_stall_s: float | None = Field(default=None, gt=0)
    """The stall threshold as well as the limit: any stall longer than this fails."""
    longest_silence_s: float | None = Field(default=None, gt=0)
    grpc_errors: int | None = Field(default=None, ge=0)
    unexpected_ends: int | None = Field(default=None, ge=0)
    driver_errors: int | None = Field(default=None, ge=0)
    """Needs the daemon's log; without it the criterion is NOT CHECKED."""
    coverage_at_least: float | None = Field(default=None, ge=0, le=1)
    age_p99_ms: float | None = Field(default=None, gt=0)
    jitter_ms: float | None = Field(default=None, gt=0)
    connect_ms: float | None = Field(default=None, gt=0)
    first_frame_ms: float | None = Field(default=None, gt=0)
    unexplained_missing: int | None = Field(default=None, ge=0)
    """Missing frames that are nobody's stated drop: unseen in the server, sent but not received, undecided."""
    payload_errors: int | None = Field(default=None, ge=0)
    generator_lag_ms: float | None = Field(default=None, gt=0)
    disconnect_policy: DisconnectPolicy | None = None
    """What a client's leaving must do; found otherwise, or inconsistently, fails."""
    slow_reader_policy: SlowReaderPolicy | None = None
    """What the server must do with a client that reads too slowly."""
    changes: Literal["effective", "clear"] | None = None
    """effective: every change shows on the frames while the stream goes on; clear: or is refused with a reason, frames
    go on, and it shows after a stop and a start. Silently ignored, killed and hung fail both."""
    restored: bool | None = None
    """At the end parameters and frames are what they were at the start."""
    expectations: bool | None = None
    """Every `expect` of the timeline was met, and every action could be done."""
    call_errors: int | None = Field(default=None, ge=0)
    """Failed calls of changers, watchers and probes; clear refusals while streaming are not among them."""
    call_p99_ms: float | None = Field(default=None, gt=0)
    """Of each method that load users call, from due to answered."""
    stop_ms: float | None = Field(default=None, gt=0)
    """The slowest StopStream or StartStream of a stop-probe."""
    change_events_lost: int | None = Field(default=None, ge=0)
    """Parameter changes that a watcher was not told of, by the counter in their values."""
    rate_achieved_at_least: float | None = Field(default=None, ge=0, le=1)
    """Of a storm: answered calls over offered ones at the highest rate."""
    isolation_periods: float | None = Field(default=None, gt=0)
    """Longest gap, in frame periods, that somebody's coming, leaving, dying or slow reading gives to the others."""
    isolation_missing: int | None = Field(default=None, ge=0)
    """Frames that the others miss around it."""
    streams_return: bool | None = None
    """After each leaving the server's streams return to what is open (by its admission, its log or the simulator)."""
    flat: bool | None = None
    """No process grows in memory, file descriptors or threads."""
    failed_cycles: int | None = Field(default=None, ge=0)
    """Start-stop cycles that did not give their frames."""
    consecutive_frames: int | None = Field(default=None, gt=0)
    """At least so many frames in a row without a stall and without one missing, on each stream."""
    heartbeat_age_s: float | None = Field(default=None, gt=0)
    """The oldest heartbeat of a module of the daemon's health service."""
    log_agrees: bool | None = None
    """frames_sent and frames_dropped of the log's end-of-stream lines agree with ours."""
    success_rate: float | None = Field(default=None, ge=0, le=1)
    """Of a set of repeats: share of runs that must pass; one that could not run is a failure."""
    waive: list[str] = []
    """Names of criteria whose missing witness is accepted."""

    @property
    def stall_threshold_s(self) -> float:
        """A silence on one call longer than this is a stall; 2 s where no limit is named."""
        return self.longest_stall_s or DEFAULT_STALL_S
