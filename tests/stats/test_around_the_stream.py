"""Calls, storms, watchers, states, health, cycles, stop probes and actions: exact figures of small runs."""

from __future__ import annotations

import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvload.diagnose.cycles import attempts
from pvload.profiles.schema import Profile
from pvload.stats.config import FoldConfig, fold_config
from pvload.stats.counters import STAMPS, CounterSet, Stamps
from pvload.stats.summary_json import to_dict
from pvload.stats.tenths import Tenths
from pvload.wire.codes import EndedBy, Outcome
from pvload.wire.event import Kind
from tests.stats.around_stream import AroundStream, ns
from tests.stats.stream import MS, T0, S, Stream, summary

STORM = FoldConfig(kinds={"storm": "changer", "probe": "stop-probe"}, storms={"storm": "p"})


def test_calls_of_load_users_stand_apart_from_the_operators() -> None:
    """By population and method, from when each was due; the operator's stay where they were."""
    stream = AroundStream()
    stream.wanted(0.0)
    stream.unary(1.0, 1.1)
    stream.unary(1.0, 1.25, by="users", due=0.95)
    stream.unary(2.0, 2.01, by="users", status=3, details="value 5 is above 4")
    stream.unary(3.0, 3.01, by="users", failed=True, answer='{"error_message":"no such mode"}')
    stream.unary(4.0, 4.01, by="users", failed=True)
    stream.unary(5.0, 6.0, by="users", status=4)
    found = summary(stream.end(10.0))
    assert [(calls.method, calls.count) for calls in found.unary] == [("SetParameter", 1)]
    (calls,) = found.around.calls
    assert (calls.population, calls.method, calls.count, calls.ok) == ("users", "SetParameter", 5, 1)
    assert calls.refused == 2
    assert calls.failed == {"DEADLINE_EXCEEDED": 1, "success=false": 1}
    assert calls.latency_ms.n == 5
    assert calls.latency_ms.min == pytest.approx(10.0)
    assert (calls.latency_ms.max, calls.slowest_at_s) == (pytest.approx(1000.0), pytest.approx(6.0))
    assert calls.examples[0] == "at 2.0 s: INVALID_ARGUMENT value 5 is above 4"


def _storm(steps: list[tuple[float, float, dict[str, int]]], *, late_s: float = 0.0) -> AroundStream:
    """Two-second steps from 1 s on: (rate, milliseconds a call takes, fields of each OFFERED).

    late_s: how long the engine was late by the end of the last one.
    """
    stream = AroundStream()
    stream.wanted(0.0, rate=10.0).open(0.0)
    stream.frames(0.1, 0.1, 9)
    at, frames = 1.0, 9
    for rate, took_ms, fields in steps:
        for second in range(2):
            stream.frames(at + second, 0.1, 10, first=frames)
            frames += 10
            for call in range(round(rate)):
                stream.called(ns(at + second + call / rate), took_ms)
            stream.offered(at + second + 1.0, rate, **fields)
        at += 2.0
    if late_s:
        stream.put(Kind.LAG, at, interval_ns=S, lateness_ns=round(late_s * S), latest_ns=ns(at))
    stream.frames(at, 0.1, round((9.55 - at) * 10), first=frames)
    return stream


def test_a_storm_that_is_kept_has_its_highest_rate_as_knee() -> None:
    stream = _storm([(10.0, 5.0, {}), (20.0, 6.0, {})]).end(9.6)
    (storm,) = summary(stream, config=STORM).around.storms
    assert (storm.population, storm.method, storm.parameter) == ("storm", "SetParameter", "p")
    assert (storm.knee_hz, storm.achieved_hz, storm.limited_by) == (20.0, 20.0, "nothing")
    first, second = storm.steps
    assert (first.at_s, first.length_s, first.offered_hz) == (1.0, 2.0, 10.0)
    assert (second.at_s, second.length_s, second.offered_hz) == (3.0, 2.0, 20.0)
    assert (first.due, first.sent, first.answered, first.ok) == (20, 20, 20, 20)
    assert (second.due, second.ok, second.latency_ms.n) == (40, 40, 40)
    assert second.latency_ms.max == pytest.approx(6.0)
    assert first.longest_gap_s == pytest.approx(0.1)
    (calls,) = summary(stream, config=STORM).around.calls
    assert (calls.population, calls.count, calls.ok) == ("storm", 60, 60)


def test_no_more_calls_of_a_step_are_well_answered_than_are_answered() -> None:
    """A call that is due in the first step and answered in the second is counted in the second, both ways."""
    stream = AroundStream()
    stream.wanted(0.0).called(1.5, 10.0).called(1.9, 200.0).offered(2.0, 2.0, due=2, sent=2, answered=1, ok=1)
    stream.called(2.5, 100.0).called(2.6, 100.0, status=3).offered(3.0, 4.0, due=2, sent=2, answered=3, ok=2).end(8.0)
    (storm,) = summary(stream, config=STORM).around.storms
    assert [(step.answered, step.ok) for step in storm.steps] == [(1, 1), (3, 2)]
    assert [step.latency_ms.n for step in storm.steps] == [2, 2]


def test_calls_count_in_the_step_they_were_due_in_however_late_they_are_answered() -> None:
    """The last call of the first step is answered in the second."""
    stream = AroundStream()
    stream.wanted(0.0).called(1.5, 1000.0).offered(2.0, 1.0).called(2.5, 100.0).offered(3.0, 2.0).end(8.0)
    (storm,) = summary(stream, config=STORM).around.storms
    assert [step.latency_ms.max for step in storm.steps] == [pytest.approx(1000.0), pytest.approx(100.0)]


@pytest.mark.parametrize(
    ("fields", "took_ms", "limit"),
    [
        ({"sent": 5, "answered": 5, "held_ns": 8 * S // 10, "lateness_ns": S // 10}, 6.0, "server"),
        ({"sent": 5, "answered": 5, "held_ns": 29 * S // 100, "lateness_ns": S}, 6.0, "generator"),
        ({"sent": 5, "answered": 5, "held_ns": S // 10, "lateness_ns": S // 2}, 6.0, "generator"),
        ({"sent": 5, "answered": 5, "held_ns": 6 * S // 10}, 6.0, "undecided"),
        ({"sent": 20, "answered": 5, "held_ns": S // 10}, 6.0, "server"),
        ({"sent": 5, "answered": 5}, 6.0, "undecided"),
        ({}, 600.0, "server"),
        ({"lateness_ns": S // 2}, 600.0, "generator"),
        ({"lateness_ns": S // 2, "held_ns": 6 * S // 10}, 600.0, "undecided"),
    ],
)
def test_whose_limit_a_shortfall_was(fields: dict[str, int], took_ms: float, limit: str) -> None:
    stream = _storm([(10.0, 5.0, {}), (20.0, took_ms, fields)]).end(9.6)
    (storm,) = summary(stream, config=STORM).around.storms
    assert (storm.knee_hz, storm.limited_by) == (10.0, limit)
    assert storm.steps[1].held_share == pytest.approx(fields.get("held_ns", 0) / S)
    assert storm.steps[1].lateness_ms == pytest.approx(fields.get("lateness_ns", 0) / MS)


@pytest.mark.parametrize(
    ("what", "busy", "late_s", "host", "limit"),
    [
        ("time was left", 0.9, 0.0, "h", "server"),
        ("all cores were busy", 0.97, 0.0, "h", "undecided"),
        ("those of another host were", 0.97, 0.0, "other", "server"),
        ("the engine was late", 0.5, 0.3, "h", "undecided"),
    ],
)
def test_a_generator_without_time_left_lays_nothing_to_the_server(
    what: str, busy: float, late_s: float, host: str, limit: str
) -> None:
    """Two cores; the step is from 3 to 5 s."""
    short = {"sent": 5, "answered": 5, "held_ns": 8 * S // 10}
    stream = _storm([(10.0, 5.0, {}), (20.0, 6.0, short)], late_s=late_s)
    monitor = Stream(2, role="monitor")
    name = monitor.text(host)
    for second in range(9):
        monitor.put(Kind.HOST, float(second), cpu_ns=round(2 * busy * S), cores=2, name=name)
    (storm,) = summary(stream.end(9.6), monitor, config=STORM).around.storms
    assert storm.limited_by == limit, what


def test_not_even_the_first_rate_was_kept() -> None:
    (storm,) = summary(_storm([(10.0, 5.0, {"answered": 9})]).end(9.6), config=STORM).around.storms
    assert (storm.knee_hz, storm.achieved_hz) == (None, 9.0)


def test_a_storm_of_several_users_on_two_engines_is_one() -> None:
    """Shares of the rate add up; the gap of the engine with frames is the step's."""
    first, second = _storm([(10.0, 5.0, {})]), AroundStream(2, worker="w2")
    second.wanted(0.0)
    for call in range(10):
        second.called(ns(1.0 + call / 5), 5.0, ordinal=1)
    second.offered(2.0, 5.0, ordinal=1, held_ns=S // 2).offered(3.0, 5.0, ordinal=1, held_ns=S // 2)
    (storm,) = summary(first.end(9.6), second.end(9.6), config=STORM).around.storms
    (step,) = storm.steps
    assert (step.offered_hz, step.due, step.answered, step.ok) == (15.0, 30, 30, 30)
    assert step.held_share == pytest.approx(0.25)
    assert storm.achieved_hz == 15.0


def test_the_worst_gap_of_frames_in_a_step_and_the_events_told_in_it() -> None:
    stream = AroundStream()
    stream.wanted(0.0, rate=10.0).open(0.0).frames(0.1, 0.1, 20).frames(2.7, 0.1, 60, first=20)
    stream.watching(0.5)
    for at, counter in ((1.05, 1), (1.15, 2), (2.25, 3), (3.35, 4)):
        stream.parameter(at, counter)
    stream.offered(2.0, 10.0).offered(3.0, 20.0).offered(4.0, 30.0)
    (storm,) = summary(stream.end(9.0), config=STORM).around.storms
    assert [step.longest_gap_s for step in storm.steps] == [pytest.approx(0.1), pytest.approx(0.7), pytest.approx(0.1)]
    assert [step.events for step in storm.steps] == [2, 1, 1]


@pytest.mark.parametrize(("told", "disorder"), [((0, 1, 3, 2, 5, 4), 0), ((0, 2, 4, 2, 1, 3), 1), ((1, 0, 3, 2), 0)])
def test_disorder_is_within_what_one_user_wrote(told: tuple[int, ...], disorder: int) -> None:
    """Two users write even and odd counters; how theirs come one among another is nobody's disorder."""
    stream = AroundStream()
    stream.wanted(0.0).watching(0.5)
    for at, counter in enumerate(told):
        stream.parameter(1.0 + at / 10, counter)
    for config, found in ((replace(STORM, writers={"p": 2}), disorder), (replace(STORM, writers={"": 2}), disorder)):
        (watcher,) = summary(stream, config=config).around.watchers
        assert watcher.out_of_order == found
    (alone,) = summary(stream, config=STORM).around.watchers
    assert alone.out_of_order > 0


def test_a_watcher_finds_what_it_was_not_told() -> None:
    """Written 1..10, of which 4 was refused; told 2, 3, 5, 9, and 3 again after 5: lost 6, 7, 8."""
    stream = AroundStream()
    stream.wanted(0.0).watching(0.5)
    for counter in range(1, 11):
        stream.called(1.0 + counter / 10, 10.0, counter, status=3 if counter == 4 else 0)
    for at, counter, source in ((1.25, 2, 1), (1.35, 3, 1), (1.55, 5, 1), (1.56, 3, 2), (1.95, 9, 1), (1.96, 3, 1)):
        stream.parameter(at, counter, source=source)
    stream.parameter(2.5, 400, name="temperature").parameter(2.6, -1)
    stream.put(Kind.WATCHED, 3.0, ref=50, code=EndedBy.SERVER, status=14, details=stream.text("gone"), events=8)
    (watcher,) = summary(stream.end(5.0), config=STORM).around.watchers
    assert (watcher.name, watcher.events, watcher.by_source) == ("watcher/0", 8, {"hardware": 1, "user": 7})
    assert (watcher.first_counter, watcher.last_counter, watcher.counted) == (2, 9, 4)
    assert (watcher.lost, watcher.longest_loss, watcher.out_of_order) == (3, 3, 1)
    assert (watcher.delay_ms.n, watcher.delay_ms.max) == (4, pytest.approx(40.0))
    assert watcher.ended == "UNAVAILABLE gone"


def test_what_was_written_by_another_engine_and_by_single_calls_counts() -> None:
    """Two senders; the writer's clock is a second ahead."""
    watcher, writer = AroundStream(), AroundStream(2, worker="w2")
    watcher.wanted(0.0).watching(0.5).parameter(2.0, 1, name="label").parameter(4.0, 3, name="label")
    writer.put(Kind.CLOCK, 0.5, offset_ns=-S, round_trip_ns=1000)
    for at, value in ((2.9, "v1"), (3.9, "v2"), (4.9, "v3")):
        request = '{"device_id":"cam","parameter_name":"label","value":"' + value + '"}'
        writer.unary(at, at + 0.05, by="changer", request=request)
    (found,) = summary(watcher.end(9.0), writer).around.watchers
    assert (found.lost, found.longest_loss) == (1, 1)
    assert (found.delay_ms.min, found.delay_ms.max) == (pytest.approx(50.0), pytest.approx(50.0))


def test_what_is_under_way_when_the_watchers_are_closed_is_not_lost() -> None:
    """4 and 6 are answered in the last second and never told, 5 is; 2 was lost before."""
    stream = AroundStream().wanted(0.0).watching(0.1)
    for at, counter in ((1.0, 1), (2.0, 2), (3.0, 3), (9.2, 5), (9.4, 4), (9.6, 6)):
        stream.called(at, 10.0, counter)
        if counter in (1, 3, 5):
            stream.parameter(at + 0.02, counter)
    (watcher,) = summary(stream.end(10.0), config=STORM).around.watchers
    assert (watcher.lost, watcher.counted, watcher.last_counter) == (1, 3, 5)


def test_a_watcher_without_counters_says_nothing_of_losses() -> None:
    stream = AroundStream()
    stream.wanted(0.0).watching(0.5).parameter(1.0, -1).end(5.0)
    (watcher,) = summary(stream).around.watchers
    assert (watcher.events, watcher.first_counter, watcher.lost, watcher.ended) == (1, None, None, "")


def test_a_watcher_that_was_never_told_anything_is_named_all_the_same() -> None:
    (watcher,) = summary(AroundStream().watching(0.5).end(5.0)).around.watchers  # type: ignore[attr-defined]
    assert (watcher.name, watcher.events, watcher.counted) == ("watcher/0", 0, 0)


def test_states_of_a_device_polled_and_pushed() -> None:
    stream = AroundStream()
    stream.wanted(0.0)
    for at, streaming, pushed in ((1.0, False, False), (2.0, False, False), (2.5, True, True), (5.0, True, False)):
        stream.state(at, streaming=streaming, pushed=pushed)
    stream.state(6.0, streaming=True, online=False)
    stream.unary(7.0, 7.1, "GetDeviceState", by="states", status=14)
    (states,) = summary(stream.end(9.0)).around.states
    assert (states.device, states.polls, states.pushes, states.poll_failures) == ("cam", 4, 1, 1)
    assert [(one.at_s, one.streaming, one.online, one.pushed) for one in states.changes] == [
        (1.0, False, True, False),
        (2.5, True, True, True),
        (6.0, True, False, False),
    ]
    assert states.longest_silence_s == pytest.approx(3.0)


def test_two_watchers_that_see_the_same_change_tell_of_one() -> None:
    first, second = AroundStream(), AroundStream(2, worker="w2")
    first.wanted(0.0)
    for at, streaming in ((1.0, False), (3.0, True)):
        first.state(at, streaming=streaming)
        second.state(at + 0.5, streaming=streaming)
    (states,) = summary(first.end(9.0), second).around.states
    assert [(one.at_s, one.streaming) for one in states.changes] == [(1.0, False), (3.0, True)]


def test_observables_by_watcher_and_name() -> None:
    stream = AroundStream()
    stream.wanted(0.0).watching(0.5, method="StreamObservables")
    for at, value in ((1.0, 5.0), (2.0, -3.0), (4.5, 9.0)):
        stream.put(Kind.OBSERVABLE, at, ref=50, device=stream.text("cam"), name=stream.text("rate"), value=value)
    (seen,) = summary(stream.end(9.0)).around.observed
    assert (seen.watcher, seen.name, seen.values, seen.first, seen.last) == ("watcher/0", "rate", 3, 5.0, 9.0)
    assert (seen.least, seen.most, seen.longest_gap_s, seen.ended) == (-3.0, 9.0, 2.5, "")
    assert summary(stream).around.watchers == ()


def test_health_by_module_with_the_oldest_heartbeat() -> None:
    stream = AroundStream()
    stream.wanted(0.0)
    camera = stream.text("camera")
    for at, code, age in ((1.0, 1, 2 * S), (2.0, 2, 31 * S), (3.0, 1, 31 * S)):
        stream.put(Kind.HEALTH, at, code=code, module=camera, heartbeat_age_ns=age)
    stream.put(Kind.HEALTH, 3.5, code=2, flags=1, heartbeat_age_ns=-1)
    liveness, module = sorted(summary(stream.end(9.0)).around.health, key=lambda one: one.probes)
    assert (liveness.name, liveness.statuses) == ("daemon (grpc.health.v1)", {"not_serving": 1})
    assert liveness.oldest_heartbeat_s is None
    assert (module.name, module.statuses) == ("camera", {"degraded": 1, "healthy": 2})
    assert (module.oldest_heartbeat_s, module.oldest_heartbeat_at_s) == (31.0, 2.0)


def test_cycles_by_attempt_since_the_daemons_start() -> None:
    """Good, stalled, without frames, refused; the daemon starts anew before the last, which is attempt 1 again."""
    stream = AroundStream()
    stream.wanted(0.0, on=False).open(0.0)
    stream.unary(1.0, 1.2, "StartStream").wanted(1.0, rate=10.0)
    stream.frames(1.5, 0.1, 20).unary(3.5, 3.6, "StopStream", number=20).wanted(3.5, on=False)
    stream.unary(5.0, 5.1, "StartStream").wanted(5.0, rate=10.0)
    stream.frames(5.5, 0.1, 5).unary(9.0, 9.1, "StopStream").wanted(9.0, on=False)
    stream.unary(10.0, 10.1, "StartStream").wanted(10.0, rate=10.0)
    stream.unary(11.0, 11.1, "StopStream").wanted(11.0, on=False)
    stream.unary(12.0, 12.1, "StartStream", status=9, details="camera is busy")
    stream.put(Kind.DAEMON, 14.0, code=0, pid=7)
    stream.unary(15.0, 15.1, "StartStream").wanted(15.0, rate=10.0).frames(15.2, 0.1, 10).end(16.15)
    cycles = summary(stream).around.cycles
    assert [(one.attempt, one.outcome) for one in cycles] == [
        (1, "ok"),
        (2, "stalled"),
        (3, "no frames"),
        (4, "refused: camera is busy"),
        (1, "ok"),
    ]
    good, stalled, *_, last = cycles
    assert (good.started_at_s, good.start_ms, good.first_frame_ms) == (1.0, pytest.approx(200.0), pytest.approx(500.0))
    assert (good.frames, good.last_frame_number, good.captured) == (20, 19, 20)
    assert (good.stop_ms, good.longest_gap_s) == (pytest.approx(100.0), pytest.approx(0.1))
    assert stalled.longest_gap_s == pytest.approx(3.1)
    assert (last.stop_ms, last.captured, last.frames) == (None, None, 10)


def test_a_cycle_without_an_open_stream_says_nothing_of_the_camera() -> None:
    """The viewer's call ends in the first cycle and the next begins in the third."""
    stream = AroundStream()
    stream.wanted(0.0, on=False).open(0.0)
    for at in (1.0, 4.0, 7.0):
        stream.unary(at, at + 0.1, "StartStream").wanted(at, rate=10.0)
        if at == 1.0:
            stream.frames(1.5, 0.1, 5).ended(2.0, by=EndedBy.SERVER, status=14, frames=5)
        if at == 7.0:
            stream.open(7.5, 2, number=2)
        stream.unary(at + 2, at + 2.1, "StopStream").wanted(at + 2, on=False)
    around = summary(stream.end(10.0)).around
    assert [one.outcome for one in around.cycles] == ["ok", "not watched", "no frames"]
    assert [one.failed for one in around.cycles] == [False, False, True]
    told = attempts(around.cycles)
    assert (told.count, told.failed) == (2, 1)


def test_a_stop_probe_takes_its_time_and_frames_take_theirs() -> None:
    """Stopped in 300 ms, the last frame came 150 ms after the stop was sent; during a storm, and after it."""
    stream = AroundStream()
    stream.wanted(0.0, rate=10.0).open(0.0).frames(0.1, 0.1, 40)
    stream.offered(4.0, 10.0).offered(5.0, 10.0)
    stream.unary(4.05, 4.35, "StopStream", by="probe").wanted(4.05, on=False).frame(4.2, 40)
    stream.unary(6.0, 6.5, "StartStream", by="probe").wanted(6.0, rate=10.0).frames(6.6, 0.1, 10, first=0)
    stream.unary(8.0, 9.0, "StopStream", by="probe", status=4)
    stop, start, failed = summary(stream.end(10.0), config=STORM).around.stop_probes
    assert (stop.call, stop.took_ms, stop.status, stop.during_storm) == ("StopStream", pytest.approx(300.0), "OK", True)
    assert stop.silent_after_ms == pytest.approx(150.0)
    assert (start.call, start.took_ms, start.silent_after_ms) == ("StartStream", pytest.approx(500.0), None)
    assert not start.during_storm
    assert (failed.took_ms, failed.status, failed.silent_after_ms) == (None, "DEADLINE_EXCEEDED", None)


def test_actions_in_order_of_time() -> None:
    stream = AroundStream()
    stream.wanted(0.0)
    for at, number, outcome in ((4.0, 1, Outcome.UNMET), (2.0, 0, Outcome.DONE)):
        stream.put(
            Kind.ACTION,
            at,
            code=outcome,
            number=number,
            due_ns=T0 + S if number == 0 else 0,
            text=stream.text(f"action {number}"),
            client=stream.text("b"),
        )
    first, second = summary(stream.end(9.0)).around.actions
    assert (first.number, first.at_s, first.due_s, first.text, first.client) == (0, 2.0, 1.0, "action 0", "b")
    assert (first.outcome, second.outcome, second.due_s) == ("done", "unmet", None)


def test_around_stands_in_the_summarys_json() -> None:
    stream = _storm([(10.0, 5.0, {})])
    around = to_dict(summary(stream.end(9.6), config=STORM))["around"]
    assert around["storms"][0]["steps"][0]["due"] == 20
    assert around["changes"]["count"] == 0


def test_the_profile_tells_kinds_times_and_storms() -> None:
    changes = {"mode": "storm", "parameters": ["acquisition.exposure_ms"]}
    walk = {"mode": "walk", "effect_within": "5s", "ranges": {"acquisition.exposure_ms": [10, 2000]}}
    profile = Profile.model_validate(
        {
            "run": {"name": "x", "duration": "20s"},
            "users": [
                {"name": "a", "kind": "changer", "changes": changes},
                {"name": "b", "kind": "changer", "changes": walk},
                {"name": "c", "kind": "stop-probe"},
            ],
        }
    )
    config = fold_config(profile)
    assert config.kinds == {"a": "changer", "b": "changer", "c": "stop-probe"}
    assert config.storms == {"a": "acquisition.exposure_ms"}
    assert (config.effect_ns("b"), config.effect_ns("x")) == (5 * S, 2 * S)
    assert config.stall_ns >= 4 * S, "two periods of the slowest exposure"


@given(
    st.lists(st.integers(0, 200_000), min_size=1, max_size=60),
    st.lists(st.integers(0, 200_000), min_size=1, max_size=60),
    st.integers(0, 60),
)
def test_losses_by_bitmap_equal_losses_by_sets(told: list[int], written: list[int], at: int) -> None:
    own, wrote, rest = CounterSet(), CounterSet(), CounterSet()
    own.add(np.array(told))
    wrote.add(np.array(written[:at], np.int64))
    rest.add(np.array(written[at:], np.int64))
    wrote.merge(rest)
    inside = sorted(one for one in set(written) if min(told) <= one <= max(told))
    runs = "".join("0" if one in set(told) else "1" for one in inside).split("0")
    assert own.lost(wrote) == (sum(map(len, runs)), max(map(len, runs)))
    assert len(own) == len(set(told))


def test_times_of_many_counters_are_an_even_share_that_no_order_changes() -> None:
    counters = np.arange(1, 400_000, 2)
    rows = [(counters, counters * 10), (counters[::3], counters[::3] * 10 - 5)]
    chance = random.Random(1)
    found = []
    for _ in range(3):
        stamps, parts = Stamps(), [Stamps(), Stamps()]
        for own, times in rows:
            order = np.array(chance.sample(range(own.size), own.size))
            for part in np.array_split(order, 5):
                parts[chance.randrange(2)].add(own[part], times[part])
        for part in parts:
            stamps.merge(part, 7)
        found.append(stamps.settled())
    assert STAMPS // 4 < found[0].shape[1] <= STAMPS
    assert all(np.array_equal(found[0], other) for other in found[1:])
    third = np.isin(found[0][0], counters[::3])
    assert (found[0][1] == found[0][0] * 10 + 7 - 5 * third).all()


@given(st.lists(st.integers(1, 3_000), min_size=1, max_size=40), st.integers(0, 40))
def test_the_longest_gap_of_each_tenth_equals_the_slow_way(gaps: list[int], at: int) -> None:
    ends = np.cumsum(gaps) * MS
    begins = ends - np.array(gaps) * MS
    tenths = Tenths()
    for part in (slice(None, at), slice(at, None)):
        if ends[part].size:
            tenths.longest(begins[part], ends[part], ends[part] - begins[part])
    slow = [
        max(
            (
                g * MS
                for g, b, e in zip(gaps, begins, ends, strict=True)
                if b < (n + 1) * 100 * MS and e >= n * 100 * MS
            ),
            default=0,
        )
        for n in range(int(ends[-1]) // (100 * MS) + 1)
    ]
    assert tenths.within(0, int(ends[-1]) + 1).tolist() == slow
