"""Locust's own statistics, fed from the engine's aggregates once a second, and kept small for days.

A frame counts as a request, the time since the stream's frame before as its response time, an end that nobody ordered
as a failure; stalls come from the collector's live figures. Calls stand under their method, with their latency, and a
call that was not answered OK is a failure. Names are those of the populations, never of streams.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Final

import locust.stats
from locust.stats import RequestStats, StatsEntry

from pvload.clock import NS_PER_MS
from pvload.errors import FormatError
from pvload.wire import live
from pvload.wire.command import Aggregate

_log = logging.getLogger(__name__)
METHOD: Final = "STREAM"
STALL: Final = "stall: no frame for longer than the threshold"
KEPT_SECONDS: Final = 120
"""Per-second counters that stay; Locust looks at the last 12."""
KEPT_HISTORY: Final = 2000
"""Points of the charts that stay."""
LONG_RUN_S: Final = 600.0
"""From this length on the charts get a point a minute."""
ERRORS_A_SECOND: Final = 1000


def merge(stats: RequestStats, aggregate: Aggregate, now_s: float) -> None:
    """Adds what one population received, or was answered, since its last aggregate."""
    method = aggregate.method or METHOD
    addition = _entry(stats, aggregate, now_s)
    if aggregate.frames:
        entry = stats.get(aggregate.population, method)
        entry.extend(addition)
        stats.total.extend(addition)
    for text, count in aggregate.errors.items():
        for _ in range(min(count, ERRORS_A_SECOND)):
            stats.log_error(method, aggregate.population, text)


def call(stats: RequestStats, population: str, method: str, took_ms: float, fault: str) -> None:
    """Adds one unary call, as probes and changers make them: a few a second. Storms come by `merge`."""
    stats.log_request(method, population, round(took_ms), 0)
    if fault:
        stats.log_error(method, population, fault)


def _entry(stats: RequestStats, aggregate: Aggregate, now_s: float) -> StatsEntry:
    entry = StatsEntry(stats, aggregate.population, aggregate.method or METHOD)
    second = int(now_s)
    entry.start_time = now_s
    entry.last_request_timestamp = now_s
    entry.num_requests = aggregate.frames
    intervals = sum(aggregate.interval_ms_histogram.values())
    entry.num_none_requests = max(0, aggregate.frames - intervals)
    entry.total_content_length = aggregate.message_bytes
    entry.num_reqs_per_sec[second] = aggregate.frames
    if intervals:
        entry.total_response_time = aggregate.interval_ns_total // NS_PER_MS
        entry.min_response_time = aggregate.interval_ns_min // NS_PER_MS
        entry.max_response_time = aggregate.interval_ns_max // NS_PER_MS
        for text, count in aggregate.interval_ms_histogram.items():
            entry.response_times[int(text)] = count
    return entry


def prune(stats: RequestStats, now_s: float) -> None:
    """Forgets per-second counters and chart points that nobody looks at any more."""
    oldest = int(now_s) - KEPT_SECONDS
    for entry in [stats.total, *stats.entries.values()]:
        for counters in (entry.num_reqs_per_sec, entry.num_fail_per_sec):
            for second in [second for second in counters if second < oldest]:
                del counters[second]
    if len(stats.history) > KEPT_HISTORY:
        del stats.history[: len(stats.history) - KEPT_HISTORY]


def set_chart_interval(planned_s: float) -> None:
    """A point of Locust's charts every 5 s, or every minute in a long run."""
    locust.stats.HISTORY_STATS_INTERVAL_SEC = 60 if planned_s >= LONG_RUN_S else 5


class Stalls:
    """Counts of the collector's live figures, turned into failures as they grow."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._known: dict[str, int] = {}

    def feed(self, stats: RequestStats) -> None:
        """Logs the stalls that are new since the last call."""
        figures = self.read()
        for population in figures.figures.populations if figures is not None else ():
            known = self._known.get(population.name, 0)
            for _ in range(min(population.stalls - known, ERRORS_A_SECOND)):
                stats.log_error(METHOD, population.name, STALL)
            self._known[population.name] = max(known, population.stalls)

    def read(self) -> live.Live | None:
        """The newest live figures, None if there are none that can be read."""
        try:
            return live.read_live(self._folder)
        except (FormatError, OSError) as exc:
            _log.debug("live figures cannot be read: %s", exc)
            return None


def now_s() -> float:
    """The time by which Locust counts seconds."""
    return time.time()
