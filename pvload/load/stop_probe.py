"""The stop-probe: how long a stop and a start of the camera take while all else goes on.

An emergency stop must come through whatever else the daemon has to do. The camera's turn is taken for it, all engines
know meanwhile that no frame is due, and the start keeps the pause that the camera bears.
"""

from __future__ import annotations

import logging
from typing import ClassVar

from pvload.load import messages, statistics
from pvload.load.camera import CameraError
from pvload.load.changing import camera_turn
from pvload.load.children import ChildError
from pvload.load.pace import Beats
from pvload.load.station import StationRun
from pvload.load.user import SeatedUser, engine_of
from pvload.profiles.users import Kind
from pvload.wire import command

_log = logging.getLogger(__name__)


class StopProbe(SeatedUser):
    """Stops the camera and starts it again, at its rate, and times both."""

    abstract = True
    kind: ClassVar[Kind] = "stop-probe"
    fixed_count = 1

    def work(self, run: StationRun, seat: messages.Seat) -> None:
        """Stop and start at the population's rate until the run ends; never leaves the camera stopped by choice."""
        beats = Beats(self.station.clock, self.planned(run).watch.rate_hz)
        while beats.wait(run):
            try:
                self._probe(run, seat.ordinal)
            except CameraError as exc:
                _log.error("%s: %s", self.population.name, exc.message)
                engine_of(run).send(command.Note(note=exc.note, text=f"{self.population.name}: {exc.message}"))
            except ChildError as exc:
                _log.error("%s: %s", self.population.name, exc.message)

    def _probe(self, run: StationRun, ordinal: int) -> None:
        with camera_turn(self.station, run, population=self.population.name, ordinal=ordinal) as turn:
            if not turn.running or run.ending.is_set():
                return
            for answered, method in ((turn.stop(), "StopStream"), (turn.start(), "StartStream")):
                took_ms = (answered.answered_ns - answered.sent_ns) / 1e6
                statistics.call(self.environment.stats, self.population.name, method, took_ms, "")
