"""The camera operator: the one user that sets the camera, starts it, and carries out the timeline.

It starts the camera itself, unless the timeline's first action does (`start` or `cycle`). Its last stop is the
director's to order.
"""

from __future__ import annotations

import logging
from typing import ClassVar, Final

import gevent
from locust import task

from pvload.load import messages
from pvload.load.camera import CameraError, CameraSteps, Ready, Start
from pvload.load.children import ChildError
from pvload.load.station import StationRun
from pvload.load.timeline import Timeline
from pvload.load.user import PvloadUser, engine_of
from pvload.plan.timeline import starts_camera
from pvload.profiles.users import Kind
from pvload.wire import command

_log = logging.getLogger(__name__)
PROBE_EVERY_S: Final = 30.0


class CameraOperator(PvloadUser):
    """Sets the camera, starts it, reads its clock now and then, and does what the timeline says."""

    abstract = True
    fixed_count = 1
    kind: ClassVar[Kind] = "operator"

    @task
    def operate(self) -> None:
        """The whole life of the operator."""
        run = self.station.wait_begun()
        timeline: gevent.Greenlet | None = None
        try:
            answer: messages.Camera = self.station.ask(lambda token: messages.AskCamera(run=run.id, token=token))
            steps = CameraSteps(engine_of(run), run.profile, self.station.clock)
            prepared = None if answer.started else self._prepare(run, steps)
            by_timeline = starts_camera(run.profile) and isinstance(prepared, Ready)
            if prepared is not None and not by_timeline:
                self._start(run, steps, prepared)
            if run.profile.timeline:
                timeline = gevent.spawn(self._carry_out, run, steps, prepared if by_timeline else None, answer.action)
            while not run.ending.wait(PROBE_EVERY_S):
                steps.probe()
            if timeline is not None:
                timeline.join()
        except CameraError as exc:
            self._give_up(run, exc.note, exc.message)
        except ChildError as exc:
            self._give_up(run, "operator_failed", exc.message)
        finally:
            if timeline is not None:
                timeline.kill(block=False)
        self.rest()

    def _carry_out(self, run: StationRun, steps: CameraSteps, prepared: Ready | Start | None, first: int) -> None:
        """The timeline, in a greenlet of its own; prepared: the first start is the timeline's."""

        def begin() -> None:
            if prepared is not None:
                self._start(run, steps, prepared)

        if prepared is None:
            run.wanted.wait()
        try:
            Timeline(self.station, run, begin=begin, started=prepared is None).carry_out(first)
        except ChildError as exc:
            if not run.ending.is_set():
                self._give_up(run, "operator_failed", f"the timeline cannot go on: {exc.message}")

    def _prepare(self, run: StationRun, steps: CameraSteps) -> Ready | Start:
        stopped_ns = run.begin.stopped_ns - engine_of(run).clock_offset_ns if run.begin.stopped_ns else 0
        with run.camera:
            return steps.prepare(stopped_ns=stopped_ns)

    def _start(self, run: StationRun, steps: CameraSteps, prepared: Ready | Start) -> None:
        with run.camera:
            start = steps.start(prepared, give_up=run.ending.is_set) if isinstance(prepared, Ready) else prepared
            run.started = start
        if start is None:
            return
        at_ns = start.at_ns + engine_of(run).clock_offset_ns
        self.station.tell(messages.Started(run=run.id, at_ns=at_ns, joined=start.joined, parameters=start.parameters))
        run.wanted.wait()

    def _give_up(self, run: StationRun, note: str, text: str) -> None:
        _log.error("the camera operator gives up: %s", text)
        engine_of(run).send(command.Note(note=note, text=text))
        self.station.tell(messages.Failed(run=run.id, text=text))
