"""The parameter-changer: sequences and walks whose effect is looked for on the frames, and storms.

A change of a sequence or walk is made within the camera's turn, so that no two effects are confused. A storm is an
open-loop schedule in the engine: the user orders it once, with its share of the rate and counters of its own.
"""

from __future__ import annotations

import itertools
import logging
import random
from collections.abc import Iterator
from typing import Any, ClassVar, Final

from pvload.clock import NS_PER_S
from pvload.load import messages, statistics
from pvload.load.camera import CameraError
from pvload.load.changing import Made, camera_turn
from pvload.load.children import ChildError
from pvload.load.churn import drawn_s
from pvload.load.engine_client import Lost
from pvload.load.station import StationRun
from pvload.load.user import SeatedUser, engine_of
from pvload.load.walk import Offered, due_at_most, offered, shares_of, storm_values, walkables, walked
from pvload.plan.changed import changed
from pvload.plan.share import seed_of
from pvload.profiles.users import Change, Changes, Kind
from pvload.profiles.values import moment_s
from pvload.wire import command
from pvload.wire.answers import word_of

_log = logging.getLogger(__name__)
PERIODS: Final = 4
"""A change's effect is waited for so many frame periods at least."""
LEAD_NS: Final = NS_PER_S // 2
"""A storm begins so long after its users: all of them on all workers have ordered it by then."""
MARGIN_S: Final = 1.0
"""A storm that is ordered again, since its engine died, counts on from what was due by then and so long after."""
CLOSE_WAIT_S: Final = 1.5


class ParameterChanger(SeatedUser):
    """Changes the camera on purpose."""

    abstract = True
    kind: ClassVar[Kind] = "changer"

    def work(self, run: StationRun, seat: messages.Seat) -> None:
        """By the profile's mode."""
        changes = self.planned(run).changes or Changes()
        if changes.mode == "storm":
            self._storm(run, seat.ordinal, changes)
        else:
            self._one_by_one(run, seat.ordinal, changes)

    def changes(self, run: StationRun, ordinal: int) -> Iterator[Change]:
        """What is changed, one after another."""
        planned = self.planned(run).changes or Changes()
        if planned.mode == "sequence":
            yield from itertools.cycle(planned.steps)
            return
        among = walkables(planned, self._offered(run))
        if not among:
            self._note(run, ordinal, "finds nothing to walk: no writable parameter with choices or with a range")
        for step in itertools.count() if among else ():
            yield walked(
                among, run_seed=run.profile.run.seed, population=self.population.name, ordinal=ordinal, step=step
            )

    # Sequences and walks.

    def _one_by_one(self, run: StationRun, ordinal: int, planned: Changes) -> None:
        chance = random.Random(seed_of(run.profile.run.seed, f"{self.population.name}/every", ordinal))
        for change in self.changes(run, ordinal):
            if run.ending.is_set():
                return
            try:
                made = self._made(run, ordinal, planned, change)
                statistics.call(
                    self.environment.stats, self.population.name, planned.via, made.took_ms, _fault_of(made)
                )
            except CameraError as exc:
                self._note(run, ordinal, exc.message, note=exc.note)
            except ChildError as exc:
                _log.error("%s/%d: %s", self.population.name, ordinal, exc.message)
            if run.ending.wait(drawn_s(planned.every, chance.random())):
                return

    def _made(self, run: StationRun, ordinal: int, planned: Changes, change: Change) -> Made:
        camera = run.profile.camera
        words = changed(camera, camera, change)
        self._remember(run, words.parameter)
        period_s = max(run.period_s, words.exposure_ms / 1000)
        with camera_turn(self.station, run, population=self.population.name, ordinal=ordinal) as turn:
            return turn.change(
                change,
                within_s=max(planned.effect_within, PERIODS * period_s),
                via=planned.via,
                verify=planned.verify,
                restart=planned.restart,
            )

    def _remember(self, run: StationRun, parameter: str) -> None:
        """The value before the first change of it by anybody here, to be put back at the run's end."""
        if parameter in run.changed:
            return
        answered = engine_of(run).call(
            "GetParameter", device_id=run.profile.target.device, parameter_name=parameter, operator=True
        )
        if answered.status == "OK":
            run.changed.setdefault(parameter, str(answered.answer.get("value", "")))

    # Storms.

    def _storm(self, run: StationRun, ordinal: int, planned: Changes) -> None:
        parameter, values = storm_values(planned, self._offered(run))
        if not parameter:
            self._note(run, ordinal, f"finds none of {', '.join(planned.parameters) or 'no parameter'} to set")
            return
        self._remember(run, parameter)
        used: int | None = 0
        while used is not None and not run.ending.is_set():
            used = self._stormed(run, ordinal, planned, (parameter, values), used)

    def _stormed(
        self, run: StationRun, ordinal: int, planned: Changes, what: tuple[str, list[str]], used: int
    ) -> int | None:
        """Orders the storm and waits for its end; how many counters are used up, where it is to be ordered again.

        It is where its engine died. Counters do not leap: a parameter may be a short integer.
        """
        engine = engine_of(run)
        if not engine.wait_up(1.0):
            return used
        users = max(1, self.planned(run).count)
        begin_ns, rates_hz = self._begin_ns(run), shares_of(planned.rates_hz, users)
        mailbox = engine.open()
        run.streams[mailbox] = engine
        order = command.Storm(
            id=mailbox.id,
            population=self.population.name,
            ordinal=ordinal,
            device=run.profile.target.device,
            parameter=what[0],
            values=what[1],
            first=ordinal + used * users,
            stride=users,
            rates_hz=rates_hz,
            step_ms=1000 * planned.step,
            begin_ns=begin_ns,
            in_flight=planned.in_flight,
        )
        over: Any = None
        try:
            if not engine.send(order):
                return used
            over = mailbox.get()
            if isinstance(over, command.Failed):
                self._note(run, ordinal, f"the storm could not be ordered: {over.reason}")
            if not isinstance(over, Lost):
                return None
            lived_s = (self.station.clock.monotonic_ns() - begin_ns) / NS_PER_S + MARGIN_S
            return used + due_at_most(rates_hz, step_s=planned.step, elapsed_s=lived_s)
        finally:
            if over is None:  # killed by Locust
                engine.send(command.Close(id=mailbox.id))
                mailbox.get(CLOSE_WAIT_S)
            run.streams.pop(mailbox, None)
            engine.close(mailbox)

    def _begin_ns(self, run: StationRun) -> int:
        """When the schedule begins, the same for all users that are there in time; this host's monotonic clock."""
        after_s = moment_s(self.planned(run).start_after, duration_s=run.profile.run.duration)
        return max(run.wanted_ns + int(after_s * NS_PER_S) + LEAD_NS, self.station.clock.monotonic_ns() + LEAD_NS // 10)

    def _offered(self, run: StationRun) -> tuple[Offered, ...]:
        answered = engine_of(run).call("ListParameters", device_id=run.profile.target.device, operator=True)
        return offered(answered.answer) if answered.status == "OK" else ()

    def _note(self, run: StationRun, ordinal: int, text: str, *, note: str = "info") -> None:
        _log.error("%s/%d %s", self.population.name, ordinal, text)
        engine_of(run).send(command.Note(note=note, text=f"{self.population.name}/{ordinal} {text}"))


def _fault_of(made: Made) -> str:
    """For Locust's statistics; empty: the change was accepted."""
    return "" if made.accepted else f"{made.status}: {word_of(made.status)}"
