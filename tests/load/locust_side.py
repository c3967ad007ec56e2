"""What can only be tried where Locust has patched the process: run as a program, prints one JSON object.

python locust_side.py SCENARIO FOLDER
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import locust  # noqa: F401 - it patches the process, as in every Locust process
from locust.stats import RequestStats

from pvload.load import statistics
from pvload.load.children import ChildError, LineChild
from pvload.load.churn import BackOff
from pvload.load.engine_client import EngineClient
from pvload.load.users import Placeholder, user_classes
from pvload.profiles.load import load
from pvload.profiles.users import Retry
from pvload.wire.command import Aggregate, Start
from pvload.wire.live import Live, LiveAccounting, LiveFigures, LivePopulation, write_live


def _aggregate(frames: int, intervals: dict[str, int], **more: Any) -> Aggregate:
    total = sum(int(ms) * n * 1_000_000 for ms, n in intervals.items())
    times = [int(ms) * 1_000_000 for ms in intervals] or [0]
    return Aggregate(
        population="viewer",
        frames=frames,
        message_bytes=1000 * frames,
        interval_ns_total=total,
        interval_ns_min=min(times),
        interval_ns_max=max(times),
        interval_ms_histogram=intervals,
        open_streams=1,
        errors=more.get("errors", {}),
    )


def merged(folder: Path) -> dict[str, Any]:
    """Two aggregates and an error."""
    del folder
    stats = RequestStats()
    statistics.merge(stats, _aggregate(10, {"100": 8, "110": 1}), 1000.0)
    statistics.merge(stats, _aggregate(5, {"100": 5}, errors={"UNAVAILABLE: gone": 2}), 1001.0)
    statistics.merge(stats, _aggregate(0, {}), 1002.0)
    entry = stats.get("viewer", "STREAM")
    return {
        "requests": [entry.num_requests, stats.total.num_requests],
        "without_interval": entry.num_none_requests,
        "failures": [entry.num_failures, stats.total.num_failures],
        "errors": [[one.error, one.occurrences] for one in stats.errors.values()],
        "median": entry.median_response_time,
        "longest": entry.max_response_time,
        "bytes": entry.total_content_length,
        "per_second": {str(second): n for second, n in entry.num_reqs_per_sec.items()},
    }


def bounded(folder: Path) -> dict[str, Any]:
    """A day of aggregates, pruned as the director does."""
    del folder
    stats = RequestStats()
    for second in range(86_400):
        if second % 60 == 0:
            statistics.merge(stats, _aggregate(10, {"100": 10}), float(second))
            stats.history.append({})
            statistics.prune(stats, float(second))
    return {
        "per_second": max(len(entry.num_reqs_per_sec) for entry in [stats.total, *stats.entries.values()]),
        "history": len(stats.history),
        "requests": stats.total.num_requests,
    }


def stalls(folder: Path) -> dict[str, Any]:
    """Live figures whose stalls grow."""
    stats, feed = RequestStats(), statistics.Stalls(folder)
    seen = []
    for count in (0, 2, 2, 3):
        row = LivePopulation(name="viewer", stalls=count)
        live = Live(
            run="0" * 32,
            state="running",
            wall_ns=0,
            figures=LiveFigures(populations=(row,)),
            accounting=LiveAccounting(),
        )
        write_live(folder, live)
        feed.feed(stats)
        seen.append(stats.total.num_failures)
    return {"failures": seen}


def classes(folder: Path) -> dict[str, Any]:
    """User classes of a profile with two populations of subscribers."""
    del folder
    more = [
        'users=[{name="op", kind="operator"}, {name="big", count=3}, {name="lo-res", count=1}, {name="no", count=0}]'
    ]
    made = user_classes(load("quick", overrides=more).profile, Placeholder())
    return {name: [one.fixed_count, one.weight, len(one.tasks), one.abstract] for name, one in made.items()}


def pauses(folder: Path) -> dict[str, Any]:
    """Back-off of one seed, twice, and of another."""
    del folder

    def eight(seed: int) -> list[float]:
        back_off = BackOff(Retry(), seed)
        return [back_off.pause_s() for _ in range(8)]

    return {"first": eight(1), "again": eight(1), "other": eight(2)}


def children(folder: Path) -> dict[str, Any]:
    """A child that answers, one that says nothing in time, one that ends at once."""
    said: dict[str, Any] = {}
    echo = LineChild("echo", ["line_echo"], log=folder / "echo.log")
    echo.start()
    echo.send(b'{"is":"hello","n":1}\n')
    said["echo"] = echo.expect("hello", timeout_s=10)
    try:
        echo.expect("more", timeout_s=0.2)
    except ChildError as exc:
        said["silent"] = str(exc)
    echo.send(b"fail\n")
    try:
        echo.expect("more", timeout_s=10)
    except ChildError as exc:
        said["ended"] = str(exc)
    echo.end(timeout_s=5)
    said["alive"] = echo.alive
    try:
        echo.send(b"{}\n")
    except ChildError as exc:
        said["gone"] = str(exc)
    return said


def engine(folder: Path) -> dict[str, Any]:
    """An engine that cannot begin: a file stands where its spool should be."""
    (folder / "spool").write_text("")
    start = Start(
        run="0" * 32,
        worker="w",
        incarnation=0,
        collector="tcp://127.0.0.1:1",
        spool=str(folder / "spool"),
        target=load("quick").profile.target.model_copy(update={"address": "127.0.0.1:1"}).model_dump(mode="json"),
    )
    client = EngineClient(start, log=folder / "e.log", on_aggregate=lambda _: None, on_given_up=lambda _: None)
    try:
        client.start()
    except ChildError as exc:
        return {"said": str(exc), "pid": client.pid, "sent": client.send(start)}
    return {}


if __name__ == "__main__":
    scenario = {one.__name__: one for one in (merged, bounded, stalls, classes, pauses, children, engine)}[sys.argv[1]]
    print(json.dumps(scenario(Path(sys.argv[2]))))
