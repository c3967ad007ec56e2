"""What monitors and the daemon's log told of the host, the daemon and its processes, put together for the summary."""

from __future__ import annotations

from collections import Counter
from math import isnan
from typing import Final

import numpy as np

from pvload.stats.around import DaemonLife, Growth, Machine, Resource
from pvload.stats.figures import NS_PER_S, seconds
from pvload.stats.growth import judge
from pvload.stats.histogram import Int64s
from pvload.stats.machines import Host, Machines
from pvload.stats.sender import SenderFold

FIGURES: Final = ("rss", "fds", "threads")
"""In the order in which they are kept."""
LEAST_RSS_BYTES: Final = 1024 * 1024
LEAST_RSS_SHARE: Final = 0.01
LEAST_COUNT: Final = 1.0
LEAST_WATCHED_NS: Final = 60 * NS_PER_S
WHOLE_RUN_NS: Final = 15 * 60 * NS_PER_S
RESOURCES: Final = 4000
AROUND_NS: Final = 5 * NS_PER_S
EVERY: Final = 10
_CHANGES: Final = ("started", "answers", "stopping", "gone")


def growth_of(senders: list[SenderFold]) -> tuple[Growth, ...]:
    """Three figures of each watched process.

    One that was watched for less than a minute beside a longer one of its name (a copy of it, a first try) is left out.
    """
    found = []
    for sender in senders:
        watched = sender.company.machines.growth
        longest = Counter[str]()
        for (name, _), series in watched.items():
            longest[name] = max(longest[name], series.length_ns)
        for (name, pid), series in watched.items():
            if series.length_ns < min(LEAST_WATCHED_NS, longest[name]):
                continue
            times, means = series.means()
            for at, figure in enumerate(FIGURES):
                values = means[:, at]
                least = LEAST_COUNT
                if figure == "rss":
                    least = max(LEAST_RSS_BYTES, LEAST_RSS_SHARE * float(np.median(values)))
                judged = judge(times, values, least_change=least)
                found.append(
                    Growth(
                        process=name,
                        pid=pid,
                        figure=figure,
                        result=judged.result,
                        windows=judged.windows,
                        window_s=judged.window_s,
                        correlation_s=judged.correlation_s,
                        first=judged.first,
                        last=judged.last,
                        per_hour=judged.per_hour,
                        per_hour_low=judged.per_hour_low,
                        reason=judged.reason,
                    )
                )
    return tuple(sorted(found, key=lambda one: (one.process, one.pid, FIGURES.index(one.figure), one.windows)))


def machines_of(senders: list[SenderFold]) -> tuple[Machine, ...]:
    """Hosts by name; each monitor's view stands alone."""
    found = [
        _machine(name, host)
        for sender in senders
        for name, host in sender.company.machines.hosts.items()
        if host.tally.samples
    ]
    return tuple(sorted(found, key=lambda machine: (machine.name, machine.samples)))


def _machine(name: str, host: Host) -> Machine:
    tally = host.tally
    span_s = (tally.last_ns - tally.first_ns) / NS_PER_S

    def each_s(total: float) -> float | None:
        return total / span_s if span_s > 0 else None

    return Machine(
        name=name,
        samples=tally.samples,
        disk_read_mb_s=each_s(tally.read_bytes / 1e6),
        disk_written_mb_s=each_s(tally.written_bytes / 1e6),
        disk_busy_share=each_s(tally.busy_ns / NS_PER_S),
        network_in_mb_s=each_s(tally.in_bytes / 1e6),
        network_out_mb_s=each_s(tally.out_bytes / 1e6),
        network_drops=tally.drops,
        interrupts_per_s=each_s(tally.interrupts),
        context_switches_per_s=each_s(tally.switches),
    )


def daemon_of(senders: list[SenderFold], start_ns: int) -> tuple[DaemonLife, ...]:
    """What became of the daemon that pvload started, in order of time."""
    notes = sorted(
        (note.at_ns + sender.account.clock.axis_offset_ns, note.code, note.pid, note.exit_status, note.details)
        for sender in senders
        for note in sender.company.machines.daemon
    )
    return tuple(
        DaemonLife(
            at_s=seconds(at_ns, start_ns),
            change=_CHANGES[code] if code < len(_CHANGES) else f"change_{code}",
            pid=pid,
            exit_status=exit_status if code == _CHANGES.index("gone") else None,
            details=details,
        )
        for at_ns, code, pid, exit_status, details in notes
    )


def synthetic_of(senders: list[SenderFold]) -> str:
    """The first line that tells of a synthetic camera."""
    lines = [
        (at_ns + sender.account.clock.axis_offset_ns, text)
        for sender in senders
        if sender.company.synthetic is not None
        for at_ns, text in [sender.company.synthetic]
    ]
    return min(lines)[1] if lines else ""


def hidden_of(senders: list[SenderFold]) -> tuple[str, ...]:
    """Classes that no monitor's log can show: hidden from each that said anything of its log's level."""
    told = [set(filter(None, sender.company.hidden.split(", "))) for sender in senders if sender.company.level_told]
    return tuple(sorted(set.intersection(*told))) if told else ()


def resources_of(senders: list[SenderFold], moments: Int64s, start_ns: int, end_ns: int) -> tuple[Resource, ...]:
    """One row for each reading of the target's host, fewer in a long run; `moments`: what happened, run axis."""
    watched = [
        (len(host.load.times()), name, sender.sender, host, sender)
        for sender in senders
        for name, host in sender.company.machines.hosts.items()
        if len(host.load.times())
    ]
    if not watched:
        return ()
    with_target = [one for one in watched if len(one[4].company.machines.target.times())]
    _, _, _, host, sender = max(with_target or watched, key=lambda one: one[:3])
    offset, times = sender.account.clock.axis_offset_ns, host.load.times()
    kept = _chosen(times + offset, moments, start_ns, end_ns)
    return _rows(host, sender.company.machines, kept, offset - start_ns)


def _chosen(times: Int64s, moments: Int64s, start_ns: int, end_ns: int) -> Int64s:
    """Which readings to show."""
    inside = np.flatnonzero((times >= start_ns - AROUND_NS) & (times <= end_ns + AROUND_NS))
    if end_ns - start_ns <= WHOLE_RUN_NS and inside.size <= RESOURCES:
        return inside
    moments = np.sort(moments)
    after = np.searchsorted(moments, times[inside] - AROUND_NS)
    near = np.zeros(inside.size, np.bool_)
    if moments.size:
        near = (after < moments.size) & (moments[np.minimum(after, moments.size - 1)] <= times[inside] + AROUND_NS)
    eventful = inside[near]
    eventful = eventful[:: -(-eventful.size // (RESOURCES // 2)) or 1]
    every = max(EVERY, -(-inside.size // (RESOURCES // 2)))
    return np.union1d(eventful, inside[::every])


def _rows(host: Host, machines: Machines, kept: Int64s, shift_ns: int) -> tuple[Resource, ...]:
    within = max(2 * NS_PER_S, 2 * int(np.median(np.diff(host.load.times()))) if host.load.times().size > 1 else 0)
    times, load = host.load.times()[kept], host.load.rows(kept)
    machine = host.machine.near(times, within)
    target = machines.target.near(times, within)
    return tuple(
        Resource(
            at_s=(int(times[at]) + shift_ns) / NS_PER_S,
            cpu_share=_known(load[at, 0]),
            pressure_share=_known(load[at, 1]),
            steal_share=_known(load[at, 2]),
            memory_used_bytes=int(load[at, 3]),
            load_1=float(load[at, 4]),
            disk_busy_share=_known(machine[at, 0]),
            network_mb_s=_known(machine[at, 1]),
            interrupts_per_s=_known(machine[at, 2]),
            target_cpu_share=_known(target[at, 0]),
            target_rss_bytes=_count(target[at, 1]),
            target_threads=_count(target[at, 2]),
            target_fds=_count(target[at, 3]),
        )
        for at in range(times.size)
    )


def _known(value: float) -> float | None:
    return None if isnan(value) else float(value)


def _count(value: float) -> int | None:
    return None if isnan(value) else int(value)
