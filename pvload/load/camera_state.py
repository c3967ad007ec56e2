"""The camera as the director knows it: what frames show, what was set, whether it is wanted to run, whose turn it is.

What was set and what frames show may differ: a daemon may take a value and use it only after the next start.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from gevent.event import Event
from gevent.lock import BoundedSemaphore

from pvload.load import messages
from pvload.load.camera import wanted
from pvload.plan.changed import Changed, changed
from pvload.plan.expected import frame_size
from pvload.profiles.schema import Profile
from pvload.profiles.users import Change

KEPT_CHANGES: Final = 256
"""Of which an effect can still be told; those of a later one are dropped."""


@dataclass(slots=True)
class Asked:
    """A change somebody asked a number for."""

    node: str
    change: Change
    seen: set[bool] = field(default_factory=set)
    """Of which looks (`again`) the effect was told."""


class CameraState:
    """Of one run."""

    def __init__(self, profile: Profile) -> None:
        self.shown = self.set = profile.camera
        self.running = False
        self.away = False
        """Its daemon is being restarted by plan."""
        self.stopped_ns = 0
        """Run axis: when it was last stopped within the run; 0: never."""
        self.wanted: messages.Wanted | None = None
        """What every engine was told last."""
        self.one_at_a_time = BoundedSemaphore(1)
        self.turns: dict[int, Event] = {}
        """Turns that are not over: one at most is under way."""
        self.asked: dict[int, Asked] = {}
        self._profile = profile
        self._changed: set[str] = set()
        self._turns = 0
        self._changes = 0

    @property
    def changed(self) -> list[str]:
        """Parameters that were changed on purpose and taken."""
        return sorted(self._changed)

    @property
    def differs(self) -> str:
        """What frames show at this moment that is not the plan's; empty: nothing."""
        size, planned = frame_size(self.shown), frame_size(self._profile.camera)
        parts = []
        if size != planned:
            parts.append(f"{size.width}x{size.height} pixels, at the start {planned.width}x{planned.height}")
        if self.shown.binning != self._profile.camera.binning:
            parts.append(f"binning {self.shown.binning[0]}x{self.shown.binning[1]}")
        if self.shown.exposure_ms != self._profile.camera.exposure_ms:
            parts.append(f"an exposure of {self.shown.exposure_ms:g} ms")
        return "frames show " + ", ".join(parts) if parts else ""

    def next_turn(self) -> tuple[int, Event]:
        """A turn's number, and the event that it is over."""
        self._turns += 1
        over = self.turns[self._turns] = Event()
        return self._turns, over

    def note(self, asked: Asked) -> int:
        """A number for a change."""
        self._changes += 1
        self.asked[self._changes] = asked
        self.asked.pop(self._changes - KEPT_CHANGES, None)
        return self._changes

    def expected(self, change: Change, *, again: bool) -> Changed:
        """What frames show when it is in effect: at once on what they show now, after a restart on all that was set."""
        return changed(self._profile.camera, self.set if again else self.shown, change)

    def accepted(self, change: Change) -> None:
        """The daemon took it."""
        after = changed(self._profile.camera, self.set, change)
        self.set = after.camera
        if len(self._changed) < KEPT_CHANGES:
            self._changed.add(after.parameter)

    def effective(self, change: Change) -> None:
        """Frames show it."""
        self.shown = changed(self._profile.camera, self.shown, change).camera

    def renewed(self) -> None:
        """The daemon is a new one, and is set as at the start."""
        self.set = self.shown = self._profile.camera

    def stopped(self, *, away: bool = False) -> None:
        """The plan wants no frames; away: since the daemon is being restarted."""
        self.running, self.away = False, away

    def went_on(self) -> None:
        """It was to be stopped and was not: frames show what they showed."""
        self.running, self.away = True, False

    def started(self) -> None:
        """The plan wants frames, of whatever was set before."""
        self.running, self.away, self.shown = True, False, self.set

    def word(self, run: str, at_ns: int) -> messages.Wanted:
        """What every engine is to know from at_ns (run axis) on."""
        plan = wanted(self._profile.model_copy(update={"camera": self.shown}), at_ns)
        self.wanted = messages.Wanted(
            run=run,
            device=plan.device,
            at_ns=at_ns,
            wanted=self.running,
            away=self.away,
            rate_hz=plan.rate_hz,
            width=plan.width,
            height=plan.height,
            binning_x=plan.binning_x,
            binning_y=plan.binning_y,
            exposure_ms=plan.exposure_ms,
        )
        return self.wanted
