"""How a run ends, whatever ends it, in one order: T_end, streams closed, camera stopped, engines finished, verdict."""

from __future__ import annotations

from typing import Final

from pvload.clock import NS_PER_S, Clock
from pvload.errors import PvloadError
from pvload.load import messages
from pvload.load.daemon import ending
from pvload.load.director_run import DirectorRun
from pvload.load.spools import memory_place, remove_empty
from pvload.load.stations import Stations
from pvload.load.voice import Voice

CLOSED_TIMEOUT_S: Final = 15.0
STOPPED_TIMEOUT_S: Final = 45.0
FINISHED_TIMEOUT_S: Final = 18.0


class Closing:
    """The end of one run."""

    def __init__(self, run: DirectorRun, stations: Stations, *, clock: Clock, voice: Voice) -> None:
        self.stopped_ns = 0
        """When the camera was stopped; 0: it was not."""
        self._run = run
        self._stations = stations
        self._clock = clock
        self._voice = voice
        self._parameters: dict[str, str] = {}

    def end(self, reason: str, end_ns: int) -> None:
        """Does all of it; whatever fails, the rest is still done. The result stands in the run afterwards."""
        run = self._run
        if run.failure is not None:
            self._voice.remark(run.folder.note(ended=reason, failure=run.failure.message))
        try:
            if run.collecting:
                self._end_stations(reason, end_ns)
                expect = [one.worker for one in run.stations.values() if not one.failed]
                expect += ["monitor"] if run.processes.monitors else []
                run.result = run.processes.end_collector(at_ns=end_ns, reason=reason, expect=expect)
            run.processes.end_sim()
        except PvloadError as exc:
            self._voice.error(exc)
            run.failure = run.failure or exc
        finally:
            run.processes.kill()
            if run.daemon is not None:
                run.daemon.stop()
            remove_empty(memory_place(run.id))
            remove_empty(run.folder.path / "spool")
            verdict = run.result.verdict if run.result is not None else ""
            before, after = run.folder.manifest.camera_at_start, self._parameters
            changed = {name: [value, after[name]] for name, value in before.items() if after.get(name, value) != value}
            note = run.folder.note(ended=reason, camera_at_end=after, camera_changed=changed, verdict=verdict)
            self._voice.remark(note)

    def _end_stations(self, reason: str, end_ns: int) -> None:
        run, stations = self._run, self._stations
        nodes = [node for node, one in run.stations.items() if not one.failed]
        word = messages.End(
            run=run.id,
            at_ns=end_ns,
            reason=reason,
            warm_up_ns=int(run.plan.warm_up_s * NS_PER_S),
            planned_ns=run.planned_ns,
        )
        stations.say_all(nodes, word)
        stations.await_all(run, messages.Closed, nodes, timeout_s=CLOSED_TIMEOUT_S)
        self._stop_camera(nodes)
        self._stop_daemon(nodes)
        run.processes.end_monitor()
        stations.say_all(nodes, messages.Finish(run=run.id))
        stations.await_all(run, messages.Finished, nodes, timeout_s=FINISHED_TIMEOUT_S)

    def _stop_daemon(self, nodes: list[str]) -> None:
        """The one that pvload started, and what happened to it is recorded by an engine that still lives."""
        run = self._run
        if run.daemon is None:
            return
        lived, status = run.daemon.pid, run.daemon.stop()
        if lived:
            self._voice.remark(f"the daemon was stopped: {ending(status)}")
        present = [node for node in nodes if node in self._stations.present()]
        for one in run.happened if present else ():
            word = messages.DaemonEvent(
                run=run.id,
                code=one.code,
                pid=one.pid,
                at_ns=one.at_ns,
                details=one.details,
                exit_status=one.exit_status,
            )
            self._stations.say_all(present[:1], word)

    def _stop_camera(self, nodes: list[str]) -> None:
        """By the operator's station, or by another where that is gone; a camera that ran before is left running."""
        run = self._run
        if not run.operator_node:
            return
        present = [node for node in nodes if node in self._stations.present()]
        node = run.operator_node if run.operator_node in present else next(iter(present), "")
        if not node:
            self._voice.remark("the camera was not stopped: no worker is left")
            return
        stop = run.started_ns is not None and not run.joined
        word = messages.StopCamera(
            run=run.id,
            stop=stop,
            changed=run.camera.changed,
            before=run.folder.manifest.camera_at_start,
            shown=run.camera.differs,
        )
        self._stations.say_all([node], word)
        self._stations.await_all(run, messages.Stopped, [node], timeout_s=STOPPED_TIMEOUT_S)
        stopped: messages.Stopped | None = run.replies.get((messages.Stopped.NAME, node))
        if stopped is None or stopped.failed:
            said = stopped.failed if stopped is not None else "no answer"
            self._voice.remark(f"the camera may still run: {said}")
        self._parameters = stopped.parameters if stopped is not None else {}
        self.stopped_ns = self._clock.monotonic_ns()
