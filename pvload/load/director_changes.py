"""The director's part in changes of the camera: turns, numbers, effects, and what every engine is told of them.

One station at a time has its turn. A change gets its number when every engine watches for it, so that no effect can
come too early to be seen; the first effect that any engine sees is the change's, and from then on frames are due as it
says.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import gevent
from locust.runners import Runner

from pvload.clock import NS_PER_S, Clock
from pvload.load import messages
from pvload.load.camera_state import Asked
from pvload.load.director_run import DirectorRun, hear_of_run
from pvload.load.messages import say
from pvload.load.stations import Stations
from pvload.profiles.users import Change

KNOWN_TIMEOUT_S: Final = 0.2
"""How long a change waits for the engines to know of it: one that is just being replaced is not waited for."""
LEASE_S: Final = 300.0
"""Of a turn whose station is there and never says that it is over."""
BEAT_S: Final = 0.005


class DirectorChanges:
    """Listens to the stations; every wait is in a greenlet of its own."""

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
        self._work_on(messages.AskTurn, self._turn)
        self._work_on(messages.AskChange, self._number)
        self._hear(messages.TurnOver, self._turn_over)
        self._hear(messages.ChangeKnown, self._known)
        self._hear(messages.ChangeMade, self._made)
        self._hear(messages.Effect, self._effect)
        self._hear(messages.Wants, self._wants)

    def _hear(self, kind: type[Any], listen: Callable[[DirectorRun, str, Any], None]) -> None:
        hear_of_run(self._runner, kind, self._mine, listen)

    def _work_on(self, kind: type[Any], work: Callable[[DirectorRun, str, Any], None]) -> None:
        self._hear(kind, lambda run, node, word: gevent.spawn(work, run, node, word) and None)

    def _turn(self, run: DirectorRun, node: str, word: messages.AskTurn) -> None:
        """Gives the turn and waits for its end; that of a station that has gone is over."""
        camera = run.camera
        with camera.one_at_a_time:
            if run.over.is_set() or node not in self._stations.present():
                return
            number, over = camera.next_turn()
            turn = messages.Turn(
                run=run.id,
                token=word.token,
                turn=number,
                exposure_ms=max(camera.shown.exposure_ms, camera.set.exposure_ms),
                running=camera.running,
                stopped_ns=camera.stopped_ns,
                joined=run.joined,
            )
            say(self._runner, turn, to=node)
            deadline_ns = self._clock.monotonic_ns() + int(LEASE_S * NS_PER_S)
            while not over.wait(1.0) and node in self._stations.present() and not run.over.is_set():
                if self._clock.monotonic_ns() > deadline_ns:
                    break
            camera.turns.pop(number, None)

    def _turn_over(self, run: DirectorRun, _node: str, word: messages.TurnOver) -> None:
        if not run.camera.running:
            run.camera.stopped_ns = self._clock.monotonic_ns()
        if over := run.camera.turns.get(word.turn):
            over.set()

    def _number(self, run: DirectorRun, node: str, word: messages.AskChange) -> None:
        camera, change, again = run.camera, Change.model_validate(word.change), word.number != 0
        number = word.number or camera.note(Asked(node, change))
        expected = camera.expected(change, again=again)
        told = messages.Change(
            run=run.id,
            number=number,
            device=run.profile.target.device,
            at_ns=self._clock.monotonic_ns(),
            text=expected.text,
            kind=expected.kind,
            again=again,
            width=expected.width,
            height=expected.height,
            binning_x=expected.binning_x,
            binning_y=expected.binning_y,
            exposure_ms=expected.exposure_ms,
            rate_hz=expected.rate_hz if expected.shows else 0.0,
            population=word.population,
            ordinal=word.ordinal,
        )
        nodes = run.able
        run.known.clear()
        self._stations.say_all(nodes, told)
        with gevent.Timeout(KNOWN_TIMEOUT_S, False):
            while {(one, number, again) for one in nodes if one in self._stations.present()} - run.known:
                gevent.sleep(BEAT_S)
        say(self._runner, messages.ChangeNumber(run=run.id, token=word.token, number=number), to=node)

    def _known(self, run: DirectorRun, node: str, word: messages.ChangeKnown) -> None:
        run.known.add((node, word.number, word.again))

    def _made(self, run: DirectorRun, _node: str, word: messages.ChangeMade) -> None:
        asked = run.camera.asked.get(word.number)
        if asked is not None and word.accepted:
            run.camera.accepted(asked.change)

    def _effect(self, run: DirectorRun, _node: str, word: messages.Effect) -> None:
        """The first one counts: it is told to who asked, and frames are due as they are now."""
        asked = run.camera.asked.get(word.number)
        if asked is None or word.again in asked.seen:
            return
        asked.seen.add(word.again)
        seen = messages.EffectSeen(run=run.id, number=word.number, again=word.again, at_ns=word.at_ns)
        say(self._runner, seen, to=asked.node)
        if word.again:
            return
        before = run.camera.shown
        run.camera.effective(asked.change)
        if run.camera.running and run.camera.shown != before:
            self._stations.say_all(run.able, run.camera.word(run.id, word.at_ns))

    def _wants(self, run: DirectorRun, _node: str, word: messages.Wants) -> None:
        if word.went_on:
            run.camera.went_on()
        elif word.wanted:
            run.camera.started()
        else:
            run.camera.stopped(away=word.away)
        self._stations.say_all(run.able, run.camera.word(run.id, word.at_ns))
