"""The camera operator: the one user that sets the camera, starts it, and leaves its stop to the director."""

from __future__ import annotations

import logging
from typing import ClassVar, Final

from locust import task

from pvload.load import messages
from pvload.load.camera import CameraError, CameraSteps
from pvload.load.children import ChildError
from pvload.load.station import StationRun
from pvload.load.user import PvloadUser, engine_of
from pvload.profiles.users import Kind
from pvload.wire import command

_log = logging.getLogger(__name__)
PROBE_EVERY_S: Final = 30.0


class CameraOperator(PvloadUser):
    """Sets the camera, starts it, reads its clock now and then; the director has it stopped at the end."""

    abstract = True
    fixed_count = 1
    kind: ClassVar[Kind] = "operator"

    @task
    def operate(self) -> None:
        """The whole life of the operator."""
        run = self.station.wait_begun()
        try:
            answer: messages.Camera = self.station.ask(lambda token: messages.AskCamera(run=run.id, token=token))
            steps = CameraSteps(engine_of(run), run.profile, self.station.clock)
            if not answer.started:
                self._start(run, steps)
            while not run.ending.wait(PROBE_EVERY_S):
                steps.probe()
        except CameraError as exc:
            self._give_up(run, exc.note, exc.message)
        except ChildError as exc:
            self._give_up(run, "operator_failed", exc.message)
        self.rest()

    def _start(self, run: StationRun, steps: CameraSteps) -> None:
        offset_ns = engine_of(run).clock_offset_ns
        with run.camera:
            stopped_ns = run.begin.stopped_ns - offset_ns if run.begin.stopped_ns else 0
            start = run.started = steps.begin(stopped_ns=stopped_ns, give_up=run.ending.is_set)
        if start is None:
            return
        at_ns = start.at_ns + offset_ns
        self.station.tell(messages.Started(run=run.id, at_ns=at_ns, joined=start.joined, parameters=start.parameters))

    def _give_up(self, run: StationRun, note: str, text: str) -> None:
        _log.error("the camera operator gives up: %s", text)
        engine_of(run).send(command.Note(note=note, text=text))
        self.station.tell(messages.Failed(run=run.id, text=text))
