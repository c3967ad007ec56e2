"""The director's part in the timeline: orders to clients wherever they sit, how far it is, and the daemon's restart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent
from locust.runners import Runner

from pvload.clock import Clock
from pvload.errors import PvloadError
from pvload.load import messages
from pvload.load.director_run import DirectorRun, hear_of_run
from pvload.load.messages import say
from pvload.load.stations import Stations


class DirectorTimeline:
    """Listens to the operator's station, and to those that hold the clients."""

    def __init__(
        self, runner: Runner, stations: Stations, clock: Clock, mine: Callable[[Any], DirectorRun | None]
    ) -> None:
        """mine: the run that a word is of, None if it is of another."""
        self._runner = runner
        self._stations = stations
        self._clock = clock
        self._mine = mine

    def start(self) -> None:
        """Listens."""
        self._hear(messages.AskOrder, self._order)
        self._hear(messages.Ordered, self._ordered)
        self._hear(messages.TimelineAt, self._at)
        self._hear(messages.TimelineDone, self._done)
        self._hear(messages.AskDaemon, lambda run, node, word: gevent.spawn(self._daemon, run, node, word) and None)

    def _hear(self, kind: type[Any], listen: Callable[[DirectorRun, str, Any], None]) -> None:
        hear_of_run(self._runner, kind, self._mine, listen)

    def _order(self, run: DirectorRun, node: str, word: messages.AskOrder) -> None:
        """To the station where the client sits; a client without a seat is not there."""
        run.timeline_node = node
        holder = run.seats.holder(word.population, word.ordinal)
        if holder is None or holder not in self._stations.present():
            self._obeyed(run, word.token, messages.NOBODY)
            return
        order = messages.Order(
            run=run.id,
            token=word.token,
            population=word.population,
            ordinal=word.ordinal,
            action=word.action,
            style=word.style,
            linger_ms=word.linger_ms,
            frames=word.frames,
        )
        say(self._runner, order, to=holder)

    def _ordered(self, run: DirectorRun, _node: str, word: messages.Ordered) -> None:
        self._obeyed(run, word.token, word.details, done=word.done, at_ns=word.at_ns, frames=word.frames)

    def _obeyed(
        self, run: DirectorRun, token: int, details: str, *, done: bool = False, at_ns: int = 0, frames: int = 0
    ) -> None:
        obeyed = messages.Obeyed(
            run=run.id,
            token=token,
            done=done,
            details=details,
            at_ns=at_ns or self._clock.monotonic_ns(),
            frames=frames,
        )
        say(self._runner, obeyed, to=run.timeline_node)

    def _at(self, run: DirectorRun, _node: str, word: messages.TimelineAt) -> None:
        run.timeline_next = word.action + 1

    def _done(self, run: DirectorRun, _node: str, word: messages.TimelineDone) -> None:
        run.timeline_done_ns = word.at_ns

    def _daemon(self, run: DirectorRun, node: str, word: messages.AskDaemon) -> None:
        """Another one, with nothing set in it yet."""
        failed, status = "", 0
        try:
            if run.daemon is None:
                failed = "pvload did not start the daemon"
            else:
                status = run.daemon.restart()
                run.processes.watch("target", run.daemon.pid)
                run.camera.renewed()
        except PvloadError as exc:
            failed = str(exc)
        back = messages.DaemonBack(run=run.id, token=word.token, failed=failed, exit_status=status)
        say(self._runner, back, to=node)
