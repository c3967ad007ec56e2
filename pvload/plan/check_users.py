"""The rules of `check` for populations: each must be able to do what its kind does. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from pvload.plan.changed import changed
from pvload.plan.expected import expected_rate, frame_size, region
from pvload.profiles.schema import Camera, Profile
from pvload.profiles.users import Change, Changes, Users
from pvload.profiles.values import moment_s

EFFECT_PERIODS = 4
"""Frame periods that an effect needs at least to be seen for certain."""


def users_faults(profile: Profile) -> Iterator[str]:
    """One line for each rule that a population breaks."""
    has_operator = any(one.kind == "operator" and one.count for one in profile.users)
    for one in profile.users:
        key = f"users.{one.name}"
        if one.kind == "observable-watcher" and not one.watch.observables:
            yield f"{key}.watch.observables: nothing to watch, expected names such as thermal.temperature"
        if one.kind == "stop-probe" and not has_operator:
            yield f"{key}: a stop-probe stops and starts the camera, expected a population of kind operator beside it"
        if one.changes is not None:
            yield from _changes_faults(profile, one, one.changes, has_operator=has_operator)


def users_remarks(profile: Profile) -> Iterator[str]:
    """What a person should know of the populations."""
    for one in profile.users:
        if moment_s(one.start_after, duration_s=profile.run.duration) >= profile.run.duration:
            yield f"users.{one.name} begins {one.start_after} after the start, so it does nothing in this run"
        changes = one.changes
        if changes is not None and changes.mode == "walk" and not changes.ranges:
            yield f"users.{one.name} walks only parameters that have choices: no ranges are given for numbers"


def change_fault(planned: Camera, camera: Camera, change: Change) -> str:
    """Why the camera cannot be changed so; empty if it can."""
    after = changed(planned, camera, change).camera
    area, size = region(after), frame_size(after)
    if area.x + area.width > after.sensor_width or area.y + area.height > after.sensor_height:
        return (
            f"a region of {area.width}x{area.height} at {area.x},{area.y} reaches beyond the sensor of "
            f"{after.sensor_width}x{after.sensor_height}"
        )
    if size.width == 0 or size.height == 0:
        return f"binning {after.binning[0]}x{after.binning[1]} is larger than the region of {area.width}x{area.height}"
    return ""


def _changes_faults(profile: Profile, users: Users, changes: Changes, *, has_operator: bool) -> Iterator[str]:
    key = f"users.{users.name}.changes"
    if changes.mode == "sequence":
        if not changes.steps:
            yield f"{key}.steps: a sequence without steps, expected some such as {{ exposure_ms = 50 }}"
        yield from _step_faults(profile.camera, key, changes)
    elif changes.steps:
        yield f'{key}.steps: a {changes.mode} takes no steps, expected mode = "sequence"'
    if changes.mode == "storm" and len(changes.parameters) != 1:
        yield f"{key}.parameters = {changes.parameters}: a storm sets one parameter, expected its name"
    if changes.mode == "sequence" and changes.ranges:
        yield f'{key}.ranges: a sequence draws nothing from them, expected mode = "walk" or "storm"'
    for name, (low, high) in changes.ranges.items():
        if low > high:
            yield f"{key}.ranges: {name} from {low:g} to {high:g}, expected the lower one first"
        if changes.parameters and name not in changes.parameters:
            yield f"{key}.ranges: {name} is not among parameters, so it is never walked"
    if changes.restart and not has_operator:
        yield f"{key}.restart: nobody here may stop the camera, expected a population of kind operator"


def _step_faults(planned: Camera, key: str, changes: Changes) -> Iterator[str]:
    camera, slowest = planned, expected_rate(planned)
    for number, step in enumerate(changes.steps):
        if fault := change_fault(planned, camera, step):
            yield f"{key}.steps.{number}: {fault}"
            continue
        after = changed(planned, camera, step)
        camera = after.camera
        slowest = min(slowest, after.rate_hz) if after.rate_hz else slowest
    if changes.verify and slowest and changes.effect_within < EFFECT_PERIODS / slowest:
        yield (
            f"{key}.effect_within = {changes.effect_within:g}: too short to see an effect at {slowest:g} frames/s, "
            f"expected at least {EFFECT_PERIODS / slowest:g} s"
        )
