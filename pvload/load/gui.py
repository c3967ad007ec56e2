"""The viewer of a person at a screen, as the project's own client behaves.

Two connections: frames come on one; on the other the daemon is asked for its information every 30 s, within 5 s, and
two failures in a row are a lost connection, which is made again with the back-off (1 s, doubled up to 30 s, up to a
quarter longer). A picture that stops for 30 s is subscribed anew after 50 ms. What a person drags (the exposure) is
sent when it has rested for 200 ms.
"""

from __future__ import annotations

import logging
from typing import Any, ClassVar, Final

import gevent

from pvload.load import messages
from pvload.load.changing import camera_turn
from pvload.load.station import StationRun
from pvload.load.subscriber import StreamSubscriber
from pvload.load.viewing import Viewing
from pvload.load.watchers import Asking
from pvload.profiles.users import Change, Kind

_log = logging.getLogger(__name__)
FAILURES_LIMIT: Final = 2
"""So many in a row are a lost connection."""
DEBOUNCE_S: Final = 0.2


class GuiViewer(StreamSubscriber, Asking):
    """A subscriber that looks after its connection as the project's own client does."""

    abstract = True
    kind: ClassVar[Kind] = "gui-viewer"
    health_every_s: ClassVar[float] = 30.0
    """Between two questions for health."""
    _run: StationRun | None = None
    _ordinal = 0
    _sending: Any = None

    def work(self, run: StationRun, seat: messages.Seat) -> None:
        """The stream, and the question for health beside it."""
        self._run, self._ordinal = run, seat.ordinal
        viewing = Viewing(self.station, run, self.planned(run), seat)
        beside = [gevent.spawn(self._look_after, run, seat.ordinal, viewing), gevent.spawn(self.at_the_screen, run)]
        try:
            viewing.live()
        finally:
            gevent.killall(beside, block=False)

    def at_the_screen(self, run: StationRun) -> None:
        """What the person does besides looking, while the stream runs: nothing. For a locustfile of one's own.

        Wait with `run.ending.wait(seconds)`, which says True when the run ends. The user's tasks are the stream's.
        """

    def expose(self, exposure_ms: float) -> None:
        """As a person drags the exposure: of values that follow each other within 200 ms the last one is set."""
        if self._sending is not None:
            self._sending.kill(block=False)
        self._sending = gevent.spawn_later(DEBOUNCE_S, self._set_exposure, exposure_ms)

    def _look_after(self, run: StationRun, ordinal: int, viewing: Viewing) -> None:
        failures = 0
        while not run.ending.wait(self.health_every_s):
            answered = self.ask(run, ordinal, "GetDaemonInfo", {})
            failures = 0 if answered is None or answered.status == "OK" else failures + 1
            if failures >= FAILURES_LIMIT:
                _log.warning("%s/%d: the connection is lost, it is made again", self.population.name, ordinal)
                failures = 0
                viewing.reconnect()

    def _set_exposure(self, exposure_ms: float) -> None:
        run = self._run
        if run is not None and not run.ending.is_set():
            change = Change(exposure_ms=exposure_ms)
            with camera_turn(self.station, run, population=self.population.name, ordinal=self._ordinal) as turn:
                turn.change(change, within_s=0.0, via="SetExposure", verify=False)
