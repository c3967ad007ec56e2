"""What a profile may say: one frozen model a TOML table, unknown keys refused.

Units are in the names as in the file (ms, hz, bytes); conversion to nanoseconds happens where a value is used. 0 means
"no limit" or "not set" only where a line says so.
"""

from __future__ import annotations

import re
import types
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

DEFAULT_STALL_S = 2.0
_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def parse_duration(value: object) -> float:
    """Seconds of `20s`, `1.5min`, `30m`, `24h`, `250ms` or a bare number of them; ValueError says what it expects."""
    if isinstance(value, bool):
        raise ValueError("expected a duration such as '20s' or '30min'")
    if isinstance(value, int | float):
        return float(value)
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*(ms|s|min|m|h|d)\s*", str(value))
    if match is None:
        raise ValueError("expected a duration such as '250ms', '20s', '30min' or '24h'")
    return float(match[1]) * _UNITS_S[match[2]]


Duration = Annotated[float, BeforeValidator(parse_duration), Field(ge=0)]
"""Seconds."""


class Table(BaseModel):
    """A table of a profile: frozen, and strict about its keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Run(Table):
    """`[run]`: the experiment as a whole."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    description: str = ""
    duration: Duration = Field(gt=0)
    warm_up: Duration = 5.0
    """From the run's first frame, at most a quarter of the duration; left out of fps, coverage, age and jitter."""
    seed: int = 1
    labels: dict[str, str] = {}


class Tls(Table):
    """`[target.tls]`: present means the connection is encrypted."""

    ca_file: str = ""
    """PEM; empty: the system's roots."""
    certificate_file: str = ""
    key_file: str = ""
    server_name: str = ""
    """What the server's certificate must be for, where it is not the host of the address."""


class Target(Table):
    """`[target]`: the service under test."""

    protocol: Literal["rust-daq"] = "rust-daq"
    address: str = "sim"
    """host:port, or "sim" for a simulator that pvload starts itself."""
    device: str = "prime_bsi"
    tls: Tls | None = None
    token: str = ""
    """Bearer token; `env:NAME` takes it from the environment, so that no secret stands in a profile."""
    log: str = ""
    """Path of the daemon's log on this host, followed during the run. With "sim" it is the simulator's own."""
    pid: int = 0
    """Process id of the daemon on this host, watched for CPU and memory; 0: not watched (with "sim": its own)."""
    streams_per_client: int = Field(default=3, ge=0)
    """How many streams the target admits from one client address; 0: no limit is known."""
    clock_parameter: str = "acquisition.exposure_ms"
    """A parameter whose GetParameter answer carries the target's clock."""


class Roi(Table):
    """A region of the sensor in unbinned pixels."""

    x: int = Field(ge=0)
    y: int = Field(ge=0)
    width: int = Field(gt=0)
    height: int = Field(gt=0)


class Camera(Table):
    """`[camera]`: what the operator sets before it starts the acquisition, and what frames must then show."""

    sensor_width: int = Field(default=2048, gt=0)
    sensor_height: int = Field(default=2048, gt=0)
    exposure_ms: float = Field(default=100.0, gt=0)
    roi: Literal["full", "quarter"] | Roi = "full"
    """quarter: half the width by half the height, centred."""
    binning: tuple[Annotated[int, Field(gt=0)], Annotated[int, Field(gt=0)]] = (1, 1)
    rate_hz: float = Field(default=0.0, ge=0)
    """Frames per second the plan expects; 0: what the exposure gives where the camera is paced by it, else measured."""
    paced_by_exposure: bool = True
    """False for a camera whose rate its exposure does not set (mock_camera): the rate is measured after warm-up."""
    trigger_mode: str = ""
    """Set and read back where given (frames do not show it)."""
    parameters: dict[str, str] = {}
    """Further parameters to set and read back before the start, by their full names."""
    if_running: Literal["refuse", "join", "restart"] = "refuse"
    """A camera found running before the run: INVALID, measure it as it is and never stop it, or stop and start it."""


class Users(Table):
    """`[[users]]`: one population."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")
    kind: Literal["subscriber", "operator"] = "subscriber"
    count: int = Field(default=1, ge=0)
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
    """Open again, with a growing pause of 1 s to 30 s, after the stream ended without an order."""


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
    waive: list[str] = []
    """Names of criteria whose missing witness is accepted."""

    @property
    def stall_threshold_s(self) -> float:
        """A silence on one call longer than this is a stall; 2 s where no limit is named."""
        return self.longest_stall_s or DEFAULT_STALL_S


class Fault(Table):
    """`[[simulator.faults]]`: one thing the simulated daemon does wrong. Frames count from 0 per acquisition."""

    kind: Literal[
        "stall",  # the producer stops at `frame`, for `duration` (0: for ever); no frame is numbered meanwhile
        "drop_before_numbering",  # `count` frames from `frame` never reach the driver: only timestamps show it
        "drop_at_observer",  # numbered, lost unseen before the forwarder: frame_number gap, no counter
        "drop_at_output",  # numbered, skipped and counted in frames_dropped
        "drop_at_compression",  # raises frames_sent and frames_dropped, nothing is sent
        "drop_at_transport",  # frames_sent raised, nothing sent (must never happen on the real one)
        "late",  # frame `frame` and the next count - 1 are sent `duration` late; numbering and timestamps are right
        "duplicate",  # `frame` is sent twice (same frames_sent)
        "reorder",  # `frame` and its successor change places on the wire
        "counter_reset",  # the acquisition restarts: frame_number goes back to 0, frames_sent goes on
        "status_error",  # the call ends with `code` and `text`
        "clean_end",  # the call ends with OK
        "connection_reset",  # the client's TCP connection is reset (needs `relay`)
        "zero_image",  # `count` frames of zeros
        "crash",  # the simulator kills itself with SIGKILL
        "stop",  # another client stops the camera: StopStream nobody here ordered
    ]
    frame: int = Field(default=0, ge=0)
    """At which frame of the acquisition."""
    count: int = Field(default=1, ge=1)
    duration: Duration = 0.0
    subscriber: int = Field(default=-1, ge=-1)
    """Which StreamFrames call of the simulator (from 0, as they arrive) it hits; -1: all. Not for producer faults."""
    code: str = "INTERNAL"
    text: str = "injected"


class Simulator(Table):
    """`[simulator]`: the daemon that pvload starts when the address is "sim"."""

    model: Literal["pvcam-mock", "grid"] = "pvcam-mock"
    """pvcam-mock sleeps its exposure and then makes a frame, as the real one does; grid keeps absolute deadlines."""
    images: Literal["ramp", "noise"] = "ramp"
    """ramp compresses as the captured ones do; noise hardly at all."""
    streams_per_client: int = Field(default=3, ge=0)
    """StreamFrames calls admitted from one peer address; 0: unlimited."""
    parameters: Literal["head", "guarded"] = "head"
    """head: changes while streaming are answered OK and take effect at the next start; guarded: they are refused."""
    relay: bool = False
    """Serve through a TCP relay, so that a single connection can be reset."""
    faults: list[Fault] = []
    fault_seed: int | None = None
    """Draw a schedule of faults from this seed (with `fault_rate` per 100 frames) besides the listed ones."""
    fault_rate: float = Field(default=2.0, gt=0)
    port: int = Field(default=0, ge=0, le=65_535)
    """0: any free one."""


class Monitor(Table):
    """`[monitor]`: the witnesses around the stream."""

    interval: Duration = 1.0
    host: bool = True
    log: bool = True


class Profile(Table):
    """One experiment."""

    run: Run
    target: Target = Target()
    camera: Camera = Camera()
    users: list[Users] = Field(min_length=1)
    criteria: Criteria = Criteria()
    simulator: Simulator = Simulator()
    monitor: Monitor = Monitor()

    @model_validator(mode="before")
    @classmethod
    def _is_a_table(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            raise ValueError("a profile is a TOML document with tables [run], [target], [[users]] ...")
        return value


def known_keys(path: Sequence[str | int]) -> tuple[str, ...]:
    """The keys of the table at `path` (of any element, where it passes through a list); empty if there is none."""
    model = _below(Profile, path)
    return tuple(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else ()


def field_annotation(path: Sequence[str | int]) -> Any:
    """The type of the value at `path`, None if the profile has no such key."""
    return _below(Profile, path)


def _below(annotation: Any, path: Sequence[str | int]) -> Any:
    """Follows keys and list positions through models, lists and dicts; of a union, the branch that has keys."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _below(get_args(annotation)[0], path)
    if origin in (Union, types.UnionType):
        branches = [branch for branch in get_args(annotation) if branch is not type(None)]
        tables = [branch for branch in branches if isinstance(branch, type) and issubclass(branch, BaseModel)]
        return _below((tables or branches)[0], path)
    if not path:
        return annotation
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        known = annotation.model_fields.get(str(path[0]))
        return None if known is None else _below(known.annotation, path[1:])
    if origin in (list, tuple):
        return _below(get_args(annotation)[0], path[1:])
    if origin is dict:
        return _below(get_args(annotation)[1], path[1:])
    return None
