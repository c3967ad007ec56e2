"""Storms of changes: kept where the server can take them, and a shortfall is told to be whose it was; what watchers of
changes lost is the ledger's, counter for counter."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from journaled import Journaled, journaled
from pvload.profiles.schema import Camera, Profile, Run
from pvload.profiles.simulated import Fault, Simulator
from pvload.profiles.users import Changes, Users, Watch
from pvload.profiles.values import Roi
from pvload.sim.ledger import read_ledger
from pvload.sim.watch_truth import WatcherTruth, watcher_truths
from pvload.wire import command, run_directory
from pvload.wire.codes import Source
from pvload.wire.event import Kind
from rig import EngineProcess, Rig, running

EXPOSURE_MS = 20.0
WATCHED, OTHER = "readout.adc_offset", "shutter.open_delay"
"""Only what is written to the first one is watched."""
STEP_S = 1.2
KEPT_HZ = (100.0, 500.0)
LATE_HZ = (100.0, 200.0)
STOOD_STILL_S = 0.8
MAKES_GOOD_S = 1.2
"""What was due meanwhile is sent then; frames that came meanwhile are there at once."""
HELD_HZ = 400.0
HELD_PLACES = 4
ANSWER_S = 0.02
HOLDS_FROM = 400
"""From this frame on the server answers each set so late."""
NARROW_BYTES = 2048
SLEEPS_MS = 4.0
"""A watcher that reads some two hundred changes a second of five hundred, with a window of thirty of them."""
LAGS_WITHIN_S = 20.0


def storm_users(name: str, parameter: str, rates: tuple[float, ...], count: int = 1) -> Users:
    changes = Changes(mode="storm", parameters=[parameter], rates_hz=list(rates), step=STEP_S)
    return Users(name=name, kind="changer", count=count, changes=changes)


PROFILE = Profile(
    run=Run(name="storm", duration=8.0, warm_up=0.5),
    camera=Camera(exposure_ms=EXPOSURE_MS, roi=Roi(x=0, y=0, width=64, height=64)),
    users=[
        Users(name="viewer"),
        Users(name="awake", kind="parameter-watcher", watch=Watch(parameters=[WATCHED])),
        Users(name="sleepy", kind="parameter-watcher", watch=Watch(parameters=[WATCHED])),
        storm_users("kept", WATCHED, KEPT_HZ, count=2),
        storm_users("late", OTHER, LATE_HZ),
        storm_users("held", OTHER, (HELD_HZ,)),
    ],
    simulator=Simulator(
        model="grid",
        streams_per_client=0,
        faults=[Fault(kind="set_hangs", frame=HOLDS_FROM, duration=ANSWER_S)],
    ),
)


def watch(rig: Rig, name: str, *, window_bytes: int = 1024 * 1024, pause_ms: float = 0.0) -> int:
    """A watcher of the changes of one parameter."""
    engine = engine_of(rig)
    number = engine.next_id()
    engine.order(
        command.Watch(
            id=number,
            population=name,
            ordinal=0,
            number=1,
            device=rig.profile.target.device,
            method="StreamParameterChanges",
            arguments={"device_id": rig.profile.target.device, "parameter_names": [WATCHED]},
            window_bytes=window_bytes,
            pause_ms=pause_ms,
        )
    )
    engine.answer("headers", id=number)
    return number


def begin_storm(rig: Rig, name: str, *, places: int = 64) -> list[int]:
    """All users of one population, on one schedule."""
    engine = engine_of(rig)
    users = next(one for one in rig.profile.users if one.name == name)
    assert users.changes is not None
    begin_ns, numbers = time.monotonic_ns() + 50_000_000, []
    for ordinal in range(users.count):
        numbers.append(engine.next_id())
        engine.order(
            command.Storm(
                id=numbers[-1],
                population=name,
                ordinal=ordinal,
                device=rig.profile.target.device,
                parameter=users.changes.parameters[0],
                values=["{n}"],
                first=ordinal,
                stride=users.count,
                rates_hz=[rate / users.count for rate in users.changes.rates_hz],
                step_ms=1000 * STEP_S,
                begin_ns=begin_ns,
                in_flight=places,
            )
        )
    return numbers


def engine_of(rig: Rig) -> EngineProcess:
    assert rig.engine is not None
    return rig.engine


def end_storm(rig: Rig, numbers: list[int]) -> list[dict[str, Any]]:
    """Its users' totals."""
    for number in numbers:
        engine_of(rig).order(command.Close(id=number))
    totals: dict[int, dict[str, Any]] = {}
    while set(totals) < set(numbers):
        answered = engine_of(rig).answer("answered")
        assert isinstance(answered, command.Answered)
        totals[answered.id] = answered.answer
    return [totals[number] for number in numbers]


def after(rig: Rig, viewer: int, frames: int) -> int:
    """Waits until the viewer has so many frames more: time that the camera measures. Gives how many it has then."""
    engine = engine_of(rig)
    engine.order(command.Mark(id=viewer, frames=0))
    now: Any = engine.answer("reached", id=viewer)
    engine.order(command.Mark(id=viewer, frames=now.frames + frames))
    then: Any = engine.answer("reached", id=viewer, timeout_s=60.0)
    return int(then.frames)


def drained(engine: EngineProcess, name: str) -> bool:
    """Whether a second passed in which a watcher was told nothing; takes up to a second."""
    told: Any = engine.answer("aggregate")
    return bool(told.population == name and told.method and told.frames == 0)


@dataclass(frozen=True, slots=True)
class Told:
    """One run with all of it."""

    summary: dict[str, Any]
    totals: dict[str, list[dict[str, Any]]]
    truths: dict[str, WatcherTruth]
    """By watcher."""
    sender: Journaled
    calls: dict[str, int]
    """Ids of the watchers' calls."""
    storms: dict[str, list[int]]
    """Ids of the storms of each population."""
    sets: dict[str, set[int]]
    """Counters that the ledger says were written, by parameter."""

    def storm(self, name: str) -> dict[str, Any]:
        return next(one for one in self.summary["around"]["storms"] if one["population"] == name)

    def watcher(self, name: str) -> dict[str, Any]:
        return next(one for one in self.summary["around"]["watchers"] if one["name"] == f"{name}/0")

    def counters(self, name: str) -> list[int]:
        """What a watcher was told of clients' changes, in order."""
        rows = self.sender.rows(Kind.PARAMETER)
        rows = rows[(rows["ref"] == self.calls[name]) & (rows["code"] == Source.USER)]
        return [int(counter) for counter in rows["counter"]]


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """One storm after the other, all in one run, beside a viewer and two watchers."""
    folder = tmp_path_factory.mktemp("storm")
    storms: dict[str, list[int]] = {}
    totals: dict[str, list[dict[str, Any]]] = {}
    second = round(1000 / EXPOSURE_MS)
    with running(folder, PROFILE) as rig:
        engine = engine_of(rig)
        rig.start_camera()
        viewer = rig.open()
        sleepy: dict[str, Any] = {"window_bytes": NARROW_BYTES, "pause_ms": SLEEPS_MS}
        calls = {"awake": watch(rig, "awake"), "sleepy": watch(rig, "sleepy", **sleepy)}

        storms["kept"] = begin_storm(rig, "kept")
        after(rig, viewer, round(2 * STEP_S * second) + 5)
        deadline = time.monotonic() + LAGS_WITHIN_S
        while b"watcher_lagged" not in (folder / run_directory.LEDGER).read_bytes():
            assert time.monotonic() < deadline, "the sleepy watcher does not lag"
            after(rig, viewer, 5)
        after(rig, viewer, second // 2)
        totals["kept"] = end_storm(rig, storms["kept"])

        storms["late"] = begin_storm(rig, "late")
        after(rig, viewer, round(1.3 * STEP_S * second))
        os.kill(engine.process.pid, signal.SIGSTOP)
        time.sleep(STOOD_STILL_S)  # the pause is the fault itself
        os.kill(engine.process.pid, signal.SIGCONT)
        after(rig, viewer, round((STOOD_STILL_S + MAKES_GOOD_S) * second))
        totals["late"] = end_storm(rig, storms["late"])

        engine.order(command.Mark(id=viewer, frames=HOLDS_FROM + 2))
        engine.answer("reached", id=viewer, timeout_s=30.0)
        storms["held"] = begin_storm(rig, "held", places=HELD_PLACES)
        after(rig, viewer, round(1.2 * second))
        totals["held"] = end_storm(rig, storms["held"])

        while not drained(engine, "sleepy"):
            pass
        for number in calls.values():
            engine.order(command.Close(id=number))
            engine.answer("ended", id=number)
        rig.end([viewer])
        summary = rig.summary()
    entries = list(read_ledger(folder / run_directory.LEDGER))
    truths = watcher_truths(entries)
    sets: dict[str, set[int]] = {WATCHED: set(), OTHER: set()}
    for entry in entries:
        if entry["is"] == "parameter" and entry["name"] in sets and entry["ok"]:
            sets[entry["name"]].add(int(entry["value"]))
    (sender,) = journaled(folder)
    return Told(summary, totals, dict(zip(calls, truths, strict=True)), sender, calls, storms, sets)


@dataclass(frozen=True, slots=True)
class Step:
    """One rate of a storm by the records of its calls."""

    due: int
    answered: int
    p99_ms: float


def step_of(told: Told, name: str, at: int) -> Step:
    """Of the calls of one population that were due in one step."""
    said = told.storm(name)["steps"][at]
    calls = told.sender.rows(Kind.CALLED)
    mine = calls[np.isin(calls["ref"], told.storms[name])]
    begin_ns = int(mine["due_ns"].min()) + round(at * STEP_S * 1e9)
    mine = mine[(mine["due_ns"] >= begin_ns) & (mine["due_ns"] < begin_ns + round(STEP_S * 1e9))]
    if at == len(told.storm(name)["steps"]) - 1:  # the last rate stays
        mine = calls[np.isin(calls["ref"], told.storms[name]) & (calls["due_ns"] >= begin_ns)]
    waited_ms = (mine["t_ns"] - mine["due_ns"]) / 1e6
    return Step(int(said["due"]), int(mine.size), float(np.quantile(waited_ms, 0.99, method="inverted_cdf")))


def test_a_rate_that_the_server_can_take_is_kept(told: Told) -> None:
    """What was due was made and answered, as the ledger says too, and p99 is that of the calls themselves."""
    storm = told.storm("kept")
    written = sum(one["ok"] for one in told.totals["kept"])
    sent = sum(one["sent"] for one in told.totals["kept"])
    assert written <= len(told.sets[WATCHED]) <= sent, "at most what was under way at the end has no answer"
    assert written == sum(step["ok"] for step in storm["steps"])
    steps = [step_of(told, "kept", at) for at in range(len(KEPT_HZ))]
    for at, (step, rate) in enumerate(zip(steps, KEPT_HZ, strict=True)):
        said = storm["steps"][at]
        assert said["offered_hz"] == pytest.approx(rate)
        assert said["due"] >= 0.99 * rate * STEP_S
        assert (said["ok"], said["latency_ms"]["n"]) == (step.answered, step.answered)
        assert said["latency_ms"]["p99"] == pytest.approx(step.p99_ms, rel=0.02)
    assert storm["steps"][0]["answered"] == storm["steps"][0]["due"] == KEPT_HZ[0] * STEP_S
    assert is_as_defined(storm, steps, "nothing", "server", "generator", "undecided")


def is_as_defined(storm: dict[str, Any], steps: list[Step], if_kept: str, *if_not: str) -> bool:
    """Knee and limit by the definition: nearly all answered, and p99 below ten times the first step's.

    A busy host may keep a rate from being kept; then the shortfall must be somebody's.
    """
    first, last = steps
    said = storm["steps"][-1]
    kept = said["answered"] >= 0.98 * said["due"] and last.p99_ms < 10 * first.p99_ms
    knee, limits = (said["offered_hz"], (if_kept,)) if kept else (storm["steps"][0]["offered_hz"], if_not)
    return storm["knee_hz"] == pytest.approx(knee) and storm["limited_by"] in limits


def test_an_engine_that_stood_still_is_what_limited_its_storm(told: Told) -> None:
    storm = told.storm("late")
    last, steps = storm["steps"][1], [step_of(told, "late", at) for at in range(len(LATE_HZ))]
    assert last["lateness_ms"] > 900 * STOOD_STILL_S
    assert last["answered"] >= 0.98 * last["due"], "what was due meanwhile was made good"
    assert last["latency_ms"]["p99"] == pytest.approx(steps[1].p99_ms, rel=0.02)
    assert last["latency_ms"]["p99"] > 800 * STOOD_STILL_S, "counted from when the calls were due"
    assert is_as_defined(storm, steps, "nothing", "generator")


def test_a_server_that_answers_late_is_what_limited_its_storm(told: Told) -> None:
    storm = told.storm("held")
    (step,) = storm["steps"]
    assert step["answered"] < 0.7 * step["due"]
    assert storm["achieved_hz"] < 1.1 * HELD_PLACES / ANSWER_S
    assert step["held_share"] > 0.6
    assert step["latency_ms"]["p99"] == pytest.approx(step_of(told, "held", 0).p99_ms, rel=0.02)
    assert (storm["limited_by"], storm["knee_hz"]) == ("server", None)


@pytest.mark.parametrize("name", ["awake", "sleepy"])
def test_what_a_watcher_lost_is_what_the_ledger_says_it_lost(told: Told, name: str) -> None:
    """Counter for counter, between the first and the last one that it was told."""
    said, truth, heard = told.watcher(name), told.truths[name], told.counters(name)
    read = [int(change.value) for change in truth.read if change.source == "user"]
    assert heard == read, "in the order of the server, to the last one"
    assert truth.queued == 0
    within = range(min(heard), max(heard) + 1)
    silent = {counter for counter in told.sets[WATCHED] if counter in within} - set(heard)
    lost = {int(value) for value in truth.lost_values if int(value) in within}
    assert silent - set(read) == lost
    assert said["lost"] == len(silent)
    assert (said["counted"], said["first_counter"], said["last_counter"]) == (len(heard), min(heard), max(heard))
    assert said["events"] == len(heard) + said["by_source"].get("hardware", 0)
    by_writer = [[counter for counter in heard if counter % 2 == writer] for writer in range(2)]
    assert all(by_writer)
    disorder = (sum(b < a for a, b in zip(np.maximum.accumulate(own), own[1:], strict=False)) for own in by_writer)
    assert said["out_of_order"] == sum(disorder)
    assert said["longest_loss"] == longest_run(sorted(told.sets[WATCHED] & set(within)), set(heard))
    assert bool(lost) == (name == "sleepy")


def longest_run(written: list[int], heard: set[int]) -> int:
    """Most counters in a row that were written and not heard."""
    most = run = 0
    for counter in written:
        run = 0 if counter in heard else run + 1
        most = max(most, run)
    return most


def test_nothing_of_a_storm_is_lost_and_no_stream_suffers(told: Told) -> None:
    accounting = told.summary["accounting"]
    assert accounting["missing"] == accounting["undelivered"] == 0
    totals = [one for every in told.totals.values() for one in every]
    assert len(told.sender.rows(Kind.CALLED)) == sum(one["answered"] for one in totals)
    viewer = told.summary["run"]["missing"]
    assert [viewer[name] for name in ("unseen", "transport", "undecided")] == [0, 0, 0]
