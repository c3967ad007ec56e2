"""What the generator itself could have done to the figures: its missing records, its lag, its blind time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from pvload.stats.summary import LIST_LIMIT, Interval, Summary


@dataclass(frozen=True, slots=True)
class Doubt:
    """Of one run. Missing records are bounded by their number: each could have been whatever would matter most."""

    stream_records: int
    """Of engines: stated missing, or recorded and never delivered."""
    witness_records: int
    """Of monitors."""
    lag_s: float
    """The longest lateness of a timer in any engine."""
    typical_lag_s: float
    """Mean over the intervals of the worst lateness in each."""
    blind: tuple[Interval, ...]
    late: tuple[Interval, ...]

    @property
    def longest_blind_s(self) -> float:
        """The longest stretch in which anything could have gone unseen."""
        return max((stretch.length_s for stretch in self.blind), default=0.0)

    def within(self, at_s: float, length_s: float) -> float:
        """Seconds of [at_s, at_s + length_s] in which the generator was blind or late; overlaps count once."""
        cut = [
            (max(at_s, stretch.at_s), min(at_s + length_s, stretch.at_s + stretch.length_s))
            for stretch in (*self.blind, *self.late)
        ]
        total = sum(length for length in _lengths(cut))
        return length_s if len(self.blind) >= LIST_LIMIT or len(self.late) >= LIST_LIMIT else total


def doubt_of(summary: Summary) -> Doubt:
    """Gathers the generator's own part in a run."""
    generator = summary.generator
    lost = {True: 0, False: 0}
    for sender in summary.accounting.senders:
        unshipped = 0 if sender.recorded is None else max(0, sender.recorded - sender.delivered - sender.missing)
        lost[sender.role == "monitor"] += sender.missing + unshipped
    unnamed = max(0, summary.accounting.missing + summary.accounting.undelivered - sum(lost.values()))
    return Doubt(
        stream_records=lost[False] + unnamed,
        witness_records=lost[True] + unnamed,
        lag_s=(generator.longest_lag_ms or 0.0) / 1000,
        typical_lag_s=(generator.lag_ms.mean or 0.0) / 1000,
        blind=generator.blind,
        late=generator.late,
    )


def _lengths(stretches: Iterable[tuple[float, float]]) -> Iterable[float]:
    """Lengths of the union of stretches (begin, end), piece by piece."""
    reached = float("-inf")
    for begin, end in sorted(stretches):
        if end > max(begin, reached):
            yield end - max(begin, reached)
            reached = end
