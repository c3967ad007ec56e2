"""The windows of several subscribers put together, on one grid that begins where the run does."""

from __future__ import annotations

from math import fsum

from pvload.stats.figures import NS_PER_S
from pvload.stats.merge import Whole
from pvload.stats.summary import RunFacts, Window
from pvload.stats.tally import ServerNote, WindowTally
from pvload.stats.windows import WINDOW_LIMIT


def grid_ns(subscribers: list[Whole], facts: RunFacts) -> int:
    """Length of the windows of the run and of its devices: the longest of any subscriber's; 0 if there is none.

    Doubled until the whole run has at most `WINDOW_LIMIT` of them.
    """
    length_ns = max((length for whole in subscribers for _, length in whole.windows), default=0)
    while length_ns and facts.end_ns - facts.start_ns > length_ns * WINDOW_LIMIT:
        length_ns *= 2
    return length_ns


def together(subscribers: list[Whole], facts: RunFacts, length_ns: int) -> tuple[Window, ...]:
    """Windows of `length_ns` over all the subscribers; those in which nobody was due and nothing came are left out.

    Windows whose sender counts from another moment than the run's first belong where their middle lies. Percentiles do
    not add up, so the age is the worst subscriber's. The sums depend on no order.
    """
    found: dict[int, WindowTally] = {}
    told: dict[int, list[ServerNote]] = {}
    for whole in subscribers:
        for index, tally in _on_grid(whole, facts, length_ns).items():
            found.setdefault(index, WindowTally()).merge(tally)
            if tally.server is not None:
                told.setdefault(index, []).append(tally.server)
    aged = all(whole.offset_known or whole.unaged for whole in subscribers)
    return tuple(
        _window(index, found[index], told.get(index, []), facts, length_ns, aged=aged) for index in sorted(found)
    )


def _on_grid(whole: Whole, facts: RunFacts, length_ns: int) -> dict[int, WindowTally]:
    """One subscriber's windows by number on the run's grid."""
    last = max(0, facts.end_ns - facts.start_ns - 1) // length_ns if length_ns else 0
    found: dict[int, WindowTally] = {}
    for (begin_ns, own_ns), tally in whole.windows.items():
        end_ns = min(begin_ns + own_ns, max(facts.end_ns, begin_ns))
        index = ((begin_ns + end_ns) // 2 - facts.start_ns) // length_ns
        found.setdefault(min(max(index, 0), last), WindowTally()).merge(tally)
    return found


def _window(
    index: int, tally: WindowTally, told: list[ServerNote], facts: RunFacts, length_ns: int, *, aged: bool
) -> Window:
    begin_ns = index * length_ns
    end_ns = min(begin_ns + length_ns, max(facts.end_ns - facts.start_ns, begin_ns))
    age = tally.age_p99_ns if aged else None
    return Window(
        at_s=begin_ns / NS_PER_S,
        length_s=(end_ns - begin_ns) / NS_PER_S,
        frames=tally.frames,
        due_s=tally.due_ns / NS_PER_S,
        missing=tally.missing,
        stalled_s=tally.stalled_ns / NS_PER_S,
        longest_gap_s=tally.longest_gap_ns / NS_PER_S,
        age_p99_ms=None if age is None else age / 1e6,
        message_bytes=tally.message_bytes,
        server_fps=fsum(note.current_fps for note in told) / len(told) if told else None,
        server_latency_ms=max((note.avg_latency_ms for note in told), default=None),
    )
