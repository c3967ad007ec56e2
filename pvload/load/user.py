"""What every user of pvload shares: its population, its station, its seat, and how its life begins and ends.

A user is never moved or copied: Locust makes it, the run's director gives it a seat (its ordinal), and when Locust
kills it, it closes what it opened and gives the seat back. All waiting is on mailboxes and events.
"""

from __future__ import annotations

import logging
import random
from typing import ClassVar

import gevent
from locust import User, constant, task

from pvload.load import messages
from pvload.load.children import ChildError
from pvload.load.engine_client import EngineClient
from pvload.load.station import Station, StationRun
from pvload.plan.share import seed_of
from pvload.profiles.users import Kind, Users
from pvload.profiles.values import moment_s
from pvload.wire import command

_log = logging.getLogger(__name__)


class Placeholder:
    """Where the user classes find their process's station; filled in when Locust has forked and is ready."""

    def __init__(self) -> None:
        self._station: Station | None = None

    def fill(self, station: Station) -> None:
        """Sets it, once."""
        self._station = station

    def get(self) -> Station:
        """The station; ChildError before there is one."""
        if self._station is None:
            raise ChildError("users were started before Locust was ready")
        return self._station


class PvloadUser(User):
    """What all kinds share: the wait for a run, and the rest after it."""

    abstract = True
    wait_time = constant(1)
    """Between two runs; and should a task fail, it does not fail in a tight loop."""
    kind: ClassVar[Kind]
    """Of the populations that this class is for."""
    population: ClassVar[Users]
    place: ClassVar[Placeholder]

    @property
    def station(self) -> Station:
        """This process's."""
        return self.place.get()

    def planned(self, run: StationRun) -> Users:
        """The population as this run has it: form fields may have changed what the class was made from."""
        return next((one for one in run.profile.users if one.name == self.population.name), self.population)

    def rest(self) -> None:
        """Nothing more to do: waits to be stopped."""
        while True:
            gevent.sleep(3600)


class SeatedUser(PvloadUser):
    """A user with a number of its own: it claims a seat, waits until it is to begin, does its work, and rests."""

    abstract = True

    @task
    def live(self) -> None:
        """The whole life of the user in one run."""
        run = self.station.wait_begun()
        try:
            seat: messages.Seat = self.station.ask(
                lambda token: messages.Claim(run=run.id, population=self.population.name, token=token)
            )
        except ChildError as exc:
            _log.error("%s: no seat: %s", self.population.name, exc.message)
            self.rest()
            return
        self.tell(run, seat.ordinal, "spawned")
        try:
            run.wanted.wait()
            if not run.ending.wait(self._late_s(run, seat.ordinal)):
                self.work(run, seat)
            self.rest()
        except ChildError as exc:
            _log.error("%s/%d: %s", self.population.name, seat.ordinal, exc.message)
            self.rest()
        finally:
            self.tell(run, seat.ordinal, "stopped")
            self.station.tell(messages.Release(run=run.id, population=self.population.name, ordinal=seat.ordinal))

    def work(self, run: StationRun, seat: messages.Seat) -> None:
        """What this kind of user does from its first deed to its last; returns when the run is ending or it is done."""
        raise NotImplementedError

    def tell(self, run: StationRun, ordinal: int, change: str, details: str = "") -> None:
        """Records what became of this user."""
        engine_of(run).send(
            command.User(population=self.population.name, ordinal=ordinal, change=change, details=details)
        )

    def _late_s(self, run: StationRun, ordinal: int) -> float:
        """From now to the first deed: `start_after` counts from the camera's start, the spread is the user's own."""
        population = self.planned(run)
        since_s = (self.station.clock.monotonic_ns() - run.wanted_ns) / 1e9 if run.wanted_ns else 0.0
        after_s = moment_s(population.start_after, duration_s=run.profile.run.duration) - since_s
        own = random.Random(seed_of(run.profile.run.seed, population.name + "/start", ordinal)).random()
        return max(0.0, after_s) + own * population.start_spread


def engine_of(run: StationRun) -> EngineClient:
    """The run's engine; ChildError if this station has none."""
    if run.engine is None:
        raise ChildError("the engine is not running")
    return run.engine
