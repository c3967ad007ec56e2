"""The master's (or local runner's) half: makes a run, begins it, watches it, ends it once and in one order.

A run is in one of four states: beginning (nothing may spawn users yet), running, ending, over. Whatever wants its
end (the plan, Ctrl-C, SIGTERM, the web UI, a failure) calls `end`; the first reason stands and all callers wait for
the same end. From the moment the collector runs, every run ends with a report.
"""

from __future__ import annotations

import hashlib
import logging
import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import gevent
from gevent.event import Event
from locust.env import Environment
from locust.runners import STATE_MISSING, MasterRunner, Runner

from pvload.clock import NS_PER_S, Clock, boot_id
from pvload.errors import ConfigError, PvloadError
from pvload.load import messages, statistics
from pvload.load.camera import fault_of, wanted
from pvload.load.children import ChildError
from pvload.load.messages import hear, say
from pvload.load.options import LOOPBACK, Source, form_overrides
from pvload.load.processes import Processes, Result
from pvload.load.run_folder import RunFolder, pvload_version
from pvload.load.seats import Seats
from pvload.load.voice import Voice
from pvload.plan.check import Plan, check
from pvload.plan.expected import expected_rate
from pvload.profiles.load import LoadedProfile, canonical_json
from pvload.profiles.schema import Profile

_log = logging.getLogger(__name__)
HELLO_TIMEOUT_S: Final = 10.0
READY_TIMEOUT_S: Final = 30.0
LOOK_UP_TIMEOUT_S: Final = 30.0
START_TIMEOUT_S: Final = 90.0
"""How long the operator may take to set and start the camera."""
CLOSED_TIMEOUT_S: Final = 8.0
STOPPED_TIMEOUT_S: Final = 45.0
FINISHED_TIMEOUT_S: Final = 18.0
FRAMES_PATIENCE_NS: Final = 30 * NS_PER_S
"""A run by frames may last twice as long as they should take, and this."""
BEAT_S: Final = 0.05
WORST: Final = {1: 4, 4: 3, 3: 2, 2: 1, 0: 0}
"""Exit code -> how bad it is: the worst of several runs in one process is the process's."""


class DirectorRun:
    """One run as the director sees it."""

    def __init__(self, folder: RunFolder, profile: Profile, plan: Plan, processes: Processes, frames: int) -> None:
        self.id = folder.manifest.run
        self.folder = folder
        self.profile = profile
        self.plan = plan
        self.processes = processes
        self.frames = frames
        """Frames after which every stream, and then the run, ends; 0: by time."""
        self.state = "beginning"
        self.stop_asked = Event()
        self.over = Event()
        self.seats = Seats()
        self.stations: dict[str, messages.Ready] = {}
        """Node -> what its engine said when it was ready."""
        self.replies: dict[tuple[str, str], Any] = {}
        """(word's name, node) -> the node's answer."""
        self.operator_node = ""
        self.began_ns = 0
        self.started_ns: int | None = None
        """Run axis: when StartStream was sent, or the first stream was opened where nobody here starts the camera."""
        self.joined = False
        self.done: dict[tuple[str, int], int] = {}
        self.collecting = False
        self.failure: PvloadError | None = None
        self.result: Result | None = None

    @property
    def planned_ns(self) -> int:
        """Length of the run by its plan."""
        return int(self.profile.run.duration * NS_PER_S)


class Interrupted(PvloadError):  # noqa: N818 - an order, not an error
    """The run was asked to end before it had begun."""


class Director:
    """Makes one run after another, each with a directory of its own."""

    def __init__(self, environment: Environment, runner: Runner, source: Source, *, clock: Clock, voice: Voice) -> None:
        self.environment = environment
        self.runner = runner
        self.clock = clock
        self.voice = voice
        self.run: DirectorRun | None = None
        self.runs = 0
        self._source = source
        self._hellos: dict[str, messages.Hello] = {}
        self._run_time_s: float | None = None
        self._stopped_ns = 0
        options = environment.parsed_options
        self._options: dict[str, Any] = vars(options) if options is not None else {}

    def start(self) -> None:
        """Listens to the stations, and takes the length of the run over from Locust, whose timer starts too early."""
        hear(self.runner, messages.Hello, self._hello)
        for kind in (messages.Found, messages.Closed, messages.Stopped, messages.Finished):
            hear(self.runner, kind, self._reply)
        hear(self.runner, messages.Ready, self._ready)
        hear(self.runner, messages.Claim, self._claim)
        hear(self.runner, messages.Release, self._release)
        hear(self.runner, messages.Opened, self._opened)
        hear(self.runner, messages.Done, self._done)
        hear(self.runner, messages.AskCamera, self._ask_camera)
        hear(self.runner, messages.Started, self._started)
        hear(self.runner, messages.Failed, self._failed)
        self._take_run_time()
        loaded = self._source.load()
        if self._options.get("num_users") is None and self.environment.parsed_options is not None:
            self.environment.parsed_options.num_users = sum(one.count for one in loaded.profile.users)
        if self._options.get("spawn_rate") is None and self.environment.parsed_options is not None:
            self.environment.parsed_options.spawn_rate = 10.0

    def begin(self) -> None:
        """Makes and begins a run; returns when users may be spawned, else ends the calling greenlet."""
        try:
            loaded, plan = self._settled()
            nodes = self._greeted(loaded.profile)
            run = self._made(loaded, plan)
        except PvloadError as exc:
            self._refuse(exc)
            raise gevent.GreenletExit from exc
        try:
            self._start_all(run, loaded, nodes)
        except PvloadError as exc:
            self._fail_to_begin(run, exc)
            raise gevent.GreenletExit from exc
        except gevent.GreenletExit:
            gevent.spawn(self._fail_to_begin, run, Interrupted("interrupted before it began"))
            raise
        run.state = "running"
        gevent.spawn(self._watch, run)

    def end(self, reason: str, *, at_ns: int | None = None) -> None:
        """Ends the run that is on, if any, and returns when its verdict is there."""
        run = self.run
        if run is None or run.over.is_set():
            return
        if run.state == "beginning":
            run.stop_asked.set()
        elif run.state == "running":
            run.state = "ending"
            gevent.spawn(self._end, run, reason, at_ns)
        run.over.wait()

    @property
    def busy(self) -> bool:
        """Is a run on?"""
        return self.run is not None and not self.run.over.is_set()

    # A run begins.

    def _settled(self) -> tuple[LoadedProfile, Plan]:
        """The profile as this run will use it, checked; ConfigError if it cannot be run."""
        self._take_run_time()
        loaded = self._source.load(duration_s=self._run_time_s)
        more = form_overrides(self._options, loaded.profile)
        frames, rate_hz = int(self._options.get("pvload_frames") or 0), expected_rate(loaded.profile.camera)
        if frames and rate_hz:
            more.append(f"run.duration={frames / rate_hz:g}s")
        if more:
            loaded = self._source.load(duration_s=self._run_time_s, more=more)
        hosts = {one.boot or node for node, one in self._hellos.items()}
        plan = check(
            loaded.profile,
            users=self.runner.target_user_count,
            force=bool(self._options.get("pvload_force")),
            client_addresses=max(1, len(hosts)),
        )
        counts = {share.population: share.count for share in plan.shares}
        users = [one.model_copy(update={"count": counts[one.name]}) for one in loaded.profile.users]
        profile = loaded.profile.model_copy(update={"users": users})
        canonical = canonical_json(profile)
        for remark in plan.remarks:
            self.voice.remark(remark)
        settled = replace(loaded, profile=profile, canonical_json=canonical, sha256=_sha256(canonical))
        return settled, replace(plan, profile=profile)

    def _take_run_time(self) -> None:
        options = self.environment.parsed_options
        if options is None:
            return
        if options.run_time:
            self._run_time_s = float(options.run_time)
            options.run_time = None
        elif self.environment.web_ui is not None:
            self._run_time_s = None if self.runs else self._run_time_s
        if self.environment.web_ui is not None:
            self.environment.web_ui._cancel_run_time_timer()

    def _greeted(self, profile: Profile) -> list[str]:
        """The nodes that will run users; ChildError if one does not speak pvload."""
        try:
            with gevent.Timeout(HELLO_TIMEOUT_S):
                while self._present() - self._hellos.keys():
                    gevent.sleep(BEAT_S)
        except gevent.Timeout as exc:
            names = ", ".join(sorted(self._present() - self._hellos.keys()))
            raise ConfigError(f"workers without pvload, or of another version of it: {names}") from exc
        nodes = sorted(self._present())
        if profile.target.address == "sim":
            far = [self._hellos[node].host for node in nodes if self._hellos[node].boot != boot_id()]
            if far:
                raise ConfigError(
                    f"the embedded simulator serves this host only, and there are workers on {', '.join(far)}",
                    hint="start `pvload sim` by hand and give its address with --pvload-target",
                )
        return nodes

    def _made(self, loaded: LoadedProfile, plan: Plan) -> DirectorRun:
        folder = RunFolder.make(
            Path(str(self._options.get("pvload_runs") or "runs")),
            loaded=loaded,
            command=shlex.split(str(self._options.get("pvload_command") or "")) or sys.argv,
            clock=self.clock,
        )
        self.runs += 1
        processes = Processes(folder, loaded.profile, self.clock)
        frames = int(self._options.get("pvload_frames") or 0)
        run = self.run = DirectorRun(folder, loaded.profile, plan, processes, frames)
        statistics.set_chart_interval(loaded.profile.run.duration)
        return run

    def _start_all(self, run: DirectorRun, loaded: LoadedProfile, nodes: list[str]) -> None:
        bind = getattr(self.runner, "master_bind_host", LOOPBACK)
        loopback = bind in (LOOPBACK, "localhost", "::1")
        collector = gevent.spawn(
            _outcome_of, lambda: run.processes.start_collector(bind=LOOPBACK if loopback else bind)
        )
        run.processes.start_sim()
        failed: PvloadError | None = collector.get()
        if failed is not None:
            raise failed
        run.collecting = True
        run.began_ns = self.clock.monotonic_ns()
        self.voice.began(run.folder.path, run.id)
        for node in nodes:
            say(self.runner, self._begin_word(run, loaded.canonical_json.decode(), loaded.sha256, loopback), to=node)
        self._await(run, messages.Ready, nodes, READY_TIMEOUT_S)
        for node in nodes:
            if node not in run.stations:
                raise ChildError(f"worker {node} did not get its engine ready in time")
            if run.stations[node].failed:
                raise ChildError(f"worker {node}: {run.stations[node].failed}")
        self._start_monitor(run)
        self._look_up(run, nodes[0])
        if run.stop_asked.is_set():
            raise Interrupted("interrupted before it began")

    def _begin_word(self, run: DirectorRun, profile: str, sha256: str, loopback: bool) -> messages.Begin:
        return messages.Begin(
            run=run.id,
            run_dir=str(run.folder.path),
            boot=boot_id(),
            collector_host=LOOPBACK if loopback else "",
            collector_port=run.processes.endpoint_port,
            address=run.processes.address,
            profile=profile,
            sha256=sha256,
            stop_after_frames=run.frames,
            stopped_ns=self._stopped_ns,
        )

    def _start_monitor(self, run: DirectorRun) -> None:
        engines = {f"engine-{one.worker}": one.engine_pid for one in run.stations.values() if one.same_host}
        try:
            run.processes.start_monitor(engines)
        except ChildError as exc:
            self.voice.remark(f"no witness of host and log: {exc}")

    def _look_up(self, run: DirectorRun, node: str) -> None:
        """Asks the target for its devices before anything is opened."""
        say(self.runner, messages.LookUp(run=run.id), to=node)
        self._await(run, messages.Found, [node], LOOK_UP_TIMEOUT_S)
        found: messages.Found | None = run.replies.get((messages.Found.NAME, node))
        address, device = run.processes.address, run.profile.target.device
        if found is None or found.status != "OK":
            said = f"{found.status} {found.details}" if found is not None else "no answer"
            text = f"the target {address} does not answer: {said}"
            say(self.runner, messages.Remark(run=run.id, note="not_connected", text=text), to=node)
            raise ChildError(text, hint="is the daemon running, and is this its address?")
        run.folder.note(target={"address": address, "device": device, "daemon": found.daemon})
        if fault := fault_of(device, found.devices):
            say(self.runner, messages.Remark(run=run.id, note="unknown_device", text=fault), to=node)
            raise ConfigError(fault, hint=f"`pvload devices {run.profile.target.address}` lists what it offers")

    def _refuse(self, exc: PvloadError) -> None:
        """Nothing was started."""
        self.voice.error(exc)
        self._note_exit_code(exc.exit_code)
        self._quit_headless()

    def _fail_to_begin(self, run: DirectorRun, exc: PvloadError) -> None:
        """Ends a run whose users were never spawned, with a report if the collector runs."""
        interrupted = isinstance(exc, Interrupted)
        run.failure = exc
        if not interrupted:
            self.voice.error(exc)
        run.state = "ending"
        self._end(run, "interrupted" if interrupted else "failed", None)
        self._quit_headless()

    # A run runs.

    def _watch(self, run: DirectorRun) -> None:
        """Ends the run when its plan says so; once a second feeds what Locust shows."""
        stalls = statistics.Stalls(run.folder.path)
        next_s = 0.0
        while run.state == "running":
            now_ns = self.clock.monotonic_ns()
            if now_ns / NS_PER_S >= next_s:
                next_s = now_ns / NS_PER_S + 1
                stalls.feed(self.environment.stats)
                statistics.prune(self.environment.stats, statistics.now_s())
                run.seats.keep_only(self._present())
            end_ns = self._planned_end(run, now_ns)
            if end_ns is not None:
                self._end_by_plan(run, "duration", end_ns)
            elif run.failure is not None:
                self._end_by_plan(run, "failed", None)
            elif self._too_long(run, now_ns):
                self.voice.remark(f"ended without the {run.frames} frames that were asked for: they do not come")
                self._end_by_plan(run, "interrupted", None)
            elif run.started_ns is None and now_ns - run.began_ns > START_TIMEOUT_S * NS_PER_S:
                run.failure = ChildError(f"nobody started the camera within {START_TIMEOUT_S:g} s")
            gevent.sleep(BEAT_S)

    def _planned_end(self, run: DirectorRun, now_ns: int) -> int | None:
        """T_end, once it is reached."""
        if run.started_ns is None:
            return None
        taken = run.seats.taken()
        if run.frames and taken and taken <= run.done.keys():
            return max(run.done.values())
        end_ns = run.started_ns + run.planned_ns
        return end_ns if now_ns >= end_ns and not run.frames else None

    def _too_long(self, run: DirectorRun, now_ns: int) -> bool:
        """A run that is to end by its frames, and whose frames do not come."""
        patience_ns = 2 * run.planned_ns + FRAMES_PATIENCE_NS
        return bool(run.frames) and run.started_ns is not None and now_ns - run.started_ns > patience_ns

    def _end_by_plan(self, run: DirectorRun, reason: str, at_ns: int | None) -> None:
        if run.failure is not None:
            self.voice.error(run.failure)
        self.end(reason, at_ns=at_ns)
        options = self.environment.parsed_options
        if self._quit_headless():
            return
        self.runner.stop()
        if options is not None and options.autostart and options.autoquit != -1:
            gevent.sleep(options.autoquit)
            self.runner.quit()
            if self.environment.web_ui is not None:
                self.environment.web_ui.stop()

    # A run ends.

    def _end(self, run: DirectorRun, reason: str, at_ns: int | None) -> None:
        """The one order of the end; whatever fails in it, the rest is still done."""
        end_ns = self.clock.monotonic_ns() if at_ns is None else at_ns
        parameters: dict[str, str] = {}
        try:
            if run.collecting:
                parameters = self._end_stations(run, reason, end_ns)
                expect = [one.worker for one in run.stations.values() if not one.failed] + ["monitor"]
                run.result = run.processes.end_collector(at_ns=end_ns, reason=reason, expect=expect)
            run.processes.end_sim()
        except PvloadError as exc:
            self.voice.error(exc)
            run.failure = run.failure or exc
        finally:
            run.processes.kill()
            self._conclude(run, reason, parameters)
            run.state = "over"
            run.over.set()

    def _end_stations(self, run: DirectorRun, reason: str, end_ns: int) -> dict[str, str]:
        """Streams closed, camera stopped, engines finished; the camera's parameters at the end."""
        nodes = [node for node, one in run.stations.items() if not one.failed]
        length_ns = end_ns - run.started_ns if run.started_ns is not None else 0
        planned_ns = max(0, length_ns) if run.frames and reason == "duration" else run.planned_ns
        word = messages.End(
            run=run.id,
            at_ns=end_ns,
            reason=reason,
            warm_up_ns=int(run.plan.warm_up_s * NS_PER_S),
            planned_ns=planned_ns,
        )
        self._say_all(nodes, word)
        self._await(run, messages.Closed, nodes, CLOSED_TIMEOUT_S)
        stopped = self._stop_camera(run, nodes)
        run.processes.end_monitor()
        self._say_all(nodes, messages.Finish(run=run.id))
        self._await(run, messages.Finished, nodes, FINISHED_TIMEOUT_S)
        return stopped.parameters if stopped is not None else {}

    def _stop_camera(self, run: DirectorRun, nodes: list[str]) -> messages.Stopped | None:
        if not run.operator_node:
            return None
        present = [node for node in nodes if node in self._present()]
        node = run.operator_node if run.operator_node in present else next(iter(present), "")
        if not node:
            self.voice.remark("the camera was not stopped: no worker is left")
            return None
        stop = run.started_ns is not None and not run.joined
        say(self.runner, messages.StopCamera(run=run.id, stop=stop), to=node)
        self._await(run, messages.Stopped, [node], STOPPED_TIMEOUT_S)
        stopped: messages.Stopped | None = run.replies.get((messages.Stopped.NAME, node))
        if stopped is None or stopped.failed:
            self.voice.remark(f"the camera may still run: {stopped.failed if stopped is not None else 'no answer'}")
        self._stopped_ns = self.clock.monotonic_ns()
        return stopped

    def _conclude(self, run: DirectorRun, reason: str, parameters: dict[str, str]) -> None:
        result = run.result
        failed_code = run.failure.exit_code if run.failure is not None else ChildError.exit_code
        code = result.exit_code if result is not None else failed_code
        if isinstance(run.failure, ConfigError):
            code = run.failure.exit_code
        run.folder.note(ended=reason, camera_at_end=parameters, verdict=result.verdict if result is not None else "")
        if result is not None:
            self.voice.ended(result.verdict, code, result.report)
        self._note_exit_code(code)

    def _note_exit_code(self, code: int) -> None:
        known = self.environment.process_exit_code
        if known is None or WORST.get(code, 9) > WORST.get(known, 9):
            self.environment.process_exit_code = code

    def _quit_headless(self) -> bool:
        """Ends Locust where it runs without a web UI."""
        options = self.environment.parsed_options
        if options is None or not options.headless:
            return False
        gevent.spawn(self.runner.quit)
        return True

    # Words of the stations; none of these waits.

    def _hello(self, node: str, word: messages.Hello) -> None:
        refused = ""
        if word.version != pvload_version():
            refused = f"this worker has pvload {word.version}, the master {pvload_version()}: install the same"
        loaded = self._source.load()
        welcome = messages.Welcome(refused=refused, profile=loaded.canonical_json.decode(), sha256=loaded.sha256)
        say(self.runner, welcome, to=node)
        if refused:
            _log.error("worker %s on %s refused: %s", node, word.host, refused)
            return
        self._hellos[node] = word
        run = self.run
        if run is not None and run.state == "running" and node not in run.stations:
            gevent.spawn(self._join, run, node)

    def _join(self, run: DirectorRun, node: str) -> None:
        """A worker came while the run is on: it gets an engine, is told what the others know, and then its users."""
        if run.profile.target.address == "sim" and self._hellos[node].boot != boot_id():
            text = "the embedded simulator serves its own host only"
            say(self.runner, messages.Welcome(refused=text), to=node)
            return
        canonical = canonical_json(run.profile)
        loopback = getattr(self.runner, "master_bind_host", LOOPBACK) == LOOPBACK
        say(self.runner, self._begin_word(run, canonical.decode(), _sha256(canonical), loopback), to=node)
        self._await(run, messages.Ready, [node], READY_TIMEOUT_S)
        if run.state != "running" or node not in run.stations or run.stations[node].failed:
            _log.error("worker %s could not join the run", node)
            return
        if run.started_ns is not None:
            say(self.runner, self._wanted_word(run, run.started_ns), to=node)
        if isinstance(self.runner, MasterRunner):
            self.runner.start(self.runner.target_user_count, self.runner.spawn_rate)

    def _mine(self, word: Any) -> DirectorRun | None:
        run = self.run
        return run if run is not None and run.id == word.run and not run.over.is_set() else None

    def _reply(self, node: str, word: Any) -> None:
        if run := self._mine(word):
            run.replies[word.NAME, node] = word

    def _ready(self, node: str, word: messages.Ready) -> None:
        if run := self._mine(word):
            run.stations[node] = word
            run.replies[word.NAME, node] = word

    def _claim(self, node: str, word: messages.Claim) -> None:
        if run := self._mine(word):
            ordinal, calls = run.seats.claim(word.population, node)
            say(self.runner, messages.Seat(run=run.id, token=word.token, ordinal=ordinal, calls=calls), to=node)

    def _release(self, node: str, word: messages.Release) -> None:
        if run := self._mine(word):
            run.seats.release(word.population, word.ordinal, node)

    def _opened(self, _node: str, word: messages.Opened) -> None:
        if run := self._mine(word):
            run.seats.opened(word.population, word.ordinal, word.number)
            if run.started_ns is None and not run.plan.has_operator:
                run.started_ns = word.at_ns

    def _done(self, _node: str, word: messages.Done) -> None:
        if run := self._mine(word):
            run.done[word.population, word.ordinal] = word.at_ns

    def _ask_camera(self, node: str, word: messages.AskCamera) -> None:
        if run := self._mine(word):
            run.operator_node = node
            started = run.started_ns is not None
            say(self.runner, messages.Camera(run=run.id, token=word.token, started=started), to=node)

    def _started(self, node: str, word: messages.Started) -> None:
        """Tells every station, which tells its engine before any user opens a stream."""
        if run := self._mine(word):
            run.operator_node = node
            run.started_ns = word.at_ns
            run.joined = word.joined
            run.folder.note(camera_at_start=word.parameters)
            self._say_all(list(run.stations), self._wanted_word(run, word.at_ns))

    def _failed(self, _node: str, word: messages.Failed) -> None:
        if (run := self._mine(word)) and run.failure is None:
            run.failure = ChildError(word.text)

    def _wanted_word(self, run: DirectorRun, at_ns: int) -> messages.Wanted:
        plan = wanted(run.profile, at_ns)
        return messages.Wanted(
            run=run.id,
            device=plan.device,
            at_ns=at_ns,
            rate_hz=plan.rate_hz,
            width=plan.width,
            height=plan.height,
            binning_x=plan.binning_x,
            binning_y=plan.binning_y,
            exposure_ms=plan.exposure_ms,
        )

    # Nodes.

    def _present(self) -> set[str]:
        """Nodes whose workers are there."""
        if isinstance(self.runner, MasterRunner):
            return {node for node, one in self.runner.clients.items() if one.state != STATE_MISSING}
        return {"local"}

    def _say_all(self, nodes: list[str], word: messages.Word) -> None:
        present = self._present()
        for node in nodes:
            if node in present:
                say(self.runner, word, to=node)

    def _await(self, run: DirectorRun, kind: type[Any], nodes: list[str], timeout_s: float) -> None:
        """Waits until every node that is still there has answered; says who did not in time."""
        with gevent.Timeout(timeout_s, False):
            while any((kind.NAME, node) not in run.replies for node in nodes if node in self._present()):
                gevent.sleep(0.01)
        late = [node for node in nodes if (kind.NAME, node) not in run.replies]
        if late:
            _log.error("no %s within %g s from %s", kind.NAME, timeout_s, ", ".join(late))


def _outcome_of(work: Any) -> PvloadError | None:
    """Runs `work` in a greenlet of its own; its failure as a value, so that the one who waits can raise it."""
    try:
        work()
    except PvloadError as exc:
        return exc
    return None


def _sha256(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()
