"""What can only be tried where Locust has patched the process: run as a program, prints one JSON object.

python locust_side.py SCENARIO FOLDER
"""

from __future__ import annotations

import json
import os
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import locust  # noqa: F401 - it patches the process, as in every Locust process
from gevent.event import Event
from locust.stats import RequestStats
from locust.util.load_locustfile import is_user_class

from pvload.errors import ConfigError
from pvload.load import statistics
from pvload.load.children import ChildError, LineChild
from pvload.load.churn import BackOff
from pvload.load.engine_client import EngineClient
from pvload.load.users import (
    HealthProbe,
    Placeholder,
    StreamSubscriber,
    Users,
    user_classes,
    users_override,
)
from pvload.load.viewers import Viewers
from pvload.plan.check import check
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


def alive(pid: int) -> bool:
    """Is there such a process, and no zombie?"""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


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


def called(folder: Path) -> dict[str, Any]:
    """Calls of probes one by one, and of a storm by the second."""
    del folder
    stats = RequestStats()
    statistics.call(stats, "health", "GetSystemHealth", 3.4, "")
    statistics.call(stats, "health", "GetSystemHealth", 3.1, "")
    statistics.call(stats, "health", "GetSystemHealth", 5000.0, "DEADLINE_EXCEEDED: late")
    storm = _aggregate(1000, {"1": 900, "40": 100}, errors={"INVALID_ARGUMENT: no": 3})
    statistics.merge(stats, replace(storm, population="storm", method="SetParameter"), 1000.0)
    return {
        f"{method} {name}": [entry.num_requests, entry.num_failures, entry.median_response_time]
        for (name, method), entry in stats.entries.items()
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


def own_classes(folder: Path) -> dict[str, Any]:
    """Classes of a locustfile, beside those of the profile."""
    del folder

    class Steady(StreamSubscriber):
        pass

    class LoRes(StreamSubscriber):
        population = Users(name="lo", count=3, quality="fast")

    class Health(HealthProbe):
        pass

    own = [Steady, LoRes, Health]
    before = load("scenario-a").profile
    profile = load("scenario-a", overrides=[users_override(before, own)]).profile
    made = user_classes(profile, Placeholder(), own)

    class Wrong(HealthProbe):
        population = Users(name="wrong")

    try:
        users_override(before, [Wrong])
        said = ""
    except ConfigError as exc:
        said = str(exc)
    return {
        "populations": [[one.name, one.kind, one.count, one.quality] for one in profile.users],
        "classes": {name: [one.population.name, one.fixed_count, one.weight, one in own] for name, one in made.items()},
        "wrong": said,
    }


def documented(folder: Path) -> dict[str, Any]:
    """Every locustfile of docs/users.md, and the one that has all users, read as Locust reads them."""
    del folder
    root = Path(__file__).parents[2]
    texts = re.findall(r"```python\n(.*?)```", (root / "docs" / "users.md").read_text(), re.DOTALL)
    texts.append((root / "locustfiles" / "users.py").read_text())
    sys.argv = ["locust"]
    found: dict[str, Any] = {}
    for text in texts:
        names: dict[str, Any] = {"__name__": "locustfile"}
        exec(compile(text, "locustfile", "exec"), names)
        classes = [one for one in names.values() if is_user_class(one)]
        own = [one for one in classes if one.__module__ == "locustfile"]
        before = load("scenario-a").profile
        plan = check(load("scenario-a", overrides=[users_override(before, own)]).profile, force=True)
        found |= {one.__name__: [one.kind, len(classes), sum(share.count for share in plan.shares)] for one in own}
    return found


def pauses(folder: Path) -> dict[str, Any]:
    """Back-off of one seed, twice, and of another."""
    del folder

    def eight(seed: int) -> list[float]:
        back_off = BackOff(Retry(), seed)
        return [back_off.pause_s() for _ in range(8)]

    return {"first": eight(1), "again": eight(1), "other": eight(2)}


def children(folder: Path) -> dict[str, Any]:
    """A child that answers, one that says nothing in time, one that ends at once; then what killed ones leave open."""
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
    kept = []  # as a circle of references keeps them: nothing but the child itself closes its pipes
    said["open"] = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(3):
        hung_up = Event()
        killed = LineChild("killed", ["line_echo"], log=folder / "echo.log", on_exit=hung_up.set)
        killed.start()
        killed.send(b'{"is":"hello"}\n')
        killed.expect("hello", timeout_s=10)
        killed.kill()
        hung_up.wait(10)
        kept.append(killed)
    said["open_after"] = len(list(Path("/proc/self/fd").iterdir()))
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


def viewers(folder: Path) -> dict[str, Any]:
    """Viewer processes taken, killed, given back; at the end this process goes without a word to those that live."""
    start = Start(
        run=sys.argv[3],
        worker="w",
        incarnation=0,
        collector=sys.argv[4],
        spool=str(folder / "spool"),
        target=load("smoke").profile.target.model_copy(update={"address": "127.0.0.1:1"}).model_dump(mode="json"),
    )
    company = Viewers(start, folder=folder / "viewers", log=folder / "v.log", on_aggregate=lambda _: None)
    first = company.take()
    pids = [first.pid]
    company.kill(first)
    second = company.take()
    company.give_back(second)
    third = company.take()
    return {
        "killed": [company.killed, first.pid, alive(pids[0])],
        "reused": second is third,
        "living": [one.pid for one in company.alive()],
        "slots": sorted(path.name for path in (folder / "viewers").iterdir()),
    }


SCENARIOS = (merged, called, bounded, stalls, classes, own_classes, documented, pauses, children, engine, viewers)
if __name__ == "__main__":
    scenario = {one.__name__: one for one in SCENARIOS}[sys.argv[1]]
    print(json.dumps(scenario(Path(sys.argv[2]))), flush=True)
    os._exit(0)  # as a worker that is killed leaves: nothing is ended in order
