"""The timeline, carried out by the operator's station: one action after another, each at its time or on its condition.

An action that is late because the one before it took long is done at once, and its record says when it was due. What
was not reached when the run ends is recorded as such.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

import gevent
from gevent.event import AsyncResult

from pvload.clock import NS_PER_MS, NS_PER_S
from pvload.load import messages
from pvload.load.camera import CameraSteps
from pvload.load.changing import ENGINE_TIMEOUT_S, Made, camera_turn
from pvload.load.children import ChildError
from pvload.load.engine_client import EngineClient
from pvload.load.station import Station, StationRun
from pvload.plan.timeline import Condition, condition, due_s, words
from pvload.profiles.timeline import Action
from pvload.wire import command
from pvload.wire.answers import word_of

_log = logging.getLogger(__name__)
ORDER_TIMEOUT_S: Final = 15.0
"""How long a client may take to open or leave its stream."""
NOBODY_TIMEOUT_S: Final = 10.0
"""How long a client that is not there yet is waited for."""
MARK_TIMEOUT_S: Final = 30 * 24 * 3600.0
BEAT_S: Final = 0.05
POLL_S: Final = 0.1
WATCHED_CLIENTS: Final = 8
"""`after N frames` looks at so many streams at most; the first that has them counts."""
LINGER_MS: Final = 30_000.0
"""How long a hanging client's connection is kept."""
BACK_TIMEOUT_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Done:
    """How one action went."""

    outcome: str
    """An Outcome name in lower case."""
    details: str = ""
    change: int = 0


class Timeline:
    """One run's."""

    def __init__(self, station: Station, run: StationRun, *, begin: Callable[[], None], started: bool) -> None:
        """begin: starts the camera for the first time; started: it was started before."""
        self._station = station
        self._run = run
        self._begin = begin
        self._started = started
        self._last: Made | None = None
        """The last `set`, for `expect`."""

    def carry_out(self, first: int) -> None:
        """The actions from number `first` on, until they are done or the run ends."""
        actions = list(enumerate(self._run.profile.timeline))[first:]
        for number, action in actions:
            due_ns = self._await(action)
            if due_ns is None or self._run.ending.is_set():
                self._leave_off(actions[number - first :])
                return
            self._station.tell(messages.TimelineAt(run=self._run.id, action=number))
            times = action.count if action.action == "cycle" else 1
            for before in range(times):
                if self._run.ending.is_set():
                    left = Done("not_reached", f"{times - before} of {times} left when the run ended")
                    self._record(number, action, left, self._now_ns())
                    break
                self._record(number, action, self._do(action), due_ns)
                due_ns = self._now_ns()
        self._station.tell(messages.TimelineAt(run=self._run.id, action=len(self._run.profile.timeline)))
        if self._run.profile.run.ends == "timeline" and not self._run.ending.wait(2 * self._run.period_s):
            at_ns = self._now_ns() + self._engine.clock_offset_ns
            self._station.tell(messages.TimelineDone(run=self._run.id, at_ns=at_ns))

    def _leave_off(self, actions: Iterable[tuple[int, Action]]) -> None:
        for number, action in actions:
            self._record(number, action, Done("not_reached", "the run ended before"), self._now_ns())

    def _record(self, number: int, action: Action, done: Done, due_ns: int) -> None:
        text = words(action, self._run.profile.camera)
        _log.info("%s: %s %s", text, done.outcome, done.details)
        word = command.Action(
            number=number,
            text=text,
            outcome=done.outcome,
            details=done.details,
            due_ns=due_ns,
            at_ns=self._now_ns(),
            client=action.client,
            change=done.change,
        )
        if not self._engine.send(word) and self._engine.wait_up(ENGINE_TIMEOUT_S):
            self._engine.send(word)

    # When.

    def _await(self, action: Action) -> int | None:
        """Waits until the action is due; when that was, this host's monotonic clock, None: the run ended before."""
        at_s = due_s(action, duration_s=self._run.profile.run.duration)
        if at_s is not None:
            due_ns = self._run.wanted_ns + int(at_s * NS_PER_S)
            ended = self._run.ending.wait(max(0, due_ns - self._now_ns()) / NS_PER_S)
            return None if ended else due_ns
        wish = condition(action)
        if wish is None:
            return self._now_ns()
        found = self._frames(wish, until_ns=None)
        return found.at_ns - self._engine.clock_offset_ns if found is not None else None

    def _frames(self, wish: Condition, *, until_ns: int | None) -> messages.Obeyed | None:
        """Waits until a client's call has so many frames; None: not before until_ns, or the run's end."""
        found: AsyncResult = AsyncResult()
        asking = [gevent.spawn(self._mark, seat, wish.frames, found) for seat in self._seats(wish.client)]
        try:
            while not self._run.ending.is_set() and (until_ns is None or self._now_ns() < until_ns):
                if found.wait(BEAT_S) is not None:
                    obeyed: messages.Obeyed = found.get()
                    return obeyed
            return None
        finally:
            gevent.killall(asking, block=False)

    def _mark(self, seat: tuple[str, int], frames: int, found: AsyncResult) -> None:
        """Asks again, call after call, until one has so many frames."""
        while True:
            try:
                obeyed = self._order(seat, "mark", frames=frames, timeout_s=MARK_TIMEOUT_S)
            except ChildError:
                obeyed = None
            if obeyed is not None and obeyed.done:
                found.set(obeyed)
                return
            gevent.sleep(BEAT_S)

    def _seats(self, client: str) -> list[tuple[str, int]]:
        """Of one population, or of those that stream at all."""
        populations = [
            one
            for one in self._run.profile.users
            if one.name == client or (not client and one.kind in ("subscriber", "gui-viewer"))
        ]
        seats = [(one.name, ordinal) for one in populations for ordinal in range(one.count)]
        return seats if client else seats[:WATCHED_CLIENTS]

    # What.

    def _do(self, action: Action) -> Done:
        """Does it; whatever it cannot do is its outcome and stops nothing else. The run's end is nobody's failure."""
        done = self._tried(action)
        ended = self._run.ending.is_set() and done.outcome in ("failed", "unmet")
        return Done("not_reached", f"the run ended meanwhile: {done.details}", done.change) if ended else done

    def _tried(self, action: Action) -> Done:
        try:
            self._engine.wait_up(ENGINE_TIMEOUT_S)
            match action.action:
                case "open" | "close" | "abort":
                    return self._clients(action)
                case "set":
                    return self._set(action)
                case "expect":
                    return self._expect(action)
                case "start":
                    return Done("done", self._start())
                case "stop":
                    return Done("done", self._stop())
                case "cycle":
                    return self._cycle(action)
                case "restart_daemon":
                    return self._restart_daemon()
                case _:
                    ended = self._run.ending.wait(action.pause)
                    return Done("not_reached" if ended else "done")
        except ChildError as exc:
            return Done("failed", exc.message)

    def _clients(self, action: Action) -> Done:
        style = action.abort if action.action == "abort" else "clean"
        seats = self._seats(action.client)
        asked = [gevent.spawn(self._client, seat, action.action, style) for seat in seats]
        gevent.joinall(asked)
        failed = [str(one.value) for one in asked if one.value]
        return Done("failed", "; ".join(failed)[:500]) if failed else Done("done")

    def _client(self, seat: tuple[str, int], what: str, style: str) -> str:
        """Orders one client; why it could not be done, empty if it was. One that is not there yet is waited for."""
        deadline_ns = self._now_ns() + int(NOBODY_TIMEOUT_S * NS_PER_S)
        while True:
            try:
                obeyed = self._order(seat, what, style=style, linger_ms=LINGER_MS, timeout_s=ORDER_TIMEOUT_S)
            except ChildError as exc:
                return f"{seat[0]}: {exc.message}"
            if obeyed.done:
                return ""
            if obeyed.details != messages.NOBODY or self._now_ns() > deadline_ns or self._run.ending.is_set():
                return f"{seat[0]}: {obeyed.details}"
            gevent.sleep(BEAT_S)

    def _set(self, action: Action) -> Done:
        if action.change is None:
            return Done("failed", "nothing to set")
        with camera_turn(self._station, self._run) as turn:
            made = self._last = turn.change(
                action.change, within_s=action.within, via=action.via, restart=action.restart
            )
        return Done("done", _what_came_of(made), made.number)

    def _expect(self, action: Action) -> Done:
        unmet = [said for said in (self._unmet_state(action), self._unmet_set(action)) if said]
        number = self._last.number if self._last is not None and (action.effect or action.error) else 0
        return Done("unmet", "; ".join(unmet), number) if unmet else Done("done", "", number)

    def _unmet_set(self, action: Action) -> str:
        """Why the last `set` is not as expected."""
        last = self._last
        if not (action.effect or action.error):
            return ""
        if last is None:
            return "nothing was set before"
        if action.effect and not last.effective:
            return f"no frame showed {last.text}"
        said = f"{last.status} {last.details}"
        if action.error and (last.accepted or action.error not in said):
            return f"{last.text} was answered with {said.strip()}"
        return ""

    def _unmet_state(self, action: Action) -> str:
        if not action.state:
            return ""
        deadline_ns, said = self._now_ns() + int(action.within * NS_PER_S), "not known"
        while True:
            answered = self._engine.call(
                "GetDeviceState", operator=True, device_id=self._run.profile.target.device, timeout_s=action.within
            )
            if answered.status == "OK":
                said = "streaming" if answered.answer.get("streaming", False) else "idle"
            else:
                said = f"{answered.status} {answered.details}"
            if said == action.state:
                return ""
            if self._now_ns() >= deadline_ns or self._run.ending.wait(POLL_S):
                return f"its state is {said}"

    def _start(self) -> str:
        if not self._started:
            self._begin()
            self._started = True
            return ""
        with camera_turn(self._station, self._run) as turn:
            answered = turn.start()
        return f"StartStream took {_took(answered)}"

    def _stop(self) -> str:
        with camera_turn(self._station, self._run) as turn:
            answered = turn.stop()
        captured = answered.answer.get("frames_captured")
        return f"StopStream took {_took(answered)}" + (f", {captured} frames captured" if captured is not None else "")

    def _cycle(self, action: Action) -> Done:
        """One start, its frames, one stop, and the pause."""
        before = self._count(action.client)
        try:
            said = [self._start()]
            came, took_s = self._follow(action, before)
            said.append(f"{came} of {action.frames} frames in {took_s:.2f} s")
            failed = came < action.frames
        except ChildError as exc:
            said, failed = [exc.message], True
        said.append(self._stop())
        self._run.ending.wait(action.pause)
        details = "; ".join(one for one in said if one)
        return Done("failed" if failed else "done", details)

    def _count(self, client: str) -> dict[tuple[str, int], int]:
        """Frames of the call of each client that has one open."""
        counts: dict[tuple[str, int], int] = {}
        for seat in self._seats(client)[:WATCHED_CLIENTS]:
            obeyed = self._order(seat, "mark", frames=0, timeout_s=ORDER_TIMEOUT_S) if self._started else None
            counts[seat] = obeyed.frames if obeyed is not None and obeyed.done else 0
        return counts

    def _follow(self, action: Action, before: dict[tuple[str, int], int]) -> tuple[int, float]:
        """Waits for the cycle's frames of any client, piece by piece; (how many came, seconds they took).

        It ends at once where a piece takes longer than its frames and the stall threshold.
        """
        period_ns, began_ns = int(self._run.period_s * NS_PER_S), self._now_ns()
        stall_ns = int(self._run.profile.criteria.stall_threshold_s * NS_PER_S)
        piece = max(1, stall_ns // (2 * period_ns))
        came, first = 0, True
        while came < action.frames and not self._run.ending.is_set():
            wished = min(action.frames, came + piece)
            patience_ns = (wished - came) * period_ns + stall_ns + (int(NOBODY_TIMEOUT_S * NS_PER_S) if first else 0)
            if not self._any_reaches(before, wished, self._now_ns() + patience_ns):
                break
            came, first = wished, bool(not any(before.values()) and came == 0)
        return came, (self._now_ns() - began_ns) / NS_PER_S

    def _any_reaches(self, before: dict[tuple[str, int], int], frames: int, until_ns: int) -> bool:
        """Has any client so many frames more than before, in time?"""
        found: AsyncResult = AsyncResult()
        asking = [gevent.spawn(self._mark, seat, count + frames, found) for seat, count in before.items()]
        try:
            while found.wait(BEAT_S) is None:
                if self._run.ending.is_set() or self._now_ns() >= until_ns:
                    return False
            return True
        finally:
            gevent.killall(asking, block=False)

    def _restart_daemon(self) -> Done:
        """Stops the daemon, starts it, sets the camera as at the start, and starts it if it ran."""
        with camera_turn(self._station, self._run) as turn:
            was_running = turn.running
            turn.away()
            try:
                status = self._renewed_daemon()
                if was_running:
                    turn.start()
                else:
                    turn.back(running=False)
            except ChildError:
                turn.back(running=was_running)
                raise
        return Done("done", f"it had ended with {status}")

    def _renewed_daemon(self) -> int:
        """Another one that answers and is set as at the start; the exit status of the one before it."""
        run, station = self._run, self._station
        timeout_s = run.profile.target.start_within + BACK_TIMEOUT_S
        back: messages.DaemonBack = station.ask(
            lambda token: messages.AskDaemon(run=run.id, token=token), timeout_s=timeout_s
        )
        if back.failed:
            raise ChildError(back.failed)
        self._await_answer()
        CameraSteps(self._engine, run.profile, station.clock).set_again()
        return back.exit_status

    def _await_answer(self) -> None:
        """Until the engine's own connection has found the new daemon."""
        deadline_ns = self._now_ns() + int(BACK_TIMEOUT_S * NS_PER_S)
        while (answered := self._engine.call("GetDaemonInfo", operator=True, timeout_s=2.0)).status != "OK":
            if self._now_ns() > deadline_ns or self._run.ending.wait(POLL_S):
                raise ChildError(f"the daemon does not answer: {answered.status} {answered.details}")

    def _order(
        self,
        seat: tuple[str, int],
        what: str,
        *,
        style: str = "clean",
        linger_ms: float = 0.0,
        frames: int = 0,
        timeout_s: float,
    ) -> messages.Obeyed:
        obeyed: messages.Obeyed = self._station.ask(
            lambda token: messages.AskOrder(
                run=self._run.id,
                token=token,
                population=seat[0],
                ordinal=seat[1],
                action=what,
                style=style,
                linger_ms=linger_ms,
                frames=frames,
            ),
            timeout_s=timeout_s,
        )
        return obeyed

    def _now_ns(self) -> int:
        """This host's monotonic clock."""
        return self._station.clock.monotonic_ns()

    @property
    def _engine(self) -> EngineClient:
        if self._run.engine is None:
            raise ChildError("the engine is not running")
        return self._run.engine


def _what_came_of(made: Made) -> str:
    """A change in words, as far as its maker knows."""
    answer = "answered OK" if made.accepted else f"{word_of(made.status)}: {made.status} {made.details}".strip()
    if made.effect_ms is not None:
        return f"{answer}, in effect after {made.effect_ms:.0f} ms"
    if not made.restarted:
        return answer
    again = "no effect" if made.again_ms is None else f"in effect {made.again_ms:.0f} ms"
    return f"{answer}; {again} after a stop and a start"


def _took(answered: command.Answered) -> str:
    return f"{(answered.answered_ns - answered.sent_ns) / NS_PER_MS:.1f} ms"
