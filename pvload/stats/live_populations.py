"""How each population stands while a run goes on, by the same rules as the run's live figures."""

from __future__ import annotations

from dataclasses import dataclass

from pvload.stats.config import FoldConfig
from pvload.stats.sender import SenderFold, killed_of
from pvload.stats.tally import Tally
from pvload.wire.live import LivePopulation

NS_PER_S = 1_000_000_000


@dataclass(slots=True)
class _Row:
    """Sums of one population."""

    streams_open: int = 0
    frames: int = 0
    missing: int = 0
    stalls: int = 0
    longest_ns: int = 0
    errors: int = 0

    def add(self, tally: Tally) -> None:
        """The sums of calls that are over, or of one that is not."""
        steps = tally.steps
        self.frames += tally.frames
        self.missing += steps.dropped + steps.unseen + steps.transport + steps.undecided
        self.stalls += tally.gaps.stalls.count
        self.errors += tally.unexpected_ends
        longest = tally.gaps.stalls.longest
        self.longest_ns = max(self.longest_ns, 0 if longest is None else longest.length_ns)


def live_populations(
    senders: list[SenderFold], config: FoldConfig, last_arrivals: list[dict[int, int]]
) -> tuple[LivePopulation, ...]:
    """One row a population, by name. last_arrivals: of each sender, call id -> its last frame not folded yet."""
    rows: dict[str, _Row] = {}
    killed = killed_of(senders)
    for sender, last in zip(senders, last_arrivals, strict=True):
        for subscriber in sender.calls.subscribers.values():
            rows.setdefault(_population(subscriber.name), _Row()).add(subscriber.tally)
        for ref, call in sender.calls.open.items():
            row = rows.setdefault(_population(call.subscriber.name), _Row())
            row.add(call.tally)
            over = sender.is_viewer and (call.subscriber.name, call.opening.number) in killed
            row.streams_open += int(not over)
            counts = call.steps.counts
            row.missing += counts.unseen + counts.transport + counts.undecided
            row.missing += 0 if call.opening.max_fps else counts.dropped
            newest = sender.hold.newest_ns
            if over or call.gaps.since is None or newest is None:
                continue
            gap_ns = min(newest, sender.basis.timeline.close_ns) - max(call.gaps.since, last.get(ref, call.gaps.since))
            if gap_ns > config.stall_ns:
                row.stalls += 1
                row.longest_ns = max(row.longest_ns, gap_ns)
    return tuple(
        LivePopulation(
            name=name,
            streams_open=row.streams_open,
            frames=row.frames,
            missing=row.missing,
            stalls=row.stalls,
            longest_stall_s=row.longest_ns / NS_PER_S,
            errors=row.errors,
        )
        for name, row in sorted(rows.items())
    )


def _population(subscriber: str) -> str:
    """`population/ordinal` -> population."""
    return subscriber.rpartition("/")[0]
