"""The rules of `check` for the timeline: every action must be possible when its turn comes. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from pvload.plan.admission import STREAMING
from pvload.plan.changed import changed
from pvload.plan.check_users import change_fault
from pvload.plan.expected import expected_rate
from pvload.plan.timeline import STARTING, condition, due_s, starts_camera
from pvload.profiles.schema import Profile
from pvload.profiles.timeline import Action
from pvload.profiles.users import Users


def timeline_faults(profile: Profile) -> Iterator[str]:
    """One line for each rule that the timeline breaks."""
    if profile.run.ends == "timeline" and not profile.timeline:
        yield 'run.ends = "timeline": there is no [[timeline]], expected one, or run.ends = "duration"'
    if profile.timeline and not any(one.kind == "operator" and one.count for one in profile.users):
        yield "timeline: nobody carries it out, expected a population of kind operator"
    yield from _time_faults(profile)
    following = Following(profile)
    for number, action in enumerate(profile.timeline):
        yield from (f"timeline.{number} ({action.action}): {fault}" for fault in following.faults(number, action))
    opened = {one.client for one in profile.timeline if one.action == "open"}
    for users in profile.users:
        if users.opens == "timeline" and users.kind not in STREAMING:
            yield f'users.{users.name}.opens = "timeline": a {users.kind} has no stream of frames, expected "start"'
        elif users.opens == "timeline" and users.name not in opened:
            yield f'users.{users.name}.opens = "timeline": no action of the timeline opens it'


def timeline_remarks(profile: Profile) -> Iterator[str]:
    """What will probably not be reached before the run ends."""
    rate, duration = expected_rate(profile.camera), profile.run.duration
    if not rate:
        return
    for number, action in enumerate(profile.timeline):
        wish = condition(action)
        if wish is not None and wish.frames / rate > duration:
            yield (
                f"timeline.{number} ({action.action}): {wish.frames} frames take {wish.frames / rate:g} s at "
                f"{rate:g} frames/s, and the run lasts {duration:g} s"
            )
        cycles_s = action.count * (action.frames / rate + action.pause)
        if action.action == "cycle" and cycles_s > duration:
            yield (
                f"timeline.{number} (cycle): {action.count} cycles take about {cycles_s:g} s, and the run lasts "
                f"{duration:g} s: the rest is not reached"
            )


def _time_faults(profile: Profile) -> Iterator[str]:
    duration, last_s = profile.run.duration, 0.0
    for number, action in enumerate(profile.timeline):
        at_s = due_s(action, duration_s=duration)
        if at_s is None:
            continue
        key = f'timeline.{number}.at = "{action.at}"'
        if at_s > duration:
            yield f"{key}: after the run's end, expected at most {duration:g} s (or a share such as 50%)"
        elif at_s < last_s:
            yield f"{key}: before the action above it, which is due at {last_s:g} s; expected them in their order"
        last_s = max(last_s, at_s)


class Following:
    """What is open and runs after each action, as the timeline is read from its beginning."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._running = not starts_camera(profile)
        self._open: set[str] = set()
        self._set: Action | None = None
        self._camera = profile.camera

    def faults(self, number: int, action: Action) -> Iterator[str]:
        """Why this action cannot be done where it stands."""
        wish = condition(action)
        if number == 0 and action.action in STARTING and (wish is not None or action.at is not None):
            yield "it starts the run, so it cannot wait for a time or for frames of it"
        elif wish is not None:
            yield from self._condition_faults(action, wish.client)
        match action.action:
            case "open" | "close" | "abort":
                yield from self._client_faults(action)
            case "set":
                yield from self._set_faults(action)
            case "expect":
                yield from self._expect_faults(action)
            case "start":
                if self._running:
                    yield "the camera runs already at that point, expected a stop before it"
                self._running = True
            case "stop":
                if not self._running:
                    yield "the camera does not run at that point, expected a start before it"
                self._running = False
            case "cycle":
                yield from self._cycle_faults(action)
            case "restart_daemon":
                if not self._profile.target.start or self._profile.target.address == "sim":
                    yield "pvload restarts only a daemon that it started, expected target.start and its address"

    def _condition_faults(self, action: Action, client: str) -> Iterator[str]:
        if not self._running:
            yield "it waits for frames while the camera is stopped, expected a start before it"
        if client:
            yield from self._unknown(client)
            users = self._users(client)
            if users is not None and users.opens == "timeline" and client not in self._open:
                yield f"it waits for frames of {client}, which is not open at that point"
        elif not self._open and not any(
            one.opens == "start" and one.kind in STREAMING and one.count for one in self._profile.users
        ):
            yield f"it waits for {action.after}, and no stream is open at that point"

    def _client_faults(self, action: Action) -> Iterator[str]:
        client = action.client
        unknown = list(self._unknown(client))
        yield from unknown
        users = self._users(client)
        if users is None or unknown:
            return
        if users.opens != "timeline":
            yield f'{client} opens its stream itself, expected users.{client}.opens = "timeline"'
        elif users.count == 0:
            yield f"users.{client}.count = 0: nobody is there, expected 1 at least"
        elif action.action == "open":
            if client in self._open:
                yield f"{client} is open already at that point"
            self._open.add(client)
        else:
            if client not in self._open:
                yield f"{client} is not open at that point"
            self._open.discard(client)

    def _set_faults(self, action: Action) -> Iterator[str]:
        if action.change is None:
            return
        if fault := change_fault(self._profile.camera, self._camera, action.change):
            yield fault
        if action.restart and not self._running:
            yield "restart = true while the camera is stopped, expected it running (a start shows the change anyway)"
        self._camera = changed(self._profile.camera, self._camera, action.change).camera
        self._set = action

    def _expect_faults(self, action: Action) -> Iterator[str]:
        if not (action.effect or action.error):
            return
        if self._set is None or self._set.change is None:
            yield f"nothing was set before it, so there is no {'effect' if action.effect else 'error'} to expect"
            return
        what = changed(self._profile.camera, self._camera, self._set.change)
        if action.effect and not what.shows:
            yield f"frames do not show {what.text}, so its effect cannot be seen"

    def _cycle_faults(self, action: Action) -> Iterator[str]:
        if self._running:
            yield "the camera runs already at that point, expected a stop before it"
        if action.client:
            yield from self._unknown(action.client)

    def _users(self, client: str) -> Users | None:
        return next((one for one in self._profile.users if one.name == client), None)

    def _unknown(self, client: str) -> Iterator[str]:
        known = [one.name for one in self._profile.users if one.kind in STREAMING]
        if client not in known:
            yield f"no client is named {client!r}, expected one of {', '.join(known) or 'none'}"
