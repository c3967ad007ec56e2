"""The master's (or local runner's) half: makes a run, begins it, watches it, ends it once and in one order.

A run is in one of four states: beginning (nothing may spawn users yet), running, ending, over. Whatever wants its
end (the plan, Ctrl-C, SIGTERM, the web UI, a failure) calls `end`; the first reason stands and all callers wait for
the same end. From the moment the collector runs, every run ends with a report.
"""

from __future__ import annotations

import logging
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any, Final

import gevent
from locust.env import Environment
from locust.runners import MasterRunner, Runner

from pvload.clock import NS_PER_S, Clock
from pvload.errors import ConfigError, PvloadError
from pvload.load import messages, statistics
from pvload.load.children import ChildError
from pvload.load.closing import Closing
from pvload.load.director_changes import DirectorChanges
from pvload.load.director_run import DirectorRun, Interrupted
from pvload.load.director_timeline import DirectorTimeline
from pvload.load.messages import hear, say
from pvload.load.opening import READY_TIMEOUT_S, Opening, begin_word
from pvload.load.options import Source
from pvload.load.processes import Processes
from pvload.load.run_folder import RunFolder
from pvload.load.settling import canonical_of, settle
from pvload.load.stations import Stations
from pvload.load.voice import Voice
from pvload.plan.check import Plan
from pvload.profiles.load import LoadedProfile

_log = logging.getLogger(__name__)
START_TIMEOUT_S: Final = 90.0
"""How long the operator may take to set and start the camera."""
FRAMES_PATIENCE_NS: Final = 30 * NS_PER_S
"""A run by frames may last twice as long as they should take, and this."""
BEAT_S: Final = 0.05
SPAWN_RATE: Final = 10.0
WORST: Final = {1: 4, 4: 3, 3: 2, 2: 1, 0: 0}
"""Exit code -> how bad it is: the worst of several runs in one process is the process's."""


class Director:
    """Makes one run after another, each with a directory of its own."""

    def __init__(self, environment: Environment, runner: Runner, source: Source, *, clock: Clock, voice: Voice) -> None:
        self.runs = 0
        """Run directories made so far."""
        self._environment = environment
        self._runner = runner
        self._clock = clock
        self._voice = voice
        self._source = source
        self._stations = Stations(runner)
        self._run: DirectorRun | None = None
        self._run_time_s: float | None = None
        self._stopped_ns = 0
        options = environment.parsed_options
        self._options: dict[str, Any] = vars(options) if options is not None else {}

    def start(self) -> None:
        """Listens to the stations, and takes the length of the run over from Locust, whose timer starts too early."""
        hear(self._runner, messages.Hello, self._hello)
        for kind in (messages.Found, messages.Closed, messages.Stopped, messages.Finished):
            hear(self._runner, kind, self._reply)
        hear(self._runner, messages.Ready, self._ready)
        hear(self._runner, messages.Claim, self._claim)
        hear(self._runner, messages.Release, self._release)
        hear(self._runner, messages.Opened, self._opened)
        hear(self._runner, messages.Done, self._done)
        hear(self._runner, messages.AskCamera, self._ask_camera)
        hear(self._runner, messages.Started, self._started)
        hear(self._runner, messages.Failed, self._failed)
        DirectorChanges(self._runner, self._stations, self._clock, self._mine).start()
        DirectorTimeline(self._runner, self._stations, self._clock, self._mine).start()
        self._take_run_time()
        options = self._environment.parsed_options
        if options is not None and options.num_users is None:
            options.num_users = sum(one.count for one in self._source.load().profile.users)
        if options is not None and options.spawn_rate is None:
            options.spawn_rate = SPAWN_RATE

    def begin(self) -> None:
        """Makes and begins a run; returns when users may be spawned, else ends the calling greenlet."""
        if self._run is not None:
            self._run.over.wait()
        try:
            self._take_run_time()
            loaded, plan = settle(
                self._source,
                {**self._options, "host": self._environment.host},
                users=self._runner.target_user_count,
                hosts=self._stations.hosts,
                run_time_s=self._run_time_s,
            )
            nodes = self._stations.greeted(loaded.profile)
            run = self._made(loaded, plan)
        except PvloadError as exc:
            self._voice.error(exc)
            self._note_exit_code(exc.exit_code)
            self._quit_headless()
            raise gevent.GreenletExit from exc
        try:
            opening = Opening(run, self._stations, clock=self._clock, voice=self._voice)
            opening.start(nodes, stopped_ns=self._stopped_ns)
        except PvloadError as exc:
            self._fail_to_begin(run, exc)
            raise gevent.GreenletExit from exc
        except gevent.GreenletExit:
            gevent.spawn(self._fail_to_begin, run, Interrupted("interrupted before it began"))
            raise
        run.state = "running"
        gevent.spawn(self._watch, run)

    def end(self, reason: str, *, at_ns: int | None = None) -> None:
        """Ends the run that is on, if any, and returns when its verdict is there. at_ns: T_end; None: now."""
        run = self._run
        if run is None or run.over.is_set():
            return
        if run.state == "beginning":
            run.stop_asked.set()
        elif run.state == "running":
            run.state = "ending"
            gevent.spawn(self._end, run, reason, at_ns)
        run.over.wait()

    def last_words(self) -> None:
        """What a person should read last, below Locust's own tables; where there is a web UI every run has said it."""
        if self._headless:
            self._voice.head()

    # A run begins.

    def _take_run_time(self) -> None:
        """Locust's run time becomes the planned duration; its own timers would stop before that is over."""
        options, web_ui = self._environment.parsed_options, self._environment.web_ui
        if options is None:
            return
        if options.run_time:
            self._run_time_s = float(options.run_time)
            options.run_time = None
        elif web_ui is not None and self.runs:
            self._run_time_s = None
        if web_ui is not None:
            web_ui._cancel_run_time_timer()

    def _made(self, loaded: LoadedProfile, plan: Plan) -> DirectorRun:
        for remark in plan.remarks:
            self._voice.remark(remark)
        folder = RunFolder.make(
            Path(str(self._options.get("pvload_runs") or "runs")),
            loaded=loaded,
            command=shlex.split(str(self._options.get("pvload_command") or "")) or ["locust", *sys.argv[1:]],
            clock=self._clock,
        )
        self.runs += 1
        processes = Processes(folder, loaded.profile, self._clock)
        frames = int(self._options.get("pvload_frames") or 0) or loaded.profile.run.frames
        run = self._run = DirectorRun(folder, loaded.profile, plan, processes, frames)
        statistics.set_chart_interval(loaded.profile.run.duration)
        return run

    def _fail_to_begin(self, run: DirectorRun, exc: PvloadError) -> None:
        """Ends a run whose users were never spawned, with a report if the collector runs."""
        interrupted = isinstance(exc, Interrupted)
        if not interrupted:
            run.failure = exc
            self._voice.error(exc)
        else:
            self._voice.remark(run.folder.note(ended="interrupted", failure=exc.message))
        run.state = "ending"
        self._end(run, "interrupted" if interrupted else "failed", None)
        self._quit_headless()

    # A run runs.

    def _watch(self, run: DirectorRun) -> None:
        """Ends the run when its plan says so; once a second feeds what Locust shows."""
        stalls = statistics.Stalls(run.folder.path)
        next_ns = 0
        while run.state == "running":
            now_ns = self._clock.monotonic_ns()
            if now_ns >= next_ns:
                next_ns = now_ns + NS_PER_S
                stalls.feed(self._environment.stats)
                statistics.prune(self._environment.stats, statistics.now_s())
                run.seats.keep_only(self._stations.present())
            if (end := self._due_end(run, now_ns)) is not None:
                self._end_by_plan(run, *end)
            gevent.sleep(BEAT_S)

    def _due_end(self, run: DirectorRun, now_ns: int) -> tuple[str, int | None] | None:
        """(reason, T_end) if the run is to end now; T_end None: at this moment."""
        if run.failure is not None:
            return "failed", None
        if run.started_ns is None:
            if now_ns - run.began_ns > START_TIMEOUT_S * NS_PER_S:
                run.failure = ChildError(f"nobody started the camera within {START_TIMEOUT_S:g} s")
            return None
        if run.timeline_done_ns is not None and now_ns >= run.timeline_done_ns:
            return "duration", run.timeline_done_ns
        if not run.frames:
            end_ns = run.started_ns + run.planned_ns
            return ("duration", end_ns) if now_ns >= end_ns else None
        taken = run.seats.taken()
        if taken and taken <= run.done.keys():
            return "duration", max(run.done.values())
        if now_ns - run.started_ns > 2 * run.planned_ns + FRAMES_PATIENCE_NS:
            self._voice.remark(f"ended without the {run.frames} frames that were asked for: they do not come")
            return "interrupted", None
        return None

    def _end_by_plan(self, run: DirectorRun, reason: str, at_ns: int | None) -> None:
        """Ends the run, and then Locust, or only its test where there is a web UI."""
        if run.failure is not None:
            self._voice.error(run.failure)
        self.end(reason, at_ns=at_ns)
        if self._quit_headless():
            return
        self._runner.stop()
        options = self._environment.parsed_options
        if options is not None and options.autostart and options.autoquit != -1:
            gevent.sleep(options.autoquit)
            self._runner.quit()
            if self._environment.web_ui is not None:
                self._environment.web_ui.stop()

    # A run ends.

    def _end(self, run: DirectorRun, reason: str, at_ns: int | None) -> None:
        closing = Closing(run, self._stations, clock=self._clock, voice=self._voice)
        try:
            closing.end(reason, self._clock.monotonic_ns() if at_ns is None else at_ns)
        finally:
            self._stopped_ns = closing.stopped_ns or self._stopped_ns
            self._conclude(run)
            run.state = "over"
            run.over.set()

    def _conclude(self, run: DirectorRun) -> None:
        result, failure = run.result, run.failure
        if isinstance(failure, ConfigError):
            shutil.rmtree(run.folder.path, ignore_errors=True)
            self._voice.remark(f"nothing was opened and nothing measured: {run.folder.path} is removed")
            self._note_exit_code(failure.exit_code)
            return
        code = failure.exit_code if failure is not None else ChildError.exit_code
        if result is not None:
            code = result.exit_code
            self._voice.ended(result.verdict, code, result.report)
            if not self._headless:
                self._voice.head()
        elif not run.collecting:
            self._voice.remark(f"what there is of it is in {run.folder.path}")
        self._note_exit_code(code)

    def _note_exit_code(self, code: int) -> None:
        known = self._environment.process_exit_code
        if known is None or WORST.get(code, 9) > WORST.get(known, 9):
            self._environment.process_exit_code = code

    def _quit_headless(self) -> bool:
        """Ends Locust where it runs without a web UI."""
        if self._headless:
            gevent.spawn(self._runner.quit)
        return self._headless

    @property
    def _headless(self) -> bool:
        options = self._environment.parsed_options
        return options is not None and bool(options.headless)

    # Words of the stations; none of these waits.

    def _hello(self, node: str, word: messages.Hello) -> None:
        refused = self._stations.hello(node, word)
        profile, sha256 = canonical_of(self._source.load().profile)
        say(self._runner, messages.Welcome(refused=refused, profile=profile, sha256=sha256), to=node)
        if refused:
            _log.error("worker %s on %s refused: %s", node, word.host, refused)
            return
        run = self._run
        if run is not None and run.state == "running" and node not in run.stations:
            gevent.spawn(self._join, run, node)

    def _join(self, run: DirectorRun, node: str) -> None:
        """A worker came while the run is on: it gets an engine, is told what the others know, and then its users."""
        if fault := self._stations.fault_with(run.profile, [node]):
            say(self._runner, messages.Welcome(refused=fault), to=node)
            return
        say(self._runner, begin_word(run, self._stations.bind, stopped_ns=self._stopped_ns), to=node)
        self._stations.await_all(run, messages.Ready, [node], timeout_s=READY_TIMEOUT_S)
        if run.state != "running" or node not in run.stations or run.stations[node].failed:
            _log.error("worker %s could not join the run", node)
            return
        if run.camera.wanted is not None:
            say(self._runner, run.camera.wanted, to=node)
        if isinstance(self._runner, MasterRunner):
            self._runner.start(self._runner.target_user_count, self._runner.spawn_rate)

    def _mine(self, word: Any) -> DirectorRun | None:
        run = self._run
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
            run.seats.keep_only(self._stations.present())
            ordinal, calls = run.seats.claim(word.population, node)
            seat = messages.Seat(run=run.id, token=word.token, population=word.population, ordinal=ordinal, calls=calls)
            say(self._runner, seat, to=node)

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
            answer = messages.Camera(run=run.id, token=word.token, started=started, action=run.timeline_next)
            say(self._runner, answer, to=node)

    def _started(self, node: str, word: messages.Started) -> None:
        """Tells every station, which tells its engine before any user opens a stream."""
        if run := self._mine(word):
            run.operator_node = node
            run.started_ns = word.at_ns
            run.joined = word.joined
            run.camera.started()
            self._stations.say_all(list(run.stations), run.camera.word(run.id, word.at_ns))
            self._voice.remark(run.folder.note(camera_at_start=word.parameters))

    def _failed(self, _node: str, word: messages.Failed) -> None:
        if (run := self._mine(word)) and run.failure is None:
            run.failure = ChildError(word.text)
