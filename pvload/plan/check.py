"""The rules a profile must keep before anything is started, and what comes out of them: the plan of the run.

Pure but for what `Surroundings` is asked: whether files and variables that the profile names are there.
"""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pvload.errors import ConfigError
from pvload.plan.admission import STREAMING, most_streams
from pvload.plan.check_criteria import criteria_faults, log_is_known
from pvload.plan.check_timeline import timeline_faults, timeline_remarks
from pvload.plan.check_users import users_faults, users_remarks
from pvload.plan.expected import (
    FrameSize,
    expected_rate,
    frame_size,
    region,
    slowest_rate,
    stall_threshold_s,
    warm_up_s,
)
from pvload.plan.share import Share, counts, distribute, shares
from pvload.profiles.criteria import Criteria
from pvload.profiles.schema import Profile

_SHELL_WORDS: Final = frozenset(("|", "||", "&", "&&", ";", ">", ">>", "<", "2>", "2>&1"))
CRITERIA: Final = tuple(name for name in Criteria.model_fields if name != "waive")
"""Names a profile may limit or waive."""
_LONGEST_INVOLUNTARY_S: Final = 10.0
"""The camera's driver gives up after 10 s without a frame."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the rules ask of the host they run on."""

    readable: Callable[[str], bool]
    is_folder: Callable[[str], bool]
    variable: Callable[[str], str | None]


HERE: Final = Surroundings(
    readable=lambda path: Path(path).is_file() and os.access(path, os.R_OK),
    is_folder=lambda path: Path(path).is_dir(),
    variable=os.environ.get,
)


@dataclass(frozen=True, slots=True)
class Plan:
    """A profile that may be run, and what it comes to."""

    profile: Profile
    shares: tuple[Share, ...]
    rate_hz: float
    """Stated by the plan; 0: measured."""
    size: FrameSize
    """What full-quality frames must show."""
    warm_up_s: float
    """In effect: at most a quarter of the duration."""
    stall_threshold_s: float
    remarks: tuple[str, ...]
    """What a person should know and what is no reason to refuse."""

    @property
    def subscribers(self) -> int:
        """Streams that are open at the same time, at worst."""
        return most_streams(self.profile, {share.population: share.count for share in self.shares})

    @property
    def has_operator(self) -> bool:
        """Does somebody here start and stop the camera?"""
        return any(share.kind == "operator" and share.count for share in self.shares)


def check(
    profile: Profile,
    *,
    users: int | None = None,
    force: bool = False,
    client_addresses: int = 1,
    surroundings: Surroundings = HERE,
    source: str = "",
) -> Plan:
    """The plan of `profile`; ConfigError with one line for each rule that it breaks.

    users: total as Locust's -u gives it, None: as the profile states them. force: let more subscribers than the target
    admits pass. client_addresses: from how many hosts the subscribers come, in equal parts. source: the profile's file
    or name, to stand before each line.
    """
    by_population = counts(profile) if users is None else distribute(profile, users)
    shared = shares(profile, by_population)
    subscribers = most_streams(profile, by_population)
    too_many = list(_admission(profile, subscribers, client_addresses))
    faults = [*_population_faults(profile, subscribers), *_camera_faults(profile), *_time_faults(profile)]
    faults += [*users_faults(profile), *timeline_faults(profile)]
    faults += [*_target_faults(profile, surroundings), *_name_faults(profile), *criteria_faults(profile)]
    faults += [] if force else too_many
    if faults:
        forced = "--force (under locust: --pvload-force) runs it nevertheless, to see the refusal"
        hint = forced if faults == too_many else ""
        raise ConfigError("\n".join(f"{source}: {line}" if source else line for line in faults), hint=hint)
    return Plan(
        profile=profile,
        shares=shared,
        rate_hz=expected_rate(profile.camera),
        size=frame_size(profile.camera),
        warm_up_s=warm_up_s(profile),
        stall_threshold_s=stall_threshold_s(profile),
        remarks=(
            *_remarks(profile),
            *users_remarks(profile),
            *timeline_remarks(profile),
            *(f"forced: {line}" for line in too_many),
        ),
    )


def check_target(profile: Profile, surroundings: Surroundings = HERE) -> None:
    """Can `profile.target` be spoken to as it is given? ConfigError says what is wrong with it."""
    if faults := list(_target_faults(profile, surroundings)):
        raise ConfigError("\n".join(faults))


def _population_faults(profile: Profile, subscribers: int) -> Iterator[str]:
    names = [one.name for one in profile.users]
    for name in dict.fromkeys(name for name in names if names.count(name) > 1):
        yield f"users: {names.count(name)} populations are named {name!r}, expected different names"
    operators = [one for one in profile.users if one.kind == "operator"]
    if len(operators) > 1:
        yield f"users: {len(operators)} populations of kind operator, expected one at most"
    for one in operators:
        if one.count > 1:
            yield f"users.{one.name}.count = {one.count}: expected 1: two would stop each other's camera"
    if subscribers == 0:
        yield "users: no subscriber is planned, so nothing would be measured; expected one at least beside the operator"


def _admission(profile: Profile, subscribers: int, client_addresses: int) -> Iterator[str]:
    per_address = -(-subscribers // max(1, client_addresses))
    limits = {"target.streams_per_client": profile.target.streams_per_client}
    if profile.target.address == "sim":
        limits["simulator.streams_per_client"] = profile.simulator.streams_per_client
    exceeded = [f"{key} = {limit}" for key, limit in limits.items() if 0 < limit < per_address]
    if exceeded:
        yield (
            f"users: {per_address} subscribers from one address, but {' and '.join(exceeded)}: the rest is refused; "
            f"expected fewer subscribers, or {per_address} (0: no limit) there if the target admits them"
        )


def _camera_faults(profile: Profile) -> Iterator[str]:
    camera = profile.camera
    area = region(camera)
    if area.x + area.width > camera.sensor_width or area.y + area.height > camera.sensor_height:
        yield (
            f"camera.roi: {area.width}x{area.height} at {area.x},{area.y} reaches beyond the sensor, "
            f"expected it within {camera.sensor_width}x{camera.sensor_height}"
        )
    size = frame_size(camera)
    if size.width == 0 or size.height == 0:
        yield f"camera.binning = {list(camera.binning)}: larger than the region of {area.width}x{area.height}"
    if profile.simulator.faults and profile.target.address != "sim":
        yield 'simulator.faults: a real daemon cannot be told to fail, expected target.address = "sim"'
    for number, fault in enumerate(profile.simulator.faults):
        if fault.kind == "connection_reset" and not profile.simulator.relay:
            yield f"simulator.faults.{number}: connection_reset needs simulator.relay = true"


def _time_faults(profile: Profile) -> Iterator[str]:
    threshold = stall_threshold_s(profile)
    rate = slowest_rate(profile)
    named = profile.criteria.longest_stall_s
    if rate and named is not None and named < 2 / rate:
        yield (
            f"criteria.longest_stall_s = {named:g}: shorter than two frame periods at {rate:g} frames/s, "
            f"expected at least {2 / rate:g}"
        )
    silence = profile.criteria.longest_silence_s
    if silence is not None and rate and silence < 2 / rate:
        yield f"criteria.longest_silence_s = {silence:g}: expected at least two frame periods, {2 / rate:g}"
    for one in profile.users:
        if one.kind in STREAMING and 0 < one.silence <= threshold:
            yield (
                f"users.{one.name}.silence = {one.silence:g}: giving up before a stall is one hides it, "
                f"expected more than the stall threshold of {threshold:g} s (0: wait for ever)"
            )


def _target_faults(profile: Profile, surroundings: Surroundings) -> Iterator[str]:
    target = profile.target
    host, colon, port = target.address.rpartition(":")
    if target.address != "sim" and not (colon and host and port.isdecimal() and 0 < int(port) < 65_536):
        yield f'target.address = "{target.address}": expected host:port, such as 127.0.0.1:50051, or "sim"'
    if target.token.startswith("env:"):
        name = target.token.removeprefix("env:")
        if not surroundings.variable(name):
            yield f'target.token = "{target.token}": the environment variable {name} is not set or empty'
    if target.tls is not None:
        for key in ("ca_file", "certificate_file", "key_file"):
            path = getattr(target.tls, key)
            if path and not surroundings.readable(path):
                yield f'target.tls.{key} = "{path}": expected a readable file'
        if bool(target.tls.certificate_file) != bool(target.tls.key_file):
            yield "target.tls: certificate_file and key_file belong together, expected both or none"
    yield from _log_faults(profile)
    if target.log and target.address != "sim":
        folder = str(Path(target.log).parent)
        if not surroundings.is_folder(folder):
            yield f'target.log = "{target.log}": the folder {folder} is not there'


def _log_faults(profile: Profile) -> Iterator[str]:
    target = profile.target
    if target.start and target.address == "sim":
        yield 'target.start: with target.address = "sim" pvload starts its simulator, expected host:port of the daemon'
    else:
        yield from _command_faults("start", target.start)
    yield from _command_faults("log_command", target.log_command)
    given = [key for key in ("start", "log", "log_command") if getattr(target, key)]
    if len(given) > 1:
        yield f"{', '.join(f'target.{key}' for key in given)}: each says where the log is, expected one of them"
    if target.env and not target.start:
        yield "target.env: it is for a daemon that pvload starts, expected target.start beside it"
    if target.start and target.pid:
        yield "target.pid: the daemon that pvload starts is watched anyway, expected target.start or target.pid"


def _command_faults(key: str, line: str) -> Iterator[str]:
    """Of a command line that is taken apart as a shell would, and given to none."""
    if not line:
        return
    try:
        words = shlex.split(line)
    except ValueError as exc:
        yield f'target.{key} = "{line}": no command line: {exc}'
        return
    if not words or "\0" in line:
        yield f"target.{key} = {json.dumps(line)}: expected a command line"
    for word in _SHELL_WORDS.intersection(words):
        yield f"target.{key} = {json.dumps(line)}: no shell reads {word}, expected sh -c '...' around it"


def _name_faults(profile: Profile) -> Iterator[str]:
    for name in profile.criteria.waive:
        if name not in CRITERIA:
            yield f'criteria.waive: "{name}" is no criterion, expected some of {", ".join(CRITERIA)}'


def _remarks(profile: Profile) -> Iterator[str]:
    run, target, criteria = profile.run, profile.target, profile.criteria
    if warm_up_s(profile) < run.warm_up:
        yield f"warm-up is cut to {warm_up_s(profile):g} s, a quarter of the duration"
    if criteria.driver_errors is not None and not log_is_known(profile) and "driver_errors" not in criteria.waive:
        yield "driver_errors needs the daemon's log (target.log): without it the run is INCONCLUSIVE at best"
    if criteria.flat and not profile.monitor.host:
        yield "flat needs the processes' figures (monitor.host): without them the run is INCONCLUSIVE at best"
    if target.token and not target.token.startswith("env:"):
        yield 'the token stands in the profile and will stand in the run directory: target.token = "env:NAME" avoids it'
    if not any(one.kind == "operator" for one in profile.users):
        yield "no operator: somebody else must start the camera, and frames are due from the moment a stream is opened"
    if profile.camera.exposure_ms >= _LONGEST_INVOLUNTARY_S * 1000:
        yield "the camera's driver gives up after 10 s without a frame: such an exposure will always stall"
    for one in profile.users:
        rate = expected_rate(profile.camera)
        if one.max_fps and rate and 1 <= one.max_fps / rate < 1.2:
            yield (
                f"users.{one.name}.max_fps = {one.max_fps} is close to the camera's {rate:g} frames/s: "
                "the daemon may then skip up to half of the frames"
            )
    if all(getattr(criteria, name) is None for name in CRITERIA):
        yield "no criterion is named: only what every run must keep is judged"
