"""A storm keeps its schedule whatever the server does, says whose doing a shortfall was, and starves no stream."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvload.engine.schedule import Schedule
from pvload.engine.storm import Account
from pvload.errors import FormatError
from pvload.wire import command
from pvload.wire.event import Kind, Records, rows_of

OpenStream = Callable[..., int]
Texts = Callable[[Records], dict[int, str]]
SECOND = 1_000_000_000
RATES = st.lists(st.floats(0.01, 20_000.0), min_size=1, max_size=4)


@given(rates=RATES, step=st.integers(1_000, 5 * SECOND), call=st.integers(0, 10**6), begin=st.integers(0, 10**15))
def test_what_is_due_by_a_moment_is_what_was_due_until_then(
    rates: list[float], step: int, call: int, begin: int
) -> None:
    schedule = Schedule(begin_ns=begin, step_ns=step, rates_hz=rates)
    due_ns = schedule.due_ns(call)
    assert schedule.due_ns(call + 1) >= due_ns
    assert schedule.due_by(due_ns) >= call + 1
    assert schedule.due_by(due_ns - 1) <= call


def test_a_step_follows_the_other_and_the_last_one_stays() -> None:
    schedule = Schedule(begin_ns=100, step_ns=SECOND, rates_hz=[2.0, 4.0])
    assert [schedule.due_ns(n) - 100 for n in range(8)] == [n * SECOND // 4 for n in (0, 2, 4, 5, 6, 7, 8, 9)]
    assert [schedule.rate_hz(t) for t in (0, SECOND, SECOND + 100, 9 * SECOND)] == [2.0, 2.0, 4.0, 4.0]
    short = Schedule(begin_ns=0, step_ns=SECOND * 3 // 2, rates_hz=[2.0, 4.0])
    moments = [0]
    while len(moments) < 5:
        moments.append(short.boundary_ns(moments[-1], SECOND))
    assert [m / SECOND for m in moments] == [0, 1, 1.5, 2, 3], "each second, and at a step's end"
    for rates in ([], [0.0]):
        with pytest.raises(FormatError):
            Schedule(begin_ns=0, step_ns=SECOND, rates_hz=rates)


def test_a_loop_without_rest_is_late_by_itself() -> None:
    waiting, working = Account(0), Account(0)
    waiting.full(1_000, 300)
    working.full(1_000, 50)
    assert (waiting.held_ns, waiting.own_lateness_ns) == (300, 0), "it had time: the server held it up"
    assert (working.held_ns, working.own_lateness_ns) == (50, 950)


def storm(engine: Any, **fields: Any) -> int:
    number: int = engine.next_id()
    order: dict[str, Any] = {
        "population": "storm",
        "ordinal": 1,
        "device": "steady",
        "parameter": "p",
        "values": ["{10+n}"],
        "first": 5,
        "stride": 2,
        "rates_hz": [100.0, 300.0],
        "step_ms": 600.0,
        "begin_ns": time.monotonic_ns() + 20_000_000,
    }
    engine.order(command.Storm(id=number, **order | fields))
    return number


def test_every_call_of_the_schedule_is_made_and_accounted_for(
    bench: Any, open_stream: OpenStream, texts: Texts
) -> None:
    engine = bench.start(bench.serve())
    steady = open_stream(engine, "steady", stop_after_frames=70)
    number = storm(engine)
    engine.answer("ended", id=steady)
    engine.order(command.Close(id=number))
    totals = engine.answer("answered", id=number).answer
    assert totals["sent"] == totals["answered"] == totals["due"], "what was due when it was closed is sent"
    assert totals["ok"] == 0, "this server refuses each value"
    records = bench.records(engine)
    text = texts(records)
    called, offered = rows_of(records, Kind.CALLED), rows_of(records, Kind.OFFERED)
    assert sorted(called["counter"].tolist()) == [10_000_005 + 2 * n for n in range(totals["sent"])]
    assert set(called["flags"].tolist()) == {1}
    assert {text[row["population"]] + "/" + text[row["method"]] for row in called} == {"storm/SetParameter"}
    assert all(called["due_ns"] <= called["sent_ns"])
    assert all(called["sent_ns"] < called["t_ns"])
    assert sum(offered["due"]) == totals["due"]
    assert sum(offered["sent"]) == sum(offered["answered"]) == totals["sent"]
    assert sum(offered["ok"]) == 0
    assert [int(rate) for rate in offered["rate_hz"][:2]] == [100, 300]
    assert list(offered["interval_ns"][:2]) == [600_000_000, 400_000_000]
    own = rows_of(records, Kind.FRAME)
    lags = rows_of(records, Kind.LAG)
    doubt_ns = int(lags["lateness_ns"].max() + lags["run_queue_ns"].max())
    assert np.max(np.diff(own["t_ns"] - own["source_ns"])[10:]) <= 20_000_000 + doubt_ns


def test_a_server_that_holds_its_answers_back_is_told_from_a_late_engine(bench: Any) -> None:
    """One place and answers after 50 ms: 20 a second of 200, and the places were taken nearly all the time."""
    engine = bench.start(bench.serve())
    number = storm(engine, parameter="slow", in_flight=1, rates_hz=[200.0], step_ms=60_000.0)
    seen = engine.answer("answered", id=stop_after(engine, number, 1.2)).answer
    records = bench.records(engine)
    offered = rows_of(records, Kind.OFFERED)
    assert seen["due"] >= 200
    assert seen["sent"] <= 25
    assert offered["held_ns"][0] > 0.8 * offered["interval_ns"][0]
    assert offered["lateness_ns"][0] < 0.1 * SECOND
    waited = rows_of(records, Kind.CALLED)
    assert max(waited["t_ns"] - waited["due_ns"]) > 0.5 * SECOND, "latency counts from when the call was due"


def stop_after(engine: Any, number: int, seconds: float) -> int:
    """Closes the storm when a watchdog of an unused stream has waited so long: time that passes in the engine."""
    timer: int = engine.next_id()
    engine.order(
        command.Open(
            id=timer, population="t", ordinal=0, number=1, device="silent", silence_ms=seconds * 1000, on_silence="end"
        )
    )
    engine.answer("ended", id=timer)
    engine.order(command.Close(id=number))
    return number


def test_a_call_without_an_answer_ends_at_its_time_out(bench: Any) -> None:
    engine = bench.start(bench.serve())
    number = storm(engine, parameter="never", in_flight=2, rates_hz=[200.0], step_ms=60_000.0, timeout_ms=300.0)
    totals = engine.answer("answered", id=stop_after(engine, number, 1.3)).answer
    assert (totals["answered"], totals["sent"]) == (2, 4), "looked at once a second"
    assert set(rows_of(bench.records(engine), Kind.CALLED)["status"].tolist()) == {4}


def test_an_impossible_storm_is_refused_and_the_runs_end_ends_one(bench: Any) -> None:
    engine = bench.start(bench.serve())
    for fields in ({"values": []}, {"in_flight": 0}, {"rates_hz": []}, {"values": ["{n}{n}"]}, {"values": ["x" * 200]}):
        number = storm(engine, **fields)
        assert engine.answer("failed", id=number).reason
    number = storm(engine)
    engine.order(command.RunEnd(at_ns=time.monotonic_ns(), reason="duration", warm_up_ns=0, planned_ns=SECOND))
    assert engine.answer("answered", id=number).status == "OK"
    bench.records(engine)
