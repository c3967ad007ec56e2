"""Populations that come and go: what came of their calls, and whether the server gave every place back."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from pvload.stats.around import Churn
from pvload.stats.call_rows import End, Rows
from pvload.stats.comings import STYLES, Comings
from pvload.stats.config import FoldConfig
from pvload.stats.figures import TO_MS
from pvload.stats.histogram import Histogram, Int64s
from pvload.stats.merge import Whole
from pvload.stats.sender import SenderFold
from pvload.wire.codes import Abort

GRACE_NS = 1_000_000_000
"""So long after a client has left its place may still be taken: the daemon sees it at its next frame."""


def churn_of(
    senders: list[SenderFold], there: Comings, wholes: list[Whole], config: FoldConfig, end_ns: int
) -> tuple[Churn, ...]:
    """One entry for each population that churns by plan, or whose subscribers left or opened more than once."""
    refused = _refused_after_leaving(there, config)
    after = _streams_after(senders, there, config, end_ns)
    found = []
    for population in sorted({there.population(at) for at in np.unique(there.rows["subscriber"])}):
        members = [at for at in range(len(there.names)) if there.population(at) == population]
        mine = np.isin(there.rows["subscriber"], members)
        rows, styles = there.rows[mine], there.styles[mine]
        plan = config.populations.get(population)
        comes_and_goes = plan is not None and plan.churns
        if not comes_and_goes and rows.size <= np.unique(rows["subscriber"]).size:
            continue
        own = [whole for whole in wholes if whole.name.rpartition("/")[0] == population]
        found.append(replace(_churn(population, rows, styles, own, refused[mine]), server_streams_after=after))
    return tuple(found)


def _churn(population: str, rows: Rows, styles: Int64s, own: list[Whole], refused: Int64s) -> Churn:
    first_frame, holes = Histogram(), Histogram()
    attempts = 0
    for whole in own:
        first_frame.merge(whole.tally.first_frame)
    for subscriber in np.unique(rows["subscriber"]):
        calls = rows[rows["subscriber"] == subscriber]
        holes.add(resubscribe_holes(calls))
        attempts = max(attempts, most_attempts(calls))
    left = Counter(STYLES[style] for style in styles[styles >= 0])
    return Churn(
        population=population,
        opened=int(rows.size),
        accepted=int(np.count_nonzero(rows["accepted_ns"] >= 0)),
        with_frames=int(np.count_nonzero(rows["first_ns"] >= 0)),
        admission_refused=int(np.count_nonzero(rows["end"] == End.LIMIT)),
        attempts_max=attempts,
        left={style: left[style] for style in STYLES if left[style]},
        first_frame_ms=first_frame.quantiles(scale=TO_MS),
        resubscribe_hole_ms=holes.quantiles(scale=TO_MS),
        ended_by_server=int(np.count_nonzero((rows["end"] == End.SERVER) & (rows["accepted_ns"] >= 0))),
        refused_after_leaving=int(refused.sum()),
    )


def most_attempts(calls: Rows) -> int:
    """Most calls of one subscriber in a row, in order, until one had a frame (that one counted) or they ended."""
    framed = np.flatnonzero(calls["first_ns"] >= 0)
    ends = np.concatenate(([-1], framed, [] if framed.size and framed[-1] == calls.size - 1 else [calls.size - 1]))
    return int(np.diff(ends).max()) if calls.size else 0


def resubscribe_holes(calls: Rows) -> Int64s:
    """From the last frame of a call to the first frame of the next one that had any, less all pauses between calls.

    `calls`: of one subscriber, in order. A pause runs from the end of a call to the user's order for the next one.
    """
    framed = np.flatnonzero(calls["first_ns"] >= 0)
    if framed.size < 2:
        return np.zeros(0, np.int64)
    ordered = np.where(calls["ordered_ns"][1:] > 0, calls["ordered_ns"][1:], calls["opened_ns"][1:])
    ended = np.where(calls["ended_ns"][:-1] >= 0, calls["ended_ns"][:-1], ordered)
    pauses = np.concatenate(([0], np.cumsum(np.maximum(ordered - ended, 0))))
    whole = calls["first_ns"][framed[1:]] - calls["last_ns"][framed[:-1]]
    holes: Int64s = np.maximum(whole - (pauses[framed[1:]] - pauses[framed[:-1]]), 0)
    return holes


def _refused_after_leaving(there: Comings, config: FoldConfig) -> Int64s:
    """1 for each call that was turned away although fewer of ours than the limit could still hold a place."""
    rows = there.rows
    turned = rows["end"] == End.LIMIT
    if not config.streams_per_client or not turned.any():
        return np.zeros(rows.size, np.int64)
    held = rows["accepted_ns"] >= 0
    open_for_good = np.where(rows["ended_ns"] >= 0, rows["ended_ns"], 2**62)
    begins, ends = np.sort(rows["opened_ns"][held]), np.sort((open_for_good + _linger_ns(there, config))[held])
    at = rows["opened_ns"]
    places = np.searchsorted(begins, at, side="right") - np.searchsorted(ends, at, side="right")
    found: Int64s = (turned & (places < config.streams_per_client)).astype(np.int64)
    return found


def _streams_after(senders: list[SenderFold], there: Comings, config: FoldConfig, end_ns: int) -> int | None:
    """Streams that the server's log shows begun and not ended at the run's end, less ours that were open then.

    A stream that came or went in the last second may be in the log or not yet: where that leaves room for 0, it is 0.
    """
    least = most = seen = 0
    for sender in senders:
        lines = sender.company.stream_lines
        if not lines.whole:
            return None
        by_log = lines.open_at(end_ns - sender.account.clock.axis_offset_ns)
        least, most, seen = least + by_log.least, most + by_log.most, seen + lines.count
    if not seen:
        return None
    rows = there.rows[there.rows["accepted_ns"] >= 0]
    ended = np.where(rows["ended_ns"] >= 0, rows["ended_ns"], 2**62)
    linger = _linger_ns(there, config)[there.rows["accepted_ns"] >= 0]
    most -= int(np.count_nonzero((rows["accepted_ns"] <= end_ns - GRACE_NS) & (ended > end_ns)))
    least -= int(np.count_nonzero(ended + linger > end_ns))
    return max(least, 0) + min(most, 0)


def _linger_ns(there: Comings, config: FoldConfig) -> Int64s:
    """How long after each call's end its place may still be taken."""
    linger = np.full(there.rows.size, GRACE_NS)
    longest = max((plan.half_open_ns for plan in config.populations.values()), default=0)
    linger[there.styles == Abort.HALF_OPEN] += longest
    return linger
