"""Watch streams: changes with their losses, observables, heartbeats; the ledger knows what each watcher missed."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from pathlib import Path
from typing import Any

import grpc
import pytest

from pvload._pb import daq_pb2, daq_pb2_grpc
from pvload.clock import NS_PER_S, SystemClock
from pvload.sim.changes import RING, SLOTS, Changes, Watchers
from pvload.sim.daemonlog import NoLog
from pvload.sim.health import HealthService
from pvload.sim.ledger import NoLedger
from pvload.sim.starvation import Starvation
from pvload.sim.watch_truth import watcher_truths
from simulated import OPTIONS, WAIT_S, Simulated, simulated, until


class Kept(NoLedger):
    """A ledger in memory."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []

    def note(self, what: str, *, t_ns: int | None = None, **facts: Any) -> None:
        self.entries.append({"is": what, **facts})


async def storm(kept: Kept, sets: int, names: tuple[str, ...]) -> list[str]:
    """What a watcher of `names` gets that reads nothing while the parameters `a` and `b` are set in turn."""
    changes = Changes(SystemClock(), NoLog(), kept)
    seen = changes.subscribe("", frozenset(names))
    first = asyncio.ensure_future(anext(seen))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    for number in range(sets):
        changes.user("d", "a" if number % 2 == 0 else "b", old="", new=str(number))
        if number <= SLOTS + 1:
            await asyncio.sleep(0)
    values = [(await first).new_value]
    last = str(max(number for number in range(sets) if not names or ("a", "b")[number % 2] in names))
    while values[-1] != last:
        values.append((await anext(seen)).new_value)
    await seen.aclose()
    return values


@pytest.mark.parametrize("names", [(), ("a",)], ids=["all", "filtered"])
@pytest.mark.parametrize("sets", [100, 2000])
def test_the_ledger_knows_every_change_a_watcher_read_and_every_one_it_lost(sets: int, names: tuple[str, ...]) -> None:
    kept = Kept()
    values = asyncio.run(storm(kept, sets, names))
    (truth,) = watcher_truths(kept.entries)
    assert [change.value for change in truth.read] == values
    wanted = [str(number) for number in range(sets) if not names or number % 2 == 0]
    assert sorted([*values, *truth.lost_values], key=int) == wanted
    assert truth.forwarded == len(values)
    assert bool(truth.lost) == (sets > RING + SLOTS)
    assert truth.lagged >= len(truth.lost)


@pytest.mark.parametrize("ends", [(0, 1), (1, 0)])
def test_watchers_stand_in_the_order_they_came_whoever_went_first(ends: tuple[int, int]) -> None:
    opened = {"is": "watcher_opened", "kind": "changes", "peer": "", "device": "", "names": [], "first": 0}
    ended = {"is": "watcher_ended", "forwarded": 0, "next": 0, "lagged": 0, "queued": 0}
    entries = [{**opened, "watcher": 0}, {**opened, "watcher": 1}, *({**ended, "watcher": one} for one in ends)]
    assert [truth.watcher for truth in watcher_truths(entries)] == [0, 1]


def test_a_watcher_over_the_wire_gets_what_the_ledger_says(tmp_path: Path) -> None:
    """Counters in the values, as a changer writes them; "hardware" changes of a burst are merged, and counted."""
    with simulated(tmp_path) as sim:
        request = daq_pb2.StreamParameterChangesRequest(parameter_names=["thermal.setpoint"])
        changes = sim.stub.StreamParameterChanges(request, timeout=WAIT_S)
        until(lambda: sim.entries("watcher_opened"), "the subscription")
        calls = [
            sim.stub.SetParameter.future(
                daq_pb2.SetParameterRequest(
                    device_id="prime_bsi", parameter_name="thermal.setpoint", value=f"-{number}.5"
                ),
                timeout=WAIT_S,
            )
            for number in range(40)
        ]
        for call in calls:
            call.result()
        sim.set("thermal.setpoint", "7")
        seen: list[tuple[str, str]] = []
        while seen[-1:] != [("7", "hardware")]:
            change = next(changes)
            seen.append((change.new_value, change.source))
        changes.cancel()
        until(lambda: sim.entries("watcher_ended"), "the end of the subscription")
        (truth,) = watcher_truths(sim.entries())
        assert [(change.value, change.source) for change in truth.read] == seen
        assert sum(source == "user" for _, source in seen) == 41
        assert (truth.lost, truth.names) == ((), ("thermal.setpoint",))
        coalesced = sim.entries("changes_made")[-1]["coalesced"]
        assert sum(source == "hardware" for _, source in seen) == 41 - coalesced


def test_a_watcher_that_does_not_read_loses_over_the_wire_what_the_ledger_says(tmp_path: Path) -> None:
    """Window, slots and ring hold some hundred changes; then the oldest go, and only the log tells."""
    options = [*((key, 16_384 if "lookahead" in key else value) for key, value in OPTIONS), ("grpc.http2.bdp_probe", 0)]
    with simulated(tmp_path) as sim, grpc.insecure_channel(sim.simulator.address, options=options) as channel:
        request = daq_pb2.StreamParameterChangesRequest(parameter_names=["readout.adc_offset"])
        changes = daq_pb2_grpc.HardwareServiceStub(channel).StreamParameterChanges(request, timeout=3 * WAIT_S)
        until(lambda: sim.entries("watcher_opened"), "the subscription")
        for first in range(0, 3600, 200):
            calls = [
                sim.stub.SetParameter.future(_offset(number), timeout=WAIT_S) for number in range(first, first + 200)
            ]
            for call in calls:
                call.result()
        sim.set("readout.adc_offset", "-1")
        values: list[str] = []
        while values[-1:] != ["-1"]:
            values.append(next(changes).new_value)
        changes.cancel()
        until(lambda: sim.entries("watcher_ended"), "the end of the subscription")
    (truth,) = watcher_truths(sim.entries())
    assert [change.value for change in truth.read] == values
    assert truth.lost_values
    assert sorted(map(int, [*values, *truth.lost_values])) == list(range(-1, 3600))
    told = [int(line.rsplit("dropped ", 1)[1].split()[0]) for line in sim.log_text().splitlines() if "lagged" in line]
    assert sum(told) == truth.lagged == len(truth.lost)


def _offset(number: int) -> daq_pb2.SetParameterRequest:
    return daq_pb2.SetParameterRequest(device_id="prime_bsi", parameter_name="readout.adc_offset", value=str(number))


def test_the_temperature_is_an_observable_and_nothing_else_is(tmp_path: Path) -> None:
    with simulated(tmp_path) as sim:

        def asked(*names: str, deadband: float = 0.0) -> Any:
            request = daq_pb2.StreamObservablesRequest(
                device_ids=["prime_bsi"], observable_names=names, sample_rate_hz=100, deadband=deadband
            )
            return sim.stub.StreamObservables(request, timeout=WAIT_S)

        assert list(asked()) == []
        assert list(asked("thermal.humidity")) == []
        values = asked("thermal.temperature", deadband=0.005)
        found = [next(values) for _ in range(4)]
        values.cancel()
        assert {(value.device_id, value.observable_name, value.units) for value in found} == {
            ("prime_bsi", "thermal.temperature", "C")
        }
        steps = [abs(b.value - a.value) for a, b in pairwise(found)]
        assert min(steps) > 0.005
        until(lambda: sim.entries("watcher_ended"), "the end of the subscription")
        assert sim.entries("watcher_ended")[0]["forwarded"] >= 4


class Hand:
    """A clock that is set."""

    def __init__(self) -> None:
        self.now_ns = 0

    def monotonic_ns(self) -> int:
        return self.now_ns

    wall_ns = monotonic_ns


@pytest.mark.parametrize(
    ("at_s", "age_s"),
    [
        pytest.param(9, 4, id="before"),
        pytest.param(13, 3, id="begun: the last beat was at 10 s"),
        pytest.param(29, 19, id="late: still the beat of 10 s"),
        pytest.param(33, 3, id="over: it beat at the end, 30 s"),
        pytest.param(36, 1, id="as ever: beats again each 5 s"),
    ],
)
def test_a_heartbeat_ages_while_the_daemon_is_starved(at_s: int, age_s: int) -> None:
    clock = Hand()
    starvation = Starvation(clock)
    if at_s > 12:
        clock.now_ns = 12 * NS_PER_S
        starvation.begin(18.0)
    clock.now_ns = at_s * NS_PER_S
    beat_ns = starvation.last_beat_ns(clock.now_ns, first_ns=0, every_ns=5 * NS_PER_S)
    assert (clock.now_ns - beat_ns) // NS_PER_S == age_s


def test_unary_calls_wait_while_the_daemon_is_starved_and_frames_do_not(tmp_path: Path) -> None:
    fault = {"kind": "starved", "frame": 3, "duration": "400ms"}
    with simulated(tmp_path, model="grid", faults=[fault]) as sim:
        sim.camera(exposure_ms=20)
        stream = sim.open().opened()
        sim.start()
        frame = stream.take(5)[-1]
        assert sim.state().streaming
        until(lambda: sim.entries("fault"), "the fault in the ledger")
        began = sim.entries("fault")[0]["wall_ns"]
        value = sim.stub.GetParameter(
            daq_pb2.GetParameterRequest(device_id="prime_bsi", parameter_name="acquisition.roi"), timeout=WAIT_S
        )
        assert value.timestamp_ns - began >= 399_000_000
        assert frame.timestamp_ns - began < 300_000_000


def test_health_updates_come_at_the_interval_asked_for(tmp_path: Path) -> None:
    with simulated(tmp_path, model="grid") as sim:
        stub = daq_pb2_grpc.HealthServiceStub(sim.channel)
        updates = stub.StreamHealthUpdates(daq_pb2.StreamHealthUpdatesRequest(update_interval_ms=10), timeout=WAIT_S)
        assert [next(updates).system_status for _ in range(3)] == [daq_pb2.SYSTEM_HEALTH_HEALTHY] * 3
        updates.cancel()
        until(lambda: sim.entries("watcher_ended"), "the end of the subscription")
        assert sim.entries("watcher_opened")[0]["kind"] == "health"


def test_the_system_is_critical_when_no_module_has_beaten_for_half_a_minute() -> None:
    clock = Hand()
    starvation = Starvation(clock)
    service = HealthService(clock, starvation, Watchers(NoLedger()))
    context: Any = None

    def health() -> tuple[int, int]:
        answer = asyncio.run(service.GetSystemHealth(daq_pb2.GetSystemHealthRequest(), context))
        return answer.status, answer.healthy_modules

    clock.now_ns = 12 * NS_PER_S
    starvation.begin(0.0)
    assert health() == (daq_pb2.SYSTEM_HEALTH_HEALTHY, 2)
    clock.now_ns = 39 * NS_PER_S
    assert health() == (daq_pb2.SYSTEM_HEALTH_HEALTHY, 2)
    clock.now_ns = 45 * NS_PER_S
    assert health() == (daq_pb2.SYSTEM_HEALTH_CRITICAL, 0)


def test_an_unknown_device_ends_a_state_watcher(tmp_path: Path) -> None:
    with simulated(tmp_path) as sim, pytest.raises(grpc.RpcError) as ended:
        next(sim.stub.SubscribeDeviceState(daq_pb2.DeviceStateSubscribeRequest(device_ids=["x"]), timeout=WAIT_S))
    assert (ended.value.code(), ended.value.details()) == (grpc.StatusCode.NOT_FOUND, "Device not found: x")


def test_a_state_watcher_without_a_snapshot_is_told_of_the_first_change_only(tmp_path: Path) -> None:
    with simulated(tmp_path) as sim:
        updates = _states(sim, max_rate_hz=100, last_seen_version=41)
        until(lambda: sim.entries("watcher_opened"), "the subscription")
        sim.set("acquisition.armed", "true")
        update = next(updates)
        assert (dict(update.fields_json), update.version, update.is_snapshot) == ({"armed": "true"}, 42, False)
        updates.cancel()


def _states(sim: Simulated, **asked: Any) -> Any:
    request = daq_pb2.DeviceStateSubscribeRequest(device_ids=["prime_bsi"], **asked)
    return sim.stub.SubscribeDeviceState(request, timeout=WAIT_S)
