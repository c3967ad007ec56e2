"""The witnesses of all senders, put together for the summary."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable
from typing import Final

from pvload.stats.figures import NS_PER_S, TO_MS, seconds
from pvload.stats.histogram import Histogram
from pvload.stats.sender import SenderFold
from pvload.stats.summary import (
    LIST_LIMIT,
    Generator,
    HostWitness,
    Interval,
    LogLine,
    LogWitness,
    ProcessWitness,
    Sender,
    TargetClock,
    UnaryCalls,
)
from pvload.stats.witness import EXAMPLES, Moment, UnaryTally

PPM: Final = 1e6


def senders_of(senders: list[SenderFold], start_ns: int) -> tuple[Sender, ...]:
    """The accounts, engines first, by worker and incarnation."""
    found = [_sender(sender, start_ns) for sender in senders]
    return tuple(sorted(found, key=lambda one: (one.role != "engine", one.role, one.worker, one.incarnation, one.id)))


def _sender(sender: SenderFold, start_ns: int) -> Sender:
    hello, clock = sender.hello, sender.account.clock
    newest = sender.hold.newest_ns
    return Sender(
        id=sender.sender.hex(),
        role=hello.role if hello else "unknown",
        worker=hello.worker if hello else "",
        incarnation=hello.incarnation if hello else 0,
        host=hello.host if hello else "",
        recorded=sender.recorded,
        delivered=sender.delivered,
        missing=sender.missing,
        missing_reasons=tuple(sender.missing_reasons),
        finished=sender.recorded is not None,
        frames=sender.frames,
        last_seen_s=None if newest is None else seconds(newest + clock.axis_offset_ns, start_ns),
        clock_offset_ms=clock.axis_offset_ns * TO_MS,
        clock_uncertainty_ms=(clock.axis_round_trip_ns or 0) / 2 * TO_MS,
        fault=sender.soundness.fault,
    )


def generator_of(senders: list[SenderFold], start_ns: int, end_ns: int) -> Generator:
    """How fit the engines were."""
    engines = [sender for sender in senders if sender.is_engine]
    lags = [(sender.account.lag, sender.account.clock.axis_offset_ns) for sender in engines]
    lateness = Histogram()
    for lag, _ in lags:
        lateness.merge(lag.lateness)
    late = sorted(
        (begin + offset, end + offset, lateness_ns) for lag, offset in lags for begin, end, lateness_ns in lag.late
    )
    dead = sorted(_dead(engines))
    blind = sorted([(begin, end, "engine late") for begin, end, _ in late] + dead)
    worst = max(((lag.worst[0], -lag.worst[1] - offset) for lag, offset in lags), default=(0, 0))
    interval = sum(lag.interval_ns for lag, _ in lags)
    length = end_ns - start_ns
    return Generator(
        lag_ms=lateness.quantiles(scale=TO_MS),
        longest_lag_ms=worst[0] * TO_MS if lateness.n else None,
        longest_lag_at_s=seconds(-worst[1], start_ns) if worst[0] else None,
        late_intervals=sum(lag.late_intervals for lag, _ in lags),
        late=tuple(_interval(begin, end, f"late by {lag / 1e6:.0f} ms", start_ns) for begin, end, lag in late)[
            :LIST_LIMIT
        ],
        blind=tuple(_interval(begin, end, reason, start_ns) for begin, end, reason in blind)[:LIST_LIMIT],
        blind_s=_covered((begin, end) for begin, end, _ in blind) / NS_PER_S,
        cpu_share=sum(lag.cpu_ns for lag, _ in lags) / length if lateness.n and length > 0 else None,
        rss_max_bytes=max((lag.rss_bytes for lag, _ in lags), default=0),
        run_queue_s=sum(lag.run_queue_ns for lag, _ in lags) / NS_PER_S,
        gc_pause_max_ms=max((lag.gc_pause_ns for lag, _ in lags), default=0) * TO_MS,
        pressure_share=sum(lag.pressure_ns for lag, _ in lags) / interval if interval else None,
        steal_share=sum(lag.steal_ns for lag, _ in lags) / interval if interval else None,
        spool_depth_max=max((lag.spool_depth for lag, _ in lags), default=0),
        open_fds_max=max((lag.open_fds for lag, _ in lags), default=0),
    )


def _interval(begin_ns: int, end_ns: int, reason: str, start_ns: int) -> Interval:
    return Interval(at_s=seconds(begin_ns, start_ns), length_s=(end_ns - begin_ns) / NS_PER_S, reason=reason)


def _dead(engines: list[SenderFold]) -> Iterable[tuple[int, int, str]]:
    """From the last record of a replaced engine to the first stream its successor opened."""
    by_worker: dict[str, list[SenderFold]] = {}
    for engine in engines:
        if engine.hello is not None and not engine.is_viewer:
            by_worker.setdefault(engine.hello.worker, []).append(engine)
    for worker, own in by_worker.items():
        own.sort(key=lambda engine: (engine.hello.incarnation if engine.hello else 0, engine.sender))
        for before, after in itertools.pairwise(own):
            if before.hold.newest_ns is None or after.first_opened_ns is None or before.basis.timeline.end_ns:
                continue
            begin = before.hold.newest_ns + before.account.clock.axis_offset_ns
            end = after.first_opened_ns + after.account.clock.axis_offset_ns
            if end > begin:
                yield begin, end, f"engine of worker {worker} was dead"


def _covered(spans: Iterable[tuple[int, int]]) -> int:
    total, reached = 0, -(2**62)
    for begin, end in sorted(spans):
        total += max(0, end - max(begin, reached))
        reached = max(reached, end)
    return total


def clock_of(senders: list[SenderFold], start_ns: int) -> TargetClock:
    """The target's wall clock, from the sender with the shortest round trip."""
    clocks = [sender.account.clock for sender in senders if sender.account.clock.probes]
    known = sorted(
        ((clock.best.round_trip_ns, clock.best.at_ns, at) for at, clock in enumerate(clocks) if clock.best is not None)
    )
    steps = tuple(
        sorted(
            (
                Interval(seconds(step.at_ns + clock.axis_offset_ns, start_ns), 0.0, step.text)
                for clock in clocks
                for step in clock.steps.kept
            ),
            key=lambda step: (step.at_s, step.reason),
        )
    )[:LIST_LIMIT]
    probes = sum(clock.probes for clock in clocks)
    if not known:
        return TargetClock(probes=probes, offset_ms=None, uncertainty_ms=None, drift_ppm=None, steps=steps)
    clock = clocks[known[0][2]]
    best, drift = clock.best, None
    if clock.first is not None and clock.last is not None and clock.last.at_ns - clock.first.at_ns >= NS_PER_S:
        drift = (clock.last.offset_ns - clock.first.offset_ns) / (clock.last.at_ns - clock.first.at_ns) * PPM
    return TargetClock(
        probes=probes,
        offset_ms=best.wall_offset_ns * TO_MS if best is not None else None,
        uncertainty_ms=(best.round_trip_ns / 2 + clock.worst_change_ns) * TO_MS if best is not None else None,
        drift_ppm=drift,
        steps=steps,
    )


def unary_of(senders: list[SenderFold], start_ns: int) -> tuple[UnaryCalls, ...]:
    """Unary calls by method."""
    merged: dict[str, UnaryTally] = {}
    examples: dict[str, list[Moment]] = {}
    for sender in senders:
        for method, tally in sender.account.unary.items():
            whole = merged.setdefault(method, UnaryTally(method))
            whole.count += tally.count
            whole.errors.update(tally.errors)
            whole.refused.update(tally.refused)
            whole.latency.merge(tally.latency)
            examples.setdefault(method, []).extend(_on_axis(tally.examples.kept, sender))
    return tuple(
        UnaryCalls(
            method=method,
            count=tally.count,
            errors=dict(sorted(tally.errors.items())),
            refused=dict(sorted(tally.refused.items())),
            latency_ms=tally.latency.quantiles(scale=TO_MS),
            examples=tuple(
                f"at {seconds(moment.at_ns, start_ns):.1f} s: {moment.text}"
                for moment in sorted(examples[method])[:EXAMPLES]
            ),
        )
        for method, tally in sorted(merged.items())
    )


def _on_axis(moments: list[Moment], sender: SenderFold) -> list[Moment]:
    offset = sender.account.clock.axis_offset_ns
    return [Moment(moment.at_ns + offset, moment.text, moment.kind) for moment in moments]


def log_of(senders: list[SenderFold], start_ns: int) -> LogWitness:
    """What the daemon's log said."""
    lines: Counter[str] = Counter()
    examples: list[Moment] = []
    timeline: list[Moment] = []
    for sender in senders:
        timeline.extend(_on_axis(sender.account.log.lines_kept(), sender))
        lines.update(sender.account.log.lines)
        examples.extend(_on_axis(sender.account.log.examples.kept, sender))
    return LogWitness(
        present=any(sender.account.log.present for sender in senders),
        lines=dict(sorted(lines.items())),
        driver_errors=sum(sender.account.log.driver_errors for sender in senders),
        examples=tuple(
            f"at {seconds(moment.at_ns, start_ns):.1f} s [{moment.kind}] {moment.text}"
            for moment in sorted(examples)[: 2 * EXAMPLES]
        ),
        timeline=tuple(
            LogLine(seconds(moment.at_ns, start_ns), moment.kind, moment.text)
            for moment in sorted(timeline)[:LIST_LIMIT]
        ),
    )


def notes_of(senders: list[SenderFold]) -> tuple[tuple[str, ...], dict[str, int]]:
    """Notes in order of time, and how many of each class."""
    counts: Counter[str] = Counter()
    moments: list[Moment] = []
    for sender in senders:
        counts.update(sender.account.note_counts)
        moments.extend(_on_axis(sender.account.notes.kept, sender))
    ordered = sorted(moments, key=lambda moment: (moment.at_ns, moment.kind, moment.text))
    return tuple(f"{moment.kind}: {moment.text}" for moment in ordered[:LIST_LIMIT]), dict(sorted(counts.items()))


def hosts_of(senders: list[SenderFold]) -> tuple[HostWitness, ...]:
    """Hosts by name; each monitor's view stands alone."""
    found = []
    for sender in senders:
        for host in sender.account.hosts.values():
            span = host.last_ns - host.first_ns
            found.append(
                HostWitness(
                    name=host.name,
                    samples=host.samples,
                    cpu_share=host.cpu_ns / (span * host.cores) if span > 0 and host.cores else None,
                    memory_used_max_bytes=host.memory_used_max,
                    memory_total_bytes=host.memory_total,
                    load_1_max=host.load_1_max,
                    pressure_share=host.pressure_ns / span if span > 0 else None,
                    steal_share=host.steal_ns / (span * host.cores) if span > 0 and host.cores else None,
                )
            )
    return tuple(sorted(found, key=lambda host: (host.name, host.samples)))


def processes_of(senders: list[SenderFold]) -> tuple[ProcessWitness, ...]:
    """Watched processes by name and pid."""
    found = []
    for sender in senders:
        for process in sender.account.processes.values():
            first, last = process.medians()
            span = process.last_ns - process.first_ns
            found.append(
                ProcessWitness(
                    name=process.name,
                    pid=process.pid,
                    samples=process.samples,
                    cpu_share=process.cpu_ns / span if span > 0 else None,
                    rss_first_bytes=first,
                    rss_last_bytes=last,
                    rss_max_bytes=process.rss_max,
                    threads_max=process.threads_max,
                    fds_max=process.fds_max,
                )
            )
    return tuple(sorted(found, key=lambda process: (process.name, process.pid, process.samples)))
