"""What watchers of all senders were told, put together."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from pvload.stats.around import ModuleHealth, Observed, ParameterEvents, StateChange, States
from pvload.stats.counters import Counted, after
from pvload.stats.figures import NS_PER_S, TO_MS, seconds
from pvload.stats.histogram import Histogram
from pvload.stats.sender import SenderFold
from pvload.stats.summary import LIST_LIMIT, RunFacts
from pvload.stats.watching import OTHERS, HealthTally, ObservedTally, StateSeen, Watched

PARAMETERS = "StreamParameterChanges"


def offset_of(sender: SenderFold) -> int:
    """Run axis minus the sender's clock."""
    return sender.account.clock.axis_offset_ns


Key = tuple[str, str]
"""Device and parameter."""


def written_of(senders: list[SenderFold]) -> dict[Key, Counted]:
    """Counters that were written, and when on the run's axis."""
    found: dict[Key, Counted] = {}
    for sender in senders:
        for key, counted in sender.around.written.items():
            found.setdefault(key, Counted()).merge(counted, offset_of(sender))
    return found


def watchers_of(senders: list[SenderFold]) -> tuple[ParameterEvents, ...]:
    """Parameter watchers by name, each over all its streams."""
    parts: dict[str, list[tuple[int, bytes, int, Watched, int]]] = {}
    for sender in senders:
        for ref, watch in sender.around.watching.watches.items():
            if watch.events or watch.method.rpartition("/")[2] == PARAMETERS:
                key = (watch.opened_ns + offset_of(sender), sender.sender, ref, watch, offset_of(sender))
                parts.setdefault(watch.name or "?/0", []).append(key)
    written = written_of(senders)
    return tuple(_watcher(name, parts[name], written) for name in sorted(parts))[:LIST_LIMIT]


def _watcher(
    name: str, parts: list[tuple[int, bytes, int, Watched, int]], written: dict[Key, Counted]
) -> ParameterEvents:
    told: dict[Key, Counted] = {}
    sources, delays = Counter[str](), Histogram()
    parts.sort(key=lambda part: part[:3])
    for _, _, _, watch, offset in parts:
        sources.update(watch.by_source)
        for key, counted in watch.counted.items():
            told.setdefault(key, Counted()).merge(counted, offset)
    lost, longest, known = 0, 0, False
    for key in sorted(told):
        wrote = written.get(key) or written.get((key[0], ""))
        if wrote is None:
            continue
        own, longest_own = told[key].counters.lost(wrote.counters)
        lost, longest, known = lost + own, max(longest, longest_own), True
        delays.add(after(wrote.stamps.settled(), told[key].stamps.settled()))
    known &= name != OTHERS and not any(one.counters.overflow for one in (*told.values(), *written.values()))
    sets = [told[key].counters for key in sorted(told)]
    return ParameterEvents(
        name=name,
        events=sum(watch.events for *_, watch, _ in parts),
        by_source=dict(sorted(sources.items())),
        first_counter=min((one.first for one in sets if one.first is not None), default=None),
        last_counter=max((one.last for one in sets if one.last is not None), default=None),
        counted=sum(len(one) for one in sets),
        lost=lost if known else None,
        longest_loss=longest if known else 0,
        out_of_order=sum(watch.out_of_order for *_, watch, _ in parts),
        delay_ms=delays.quantiles(scale=TO_MS),
        ended=next((watch.ended for *_, watch, _ in reversed(parts) if watch.ended), ""),
    )


def states_of(senders: list[SenderFold], facts: RunFacts) -> tuple[States, ...]:
    """What was seen of each device's flags, by all who looked."""
    devices = {device for sender in senders for device in sender.around.watching.states}
    devices |= {device for sender in senders for device in sender.around.poll_failures}
    return tuple(_states(device, senders, facts) for device in sorted(devices))[:LIST_LIMIT]


def _states(device: str, senders: list[SenderFold], facts: RunFacts) -> States:
    tallies = [(s, s.around.watching.states[device]) for s in senders if device in s.around.watching.states]
    seen = sorted(
        StateSeen(one.at_ns + offset_of(sender), one.streaming, one.online, one.pushed)
        for sender, tally in tallies
        for one in tally.changes
    )
    changes: list[StateSeen] = []
    for one in seen:
        if not changes or (changes[-1].streaming, changes[-1].online) != (one.streaming, one.online):
            changes.append(one)
    silences = [tally.longest_ns for _, tally in tallies if tally.longest_ns is not None]
    return States(
        device=device,
        polls=sum(tally.polls for _, tally in tallies),
        poll_failures=sum(sender.around.poll_failures.get(device, 0) for sender in senders),
        pushes=sum(tally.pushes for _, tally in tallies),
        changes=tuple(
            StateChange(seconds(one.at_ns, facts.start_ns), device, one.streaming, one.online, one.pushed)
            for one in changes[:LIST_LIMIT]
        ),
        longest_silence_s=max(silences) / NS_PER_S if silences else None,
    )


def observed_of(senders: list[SenderFold]) -> tuple[Observed, ...]:
    """Observables by watcher and name, each over all the watcher's streams."""
    parts: dict[tuple[str, str], list[tuple[int, int, bytes, int, ObservedTally, str]]] = {}
    for sender in senders:
        watching, offset = sender.around.watching, offset_of(sender)
        for (ref, name), tally in watching.observed.items():
            watch = watching.watches.get(ref)
            key = (watch.name if watch is not None else "?/0", name)
            ended = watch.ended if watch is not None else ""
            begin, end = tally.first[0] + offset, tally.last[0] + offset
            parts.setdefault(key, []).append((begin, end, sender.sender, ref, tally, ended))
    return tuple(_observed(key, parts[key]) for key in sorted(parts))[:LIST_LIMIT]


def _observed(key: tuple[str, str], parts: list[tuple[int, int, bytes, int, ObservedTally, str]]) -> Observed:
    parts.sort(key=lambda part: part[:4])
    gaps = [part[4].longest_ns for part in parts if part[4].values > 1]
    gaps += [after_it[0] - before[1] for before, after_it in pairwise(parts)]
    latest = max(parts, key=lambda part: (part[1], part[2], part[3]))
    return Observed(
        watcher=key[0],
        name=key[1],
        values=sum(part[4].values for part in parts),
        first=parts[0][4].first[1],
        last=latest[4].last[1],
        least=min(part[4].least for part in parts),
        most=max(part[4].most for part in parts),
        longest_gap_s=max(0, *gaps) / NS_PER_S if gaps else None,
        ended=next((part[5] for part in reversed(parts) if part[5]), ""),
    )


def health_of(senders: list[SenderFold], facts: RunFacts) -> tuple[ModuleHealth, ...]:
    """The daemon's health by module."""
    merged: dict[str, HealthTally] = {}
    for sender in senders:
        for name, tally in sender.around.watching.health.items():
            whole = merged.setdefault(name, HealthTally())
            whole.probes += tally.probes
            whole.statuses.update(tally.statuses)
            if tally.oldest is not None:
                oldest = (tally.oldest[0], tally.oldest[1] - offset_of(sender))
                whole.oldest = oldest if whole.oldest is None else max(whole.oldest, oldest)
    return tuple(
        ModuleHealth(
            name=name,
            probes=tally.probes,
            statuses=dict(sorted(tally.statuses.items())),
            oldest_heartbeat_s=None if tally.oldest is None else tally.oldest[0] / NS_PER_S,
            oldest_heartbeat_at_s=None if tally.oldest is None else seconds(-tally.oldest[1], facts.start_ns),
        )
        for name, tally in sorted(merged.items())
    )[:LIST_LIMIT]
