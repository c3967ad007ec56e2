"""`[[users]]`: the populations of a profile, what they do, and how they come and go."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from pvload.profiles.values import Duration, Moment, Roi, Table, Times

AbortStyle = Literal["clean", "dropped", "half_open", "killed"]
"""How a client leaves: it cancels its call; its connection is reset; its process hangs and the connection stays up,
read by nobody; its process is killed with SIGKILL."""


class Abort(Table):
    """`[users.churn.abort]`: weights of the ways to leave; all 0 is refused."""

    clean: float = Field(default=1.0, ge=0)
    dropped: float = Field(default=0.0, ge=0)
    half_open: float = Field(default=0.0, ge=0)
    killed: float = Field(default=0.0, ge=0)


class Churn(Table):
    """`[users.churn]`: the subscriber leaves and comes again, drawn from the run's seed and its own name and number."""

    lifetime: Times = "exponential 10s"
    """From the stream's acceptance to leaving it."""
    pause: Times = "uniform 200ms 2s"
    """From leaving it to the next call."""
    abort: Abort = Abort()
    half_open_for: Duration = 30.0
    """How long a hanging client's connection stays before its process is killed."""
    cycles: int = Field(default=0, ge=0)
    """Leave for good after so many calls; 0: never."""


class Retry(Table):
    """`[users.retry]`: what follows a call that ended, or was refused, without an order."""

    attempts: int = Field(default=0, ge=0)
    """Most calls in a row that give no frame; 0: no limit."""
    delay: Duration = 1.0
    """Pause before the first new try."""
    factor: float = Field(default=2.0, ge=1)
    longest: Duration = 30.0
    jitter: float = Field(default=0.25, ge=0, le=1)
    """Each pause is longer by up to this share of it."""


class Change(Table):
    """One change of the camera: an exposure, a region, a binning, or any other parameter by name."""

    exposure_ms: float | None = Field(default=None, gt=0)
    roi: Literal["full", "quarter"] | Roi | None = None
    binning: tuple[Annotated[int, Field(gt=0)], Annotated[int, Field(gt=0)]] | None = None
    parameter: str = ""
    value: str = ""

    @model_validator(mode="after")
    def _is_one(self) -> Change:
        given = [self.exposure_ms, self.roi, self.binning, self.parameter or None]
        if sum(one is not None for one in given) != 1:
            raise ValueError("one of exposure_ms, roi, binning, or parameter with value")
        return self


class Changes(Table):
    """`[users.changes]`: what a parameter-changer does."""

    mode: Literal["sequence", "walk", "storm"] = "sequence"
    """sequence: `steps` in turn, again and again; walk: a drawn value of a drawn parameter each time; storm: calls on
    an open-loop schedule, whose latency counts from when each was due."""
    every: Times = "5s"
    """Between two changes of a sequence or walk."""
    steps: list[Change] = []
    ranges: dict[str, tuple[float, float]] = {}
    """Of a walk: parameter -> lowest and highest value. Choices come from ListParameters; a number without a range is
    not walked. Of a storm: the values' base is the lower one, so that a real number counts in its millionths."""
    parameters: list[str] = []
    """Of a walk: only these; empty: every writable one that has choices or a range. Of a storm: the one to set."""
    rates_hz: list[Annotated[float, Field(gt=0, le=1_000_000)]] = Field(default=[100.0], min_length=1)
    """Of a storm: calls per second offered by all its users together, one step after another."""
    step: Duration = 5.0
    """Of a storm: length of each step; the last rate stays until the end."""
    in_flight: int = Field(default=64, ge=1, le=4096)
    """Of a storm: calls under way at once by one user; what is due beyond them waits, and its wait is latency."""
    via: Literal["SetParameter", "SetExposure"] = "SetParameter"
    """How an exposure is set."""
    verify: bool = True
    """Look for the effect on the frames (sequence and walk)."""
    effect_within: Duration = 2.0
    """How long after the answer the effect may take before the change counts as without one; at least four periods."""
    restart: bool = False
    """A change without effect or refused: stop the camera, set it again if it was refused, start it, look again."""


class Watch(Table):
    """`[users.watch]`: what a watcher or probe reads."""

    parameters: list[str] = []
    """Of a parameter-watcher: only these; empty: all."""
    observables: list[str] = []
    """Of an observable-watcher."""
    rate_hz: float = Field(default=1.0, gt=0)
    """How often a state-watcher polls and is told at most, an observable-watcher samples, a probe probes."""
    poll: bool = True
    """Of a state-watcher: ask with GetDeviceState besides subscribing."""
    pause_after_event: Duration = 0.0
    """Of a parameter-watcher: reads slowly."""


Kind = Literal[
    "subscriber",
    "operator",
    "changer",
    "parameter-watcher",
    "state-watcher",
    "observable-watcher",
    "health-probe",
    "stop-probe",
    "gui-viewer",
]


_AT_A_SCREEN = {"quality": "preview", "max_fps": 30, "on_silence": "resubscribe", "silence": 30.0}


class Users(Table):
    """`[[users]]`: one population."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")
    kind: Kind = "subscriber"
    count: int = Field(default=1, ge=0, le=100_000)
    opens: Literal["start", "timeline"] = "start"
    """timeline: its streams are opened and left by the timeline alone, which knows it by its name."""
    start_after: Moment = "0s"
    """From the run's start to its users' first deed."""
    start_spread: Duration = 0.0
    """Each user waits a drawn part of this longer, so that not all begin at once."""
    quality: Literal["full", "preview", "fast"] = "full"
    max_fps: int = Field(default=0, ge=0)
    """0: every frame."""
    window_bytes: int = Field(default=1024 * 1024, ge=65_535, le=16 * 1024 * 1024)
    """HTTP/2 receive window of each stream, stated so that the server feels a slow reader."""
    payload: Literal["off", "size", "decoded"] = "size"
    payload_every: int = Field(default=1, ge=1)
    """Check every n-th frame."""
    on_silence: Literal["keep_waiting", "resubscribe", "end"] = "keep_waiting"
    silence: Duration = 30.0
    """How long the subscriber waits for a frame before `on_silence`; 0: for ever."""
    reconnect: bool = True
    """Open again, with the pauses of `retry`, after the stream ended without an order."""
    read_fps: float = Field(default=0.0, ge=0)
    """Read no more frames per second than this, and leave the rest where it is; 0: as fast as they come."""
    pause_after_frame: Duration = 0.0
    """Wait so long after each frame before reading the next."""
    churn: Churn | None = None
    retry: Retry = Retry()
    changes: Changes | None = None
    watch: Watch = Watch()

    @model_validator(mode="before")
    @classmethod
    def _looks_as_at_a_screen(cls, value: Any) -> Any:
        """A gui-viewer that says nothing else asks for what the project's own client asks for."""
        if isinstance(value, dict) and value.get("kind") == "gui-viewer":
            return {**_AT_A_SCREEN, **value}
        return value

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Users:
        streams = self.kind in ("subscriber", "gui-viewer")
        if self.changes is not None and self.kind != "changer":
            raise ValueError(f"no [users.changes] for a {self.kind}: only a changer has them")
        if self.kind == "changer" and self.changes is None:
            raise ValueError("a changer with [users.changes]")
        if self.churn is not None and not streams:
            raise ValueError(f"no [users.churn] for a {self.kind}: only subscribers come and go")
        if self.churn is not None and not sum(self.churn.abort.model_dump().values()):
            raise ValueError("a way to leave with a weight above 0 in [users.churn.abort]")
        if self.read_fps and self.pause_after_frame:
            raise ValueError("read_fps or pause_after_frame, not both")
        return self
