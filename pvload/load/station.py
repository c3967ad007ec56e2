"""A worker's half of a run: its engine, its streams, and what its users wait for.

One station a process that has users. The director's words come in by Locust's message loop and must not hold it up, so
each that takes time is worked on in a greenlet of its own.
"""

from __future__ import annotations

import itertools
import logging
import os
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import gevent
from gevent.event import AsyncResult, Event
from gevent.lock import RLock
from gevent.queue import Queue
from locust.env import Environment
from locust.runners import Runner, WorkerRunner

from pvload.clock import Clock, boot_id
from pvload.errors import PvloadError
from pvload.load import messages, statistics
from pvload.load.camera import CameraSteps, Start
from pvload.load.children import ChildError
from pvload.load.churn import calls_to_kill
from pvload.load.engine_client import FINISH_TIMEOUT_S, EngineClient, Mailbox
from pvload.load.messages import W, hear, say
from pvload.load.putting_back import put_back
from pvload.load.run_folder import pvload_version
from pvload.load.spools import SPOOL_BYTES, remove_empty, spool_place
from pvload.load.viewers import Viewers
from pvload.plan.expected import expected_rate
from pvload.profiles.load import from_canonical
from pvload.profiles.schema import Profile
from pvload.wire import command

_log = logging.getLogger(__name__)
CLOSE_TIMEOUT_S: Final = 5.0
CLOSE_BEAT_S: Final = 0.01
CLOSE_AGAIN_BEATS: Final = 50
WATCH_ON_S: Final = 0.25
"""Watchers stay so much longer than what they watch."""
LOOK_UP_TIMEOUT_S: Final = 10.0
SEAT_TIMEOUT_S: Final = 10.0
Answering = (
    messages.Seat | messages.Camera | messages.Turn | messages.ChangeNumber | messages.Obeyed | messages.DaemonBack
)
"""What the director answers a question with, by the question's token."""


class StationRun:
    """One run as this station sees it."""

    def __init__(self, begin: messages.Begin, profile: Profile, *, worker: str, same_host: bool) -> None:
        self.id = begin.run
        self.profile = profile
        self.worker = worker
        self.begin = begin
        self.same_host = same_host
        self.spool = Path()
        self.engine: EngineClient | None = None
        self.wanted = Event()
        """The camera was started: streams may be opened."""
        self.wanted_ns = 0
        """Since when, this host's monotonic clock."""
        self.ending = Event()
        """T_end is past: nothing is opened any more."""
        self.streams: dict[Mailbox, EngineClient] = {}
        """Open calls and the process that makes each; bounded by the users of this worker."""
        self.watches: dict[Mailbox, EngineClient] = {}
        """The same for streams of events, which are closed after all others: what those still do is to be seen."""
        self.viewers: Viewers | None = None
        """Processes whose streams are left by killing them."""
        self.inboxes: dict[tuple[str, int], Queue] = {}
        """(population, ordinal) -> where the user that sits there hears of orders and of the run's end."""
        self.camera = RLock()
        """Held while the camera is being set and started, or stopped."""
        self.effects: dict[tuple[int, bool], AsyncResult] = {}
        """(change, again) -> run axis of its first effect, while somebody waits for it."""
        self.changed: dict[str, str] = {}
        """Parameter -> its value before the first change by a user of this station: put back at the run's end."""
        self.started: Start | None = None
        """This station's operator started the acquisition."""
        self.over = Event()
        """The engine is being finished, or is gone."""
        self.told = Event()
        """The director knows how the engine ended."""

    def end(self) -> None:
        """T_end: every user hears of it, whatever it waits for."""
        self.ending.set()
        for inbox in self.inboxes.values():
            inbox.put(None)

    @property
    def has_operator(self) -> bool:
        """Does this run start the camera itself?"""
        return any(one.kind == "operator" and one.count for one in self.profile.users)

    @property
    def period_s(self) -> float:
        """Of a frame, as planned."""
        return 1 / (expected_rate(self.profile.camera) or 1000 / self.profile.camera.exposure_ms)


class Station:
    """What users and the director use of a worker."""

    def __init__(
        self, environment: Environment, runner: Runner, clock: Clock, on_welcome: Callable[[str], None]
    ) -> None:
        self.environment = environment
        self.runner = runner
        self.clock = clock
        self.run: StationRun | None = None
        self.refused = ""
        self._on_welcome = on_welcome
        self._began = Event()
        self._tokens = itertools.count(1)
        self._asked: dict[int, AsyncResult] = {}

    def start(self) -> None:
        """Listens to the director and says hello."""
        hear(self.runner, messages.Welcome, self._welcomed)
        hear(self.runner, messages.Begin, lambda _node, word: gevent.spawn(self._begin, word) and None)
        hear(self.runner, messages.Seat, lambda _node, word: self._answered(word))
        hear(self.runner, messages.Camera, lambda _node, word: self._answered(word))
        hear(self.runner, messages.Turn, lambda _node, word: self._answered(word))
        hear(self.runner, messages.ChangeNumber, lambda _node, word: self._answered(word))
        hear(self.runner, messages.Obeyed, lambda _node, word: self._answered(word))
        hear(self.runner, messages.DaemonBack, lambda _node, word: self._answered(word))
        hear(self.runner, messages.EffectSeen, lambda _node, word: self._effect_seen(word))
        self._work_on(messages.Change, self._change)
        self._work_on(messages.Order, self._order)
        self._work_on(messages.LookUp, self._look_up)
        self._work_on(messages.Remark, self._remark)
        self._work_on(messages.DaemonEvent, self._daemon)
        self._work_on(messages.Wanted, self._wanted)
        self._work_on(messages.End, self._end)
        self._work_on(messages.StopCamera, self._stop_camera)
        self._work_on(messages.Finish, self._finish)
        hello = messages.Hello(version=pvload_version(), host=socket.gethostname(), boot=boot_id(), pid=os.getpid())
        say(self.runner, hello)

    def wait_begun(self) -> StationRun:
        """The run that is on; waits for one."""
        while True:
            self._began.wait()
            run = self.run
            if run is not None and not run.ending.is_set():
                return run
            gevent.sleep(0.05)

    def ask(self, word_of: Callable[[int], messages.Word], *, timeout_s: float = SEAT_TIMEOUT_S) -> Any:
        """Asks the director and gives its answer; ChildError if it gives none."""
        token = next(self._tokens)
        answer = self._asked[token] = AsyncResult()
        try:
            say(self.runner, word_of(token))
            return answer.get(timeout=timeout_s)
        except gevent.Timeout as exc:
            raise ChildError("the master did not answer") from exc
        finally:
            self._asked.pop(token, None)

    def tell(self, word: messages.Word) -> None:
        """Says something to the director."""
        say(self.runner, word)

    def leave(self) -> None:
        """This worker goes while a run is on (it was told to quit alone): closes its part in order."""
        run = self.run
        if run is None:
            return
        if run.over.is_set():
            run.told.wait(FINISH_TIMEOUT_S)
            return
        run.end()
        self._close_streams(run, by="order")
        self._finish_engine(run)
        run.told.set()

    def _work_on(self, kind: type[W], work: Callable[[StationRun, W], None]) -> None:
        """Works on such words in a greenlet each; a word of another run is dropped."""

        def heard(_node: str, word: W) -> None:
            run = self.run
            if run is not None and not isinstance(word, messages.Hello | messages.Welcome) and run.id == word.run:
                gevent.spawn(work, run, word)

        hear(self.runner, kind, heard)

    def _answered(self, word: Answering) -> None:
        """Hands over what was asked for; a seat or turn that nobody waits for any more is given back."""
        asked = self._asked.get(word.token)
        if self.run is None or self.run.id != word.run:
            return
        if asked is not None:
            asked.set(word)
        elif isinstance(word, messages.Seat):
            self.tell(messages.Release(run=word.run, population=word.population, ordinal=word.ordinal))
        elif isinstance(word, messages.Turn):
            self.tell(messages.TurnOver(run=word.run, turn=word.turn))

    def _effect_seen(self, word: messages.EffectSeen) -> None:
        run = self.run
        if run is not None and run.id == word.run and (effect := run.effects.get((word.number, word.again))):
            effect.set(word.at_ns)

    def _effect(self, run: StationRun, effect: command.Effect) -> None:
        """The engine saw a change on a frame."""
        seen = messages.Effect(
            run=run.id,
            number=effect.number,
            again=effect.again,
            at_ns=effect.at_ns + _of(run).clock_offset_ns,
            population=effect.population,
            ordinal=effect.ordinal,
        )
        self.tell(seen)

    def _change(self, run: StationRun, word: messages.Change) -> None:
        engine = _of(run)
        values = {name: getattr(word, name) for name in word.__slots__ if name not in ("run", "at_ns")}
        change = command.Change(at_ns=word.at_ns - engine.clock_offset_ns, **values)
        engine.send(change)
        if run.viewers is not None:
            run.viewers.tell(change, newcomers_too=False)
        self.tell(messages.ChangeKnown(run=run.id, number=word.number, again=word.again))

    def _welcomed(self, _node: str, word: messages.Welcome) -> None:
        if word.refused:
            self.refused = word.refused
            _log.error("refused by the master: %s", word.refused)
            gevent.spawn(self.runner.quit)
        elif word.profile:
            self._on_welcome(word.profile)

    def _begin(self, word: messages.Begin) -> None:
        self.leave()
        same_host = bool(word.boot) and word.boot == boot_id()
        worker = f"worker-{self.runner.worker_index}" if isinstance(self.runner, WorkerRunner) else "local"
        try:
            run = StationRun(word, from_canonical(word.profile.encode()), worker=worker, same_host=same_host)
            run.engine = self._engine(run)
            self.run = run
            ready = run.engine.start()
            if run.viewers is not None:
                run.viewers.prepare(calls_to_kill(run.profile))
        except (PvloadError, OSError) as exc:
            say(self.runner, messages.Ready(run=word.run, worker=worker, failed=str(exc), same_host=same_host))
            return
        run.engine.send(_info(f"{worker} on {socket.gethostname()}"))
        if not run.has_operator:
            run.wanted_ns = self.clock.monotonic_ns()
            run.wanted.set()
        self._began.set()
        answer = messages.Ready(
            run=word.run, worker=worker, sender=ready.sender, engine_pid=ready.pid, pid=os.getpid(), same_host=same_host
        )
        say(self.runner, answer)

    def _engine(self, run: StationRun) -> EngineClient:
        begin, profile = run.begin, run.profile
        host = begin.collector_host or _master_host(self.runner)
        folder = (
            Path(begin.run_dir) if run.same_host else Path(tempfile.gettempdir()) / f"pvload-{os.getuid()}" / run.id
        )
        run.spool = spool_place(run.id, folder) / run.worker
        start = command.Start(
            run=begin.run,
            worker=run.worker,
            incarnation=0,
            collector=f"tcp://{host}:{begin.collector_port}",
            spool=str(run.spool),
            target=profile.target.model_copy(update={"address": begin.address}).model_dump(mode="json"),
            spool_bytes=SPOOL_BYTES,
        )

        def aggregate(one: command.Aggregate) -> None:
            statistics.merge(self.environment.stats, one, statistics.now_s())

        viewers = run.viewers = Viewers(
            start,
            folder=run.spool / "viewers",
            log=folder / "logs" / f"viewers-{run.worker}.log",
            on_aggregate=aggregate,
        )
        return EngineClient(
            start,
            log=folder / "logs" / f"engine-{run.worker}.log",
            on_aggregate=aggregate,
            on_remembered=viewers.tell,
            on_effect=lambda effect: self._effect(run, effect),
            on_given_up=lambda text: self.tell(messages.Failed(run=begin.run, text=text)),
        )

    def _order(self, run: StationRun, word: messages.Order) -> None:
        """Into the user's inbox; the user answers."""
        inbox = run.inboxes.get((word.population, word.ordinal))
        if inbox is not None and not run.ending.is_set():
            inbox.put(word)
            return
        answer = messages.Ordered(
            run=run.id,
            token=word.token,
            population=word.population,
            ordinal=word.ordinal,
            done=False,
            details="the run ends" if inbox is not None else messages.NOBODY,
            at_ns=self.clock.monotonic_ns() + _of(run).clock_offset_ns,
        )
        self.tell(answer)

    def _look_up(self, run: StationRun, word: messages.LookUp) -> None:
        devices: dict[str, list[str]] = {}
        daemon: dict[str, str] = {}
        try:
            about = _of(run).call("GetDaemonInfo", timeout_s=LOOK_UP_TIMEOUT_S)
            daemon = {name: str(value) for name, value in about.answer.items()}
            answered = _of(run).call("ListDevices", timeout_s=LOOK_UP_TIMEOUT_S)
            status, details = answered.status, answered.details
            for row in answered.answer.get("devices", []):
                devices[str(row.get("id", ""))] = [str(one) for one in row.get("capabilities", [])]
        except ChildError as exc:
            status, details = "INTERNAL", exc.message
        found = messages.Found(run=word.run, status=status, details=details, devices=devices, daemon=daemon)
        self.tell(found)

    def _remark(self, run: StationRun, word: messages.Remark) -> None:
        _of(run).send(command.Note(note=word.note, text=word.text))

    def _daemon(self, run: StationRun, word: messages.DaemonEvent) -> None:
        engine = _of(run)
        values = {name: getattr(word, name) for name in word.__slots__ if name not in ("run", "at_ns")}
        engine.send(command.Daemon(at_ns=word.at_ns - engine.clock_offset_ns, **values))

    def _wanted(self, run: StationRun, word: messages.Wanted) -> None:
        """Told to the engine before any user hears of it, so that it stands before the first opened stream."""
        engine = _of(run)
        values = {name: getattr(word, name) for name in word.__slots__ if name not in ("run", "at_ns")}
        at_ns = word.at_ns - engine.clock_offset_ns
        engine.send(command.Wanted(at_ns=at_ns, **values), remember=True)
        if word.wanted:
            run.wanted_ns = run.wanted_ns or at_ns
            run.wanted.set()

    def _end(self, run: StationRun, word: messages.End) -> None:
        run.end()
        engine = _of(run)
        at_ns = word.at_ns - engine.clock_offset_ns
        message = command.RunEnd(
            at_ns=at_ns, reason=word.reason, warm_up_ns=word.warm_up_ns, planned_ns=word.planned_ns
        )
        engine.send(message, remember=True)
        self._close_streams(run, by="run_end")
        put_back(engine, run.profile.target.device, run.changed)
        self.tell(messages.Closed(run=run.id))

    def _close_streams(self, run: StationRun, *, by: str) -> None:
        """Frames and storms first; who watches hears of their last calls, those of other workers too."""
        _close(run.streams, by=by)
        if run.watches:
            gevent.sleep(WATCH_ON_S)
            _close(run.watches, by=by)

    def _stop_camera(self, run: StationRun, word: messages.StopCamera) -> None:
        gevent.sleep(2 * run.period_s)
        with run.camera:
            stop = word.stop or (run.started is not None and not run.started.joined)
            failed, parameters = CameraSteps(_of(run), run.profile, self.clock).end(
                stop=stop, changed=word.changed, before=word.before, shown=word.shown
            )
        self.tell(messages.Stopped(run=run.id, failed=failed, parameters=parameters))

    def _finish(self, run: StationRun, word: messages.Finish) -> None:
        finished = self._finish_engine(run)
        records, delivered = (finished.records, finished.delivered) if finished is not None else (-1, -1)
        self.tell(messages.Finished(run=word.run, records=records, delivered=delivered))
        run.told.set()

    def _finish_engine(self, run: StationRun) -> command.Finished | None:
        self._began.clear()
        run.over.set()
        others = gevent.spawn(run.viewers.finish) if run.viewers is not None else None
        finished = _of(run).finish()
        if others is not None:
            others.join()
        remove_empty(run.spool)
        return finished


def _close(streams: dict[Mailbox, EngineClient], *, by: str) -> None:
    """Orders every stream closed, again now and then: an order to open may just be on its way."""
    beats = 0
    with gevent.Timeout(CLOSE_TIMEOUT_S, False):
        while streams:
            for mailbox, engine in list(streams.items()) if beats % CLOSE_AGAIN_BEATS == 0 else ():
                engine.send(command.Close(id=mailbox.id, by=by))
            beats += 1
            gevent.sleep(CLOSE_BEAT_S)
    if streams:
        _log.error("%d streams did not close within %g s", len(streams), CLOSE_TIMEOUT_S)


def _of(run: StationRun) -> EngineClient:
    if run.engine is None:
        raise ChildError("the engine is not running")
    return run.engine


def _master_host(runner: Runner) -> str:
    return runner.master_host if isinstance(runner, WorkerRunner) else "127.0.0.1"


def _info(text: str) -> command.Note:
    return command.Note(note="info", text=text)
