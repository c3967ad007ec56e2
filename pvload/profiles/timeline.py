"""`[[timeline]]`: what happens when, by named clients and by the camera operator.

The operator always sets the camera. It starts it too, and the run with it, unless `start` or `cycle` is the timeline's
first action: then that starts the run. Actions are done in their order, one after another; one whose time has come
while the one before it was still at work is done late and recorded so.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from pvload.profiles.users import AbortStyle, Change
from pvload.profiles.values import Duration, Moment, Table

AFTER = r"^([1-9][0-9]{0,14} frames)?$"
WHEN = r"^([a-z][a-z0-9_-]{0,31} has [1-9][0-9]{0,14} frames)?$"


class Action(Table):
    """`[[timeline]]`: one action, at a time or on a condition. Without either it follows the one before it."""

    at: Moment | None = None
    """From the run's start: a duration, or a share of the run's length."""
    after: str = Field(default="", pattern=AFTER)
    """`600 frames`: when a stream of the run has received so many."""
    when: str = Field(default="", pattern=WHEN)
    """`b has 100 frames`: when that client has received so many since it was last opened."""
    action: Literal["open", "close", "abort", "set", "expect", "start", "stop", "restart_daemon", "cycle", "wait"]
    """open, close, abort: a client's stream; set: change the camera; expect: check; start, stop: the acquisition;
    restart_daemon: the one that pvload started; cycle: start, `frames` frames, stop, `count` times; wait: `pause`."""
    client: str = ""
    """Name of a population with `opens = "timeline"`."""
    abort: AbortStyle = "dropped"
    """How `abort` leaves."""
    change: Change | None = None
    """What `set` sets."""
    via: Literal["SetParameter", "SetExposure"] = "SetParameter"
    restart: bool = False
    """Of `set`: as in [users.changes]."""
    within: Duration = 5.0
    """How long `expect` waits, and how long `set` looks for its effect."""
    state: Literal["", "streaming", "idle"] = ""
    """Of `expect`: the camera's state by GetDeviceState."""
    effect: bool = False
    """Of `expect`: the last `set` shows on the frames."""
    error: str = ""
    """Of `expect`: the last `set` was refused, with this in its status or text."""
    frames: int = Field(default=100, ge=1)
    """Of `cycle`: frames of a client before the stop."""
    count: int = Field(default=1, ge=1, le=100_000)
    """Of `cycle`: how often."""
    pause: Duration = 1.0
    """Of `cycle`: from a stop to the next start, at least a frame period and 100 ms; of `wait`: how long."""

    @model_validator(mode="after")
    def _is_whole(self) -> Action:
        if sum(bool(one) for one in (self.at, self.after, self.when)) > 1:
            raise ValueError("one of at, after and when")
        if self.action in ("open", "close", "abort") and not self.client:
            raise ValueError(f"a client to {self.action}")
        if self.action == "set" and self.change is None:
            raise ValueError("a change to set, such as change = { exposure_ms = 50 }")
        if self.action == "expect" and not (self.state or self.effect or self.error):
            raise ValueError("something to expect: state, effect or error")
        return self
