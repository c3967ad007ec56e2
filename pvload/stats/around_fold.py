"""One sender's records of everything beside its frames: calls of load users, storms, watchers, actions.

Rows that come by the thousand are taken kind by kind, so nothing here may depend on how one kind stands among another.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from pvload.stats.account import status_name
from pvload.stats.config import FoldConfig
from pvload.stats.counters import Counted
from pvload.stats.histogram import Int64s
from pvload.stats.refusal import REFUSALS, counter_in, refusal_text
from pvload.stats.storming import UNSTATED, CallTally, StormFold
from pvload.stats.summary import LIST_LIMIT
from pvload.stats.texts import Texts
from pvload.stats.watching import WatchFold
from pvload.wire.codes import Outcome, UnaryFlag
from pvload.wire.event import Kind, Records

UNDER_WAY_NS: Final = 1_000_000_000
"""What was written so shortly before the run's end may not have been told yet when the watchers were closed."""
ANSWERS: Final = 40_000
"""Most answers to changes kept: two each of as many changes as are joined."""
STARTED: Final = 0
"""Of a DAEMON record: it was started."""
_OUTCOMES: Final = {outcome.value: outcome.name.lower() for outcome in Outcome}


@dataclass(frozen=True, slots=True, order=True)
class Answer:
    """A unary call that matters to more than its method: one that carries out a change, starts or stops the camera."""

    sent_ns: int
    answered_ns: int
    method: str
    device: str
    status: str
    """gRPC code name."""
    refused: bool
    """Not OK, or `success` false."""
    details: str
    number: int
    change: int
    population: str
    ordinal: int
    already: bool

    def shifted(self, offset_ns: int) -> Answer:
        """The same on another axis of time."""
        return replace(self, sent_ns=self.sent_ns + offset_ns, answered_ns=self.answered_ns + offset_ns)


@dataclass(frozen=True, slots=True, order=True)
class ActionNote:
    """One action of the timeline."""

    at_ns: int
    number: int
    due_ns: int
    text: str
    client: str
    change: int
    outcome: str
    details: str


class AroundFold:
    """All of it, of one sender."""

    def __init__(self, config: FoldConfig, texts: Texts) -> None:
        self._config = config
        self._texts = texts
        self.storms = StormFold()
        self.watching = WatchFold(config, texts)
        self.end_ns: int | None = None
        """The run's end, as soon as it is told."""
        self.written: dict[tuple[str, str], Counted] = {}
        """(device, parameter) -> counters whose writing was answered OK, and when; parameter empty: not known."""
        self.answers: list[Answer] = []
        """To calls that carry out a change."""
        self.restarting: set[int] = set()
        """Changes whose call failed while the daemon was being restarted by plan; as many as are joined."""
        self.camera_calls: list[Answer] = []
        """StartStream and StopStream, the first thousand of each sender."""
        self.poll_failures: dict[str, int] = {}
        """Device -> GetDeviceState calls of load users that failed."""
        self.actions: list[ActionNote] = []
        self.daemon_starts: list[int] = []
        """When the daemon that pvload started was started; the first thousand."""

    def take(self, kind: Kind, row: np.void) -> None:
        """Takes one record of a kind that comes a few times a second at most."""
        match kind:
            case Kind.UNARY:
                self._unary(row)
            case Kind.WATCHING:
                self.watching.opened(row)
            case Kind.WATCHED:
                self.watching.ended(row)
            case Kind.STATE:
                self.watching.state(row)
            case Kind.HEALTH:
                self.watching.module(row)
            case Kind.ACTION:
                self._action(row)
            case Kind.DAEMON if int(row["code"]) == STARTED and len(self.daemon_starts) < LIST_LIMIT:
                self.daemon_starts.append(int(row["t_ns"]))
            case _:
                pass

    def during_restart(self, kind: Kind, row: np.void) -> None:
        """Takes a call that failed, or a watch that ended, while the daemon was being restarted by plan."""
        if kind is Kind.UNARY and row["change"] and len(self.restarting) < ANSWERS:
            self.restarting.add(int(row["change"]))

    def many(self, kind: Kind, rows: Records) -> None:
        """Takes rows of a kind that comes by the thousand, in order."""
        match kind:
            case Kind.CALLED:
                self._called(rows)
            case Kind.PARAMETER:
                self.watching.parameters(rows)
            case Kind.OBSERVABLE:
                self.watching.observables(rows)
            case _:
                pass

    def offered(self, row: np.void, earliest_ns: int) -> None:
        """Takes an OFFERED record in advance."""
        storm = self.storms.storm(int(row["ref"]), self._texts.text(int(row["population"])), int(row["ordinal"]))
        if storm is not None:
            storm.offered(row, earliest_ns)

    # -- calls of a storm ----------------------------------------------------------------------------------------

    def _called(self, rows: Records) -> None:
        keys = np.stack([rows[name].astype(np.int64) for name in ("ref", "population", "ordinal", "method", "device")])
        groups, which = np.unique(keys, axis=1, return_inverse=True)
        which = which.reshape(-1)
        for at in range(groups.shape[1]):
            ref, population, ordinal, method, device = (int(value) for value in groups[:, at])
            own = rows[which == at] if groups.shape[1] > 1 else rows
            name = self._texts.text(population)
            self._calls_of(own, self.storms.tally(name, self._texts.text(method)))
            ok = _ok(own)
            times = own["t_ns"].astype(np.int64)
            parameter = self._config.storms.get(name, "")
            self._wrote(self._texts.text(device), parameter, own["counter"][ok].astype(np.int64), times[ok])
            storm = self.storms.storm(ref, name, ordinal)
            if storm is not None:
                storm.method = self._texts.text(method)
                storm.called(due_ns=own["due_ns"].astype(np.int64), t_ns=times)

    def _calls_of(self, rows: Records, tally: CallTally) -> None:
        t_ns, due_ns, sent_ns = (rows[name].astype(np.int64) for name in ("t_ns", "due_ns", "sent_ns"))
        tally.took(t_ns - np.where(due_ns != 0, due_ns, sent_ns), t_ns)
        ok = _ok(rows)
        tally.ok += int(np.count_nonzero(ok))
        if ok.all():
            return
        unstated = (rows["status"] == 0) & ~ok
        tally.failed[UNSTATED] += int(np.count_nonzero(unstated))
        for status in np.unique(rows["status"][rows["status"] != 0]):
            mine, name = rows["status"] == status, status_name(int(status))
            if name in REFUSALS:
                tally.refused += int(np.count_nonzero(mine))
            else:
                tally.failed[name] += int(np.count_nonzero(mine))
        for row in np.flatnonzero(~ok)[: tally.examples.limit]:
            status = int(rows["status"][row])
            tally.example(int(t_ns[row]), status_name(status) if status else UNSTATED)
        tally.examples.count += max(0, int(np.count_nonzero(~ok)) - tally.examples.limit)

    def _wrote(self, device: str, parameter: str, counters: Int64s, t_ns: Int64s) -> None:
        kept = counters >= 0
        if self.end_ns is not None:
            kept &= t_ns <= self.end_ns - UNDER_WAY_NS
        if kept.any():
            self.written.setdefault((device, parameter), Counted()).add(counters[kept], t_ns[kept])

    # -- calls one by one ----------------------------------------------------------------------------------------

    def _unary(self, row: np.void) -> None:
        texts, flags, status = self._texts, int(row["flags"]), int(row["status"])
        population, method = texts.text(int(row["population"])), texts.text(int(row["method"]))
        answer = Answer(
            sent_ns=int(row["sent_ns"]),
            answered_ns=int(row["t_ns"]),
            method=method.rpartition("/")[2],
            device=texts.text(int(row["device"])),
            status=status_name(status),
            refused=bool(status) or bool(flags & UnaryFlag.APPLICATION_FAILED),
            details=refusal_text(texts.text(int(row["details"])), texts.text(int(row["answer"]))),
            number=int(row["number"]),
            change=int(row["change"]),
            population=population,
            ordinal=int(row["ordinal"]),
            already=bool(flags & UnaryFlag.ALREADY),
        )
        if population:
            self._load_call(row, answer, method)
        if answer.method in ("StartStream", "StopStream"):
            if len(self.camera_calls) < LIST_LIMIT:
                self.camera_calls.append(answer)
        elif answer.change and len(self.answers) < ANSWERS:
            self.answers.append(answer)
        if answer.method == "SetParameter" and not answer.refused:
            written = counter_in(texts.text(int(row["request"])))
            if written is not None:
                self._wrote(answer.device, written[0], np.array([written[1]]), np.array([answer.answered_ns]))

    def _load_call(self, row: np.void, answer: Answer, method: str) -> None:
        tally = self.storms.tally(answer.population, method)
        due_ns = int(row["due_ns"]) or answer.sent_ns
        tally.took(np.array([answer.answered_ns - due_ns]), np.array([answer.answered_ns]))
        if not answer.refused:
            tally.ok += 1
            return
        code = UNSTATED if answer.status == "OK" else answer.status
        if answer.status in REFUSALS or (answer.status == "OK" and answer.details):
            tally.refused += 1
        else:
            tally.failed[code] += 1
        tally.example(answer.answered_ns, f"{code} {answer.details}".strip())
        if answer.method == "GetDeviceState":
            self.poll_failures[answer.device] = self.poll_failures.get(answer.device, 0) + 1

    def _action(self, row: np.void) -> None:
        texts = self._texts
        if len(self.actions) >= LIST_LIMIT:
            return
        self.actions.append(
            ActionNote(
                at_ns=int(row["t_ns"]),
                number=int(row["number"]),
                due_ns=int(row["due_ns"]),
                text=texts.text(int(row["text"])),
                client=texts.text(int(row["client"])),
                change=int(row["change"]),
                outcome=_OUTCOMES.get(int(row["code"]), f"outcome_{int(row['code'])}"),
                details=texts.text(int(row["details"])),
            )
        )


def _ok(rows: Records) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    answered: np.ndarray[tuple[int], np.dtype[np.bool_]] = (rows["status"] == 0) & (
        (rows["flags"] & UnaryFlag.APPLICATION_FAILED) == 0
    )
    return answered
