"""The populations of a profile in words: what each does, how it comes and goes, what it changes and watches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pvload.plan.changed import changed
from pvload.plan.check import Plan
from pvload.plan.expected import frame_size
from pvload.plan.timeline import starts_camera
from pvload.plan.words import drawn, plural, spoken
from pvload.profiles.schema import Camera
from pvload.profiles.users import Changes, Churn, Users

_SILENCE: Final = {
    "keep_waiting": "keeps waiting",
    "resubscribe": "subscribes again",
    "end": "ends",
}
_LEAVES: Final = {
    "clean": "cancels",
    "dropped": "resets its connection",
    "half_open": "hangs with its connection open",
    "killed": "is killed",
}


def users_words(plan: Plan, users: Users, count: int) -> str:
    """One population in one line."""
    if not count:
        return f"{users.name}: none"
    camera = plan.profile.camera
    match users.kind:
        case "operator":
            starts = "leaves its start to the timeline" if starts_camera(plan.profile) else "starts it"
            return f"{users.name}: sets the camera, reads it back, {starts}, and stops it at the end"
        case "subscriber" | "gui-viewer":
            return f"{users.name}: {_streaming(camera, users, count)}"
        case "changer":
            return f"{users.name}: {plural(count, 'changer')}, {_changes(camera, users.changes)}"
    every = f"every {drawn(f'{1 / users.watch.rate_hz:.12g}s')}"
    told = {
        "parameter-watcher": f"told of changes of {', '.join(users.watch.parameters) or 'every parameter'}",
        "state-watcher": f"told of the camera's state, at most {every}"
        + (", and asking for it as often" if users.watch.poll else ""),
        "observable-watcher": f"told of {', '.join(users.watch.observables)}, {every}",
        "health-probe": f"asking both health services, {every}",
        "stop-probe": f"stopping and starting the camera, {every}",
    }
    return f"{users.name}: {plural(count, users.kind)}, {told[users.kind]}"


def company_words(users: Users) -> Iterator[str]:
    """How it comes, goes and reads, a line each; none for one that stays."""
    if users.opens == "timeline":
        yield "opens and leaves its stream when the timeline says so"
    elif users.start_after not in ("0s", "0%") or users.start_spread:
        spread = f", spread over {spoken(users.start_spread)}" if users.start_spread else ""
        yield f"begins {users.start_after} after the start{spread}"
    if users.read_fps:
        yield f"reads slowly: {users.read_fps:g} frames/s, a window of {users.window_bytes:,} bytes"
    if users.pause_after_frame:
        pause = spoken(users.pause_after_frame)
        yield f"reads slowly: {pause} after each frame, a window of {users.window_bytes:,} bytes"
    if users.churn is not None:
        yield _churn(users.churn)
    if users.retry.attempts:
        yield f"gives up after {plural(users.retry.attempts, 'call')} in a row without a frame"


def _streaming(camera: Camera, users: Users, count: int) -> str:
    pace = f", at most {users.max_fps} frames/s (the daemon skips the rest)" if users.max_fps else ""
    size = frame_size(camera, users.quality)
    noun = "subscriber" if users.kind == "subscriber" else "viewer at a screen"
    if users.kind == "gui-viewer" and count > 1:
        noun = "viewers at screens"
    told = f"{count:,} {noun}" if users.kind == "gui-viewer" else plural(count, noun)
    patience = (
        f"; after {spoken(users.silence)} without a frame it {_SILENCE[users.on_silence]}" if users.silence else ""
    )
    return f"{told}, quality {users.quality} ({size.width}x{size.height}){pace}{patience}"


def _churn(churn: Churn) -> str:
    weights = {style: weight for style, weight in churn.abort.model_dump().items() if weight}
    whole = sum(weights.values())
    ways = ", ".join(
        _LEAVES[style] + (f" ({weight / whole:.0%})" if len(weights) > 1 else "") for style, weight in weights.items()
    )
    cycles = f", {plural(churn.cycles, 'time')}" if churn.cycles else ""
    return f"stays {drawn(churn.lifetime)}, then {ways}, and comes again after {drawn(churn.pause)}{cycles}"


def _changes(camera: Camera, changes: Changes | None) -> str:
    if changes is None:
        return "changing nothing"
    if changes.mode == "storm":
        rates = ", ".join(f"{rate:g}" for rate in changes.rates_hz)
        return f"setting {', '.join(changes.parameters)} {rates} times a second in all, {spoken(changes.step)} each"
    look = ", looking for each effect on the frames" if changes.verify else ""
    again = ", restarting the camera where there is none" if changes.restart else ""
    if changes.mode == "walk":
        ranges = [f"{name} from {low:g} to {high:g}" for name, (low, high) in changes.ranges.items()]
        what = ", ".join([*(name for name in changes.parameters if name not in changes.ranges), *ranges])
        return f"a drawn value every {drawn(changes.every)} of {what or 'each parameter with choices'}{look}{again}"
    steps = ", ".join(changed(camera, camera, step).text for step in changes.steps)
    return f"every {drawn(changes.every)} the next of: {steps}{look}{again}"
