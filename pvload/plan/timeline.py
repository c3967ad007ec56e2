"""The timeline of a profile: what starts it, when an action is due, what it waits for, and how it reads. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from pvload.plan.changed import changed
from pvload.profiles.schema import Camera, Profile
from pvload.profiles.timeline import Action
from pvload.profiles.values import moment_s

STARTING = ("start", "cycle")


@dataclass(frozen=True, slots=True)
class Condition:
    """An action waits until a client has received `frames` frames of its call."""

    client: str
    """A population; empty: any subscriber of the run."""
    frames: int


def starts_camera(profile: Profile) -> bool:
    """Is the first start the timeline's own? Then the operator sets the camera and leaves its start to the timeline."""
    return bool(profile.timeline) and profile.timeline[0].action in STARTING


def due_s(action: Action, *, duration_s: float) -> float | None:
    """Seconds from the run's start; None: the action has no time of its own."""
    return None if action.at is None else moment_s(action.at, duration_s=duration_s)


def condition(action: Action) -> Condition | None:
    """What the action waits for; None: for nothing but its time and its turn."""
    if action.after:
        return Condition("", int(action.after.split()[0]))
    if action.when:
        client, _, frames, _ = action.when.split()
        return Condition(client, int(frames))
    return None


def words(action: Action, camera: Camera) -> str:
    """The action in words, for a record and for a person."""
    match action.action:
        case "open" | "close":
            return f"{action.action} {action.client}"
        case "abort":
            return f"abort {action.client} ({action.abort.replace('_', ' ')})"
        case "set":
            what = changed(camera, camera, action.change).text if action.change is not None else ""
            return f"set {what}"
        case "expect":
            wishes = [f"state {action.state}"] if action.state else []
            wishes += ["the effect of the last set"] if action.effect else []
            wishes += [f'the last set refused with "{action.error}"'] if action.error else []
            return f"expect {' and '.join(wishes)}"
        case "start" | "stop":
            return f"{action.action} the camera"
        case "restart_daemon":
            return "restart the daemon"
        case "cycle":
            return f"start, {action.frames} frames, stop"
        case _:
            return f"wait {action.pause:g} s"


def moment(action: Action) -> str:
    """When it is done, in words."""
    if action.at is not None:
        return f"at {action.at}"
    if action.after:
        return f"after {action.after}"
    return f"when {action.when}" if action.when else "then"
