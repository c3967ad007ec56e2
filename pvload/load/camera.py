"""What the camera operator does to the camera, step by step, over the engine's unary calls.

Nothing is believed for its status alone: the device must be offered with the capability of a camera, it must not run
already, and every value that is set is read back. Frames show the rest. Only parameters that the device has are set.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import gevent

from pvload.clock import NS_PER_S, Clock
from pvload.load.children import ChildError
from pvload.load.engine_client import EngineClient
from pvload.plan.changed import BINNING, EXPOSURE, ROI
from pvload.plan.expected import expected_rate, frame_size, region
from pvload.profiles.schema import Camera, Profile
from pvload.wire import command

CAPABILITY: Final = "frame_producer"
TRIGGER: Final = "acquisition.trigger_mode"
RESTART_MARGIN_S: Final = 0.1
"""StartStream follows a StopStream by the exposure and this at least: a quicker one doubles the producer."""


class CameraError(ChildError):
    """The camera cannot be made to do what the plan wants; `note` classes it for the record."""

    def __init__(self, note: str, message: str) -> None:
        super().__init__(message)
        self.note = note


@dataclass(frozen=True, slots=True)
class Start:
    """The acquisition runs."""

    at_ns: int
    """When StartStream was sent, this host's monotonic clock."""
    joined: bool
    """It ran before and was measured as it is."""
    parameters: dict[str, str] = field(default_factory=dict)
    """Every parameter before any was changed."""


@dataclass(frozen=True, slots=True)
class Ready:
    """The camera is set and can be started."""

    stopped_ns: int
    """When it was last stopped, this host's monotonic clock; 0: not lately."""
    parameters: dict[str, str]
    """Every parameter before any was changed."""


Ended = tuple[str, dict[str, str]]
"""What went wrong at the end (empty: nothing), and every parameter afterwards."""


def restart_pause_s(camera: Camera) -> float:
    """The least time between a StopStream and the next StartStream."""
    return camera.exposure_ms / 1000 + RESTART_MARGIN_S


def wanted(profile: Profile, at_ns: int) -> command.Wanted:
    """What the plan wants of the camera from `at_ns` on."""
    size = frame_size(profile.camera)
    return command.Wanted(
        device=profile.target.device,
        at_ns=at_ns,
        wanted=True,
        rate_hz=expected_rate(profile.camera),
        width=size.width,
        height=size.height,
        binning_x=profile.camera.binning[0],
        binning_y=profile.camera.binning[1],
        exposure_ms=profile.camera.exposure_ms,
    )


class CameraSteps:
    """One operator's work on one camera."""

    def __init__(self, engine: EngineClient, profile: Profile, clock: Clock) -> None:
        self._engine = engine
        self._profile = profile
        self._device = profile.target.device
        self._clock = clock

    def prepare(self, *, stopped_ns: int) -> Ready | Start:
        """Sets the camera; CameraError if it is not ours to start or does not do as told. Start: it ran, and is joined.

        stopped_ns: when it was last stopped, this host's monotonic clock.
        """
        policy = self._profile.camera.if_running
        known = self._parameter_names()
        before = self._read(known)
        if self._streaming():
            if policy == "refuse":
                raise CameraError("camera_was_running", _was_running(self._device))
            if policy == "join":
                self._engine.send(
                    command.Note(note="info", text=f"{self._device} ran already and is measured as it is")
                )
                self.probe()
                return Start(at_ns=self._clock.monotonic_ns(), joined=True, parameters=before)
            stopped_ns = self._stop()
        self._set_all(known)
        self.probe()
        return Ready(stopped_ns, before)

    def start(self, ready: Ready, *, give_up: Callable[[], bool]) -> Start | None:
        """Starts what was prepared; CameraError if it does not start, or runs. None: `give_up` said that the run
        is over.
        """
        policy = self._profile.camera.if_running
        self._wait_until(ready.stopped_ns + int(restart_pause_s(self._profile.camera) * NS_PER_S))
        if give_up():
            return None
        answered = self._call("StartStream", device_id=self._device)
        text = str(answered.answer.get("error_message", ""))
        if answered.status != "OK" or not answered.answer.get("success", False):
            said = answered.details or text
            raise CameraError("operator_failed", f"{self._device} could not be started: {answered.status} {said}")
        if "already streaming" in text.lower() and policy != "join":
            raise CameraError("camera_was_running", _was_running(self._device))
        return Start(at_ns=answered.sent_ns, joined=False, parameters=ready.parameters)

    def set_again(self) -> None:
        """Sets what the plan wants once more: the daemon is a new one."""
        self._set_all(self._parameter_names())

    def end(self, *, stop: bool, changed: Sequence[str], before: Mapping[str, str], shown: str) -> Ended:
        """Stops the camera if it is ours to stop, and puts back what was changed on purpose.

        changed: parameters that the timeline and changers set. before: every parameter before the run. shown: what
        frames show that is not as at the start, empty: nothing. What stands at the end is noted first.
        """
        failed = ""
        try:
            self.probe()
            if stop:
                self._stop()
            if changed:
                self._put_back(changed, before, shown)
            return failed, self._read(self._parameter_names())
        except ChildError as exc:
            return exc.message, {}

    def _put_back(self, changed: Sequence[str], before: Mapping[str, str], shown: str) -> None:
        """Notes whether all is as at the start, as the plan had set it; then sets it as it was before the run."""
        planned = {name: value for name, value, _ in planned_parameters(self._profile.camera)}
        differs = [shown] if shown else []
        for name in changed:
            wished, read = planned.get(name, before.get(name)), self._get(name)
            if read is not None and wished is not None and not same_value(wished, read):
                differs.append(f"{name} = {read}, at the start {wished}")
        text = "; ".join(differs) or f"as at the start: {', '.join(changed)}"
        self._engine.send(command.Note(note="restored", text=text, value=int(not differs)))
        left = [fault for name in changed if (fault := self._put_back_one(name, before.get(name)))]
        if differs or left:
            text = "; ".join(left) or f"as before the run: {', '.join(changed)}"
            self._engine.send(command.Note(note="put_back", text=text, value=int(not left)))

    def _put_back_one(self, name: str, wished: str | None) -> str:
        """Sets it as it was before the run, if it is not, and reads it back; why it is not so now, empty: it is."""
        read = self._get(name)
        if wished is None or read is None:
            return f"{name}: what it {'was before the run' if wished is None else 'is'} is not known"
        if same_value(wished, read):
            return ""
        answered = self._call("SetParameter", device_id=self._device, parameter_name=name, value=wished)
        now = self._get(name)
        if answered.status == "OK" and now is not None and same_value(wished, now):
            text = f"{name}: {read} to {wished} as before the run, put back"
            self._engine.send(command.Note(note="info", text=text))
            return ""
        stands = f"{name} = {read if now is None else now}, before the run {wished}"
        return f"{stands}: {answered.status} {answered.details}".rstrip()

    def probe(self) -> None:
        """Reads the target's clock a few times; a target that cannot be asked is no reason to fail."""
        try:
            self._engine.probe(self._device, self._profile.target.clock_parameter)
        except ChildError as exc:
            self._engine.send(command.Note(note="info", text=f"clock not probed: {exc.message}"))

    def _stop(self) -> int:
        answered = self._call("StopStream", device_id=self._device)
        if answered.status != "OK" or not answered.answer.get("success", False):
            raise CameraError(
                "operator_failed", f"{self._device} could not be stopped: {answered.status} {answered.details}"
            )
        return answered.answered_ns

    def _streaming(self) -> bool:
        answered = self._call("GetDeviceState", device_id=self._device)
        if answered.status != "OK":
            raise CameraError(
                "operator_failed", f"the state of {self._device} is not known: {answered.status} {answered.details}"
            )
        return bool(answered.answer.get("streaming", False))

    def _parameter_names(self) -> list[str]:
        answered = self._call("ListParameters", device_id=self._device)
        rows = answered.answer.get("parameters", []) if answered.status == "OK" else []
        return sorted(str(row["name"]) for row in rows if "name" in row)

    def _read(self, names: list[str]) -> dict[str, str]:
        return {name: value for name in names if (value := self._get(name)) is not None}

    def _get(self, name: str) -> str | None:
        answered = self._call("GetParameter", device_id=self._device, parameter_name=name)
        return str(answered.answer.get("value", "")) if answered.status == "OK" else None

    def _set_all(self, known: list[str]) -> None:
        for name, value, shown_by_frames in planned_parameters(self._profile.camera):
            if name in known:
                self._set(name, value, shown_by_frames=shown_by_frames)
            elif name == EXPOSURE:
                self._set_exposure()
            elif not shown_by_frames:
                text = f"{self._device} has no parameter {name}, which the plan wants at {value}"
                self._engine.send(command.Note(note="camera_not_as_planned", text=text))

    def _set(self, name: str, value: str, *, shown_by_frames: bool) -> None:
        answered = self._call("SetParameter", device_id=self._device, parameter_name=name, value=value)
        if answered.status != "OK" or not answered.answer.get("success", False):
            said = answered.details or str(answered.answer.get("error_message", ""))
            raise CameraError(
                "operator_failed", f"{self._device} does not take {name} = {value}: {answered.status} {said}"
            )
        read = self._get(name)
        same = read is not None and same_value(value, read)
        if not same:
            text = f"{name} = {read} was read back, the plan wants {value}"
            self._engine.send(command.Note(note="camera_not_as_planned", text=text))
        elif not shown_by_frames:
            self._engine.send(command.Note(note="read_back", text=f"{name} = {read} was read back", value=1))

    def _set_exposure(self) -> None:
        """A camera that has its exposure under another name (or none) is set by SetExposure."""
        exposure_ms = self._profile.camera.exposure_ms
        answered = self._call("SetExposure", device_id=self._device, exposure_ms=exposure_ms)
        if answered.status != "OK" or not answered.answer.get("success", False):
            raise CameraError(
                "operator_failed",
                f"{self._device} does not take an exposure of {exposure_ms:g} ms: {answered.status} {answered.details}",
            )

    def _call(self, method: str, **arguments: Any) -> command.Answered:
        return self._engine.call(method, operator=True, **arguments)

    def _wait_until(self, due_ns: int) -> None:
        gevent.sleep(max(0.0, (due_ns - self._clock.monotonic_ns()) / NS_PER_S))


def planned_parameters(camera: Camera) -> list[tuple[str, str, bool]]:
    """(name, value as JSON text, do frames show it?) of all that the plan sets, in the order of setting."""
    area = region(camera)
    roi = {"x": area.x, "y": area.y, "width": area.width, "height": area.height}
    planned = [
        (EXPOSURE, json.dumps(camera.exposure_ms), True),
        (ROI, json.dumps(roi), True),
        (BINNING, json.dumps(list(camera.binning)), True),
    ]
    planned += [(TRIGGER, camera.trigger_mode, False)] if camera.trigger_mode else []
    return planned + [(name, value, False) for name, value in camera.parameters.items()]


def same_value(planned: str, read: str) -> bool:
    """Do two texts mean the same value? Both are JSON where they can be, so 100 is 100.0 and Timed is "Timed"."""
    return bool(_value(planned) == _value(read))


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _was_running(device: str) -> str:
    return f"{device} was running before this run started it (camera.if_running = join or restart measures it anyway)"


def fault_of(device: str, devices: dict[str, list[str]]) -> str:
    """Why `device` cannot be streamed from what the target offers; empty if it can."""
    offered = ", ".join(sorted(devices)) or "none"
    if device not in devices:
        return f"the target has no device {device!r}, it offers: {offered}"
    if not any(CAPABILITY in one.lower() for one in devices[device]):
        return f"device {device!r} is no camera (it can: {', '.join(devices[device]) or 'nothing'})"
    return ""
