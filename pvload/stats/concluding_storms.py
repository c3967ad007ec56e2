"""Calls of load users by method, and storms by step, over all senders."""

from __future__ import annotations

from dataclasses import dataclass, field

from pvload.stats.around import MethodCalls, Storm, StormStep
from pvload.stats.concluding_watchers import offset_of
from pvload.stats.config import FoldConfig
from pvload.stats.figures import NS_PER_S, TO_MS, seconds
from pvload.stats.histogram import Histogram
from pvload.stats.sender import SenderFold
from pvload.stats.storm_limits import KEPT_SHARE, KEPT_TIMES, Limit, Shortfall, is_saturated, limit_of
from pvload.stats.storming import CallTally, StepTally
from pvload.stats.summary import LIST_LIMIT, RunFacts
from pvload.stats.witness import EXAMPLES, Moment


@dataclass(slots=True)
class _Step:
    """One step of a population, over its users."""

    begin_ns: int
    end_ns: int
    rates: dict[int, float] = field(default_factory=dict)
    """User's ordinal -> its share of the rate."""
    due: int = 0
    sent: int = 0
    answered: int = 0
    ok: int = 0
    held_ns: int = 0
    late_ns: int = 0
    lateness_ns: int = 0
    interval_ns: int = 0
    latency: Histogram = field(default_factory=Histogram)
    senders: dict[bytes, SenderFold] = field(default_factory=dict)
    """Those that sent its calls."""

    def add(self, ordinal: int, step: StepTally, sender: SenderFold) -> None:
        """One user's part."""
        offset_ns = offset_of(sender)
        self.senders[sender.sender] = sender
        self.begin_ns = min(self.begin_ns, step.begin_ns + offset_ns)
        self.end_ns = max(self.end_ns, step.end_ns + offset_ns)
        self.rates[ordinal] = max(step.rate_hz, self.rates.get(ordinal, 0.0))
        self.due += step.due
        self.sent += step.sent
        self.answered += step.answered
        self.ok += step.ok
        self.held_ns += step.held_ns
        self.late_ns += step.late_ns
        self.lateness_ns = max(self.lateness_ns, step.lateness_ns)
        self.interval_ns += step.interval_ns
        self.latency.merge(step.latency)

    @property
    def offered_hz(self) -> float:
        """All users' shares."""
        return sum(self.rates[ordinal] for ordinal in sorted(self.rates))

    @property
    def late_share(self) -> float:
        """Share of the time by which calls were late though a place was free."""
        return self.late_ns / self.interval_ns if self.interval_ns else 0.0

    @property
    def held_share(self) -> float:
        """Share of the time in which all places were taken."""
        return self.held_ns / self.interval_ns if self.interval_ns else 0.0


def calls_of(senders: list[SenderFold], facts: RunFacts) -> tuple[MethodCalls, ...]:
    """Load users' unary calls, storms among them, by population and method."""
    merged: dict[tuple[str, str], CallTally] = {}
    examples: dict[tuple[str, str], list[Moment]] = {}
    for sender in senders:
        offset = offset_of(sender)
        for key, tally in sender.around.storms.calls.items():
            whole = merged.setdefault(key, CallTally())
            whole.count += tally.count
            whole.ok += tally.ok
            whole.refused += tally.refused
            whole.failed.update(tally.failed)
            whole.latency.merge(tally.latency)
            if tally.slowest is not None:
                slowest = (tally.slowest[0], tally.slowest[1] - offset)
                whole.slowest = slowest if whole.slowest is None else max(whole.slowest, slowest)
            kept = examples.setdefault(key, [])
            kept.extend(Moment(one.at_ns + offset, one.text) for one in tally.examples.kept)
    return tuple(
        MethodCalls(
            population=key[0],
            method=key[1],
            count=tally.count,
            ok=tally.ok,
            refused=tally.refused,
            failed={name: n for name, n in sorted(tally.failed.items()) if n},
            latency_ms=tally.latency.quantiles(scale=TO_MS),
            slowest_at_s=None if tally.slowest is None else seconds(-tally.slowest[1], facts.start_ns),
            examples=tuple(
                f"at {seconds(one.at_ns, facts.start_ns):.1f} s: {one.text}" for one in sorted(examples[key])[:EXAMPLES]
            ),
        )
        for key, tally in sorted(merged.items())
    )[:LIST_LIMIT]


def storms_of(
    senders: list[SenderFold], facts: RunFacts, config: FoldConfig
) -> tuple[tuple[Storm, ...], list[tuple[int, int]]]:
    """Storms by population, and when there was one: (begin, end) on the run's axis."""
    parts: dict[str, dict[int, _Step]] = {}
    methods: dict[str, str] = {}
    for sender in senders:
        offset = offset_of(sender)
        for (_, population, ordinal), storm in sorted(sender.around.storms.storms.items()):
            steps = parts.setdefault(population, {})
            methods[population] = max(methods.get(population, ""), storm.method)
            for at, step in enumerate(storm.steps):
                whole = steps.setdefault(at, _Step(step.begin_ns + offset, step.end_ns + offset))
                whole.add(ordinal, step, sender)
    storms = [
        _storm((population, methods[population]), [steps[at] for at in sorted(steps)], senders, facts, config)
        for population, steps in sorted(parts.items())
        if steps
    ]
    spans = [(step.begin_ns, step.end_ns) for steps in parts.values() for step in steps.values()]
    return tuple(storms), sorted(spans)


def _storm(
    name: tuple[str, str], steps: list[_Step], senders: list[SenderFold], facts: RunFacts, config: FoldConfig
) -> Storm:
    knee, achieved, limit = _judged(steps, senders)
    return Storm(
        population=name[0],
        method=name[1],
        parameter=config.storms.get(name[0], ""),
        steps=tuple(_step(name[0], step, senders, facts) for step in steps),
        knee_hz=knee,
        achieved_hz=achieved,
        limited_by=limit,
    )


def _judged(steps: list[_Step], senders: list[SenderFold]) -> tuple[float | None, float, Limit]:
    """The highest rate kept, the most answered per second, and whose limit it was."""
    first = steps[0].latency.quantile(0.99)
    kept = [step for step in steps if _is_kept(step, first)]
    highest = max(steps, key=lambda step: (step.offered_hz, step.begin_ns))
    return (
        max((step.offered_hz for step in kept), default=None),
        max(_answered_hz(step) for step in steps),
        "nothing" if any(step is highest for step in kept) else _limit(highest, senders),
    )


def _is_kept(step: _Step, first_p99_ns: float | None) -> bool:
    p99 = step.latency.quantile(0.99)
    if p99 is None or first_p99_ns is None or step.due == 0:
        return False
    return step.answered >= KEPT_SHARE * step.due and (p99 <= first_p99_ns or p99 < KEPT_TIMES * first_p99_ns)


def _limit(step: _Step, senders: list[SenderFold]) -> Limit:
    return limit_of(
        Shortfall(
            due=step.due,
            sent=step.sent,
            answered=step.answered,
            held_share=step.held_share,
            late_share=step.late_share,
            lateness_ns=step.lateness_ns,
            p99_ns=step.latency.quantile(0.99),
            saturated=is_saturated(senders, step.senders.values(), step.begin_ns, step.end_ns),
        )
    )


def _answered_hz(step: _Step) -> float:
    length = step.interval_ns / len(step.rates)
    return step.answered * NS_PER_S / length if length > 0 else 0.0


def _step(population: str, step: _Step, senders: list[SenderFold], facts: RunFacts) -> StormStep:
    events, gaps = 0, []
    for sender in senders:
        begin, end = step.begin_ns - offset_of(sender), step.end_ns - offset_of(sender)
        events += int(sender.around.watching.events.within(begin, end).sum())
        if sender.basis.gaps is not None:
            gaps.append(int(sender.basis.gaps.within(begin, end).max(initial=0)))
    return StormStep(
        population=population,
        at_s=seconds(step.begin_ns, facts.start_ns),
        length_s=(step.end_ns - step.begin_ns) / NS_PER_S,
        offered_hz=step.offered_hz,
        due=step.due,
        sent=step.sent,
        answered=step.answered,
        ok=step.ok,
        latency_ms=step.latency.quantiles(scale=TO_MS),
        held_share=step.held_share,
        lateness_ms=step.lateness_ns * TO_MS,
        longest_gap_s=max(gaps) / NS_PER_S if any(gaps) else None,
        events=events,
    )
