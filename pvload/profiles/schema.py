"""What a profile may say: one frozen model a TOML table, unknown keys refused.

Units are in the names as in the file (ms, hz, bytes); conversion to nanoseconds happens where a value is used. 0 means
"no limit" or "not set" only where a line says so.
"""

from __future__ import annotations

import types
from collections.abc import Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, Field, model_validator

from pvload.profiles.criteria import Criteria
from pvload.profiles.simulated import Simulator
from pvload.profiles.timeline import Action
from pvload.profiles.users import Users
from pvload.profiles.values import Duration, Roi, Table


class Run(Table):
    """`[run]`: the experiment as a whole."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")
    description: str = ""
    duration: Duration = Field(gt=0)
    warm_up: Duration = 5.0
    """From the run's first frame, at most a quarter of the duration; left out of fps, coverage, age and jitter."""
    seed: int = 1
    frames: int = Field(default=0, ge=0)
    """End after this many frames of every stream instead; 0: by time."""
    ends: Literal["duration", "timeline"] = "duration"
    """timeline: when the last action of the timeline is done, or after the duration if that comes first."""
    workers: int = Field(default=0, ge=0, le=64)
    """Worker processes for the users, each with an engine of its own, where `pvload run` is not told; 0: none."""
    repeat: int = Field(default=1, ge=1, le=1000)
    """How often `pvload run` repeats the run; the set is judged as a whole."""
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
    log_command: str = ""
    """A command whose output is the daemon's log, such as `ssh HOST journalctl -fu rust-daq`; instead of `log`."""
    start: str = ""
    """The command line that starts the daemon on this host: pvload starts it, reads its stdout and stderr as its log,
    watches it, stops it with SIGINT and reports how it exited. `address` says where it will listen."""
    env: dict[str, str] = {}
    """Environment of the daemon that pvload starts; RUST_LOG is set to what the log witness needs unless it is here."""
    start_within: Duration = 60.0
    """How long the daemon that pvload starts may take until it answers."""
    require: Literal["", "hardware"] = ""
    """hardware: a daemon whose log shows a synthetic camera makes the run INVALID."""
    pid: int = 0
    """Process id of the daemon on this host, watched for CPU and memory; 0: not watched (with "sim": its own)."""
    streams_per_client: int = Field(default=3, ge=0)
    """How many streams the target admits from one client address; 0: no limit is known."""
    clock_parameter: str = "acquisition.exposure_ms"
    """A parameter whose GetParameter answer carries the target's clock."""


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


class Monitor(Table):
    """`[monitor]`: the witnesses around the stream."""

    interval: Duration = Field(default=1.0, ge=0.1)
    host: bool = True
    log: bool = True
    kernel_log: bool = True
    """Read the kernel's log for USB trouble where that is allowed."""
    remote: bool = False
    """Listen on every address of this host, so that `pvload monitor` on the target's host can join the run."""


class Profile(Table):
    """One experiment."""

    run: Run
    target: Target = Target()
    camera: Camera = Camera()
    users: list[Users] = Field(min_length=1)
    timeline: list[Action] = []
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
