"""How a run begins: processes, engines, witness, and a look at what the target offers, before any user is spawned."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

import gevent

from pvload.clock import Clock, boot_id
from pvload.errors import ConfigError, PvloadError
from pvload.load import messages
from pvload.load.camera import fault_of
from pvload.load.children import ChildError
from pvload.load.daemon import GONE, Daemon, Happened
from pvload.load.director_run import DirectorRun, Interrupted
from pvload.load.options import LOOPBACK
from pvload.load.settling import canonical_of
from pvload.load.stations import Stations
from pvload.load.voice import Voice

READY_TIMEOUT_S: Final = 30.0
LOOK_UP_TIMEOUT_S: Final = 30.0


class Opening:
    """The beginning of one run."""

    def __init__(self, run: DirectorRun, stations: Stations, *, clock: Clock, voice: Voice) -> None:
        self._run = run
        self._supervised = voice.supervised
        self._stations = stations
        self._clock = clock
        self._voice = voice

    def start(self, nodes: list[str], *, stopped_ns: int) -> None:
        """Brings everything up on `nodes`; PvloadError says what could not be. Cannot be interrupted before the
        collector runs, so that every run has a report.

        stopped_ns: run axis, when the camera was last stopped by this process; 0: never.
        """
        run = self._run
        collector = gevent.spawn(failure_of, lambda: run.processes.start_collector(bind=self._stations.bind))
        sim_failed = failure_of(run.processes.start_sim)
        if (failed := collector.get()) is not None:
            raise failed
        run.collecting = True
        ends = f"after {run.frames} frames a stream" if run.frames else f"after {run.profile.run.duration:g} s"
        self._voice.began(run.folder.path, run.id, ends=ends)
        failed = sim_failed or failure_of(self._start_daemon)
        self._go_on()
        if failed is not None:
            raise failed
        run.began_ns = self._clock.monotonic_ns()
        self._voice.remark(run.processes.invitation())
        self._stations.say_all(nodes, begin_word(run, self._stations.bind, stopped_ns=stopped_ns))
        self._stations.await_all(run, messages.Ready, nodes, timeout_s=READY_TIMEOUT_S)
        for node in nodes:
            if node not in run.stations:
                raise ChildError(f"worker {node} did not get its engine ready in time")
            if run.stations[node].failed:
                raise ChildError(f"worker {node}: {run.stations[node].failed}")
        self._start_monitor()
        self._look_up(nodes[0])
        self._go_on()

    def _go_on(self) -> None:
        """Nobody asked for the end meanwhile."""
        if self._run.stop_asked.is_set():
            raise Interrupted("interrupted before it began")

    def _start_daemon(self) -> None:
        """Where the profile says how."""
        run = self._run
        if not run.profile.target.start:
            return

        def gone(failure: ChildError) -> None:
            run.failure = run.failure or failure

        def happened(one: Happened) -> None:
            run.happened.append(one)
            self._voice.daemon(0 if one.code == GONE else one.pid)

        run.daemon = Daemon(
            run.profile.target,
            run.folder.path,
            self._clock,
            on_event=happened,
            on_gone=gone,
            is_over=lambda: run.stop_asked.is_set() or run.state == "ending",
        )
        run.daemon.start()
        run.processes.daemon_pid = run.daemon.pid

    def _start_monitor(self) -> None:
        here = [one for one in self._run.stations.values() if one.same_host]
        watched = {f"engine-{one.worker}": one.engine_pid for one in here}
        watched |= {f"locust-{one.worker}": one.pid for one in here if one.pid != os.getpid()}
        watched |= {"supervisor": os.getppid()} if self._supervised else {}
        try:
            self._run.processes.start_monitor(watched)
        except ChildError as exc:
            self._voice.remark(f"no witness of host and log: {exc}")

    def _look_up(self, node: str) -> None:
        """Asks the target for its devices before anything is opened."""
        run = self._run
        self._stations.say_all([node], messages.LookUp(run=run.id))
        self._stations.await_all(run, messages.Found, [node], timeout_s=LOOK_UP_TIMEOUT_S)
        found: messages.Found | None = run.replies.get((messages.Found.NAME, node))
        address, device = run.processes.address, run.profile.target.device
        if found is None or found.status != "OK":
            said = f"{found.status} {found.details}" if found is not None else "no answer"
            if run.failure is not None:  # the daemon that was started has ended meanwhile, and that is why
                self._remark(node, "not_connected", run.failure.message)
                raise run.failure
            text = f"the target {address} does not answer: {said}"
            self._remark(node, "not_connected", text)
            raise ChildError(text, hint="is the daemon running, and is this its address?")
        self._voice.remark(run.folder.note(target={"address": address, "device": device, "daemon": found.daemon}))
        if fault := fault_of(device, found.devices):
            self._remark(node, "unknown_device", fault)
            raise ConfigError(fault, hint="`pvload devices HOST:PORT` lists what a daemon offers")

    def _remark(self, node: str, note: str, text: str) -> None:
        self._stations.say_all([node], messages.Remark(run=self._run.id, note=note, text=text))


def begin_word(run: DirectorRun, bind: str, *, stopped_ns: int) -> messages.Begin:
    """What a station needs to take part."""
    profile, sha256 = canonical_of(run.profile)
    return messages.Begin(
        run=run.id,
        run_dir=str(run.folder.path),
        boot=boot_id(),
        collector_host=LOOPBACK if bind == LOOPBACK else "",
        collector_port=run.processes.endpoint_port,
        address=run.processes.address,
        profile=profile,
        sha256=sha256,
        stop_after_frames=run.frames,
        stopped_ns=stopped_ns,
    )


def failure_of(work: Callable[[], None]) -> PvloadError | None:
    """Does `work`; its failure as a value, so that two pieces of work can be waited for."""
    try:
        work()
    except PvloadError as exc:
        return exc
    return None
