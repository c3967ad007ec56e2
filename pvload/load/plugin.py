"""Hangs pvload into Locust: one `install` in a locustfile, and every way of running Locust records and judges.

Nothing is started at import: Locust forks its workers after it. What a process is (master, local runner, worker) is
known at `init`; from there on a director and a station do the work, and Locust's events are only passed on to them.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import gevent
from locust import events
from locust.env import Environment
from locust.runners import LocalRunner, MasterRunner, Runner, WorkerRunner

from pvload.clock import Clock, SystemClock
from pvload.errors import PvloadError
from pvload.lifeline import end_with_parent
from pvload.load.director import Director
from pvload.load.options import Source, add_options, early_source
from pvload.load.station import Station
from pvload.load.users import Placeholder, PvloadUser, user_classes, users_override
from pvload.load.voice import Voice
from pvload.profiles.load import from_canonical

_log = logging.getLogger(__name__)
MASTER_PATIENCE_S: Final = 20.0
"""How long a worker that was interrupted waits for its master to end the run for all."""

QUIT_PATIENCE_S: Final = 5.0
"""And then for the master to tell it to quit, so that it does not look lost."""


class Plugin:
    """One process of Locust."""

    def __init__(self, source: Source, place: Placeholder, clock: Clock, own: Sequence[type[PvloadUser]] = ()) -> None:
        """own: the locustfile's own user classes."""
        self._source = source
        self._own = own
        self._place = place
        self._clock = clock
        self._director: Director | None = None
        self._station: Station | None = None
        self._environment: Environment | None = None
        self._signals = 0

    def install(self) -> None:
        """Listens to Locust's events."""
        events.init_command_line_parser.add_listener(lambda parser, **_: add_options(parser))
        events.init.add_listener(self._init)
        events.test_start.add_listener(self._test_start)
        events.test_stopping.add_listener(self._test_stopping)
        events.quitting.add_listener(self._quitting)
        events.quit.add_listener(self._quit)

    def _init(self, environment: Environment, runner: Runner, **_more: Any) -> None:
        self._environment = environment
        options: dict[str, Any] = vars(environment.parsed_options) if environment.parsed_options is not None else {}
        supervised = bool(options.get("pvload_supervised")) and not isinstance(runner, WorkerRunner)
        if supervised:
            end_with_parent()
        if isinstance(runner, MasterRunner | LocalRunner):
            voice = Voice(supervised=supervised)
            self._director = Director(environment, runner, self._source, clock=self._clock, voice=voice)
            self._director.start()
        if isinstance(runner, WorkerRunner | LocalRunner):
            self._station = Station(environment, runner, self._clock, self._welcomed)
            self._place.fill(self._station)
            self._station.start()
        gevent.signal_handler(signal.SIGINT, self._interrupted)
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as nohup sets it
            gevent.signal_handler(signal.SIGHUP, self._hung_up)

    def _welcomed(self, profile: str) -> None:
        """A worker takes the master's populations, whatever profile it was started with."""
        environment = self._environment
        if environment is None or not isinstance(environment.runner, WorkerRunner):
            return
        made = user_classes(from_canonical(profile.encode()), self._place, self._own)
        environment.user_classes[:] = made.values()

    def _test_start(self, **_more: Any) -> None:
        if self._director is not None:
            self._director.begin()

    def _test_stopping(self, **_more: Any) -> None:
        if self._director is not None:
            self._director.end("interrupted")
        elif self._station is not None:
            self._station.leave()

    def _quitting(self, environment: Environment, **_more: Any) -> None:
        if self._director is not None:
            self._director.end("interrupted")
        elif self._station is not None:
            self._station.leave()
            environment.process_exit_code = 2 if self._station.refused else 0

    def _quit(self, **_more: Any) -> None:
        if self._director is not None:
            self._director.last_words()

    def _interrupted(self) -> None:
        """SIGINT: the first one ends the run in order, the second one at once."""
        self._signals += 1
        if self._signals > 1:
            _log.error("interrupted again: ending at once, what was recorded stays")
            os._exit(3)
        gevent.spawn(self._end_in_order)

    def _hung_up(self) -> None:
        """SIGHUP, which a closing terminal sends more than once: ends the run in order."""
        if not self._signals:
            self._interrupted()

    def _end_in_order(self) -> None:
        if self._director is not None:
            ever = self._director.runs > 0
            self._director.end("interrupted")
            headless_before = not ever and self._environment is not None and self._environment.web_ui is None
            _raise_in_main(SystemExit(3) if headless_before else KeyboardInterrupt())
            return
        station = self._station
        if station is not None and station.run is not None:
            station.run.told.wait(MASTER_PATIENCE_S)
            gevent.sleep(QUIT_PATIENCE_S)
        _raise_in_main(KeyboardInterrupt())


def _raise_in_main(exc: BaseException) -> None:
    """Ends Locust's main greenlet, as Ctrl-C does without a handler."""
    hub = gevent.get_hub()
    hub.loop.run_callback(hub.parent.throw, exc)


def install(*own: type[PvloadUser]) -> dict[str, type[PvloadUser]]:
    """Makes pvload part of this Locust; gives the user classes of the profile, for the locustfile's namespace.

    own: user classes of the locustfile; they take the place of the profile's populations of their kinds. A profile that
    cannot be read ends the process with 2 and one clear message.
    """
    place = Placeholder()
    try:
        source = early_source()
        if own:
            before = replace(source, overrides=()).load().profile
            source = replace(source, overrides=(users_override(before, own), *source.overrides))
        profile = source.load().profile
    except PvloadError as exc:
        sys.stderr.write(f"pvload: {exc}\n")
        raise SystemExit(exc.exit_code) from exc
    Plugin(source, place, SystemClock(), own).install()
    return user_classes(profile, place, own)
