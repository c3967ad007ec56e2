"""The engine as a process: what it is ordered happens, is answered and recorded, and it leaves nothing open."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

import psutil
import pytest

from pvload.wire import command
from pvload.wire.codes import EndedBy, EndReason, FrameFlag, NoteClass, Payload, UnaryFlag, UserChange
from pvload.wire.event import Kind, Records, rows_of
from rig import EngineProcess

OpenStream = Callable[..., int]
Texts = Callable[[Records], dict[int, str]]


def ended(engine: EngineProcess, number: int) -> command.Ended:
    answer = engine.answer("ended", id=number)
    assert isinstance(answer, command.Ended)
    return answer


def each(engine: EngineProcess, name: str, numbers: Iterable[int]) -> dict[int, Any]:
    """The answers of one name to several ids, in whatever order they come."""
    missing, found = set(numbers), {}
    while missing:
        answer: Any = engine.answer(name)
        if answer.id in missing:
            missing.remove(answer.id)
            found[answer.id] = answer
    return found


def features(engine: EngineProcess) -> dict[str, int]:
    """What the server says: streams open now, connections it saw."""
    answer = engine.call("GetDaemonInfo").answer
    return {name: int(value) for name, value in (item.split("=") for item in answer["features"])}


def connections(engine: EngineProcess, address: str) -> int:
    """TCP connections of the engine to the server at `address`."""
    port = int(address.rpartition(":")[2])
    sockets = psutil.Process(engine.process.pid).net_connections("tcp")
    return sum(1 for it in sockets if it.raddr and it.raddr.port == port)


def reached(state: Callable[[], bool]) -> bool:
    """Whether `state` comes true within 10 s; each look costs a call, so this is no busy loop."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if state():
            return True
    return False


def test_a_stream_is_answered_and_recorded_from_order_to_end(bench: Any, open_stream: OpenStream, texts: Texts) -> None:
    engine = bench.start(bench.serve())
    number = open_stream(engine, "steady", stop_after_frames=5, max_fps=9, window_bytes=65_535, stall_ms=500.0)
    assert engine.answer("headers", id=number).connect_ms > 0
    assert engine.answer("first_frame", id=number).after_ms > 0
    end = ended(engine, number)
    assert (end.by, end.status, end.frames) == ("order", "CANCELLED", 5)
    records = bench.records(engine)
    text = texts(records)
    of_call = records[(records["ref"] == number) & ~_isin(records, Kind.TEXT, Kind.UNARY)]
    kinds = [Kind(kind) for kind in of_call["kind"]]
    assert kinds == [Kind.OPENED, Kind.HEADERS, *[Kind.FRAME] * 5, Kind.ENDED]
    assert list(of_call["t_ns"]) == sorted(of_call["t_ns"])
    opened = rows_of(records, Kind.OPENED)[0]
    assert (text[opened["population"]], text[opened["device"]], opened["number"]) == ("viewer", "steady", 1)
    assert (opened["max_fps"], opened["window_bytes"], opened["stall_ns"]) == (9, 65_535, 500_000_000)
    assert 0 < opened["ordered_ns"] <= opened["t_ns"]
    frames = rows_of(records, Kind.FRAME)
    assert list(frames["frame_number"]) == [0, 1, 2, 3, 4]
    assert list(frames["frames_sent"]) == [1, 2, 3, 4, 5]
    assert all(frames["source_ns"] <= frames["t_ns"])
    last = rows_of(records, Kind.ENDED)[0]
    assert (last["code"], last["frames"]) == (EndedBy.ORDER, 5)
    assert last["message_bytes"] == frames["message_bytes"].sum()


def _isin(records: Records, *kinds: Kind) -> Any:
    found = records["kind"] == kinds[0]
    for kind in kinds[1:]:
        found |= records["kind"] == kind
    return found


ENDINGS = [
    ("brief", "OK", "", 3),
    ("broken", "INTERNAL", "sensor 0x7f unplugged", 3),
    ("garbage", "INTERNAL", "no FrameData", 0),
    ("full", "RESOURCE_EXHAUSTED", "Maximum concurrent streams", 0),
]


@pytest.mark.parametrize(("device", "status", "details", "frames"), ENDINGS, ids=[case[0] for case in ENDINGS])
def test_an_end_that_nobody_ordered_carries_status_and_details(
    bench: Any, open_stream: OpenStream, texts: Texts, device: str, status: str, details: str, frames: int
) -> None:
    engine = bench.start(bench.serve())
    end = ended(engine, open_stream(engine, device))
    assert (end.by, end.status, end.frames) == ("server", status, frames)
    assert details in end.details
    records = bench.records(engine)
    row = rows_of(records, Kind.ENDED)[0]
    assert (row["code"], row["frames"]) == (EndedBy.SERVER, frames)
    assert texts(records)[row["details"]] == end.details


def test_a_target_that_is_not_there_ends_the_stream_unavailable(bench: Any, open_stream: OpenStream) -> None:
    engine = bench.start("127.0.0.1:1")
    assert ended(engine, open_stream(engine, "steady")).status == "UNAVAILABLE"
    assert engine.call("StartStream").status == "UNAVAILABLE"
    assert not len(rows_of(bench.records(engine), Kind.HEADERS))


def test_every_stream_has_one_connection_and_closing_frees_both(bench: Any, open_stream: OpenStream) -> None:
    address = bench.serve()
    engine = bench.start(address)
    numbers = [open_stream(engine, "steady") for _ in range(12)]
    each(engine, "first_frame", numbers)
    assert features(engine) == {"open": 12, "peers": 12}
    assert connections(engine, address) == 12 + 1, "one a stream, and one for the unary calls"
    for number in numbers:
        engine.order(command.Close(id=number))
    assert {end.by for end in each(engine, "ended", numbers).values()} == {"order"}
    assert reached(lambda: features(engine)["open"] == 0 and connections(engine, address) == 1)
    bench.records(engine)


def test_however_a_stream_ends_it_leaves_nothing_open(bench: Any, open_stream: OpenStream) -> None:
    address = bench.serve()
    engine = bench.start(address)
    for device in ("silent", "mute", "steady", "brief", "broken", "garbage", "full") * 3:
        number = open_stream(engine, device)
        if device in ("silent", "mute", "steady"):
            engine.order(command.Close(id=number))
        ended(engine, number)
    assert reached(lambda: features(engine)["open"] == 0 and connections(engine, address) == 1)
    records = bench.records(engine)
    assert len(rows_of(records, Kind.OPENED)) == len(rows_of(records, Kind.ENDED)) == 21


def test_a_server_that_accepts_and_says_nothing_holds_up_no_close(bench: Any, open_stream: OpenStream) -> None:
    """Neither HTTP/2 settings nor headers ever come, for a stream and for a call that is under way at the end."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        engine = bench.start(f"127.0.0.1:{deaf.getsockname()[1]}")
        number = open_stream(engine, "steady", silence_ms=50.0)
        engine.answer("timeout", id=number)
        engine.order(command.Close(id=number))
        assert ended(engine, number).by == "order"
        engine.order(command.Call(id=50, method="GetDaemonInfo"))
        engine.order(command.Finish())
        answered = engine.answer("answered", id=50)
        assert (answered.status, answered.details) == ("CANCELLED", "the engine ended")
        assert engine.answer("finished").records > 0
        assert engine.process.wait(10) == 0


def test_unary_calls_are_answered_and_recorded(bench: Any, texts: Texts) -> None:
    engine = bench.start(bench.serve())
    engine.order(command.Call(id=100, method="StartStream", arguments={"device_id": "steady"}, due_ns=5))
    assert engine.answer("answered", id=100).answer == {"success": True, "error_message": ""}
    engine.order(command.Call(id=101, method="StartStream", operator=True))
    engine.order(command.Call(id=102, method="StopStream", arguments={"device_id": "steady"}))
    engine.order(command.Call(id=103, method="SetParameter", arguments={"parameter_name": "p", "value": "1"}))
    engine.order(command.Call(id=104, method="SetParameter", arguments={"parameter_name": "missing"}))
    answers = each(engine, "answered", (101, 102, 103, 104))
    assert answers[104].status == "NOT_FOUND"
    assert answers[104].details == "no such parameter"
    engine.order(command.Call(id=105, method="Fly"))
    assert "no unary method" in engine.answer("failed", id=105).reason
    engine.order(command.Call(id=100, method="StopStream"))
    assert "used before" in engine.answer("failed", id=100).reason
    deep = command.Open(id=106, population="p", ordinal=0, number=1, device="steady", payload="deep")
    engine.order(deep)
    assert "'deep'" in engine.answer("failed", id=106).reason
    records = bench.records(engine)
    rows = {int(row["ref"]): row for row in rows_of(records, Kind.UNARY)}
    text = texts(records)
    assert {n: UnaryFlag(int(row["flags"])) for n, row in rows.items()} == {
        100: UnaryFlag(0),
        101: UnaryFlag.ALREADY | UnaryFlag.OPERATOR,
        102: UnaryFlag(0),
        103: UnaryFlag.APPLICATION_FAILED,
        104: UnaryFlag(0),
    }
    assert rows[102]["number"] == 77
    assert rows[104]["status"] == 5
    assert (text[rows[100]["method"]], text[rows[100]["device"]], rows[100]["due_ns"]) == ("StartStream", "steady", 5)
    assert text[rows[103]["request"]] == '{"parameter_name":"p","value":"1"}'
    assert all(row["sent_ns"] < row["t_ns"] for row in rows.values())


def test_the_targets_clock_is_probed(bench: Any) -> None:
    engine = bench.start(bench.serve())
    engine.order(command.Probe(id=1, device="steady", parameter="p", count=4))
    assert engine.answer("answered", id=1).answer == {"probes": 4}
    probes = rows_of(bench.records(engine), Kind.PROBE)
    assert len(probes) == 4
    assert all(probes["sent_ns"] < probes["t_ns"])
    assert all(abs(probes["wall_ns"] - probes["target_ns"]) < 1_000_000_000)


def test_what_the_worker_says_about_the_run_is_recorded(bench: Any, texts: Texts) -> None:
    engine = bench.start(bench.serve())
    engine.order(command.Wanted(device="steady", at_ns=5, wanted=True, rate_hz=9.5, width=16, exposure_ms=100.0))
    engine.order(command.User(population="viewer", ordinal=3, change="could_not_start", details="why"))
    engine.order(command.Note(note="read_back", text="as planned", value=1))
    engine.order(command.Note(note="nonsense", text=""))
    assert "'nonsense'" in engine.answer("failed").reason
    engine.order(command.RunEnd(at_ns=9, reason="interrupted", warm_up_ns=1, planned_ns=2))
    engine.order(command.RunEnd(at_ns=10, reason="duration", warm_up_ns=1, planned_ns=2))
    records = bench.records(engine)
    text = texts(records)
    wanted, user = rows_of(records, Kind.WANTED)[0], rows_of(records, Kind.USER)[0]
    assert (wanted["t_ns"], wanted["code"], wanted["rate_hz"], text[wanted["device"]]) == (5, 1, 9.5, "steady")
    assert wanted["known_ns"] > wanted["t_ns"]
    assert (user["code"], user["ordinal"], text[user["details"]]) == (UserChange.COULD_NOT_START, 3, "why")
    notes = rows_of(records, Kind.NOTE)
    assert [(row["code"], text[row["text"]], row["value"]) for row in notes] == [(NoteClass.READ_BACK, "as planned", 1)]
    assert [(row["t_ns"], row["code"]) for row in rows_of(records, Kind.END)] == [(9, EndReason.INTERRUPTED)]


@pytest.mark.parametrize(
    ("action", "by"), [("keep_waiting", "order"), ("resubscribe", "watchdog"), ("end", "watchdog")]
)
def test_the_watchdog_does_what_the_profile_says(bench: Any, open_stream: OpenStream, action: str, by: str) -> None:
    engine = bench.start(bench.serve())
    number = open_stream(engine, "silent", silence_ms=80.0, on_silence=action)
    first = engine.answer("timeout", id=number)
    assert first.action == action
    assert first.waited_ms >= 80.0
    if action == "keep_waiting":
        assert engine.answer("timeout", id=number).waited_ms >= 160.0
        engine.order(command.Close(id=number))
    assert ended(engine, number).by == by
    rows = rows_of(bench.records(engine), Kind.WAIT_TIMEOUT)
    assert rows[0]["ref"] == number
    assert rows[0]["waited_ns"] >= 80_000_000


def test_the_watchdog_sleeps_while_the_plan_wants_no_frames(bench: Any, open_stream: OpenStream) -> None:
    engine = bench.start(bench.serve())
    engine.order(command.Wanted(device="silent", at_ns=1, wanted=False))
    watched = open_stream(engine, "silent", silence_ms=30.0, on_silence="end")
    reference = open_stream(engine, "steady", stop_after_frames=10)
    ended(engine, reference)
    engine.order(command.Close(id=watched))
    assert ended(engine, watched).by == "order"


def test_each_second_brings_lag_heartbeat_and_aggregates(bench: Any, open_stream: OpenStream) -> None:
    engine = bench.start(bench.serve())
    open_stream(engine, "steady")
    broken = open_stream(engine, "broken", population="other")
    ended(engine, broken)
    seen: dict[str, command.Aggregate] = {}
    while len(seen) < 2:
        answer = engine.answer("aggregate")
        assert isinstance(answer, command.Aggregate)
        seen.setdefault(answer.population, answer)
    assert seen["viewer"].frames > 5
    assert seen["viewer"].open_streams == 1
    assert sum(seen["viewer"].interval_ms_histogram.values()) == seen["viewer"].frames - 1
    assert seen["other"].errors == {"INTERNAL: sensor # unplugged": 1}
    records = bench.records(engine)
    beats, lags = rows_of(records, Kind.HEARTBEAT), rows_of(records, Kind.LAG)
    assert len(beats) == len(lags) >= 2
    assert beats["frames"][-1] == len(rows_of(records, Kind.FRAME))
    assert all(lags["interval_ns"] > 0)
    assert lags["lateness_ns"][0] > 0
    assert lags["cpu_ns"][0] > 0
    begun_ns = beats["t_ns"][0] - lags["interval_ns"][0] - 100_000_000
    assert begun_ns <= lags["latest_ns"][0] <= beats["t_ns"][0], "within its interval, however late the beat was"
    assert all(lags["rss_bytes"] > 10_000_000)
    assert all(lags["open_fds"] > 3)
    clocks = rows_of(records, Kind.CLOCK)
    assert len(clocks) >= 1
    assert all(abs(clocks["offset_ns"]) <= clocks["round_trip_ns"])


PAYLOADS = [
    ("steady", "off", 1, [Payload.UNCHECKED] * 4, FrameFlag(0)),
    ("steady", "size", 2, [Payload.OK, Payload.UNCHECKED] * 2, FrameFlag.CHECKED_SIZE),
    ("large", "decoded", 1, [Payload.OK] * 4, FrameFlag.CHECKED_SIZE | FrameFlag.CHECKED_PIXELS),
    (
        "still",
        "decoded",
        2,
        [Payload.OK, Payload.UNCHECKED, Payload.REPEATED_IMAGE, Payload.UNCHECKED],
        FrameFlag.CHECKED_SIZE | FrameFlag.CHECKED_PIXELS,
    ),
]


@pytest.mark.parametrize(
    ("device", "check", "every", "outcome", "flags"), PAYLOADS, ids=[f"{p[0]} {p[1]}" for p in PAYLOADS]
)
def test_payloads_are_checked_in_order_of_arrival(
    bench: Any, open_stream: OpenStream, device: str, check: str, every: int, outcome: list[Payload], flags: FrameFlag
) -> None:
    engine = bench.start(bench.serve())
    ended(engine, open_stream(engine, device, stop_after_frames=4, payload=check, payload_every=every))
    records = bench.records(engine)
    frames = rows_of(records, Kind.FRAME)
    assert list(frames["frame_number"]) == [0, 1, 2, 3]
    assert [Payload(code) for code in frames["code"]] == outcome
    assert frames["flags"][0] & flags == flags
    assert list(records["kind"]).index(Kind.ENDED) > max(n for n, k in enumerate(records["kind"]) if k == Kind.FRAME)


def test_frames_of_another_device_are_noted(bench: Any, open_stream: OpenStream, texts: Texts) -> None:
    engine = bench.start(bench.serve())
    ended(engine, open_stream(engine, "other", stop_after_frames=3))
    records = bench.records(engine)
    notes = rows_of(records, Kind.NOTE)
    assert [texts(records)[row["text"]] for row in notes] == ["stream of other carries frames of 'elsewhere'"]


@pytest.mark.parametrize(("token", "status", "frames"), [("secret", "CANCELLED", 1), ("", "UNAUTHENTICATED", 0)])
def test_a_token_is_sent_with_every_call(
    bench: Any, open_stream: OpenStream, token: str, status: str, frames: int
) -> None:
    engine = bench.start(bench.serve("--token", "secret"), target={"token": token})
    end = ended(engine, open_stream(engine, "steady", stop_after_frames=1))
    assert (end.status, end.frames) == (status, frames)
    assert engine.call("GetDaemonInfo").status == ("OK" if token else "UNAUTHENTICATED")
    bench.records(engine)


@pytest.mark.parametrize("how", ["finish", "eof", "sigterm"])
def test_whatever_ends_the_engine_open_streams_end_in_order(bench: Any, open_stream: OpenStream, how: str) -> None:
    engine = bench.start(bench.serve())
    numbers = [open_stream(engine, device) for device in ("steady", "silent", "steady")]
    each(engine, "headers", numbers)
    os.kill(engine.process.pid, signal.SIGINT)
    engine.call("GetDaemonInfo")
    if how == "finish":
        engine.order(command.Finish())
    elif how == "eof":
        engine.process.stdin.close()  # type: ignore[union-attr]  # it is a pipe
    else:
        os.kill(engine.process.pid, signal.SIGTERM)
    assert {end.by for end in each(engine, "ended", numbers).values()} == {"engine"}
    finished = engine.answer("finished")
    assert engine.process.wait(10) == 0
    records = bench.sink.records()
    assert finished.records == finished.delivered == len(records)
    assert len(rows_of(records, Kind.ENDED)) == 3
    assert bench.sink.finished.is_set()
    assert not list((bench.folder / "spool").iterdir())


def test_after_the_runs_end_streams_end_by_it(bench: Any, open_stream: OpenStream) -> None:
    engine = bench.start(bench.serve())
    number = open_stream(engine, "steady")
    engine.answer("first_frame", id=number)
    engine.order(command.RunEnd(at_ns=9, reason="duration", warm_up_ns=1, planned_ns=2))
    engine.order(command.Finish())
    assert ended(engine, number).by == "run_end"


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"version": 99}, "version 99"),
        ({"target": {"address": "sim"}}, "resolved"),
        ({"run": "x"}, "no UUID"),
        ({"role": "spectator"}, "role 'spectator'"),
    ],
    ids=["version", "address", "run", "role"],
)
def test_an_engine_that_cannot_start_says_why(bench: Any, changes: dict[str, Any], complaint: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pvload.engine"],
        input=command.to_line(bench.order(**changes)),
        capture_output=True,
        timeout=20,
        check=False,
    )
    answer = command.answer_from_line(done.stdout)
    assert isinstance(answer, command.Failed)
    assert complaint in answer.reason
    assert (answer.id, done.returncode) == (-1, 2)


def test_an_engine_without_a_first_line_just_ends() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pvload.engine"], input=b"", capture_output=True, timeout=20, check=False
    )
    assert (done.returncode, done.stdout) == (0, b"")
