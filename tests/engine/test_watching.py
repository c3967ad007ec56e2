"""What a daemon tells beside frames, watched and asked for, against the simulator."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pvload.profiles.schema import Profile
from pvload.wire import command
from pvload.wire.codes import EndedBy, Source, StateFlag
from pvload.wire.event import Kind, Records, rows_of
from rig import EngineProcess, Rig

Texts = Callable[[Records], dict[int, str]]
CAMERA = "prime_bsi"


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """The simulator's."""
    profile = Profile.model_validate({"run": {"name": "watch", "duration": "5s"}, "users": [{"name": "viewer"}]})
    rig = Rig(folder=tmp_path / "run", profile=profile)
    rig.prepare()
    try:
        rig.start_sim()
        yield rig.address
    finally:
        rig.close()


def watch(engine: EngineProcess, method: str, arguments: dict[str, Any] | None = None, **fields: Any) -> int:
    number = engine.next_id()
    order = {"population": "watcher", "ordinal": 3, "number": 1, "device": CAMERA, "arguments": arguments or {}}
    engine.order(command.Watch(id=number, method=method, **order | fields))
    engine.answer("headers", id=number)
    return number


def close(engine: EngineProcess, number: int) -> command.Ended:
    engine.order(command.Close(id=number))
    end = engine.answer("ended", id=number)
    assert isinstance(end, command.Ended)
    return end


def settled(engine: EngineProcess) -> None:
    """Many round trips on another connection: what was told before the first of them has come before the last."""
    number = engine.next_id()
    engine.order(command.Probe(id=number, device=CAMERA, parameter="acquisition.exposure_ms", count=30))
    engine.answer("answered", id=number)


def set_exposure(engine: EngineProcess, value: str) -> None:
    answered = engine.call("SetParameter", device_id=CAMERA, parameter_name="acquisition.exposure_ms", value=value)
    assert answered.status == "OK", answered


def test_parameter_changes_come_with_their_counters(bench: Any, address: str, texts: Texts) -> None:
    engine = bench.start(address)
    number = watch(engine, "StreamParameterChanges", {"device_id": CAMERA})
    for value in ("10.000123", "10.000124", "20"):
        set_exposure(engine, value)
    settled(engine)
    assert close(engine, number).by == "order"
    records = bench.records(engine)
    text = texts(records)
    rows = rows_of(records, Kind.PARAMETER)
    by_user = rows[rows["code"] == Source.USER]
    assert [int(counter) for counter in by_user["counter"]] == [10_000_123, 10_000_124, 20_000_000]
    assert list(by_user["value"]) == [10.000123, 10.000124, 20.0]
    assert {text[row["name"]] for row in rows} == {"acquisition.exposure_ms"}
    assert all(rows["ref"] == number)
    watching, watched = rows_of(records, Kind.WATCHING)[0], rows_of(records, Kind.WATCHED)[0]
    assert (text[watching["method"]], text[watching["population"]]) == ("StreamParameterChanges", "watcher")
    assert (watching["ordinal"], watching["number"]) == (3, 1)
    assert (watched["code"], watched["events"]) == (EndedBy.ORDER, len(rows))


def test_a_reader_that_pauses_takes_its_time(bench: Any, address: str) -> None:
    engine = bench.start(address)
    number = watch(engine, "StreamParameterChanges", {"device_id": CAMERA}, pause_ms=50.0)
    for value in ("11", "12", "13"):
        set_exposure(engine, value)
    engine.order(command.Close(id=number))
    engine.answer("ended", id=number)
    rows = rows_of(bench.records(engine), Kind.PARAMETER)
    assert all(rows["t_ns"][1:] - rows["t_ns"][:-1] >= 50_000_000)


def test_states_are_pushed_and_asked_for(bench: Any, address: str, texts: Texts) -> None:
    engine = bench.start(address)
    number = watch(
        engine, "SubscribeDeviceState", {"device_ids": [CAMERA], "max_rate_hz": 100, "include_snapshot": True}
    )
    engine.call("GetDeviceState", device_id=CAMERA)
    engine.call("StartStream", device_id=CAMERA)
    engine.call("GetDeviceState", device_id=CAMERA)
    engine.call("StopStream", device_id=CAMERA)
    close(engine, number)
    records = bench.records(engine)
    rows = rows_of(records, Kind.STATE)
    asked = rows[rows["sent_ns"] > 0]
    flags = [StateFlag(int(flag)) for flag in asked["flags"]]
    assert [StateFlag.STREAMING in flag for flag in flags] == [False, True]
    assert all(StateFlag.STREAMING_KNOWN in flag and StateFlag.ONLINE in flag for flag in flags)
    assert all(asked["sent_ns"] < asked["t_ns"])
    pushed = rows[rows["sent_ns"] == 0]
    assert StateFlag(int(pushed["flags"][0])) & (StateFlag.SNAPSHOT | StateFlag.PUSHED | StateFlag.ONLINE) == (
        StateFlag.SNAPSHOT | StateFlag.PUSHED | StateFlag.ONLINE
    )
    assert {texts(records)[row["device"]] for row in rows} == {CAMERA}
    answers = {texts(records)[row["answer"]] for row in rows_of(records, Kind.UNARY) if row["answer"]}
    assert not any("streaming" in answer for answer in answers), "a state is a record, not a text of its own"


def test_health_is_told_by_both_services(bench: Any, address: str, texts: Texts) -> None:
    engine = bench.start(address)
    number = watch(engine, "StreamHealthUpdates", {"update_interval_ms": 20})
    for method in ("GetSystemHealth", "GetModuleHealth", "Check"):
        answered_id = engine.next_id()
        engine.order(command.Call(id=answered_id, method=method, population="prober", ordinal=2))
        assert engine.answer("answered", id=answered_id).status == "OK"
    standard = watch(engine, "Watch", device="")
    assert engine.answer("ended", id=standard).status == "OK", "the daemon tells one status and ends the call"
    close(engine, number)
    records = bench.records(engine)
    text = texts(records)
    rows = rows_of(records, Kind.HEALTH)
    asked = [row for row in rows if text[row["population"]] == "prober"]
    assert {(text[row["module"]], int(row["code"]), int(row["flags"])) for row in asked} == {
        ("", 1, 0),
        ("system_metrics", 1, 0),
        ("hardware_registry", 1, 0),
        ("", 1, 1),
    }
    modules = [row for row in rows if text[row["module"]]]
    assert all(0 <= row["heartbeat_age_ns"] < 11_000_000_000 for row in modules)
    assert all(row["heartbeat_age_ns"] == -1 for row in rows if not text[row["module"]])
    assert all((row["sent_ns"] > 0) == (text[row["population"]] == "prober") for row in rows)


def test_observables_end_at_once_where_none_is_chosen(bench: Any, address: str) -> None:
    engine = bench.start(address)
    number = watch(engine, "StreamObservables")
    assert engine.answer("ended", id=number).status == "OK"
    engine.order(command.Watch(id=90, population="w", ordinal=0, number=1, device="", method="StreamFrames"))
    assert "streams no events" in engine.answer("failed", id=90).reason
    watched = rows_of(bench.records(engine), Kind.WATCHED)
    assert [(int(row["code"]), int(row["events"])) for row in watched] == [(EndedBy.SERVER, 0)]


def test_the_counters_of_a_storm_come_back_to_a_watcher(bench: Any, address: str) -> None:
    """Every call's counter is told, by the user's event, as the number that the call's own record has."""
    engine = bench.start(address)
    number = watch(engine, "StreamParameterChanges", {"device_id": CAMERA})
    storm = engine.next_id()
    order = command.Storm(
        id=storm,
        population="storm",
        ordinal=0,
        device=CAMERA,
        parameter="acquisition.exposure_ms",
        values=["{20+n}"],
        first=1,
        stride=1,
        rates_hz=[100.0],
        step_ms=1000.0,
        begin_ns=time.monotonic_ns(),
    )
    engine.order(order)
    # Meanwhile the storm goes on.
    engine.order(command.Probe(id=800, device=CAMERA, parameter="acquisition.exposure_ms", count=100))
    engine.answer("answered", id=800)
    engine.order(command.Close(id=storm))
    engine.answer("answered", id=storm)
    settled(engine)
    close(engine, number)
    records = bench.records(engine)
    told, called = rows_of(records, Kind.PARAMETER), rows_of(records, Kind.CALLED)
    assert len(called) > 5
    written = set(called["counter"].tolist())
    assert min(written) == 20_000_001
    assert set(told[told["code"] == Source.USER]["counter"].tolist()) == written
    assert set(told[told["code"] == Source.HARDWARE]["counter"].tolist()) <= written
