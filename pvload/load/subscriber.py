"""The subscriber: a viewer's stream, opened, followed to its end, and opened again."""

from __future__ import annotations

import logging
import random
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import gevent

from pvload.load import messages
from pvload.load.engine_client import EngineClient, Lost, Mailbox
from pvload.load.station import StationRun
from pvload.load.user import SeatedUser, engine_of
from pvload.plan.share import seed_of
from pvload.profiles.users import Kind
from pvload.wire import command

_log = logging.getLogger(__name__)
FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 30.0
JITTER: Final = 0.25
RESUBSCRIBE_PAUSE_S: Final = 0.05
CLOSE_WAIT_S: Final = 1.5
"""How long a killed user waits for its stream's end, so that a changed user count acts within 2 s."""


class BackOff:
    """Pauses between calls: 1 s, doubled up to 30 s, each with up to a quarter more, by the subscriber's own seed."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._next_s = FIRST_PAUSE_S

    def reset(self) -> None:
        """After a call that gave frames."""
        self._next_s = FIRST_PAUSE_S

    def pause_s(self) -> float:
        """The next pause."""
        pause = self._next_s
        self._next_s = min(2 * pause, LONGEST_PAUSE_S)
        return pause * (1 + JITTER * self._chance.random())


@dataclass(slots=True)
class CallEnd:
    """How one call went."""

    by: str
    """As in wire.command.Ended, or `lost` when the engine died."""
    frames_came: bool
    frames: int
    action: str = ""
    """What the watchdog was told to do, if it closed the call."""


class StreamSubscriber(SeatedUser):
    """Watches the camera as a viewer does: one stream, opened again when it ends unasked."""

    abstract = True

    kind: ClassVar[Kind] = "subscriber"

    def work(self, run: StationRun, seat: messages.Seat) -> None:
        """Call after call, until the run or the profile says enough."""
        back_off = BackOff(seed_of(run.profile.run.seed, self.population.name, seat.ordinal))
        number = seat.calls
        while not run.ending.is_set():
            engine = engine_of(run)
            if not engine.wait_up(1.0):
                continue
            number += 1
            end = self._call(run, engine, seat.ordinal, number)
            pause_s = self._pause(run, seat.ordinal, end, back_off)
            if pause_s is None:
                return
            run.ending.wait(pause_s)

    def _pause(self, run: StationRun, ordinal: int, end: CallEnd, back_off: BackOff) -> float | None:
        """Before the next call; None: there is none."""
        if end.frames_came:
            back_off.reset()
        if run.ending.is_set() or end.by in ("run_end", "engine"):
            return None
        if end.by == "lost":
            return 0.0
        if end.by == "watchdog":
            return RESUBSCRIBE_PAUSE_S if end.action == "resubscribe" else None
        if end.by == "order":
            at_ns = self.station.clock.monotonic_ns() + engine_of(run).clock_offset_ns
            done = messages.Done(run=run.id, population=self.population.name, ordinal=ordinal, at_ns=at_ns)
            self.station.tell(done)
            return None
        return back_off.pause_s() if self.planned(run).reconnect else None

    def _call(self, run: StationRun, engine: EngineClient, ordinal: int, number: int) -> CallEnd:
        """Opens the stream and follows it to its end."""
        population = self.planned(run)
        mailbox = engine.open()
        at_ns = self.station.clock.monotonic_ns() + engine.clock_offset_ns
        run.streams[mailbox.id] = mailbox
        try:
            opened = engine.send(
                command.Open(
                    id=mailbox.id,
                    population=population.name,
                    ordinal=ordinal,
                    number=number,
                    device=run.profile.target.device,
                    quality=population.quality,
                    max_fps=population.max_fps,
                    window_bytes=population.window_bytes,
                    silence_ms=1000 * population.silence,
                    on_silence=population.on_silence,
                    stall_ms=1000 * run.profile.criteria.stall_threshold_s,
                    payload=population.payload,
                    payload_every=population.payload_every,
                    stop_after_frames=run.begin.stop_after_frames,
                )
            )
            if not opened:
                return CallEnd(by="lost", frames_came=False, frames=0)
            words = messages.Opened(run=run.id, population=population.name, ordinal=ordinal, number=number, at_ns=at_ns)
            self.station.tell(words)
            return self._follow(run, engine, mailbox)
        finally:
            run.streams.pop(mailbox.id, None)
            engine.close(mailbox)

    def _follow(self, run: StationRun, engine: EngineClient, mailbox: Mailbox) -> CallEnd:
        end = CallEnd(by="lost", frames_came=False, frames=0)
        over = False
        try:
            while not over:
                over = _note(end, mailbox.get(), self.population.name)
        finally:
            if not over:  # killed by Locust: fewer users are wanted
                engine.send(command.Close(id=mailbox.id, by="run_end" if run.ending.is_set() else "order"))
                with gevent.Timeout(CLOSE_WAIT_S, False):
                    while not _note(end, mailbox.get(), self.population.name):
                        pass
        return end


def _note(end: CallEnd, answer: Any, name: str) -> bool:
    """Takes one answer into `end`; was it the last?"""
    match answer:
        case command.FirstFrame():
            end.frames_came = True
        case command.Timeout():
            end.action = answer.action
            _log.warning("%s: no frame for %.1f s", name, answer.waited_ms / 1000)
        case command.Ended():
            end.by, end.frames = answer.by, answer.frames
            if answer.by == "server":
                _log.warning("%s: the stream ended: %s %s", name, answer.status, answer.details)
            return True
        case command.Failed():
            end.by = "server"
            _log.error("%s: the stream could not be ordered: %s", name, answer.reason)
            return True
        case Lost():
            end.by = "lost"
            return True
    return False
