"""What watchers of one sender were told: parameter changes, observables, states of devices, health."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from pvload.stats.account import status_name
from pvload.stats.config import FoldConfig
from pvload.stats.counters import CHUNKS, FEW_CHUNKS, Counted
from pvload.stats.histogram import Int64s
from pvload.stats.hold import by_call
from pvload.stats.summary import LIST_LIMIT
from pvload.stats.tenths import Tenths
from pvload.stats.texts import Texts
from pvload.wire.codes import EndedBy, Source, StateFlag
from pvload.wire.event import Records

WATCHES: Final = 4096
"""Most watch streams kept apart; the events of later ones are counted under the name `others`."""
OTHERS: Final = "others"
NAMES: Final = 64
"""Most parameters of one watch stream whose counters are kept."""
_SOURCES: Final = {source.value: source.name.lower() for source in Source}
_LIVENESS: Final = ("unknown", "serving", "not_serving", "service_unknown")
_HEALTH: Final = ("unknown", "healthy", "degraded", "critical")


@dataclass(slots=True)
class Watched:
    """One watch stream."""

    name: str = ""
    device: str = ""
    method: str = ""
    opened_ns: int = 0
    ended: str = ""
    events: int = 0
    """Parameter changes."""
    by_source: Counter[str] = field(default_factory=Counter)
    out_of_order: int = 0
    latest: dict[tuple[str, int, int], int] = field(default_factory=dict)
    """(parameter, source, writer) -> highest counter so far."""
    counted: dict[tuple[str, str], Counted] = field(default_factory=dict)
    """(device, parameter) -> its counters, the first NAMES."""


@dataclass(slots=True)
class ObservedTally:
    """One observable on one watch stream."""

    values: int = 0
    first: tuple[int, float] = (0, 0.0)
    last: tuple[int, float] = (0, 0.0)
    least: float = float("inf")
    most: float = float("-inf")
    longest_ns: int = 0


@dataclass(frozen=True, slots=True, order=True)
class StateSeen:
    """A device's flags at a time of the sender's clock."""

    at_ns: int
    streaming: bool
    online: bool
    pushed: bool


@dataclass(slots=True)
class StateTally:
    """One device."""

    polls: int = 0
    pushes: int = 0
    changes: list[StateSeen] = field(default_factory=list)
    """The first state and every change of a flag; the first thousand."""
    last: StateSeen | None = None
    polled_ns: int | None = None
    longest_ns: int | None = None
    """Between two answers to polls."""

    def seen(self, state: StateSeen, *, streaming_known: bool) -> None:
        """Takes the next state."""
        before = self.last
        if not streaming_known:
            state = StateSeen(state.at_ns, before is not None and before.streaming, state.online, state.pushed)
        self.last = state
        changed = before is None or (before.streaming, before.online) != (state.streaming, state.online)
        if changed and len(self.changes) < LIST_LIMIT:
            self.changes.append(state)
        if state.pushed:
            self.pushes += 1
            return
        self.polls += 1
        if self.polled_ns is not None:
            self.longest_ns = max(self.longest_ns or 0, state.at_ns - self.polled_ns)
        self.polled_ns = state.at_ns


@dataclass(slots=True)
class HealthTally:
    """One module, or a service's liveness."""

    probes: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    oldest: tuple[int, int] | None = None
    """Age of the oldest heartbeat and when it was read, negated."""


class WatchFold:
    """All watchers of one sender."""

    def __init__(self, config: FoldConfig, texts: Texts) -> None:
        self._texts = texts
        self._writers = config.writers
        stormed = frozenset(config.storms.values())
        self._stormed = stormed if stormed and "" not in stormed else None
        """Parameters whose counters matter; None: not known, any may."""
        self._chunks = CHUNKS if stormed else FEW_CHUNKS
        self.watches: dict[int, Watched] = {}
        self.observed: dict[tuple[int, str], ObservedTally] = {}
        self.states: dict[str, StateTally] = {}
        self.health: dict[str, HealthTally] = {}
        self.events = Tenths()
        """Parameter changes told, by the tenth of a second."""

    def opened(self, row: np.void) -> None:
        """Takes a WATCHING record."""
        watch = self._watch(int(row["ref"]))
        watch.name = f"{self._texts.text(int(row['population']))}/{int(row['ordinal'])}"
        watch.device, watch.method = self._texts.text(int(row["device"])), self._texts.text(int(row["method"]))
        watch.opened_ns = int(row["t_ns"])

    def ended(self, row: np.void) -> None:
        """Takes a WATCHED record."""
        if int(row["code"]) in (EndedBy.SERVER, EndedBy.WATCHDOG):
            details = self._texts.text(int(row["details"]))
            self._watch(int(row["ref"])).ended = f"{status_name(int(row['status']))} {details}".strip()

    def parameters(self, rows: Records) -> None:
        """Takes PARAMETER rows in order."""
        self.events.count(rows["t_ns"].astype(np.int64))
        for ref, own in by_call(rows):
            watch = self._watch(ref)
            watch.events += own.size
            sources, counts = np.unique(own["code"], return_counts=True)
            for source, count in zip(sources, counts, strict=True):
                watch.by_source[_SOURCES.get(int(source), f"source_{source}")] += int(count)
            carrying = own[own["counter"] >= 0]
            if carrying.size:
                self._counters(watch, carrying)

    def _counters(self, watch: Watched, rows: Records) -> None:
        keys = np.stack([rows[name].astype(np.int64) for name in ("device", "name", "code")])
        groups, which = np.unique(keys, axis=1, return_inverse=True)
        which = which.reshape(-1)
        for at in range(groups.shape[1]):
            device, name = self._texts.text(int(groups[0, at])), self._texts.text(int(groups[1, at]))
            if self._stormed is None or name in self._stormed:
                self._counted(watch, (device, name), int(groups[2, at]), rows[which == at])

    def _counted(self, watch: Watched, key: tuple[str, str], source: int, rows: Records) -> None:
        counted = watch.counted.get(key)
        if counted is None:
            if len(watch.counted) >= NAMES:
                return
            counted = watch.counted[key] = Counted(self._chunks)
        counters = rows["counter"].astype(np.int64)
        writers = counters % self._writers.get(key[1], self._writers.get("", 1))
        for writer in np.unique(writers):
            self._ordered(watch, (key[1], source, int(writer)), counters[writers == writer])
        counted.add(counters, rows["t_ns"].astype(np.int64))

    def _ordered(self, watch: Watched, key: tuple[str, int, int], counters: Int64s) -> None:
        """Counts disorder among one writer's counters; how several writers' come one among another means nothing."""
        highest = np.maximum.accumulate(np.concatenate(([watch.latest.get(key, -1)], counters)))
        watch.out_of_order += int(np.count_nonzero(counters < highest[:-1]))
        watch.latest[key] = int(highest[-1])

    def observables(self, rows: Records) -> None:
        """Takes OBSERVABLE rows in order."""
        for ref, own in by_call(rows):
            for name in np.unique(own["name"]):
                self._observable((ref, self._texts.text(int(name))), own[own["name"] == name])

    def _observable(self, key: tuple[int, str], rows: Records) -> None:
        tally = self.observed.get(key)
        if tally is None:
            if len(self.observed) >= WATCHES:
                return
            tally = self.observed[key] = ObservedTally()
        times, values = rows["t_ns"].astype(np.int64), rows["value"]
        if tally.values:
            times = np.concatenate(([tally.last[0]], times))
        else:
            tally.first = (int(times[0]), float(values[0]))
        if times.size > 1:
            tally.longest_ns = max(tally.longest_ns, int(np.diff(times).max()))
        tally.values += rows.size
        tally.last = (int(times[-1]), float(values[-1]))
        tally.least = float(np.fmin.reduce(values, initial=tally.least))
        tally.most = float(np.fmax.reduce(values, initial=tally.most))

    def state(self, row: np.void) -> None:
        """Takes a STATE record."""
        flags = int(row["flags"])
        seen = StateSeen(
            at_ns=int(row["t_ns"]),
            streaming=bool(flags & StateFlag.STREAMING),
            online=bool(flags & StateFlag.ONLINE),
            pushed=bool(flags & StateFlag.PUSHED),
        )
        tally = self.states.setdefault(self._texts.text(int(row["device"])), StateTally())
        tally.seen(seen, streaming_known=bool(flags & StateFlag.STREAMING_KNOWN))

    def module(self, row: np.void) -> None:
        """Takes a HEALTH record."""
        liveness, code = bool(int(row["flags"]) & 1), int(row["code"])
        module = self._texts.text(int(row["module"])) or "daemon"
        tally = self.health.setdefault(f"{module} (grpc.health.v1)" if liveness else module, HealthTally())
        names = _LIVENESS if liveness else _HEALTH
        tally.probes += 1
        tally.statuses[names[code] if code < len(names) else f"status_{code}"] += 1
        age_ns = int(row["heartbeat_age_ns"])
        if age_ns >= 0:
            at = (age_ns, -int(row["t_ns"]))
            tally.oldest = at if tally.oldest is None else max(tally.oldest, at)

    def _watch(self, ref: int) -> Watched:
        found = self.watches.get(ref)
        if found is None:
            if len(self.watches) >= WATCHES:
                return self.watches.setdefault(-1, Watched(name=OTHERS))
            found = self.watches[ref] = Watched()
        return found
