"""What happened around the streams, made by hand: one healthy value of each kind, to be spoiled a field at a time."""

from __future__ import annotations

from typing import Any

from pvload.stats.around import (
    ActionDone,
    Around,
    Change,
    ChangeEffect,
    Changes,
    Churn,
    Cycle,
    DaemonLife,
    Disturbance,
    Disturbances,
    Growth,
    LogAccount,
    Machine,
    MethodCalls,
    ModuleHealth,
    Observed,
    ParameterEvents,
    Resource,
    SlowReader,
    StateChange,
    States,
    StopProbe,
    Storm,
    StormStep,
    Undisturbed,
)
from pvload.stats.summary import Summary
from summaries import quantiles, subscriber, summary


def change(number: int = 1, outcome: str = "effective", **fields: Any) -> Change:
    values: dict[str, Any] = {
        "by": "timeline",
        "device": "prime_bsi",
        "kind": "exposure",
        "text": "exposure 50 ms",
        "at_s": 10.0 * number,
        "answered_after_ms": 3.0,
        "status": "OK",
        "details": "",
        "effect_after_ms": 160.0 if outcome == "effective" else None,
        "effect_after_restart_ms": None,
        "restarted_at_s": None,
        "effects": (ChangeEffect("viewer/0", None, 20, 0, 0.11, 0),),
        **fields,
    }
    return Change(number=number, outcome=outcome, **values)  # type: ignore[arg-type]  # a row's word is one of them


def changes(*listed: Change, **fields: Any) -> Changes:
    outcomes: dict[str, int] = {}
    for one in listed:
        outcomes[one.outcome] = outcomes.get(one.outcome, 0) + 1
    values: dict[str, Any] = {
        "count": len(listed),
        "outcomes": outcomes,
        "effect_ms": quantiles(160.0 if listed else None, len(listed)),
        "missing": 0,
        "listed": listed,
        **fields,
    }
    return Changes(**values)


def around(*listed: Change, **fields: Any) -> Around:
    return Around(**{"changes": changes(*listed), **fields})


def undisturbed(name: str = "a/0", *, silent: bool = False, **fields: Any) -> Undisturbed:
    values: dict[str, Any] = {
        "longest_gap_s": 0.11,
        "periods": 1.1,
        "missing": 0,
        "frames_after": 0 if silent else 200,
        **fields,
    }
    return Undisturbed(subscriber=name, silent=silent, **values)


def disturbance(kind: str = "clean", at_s: float = 7.5, *others: Undisturbed, **fields: Any) -> Disturbance:
    """`b` leaves, and `others` see it; without others it was the last one."""
    values: dict[str, Any] = {
        "subscriber": "b/0",
        "device": "prime_bsi",
        "last": not others,
        "streaming_after": True,
        "streaming_after_s": 6.0,
        **fields,
    }
    return Disturbance(at_s=at_s, kind=kind, others=others, **values)


def disturbances(*listed: Disturbance, **fields: Any) -> Disturbances:
    pairs = [(one, other) for one in listed for other in one.others]
    worst = max(pairs, key=lambda pair: pair[1].longest_gap_s, default=None)
    values: dict[str, Any] = {
        "count": len(listed),
        "worst_gap_s": None if worst is None else worst[1].longest_gap_s,
        "worst_periods": None if worst is None else worst[1].periods,
        "worst_gap_at_s": None if worst is None else worst[0].at_s,
        "worst_subscriber": "" if worst is None else worst[1].subscriber,
        "missing": sum(other.missing for _, other in pairs),
        "silenced": sum(any(other.silent for other in one.others) for one in listed),
        "looked_at": len(pairs),
        **fields,
    }
    return Disturbances(listed=listed, **values)


def method_calls(**fields: Any) -> MethodCalls:
    values: dict[str, Any] = {
        "population": "changer",
        "method": "SetParameter",
        "count": 200,
        "ok": 200,
        "refused": 0,
        "failed": {},
        "latency_ms": quantiles(4.0, 200),
        "slowest_at_s": 3.0,
        "examples": (),
        **fields,
    }
    return MethodCalls(**values)


def step(offered_hz: float = 1000.0, **fields: Any) -> StormStep:
    due = round(offered_hz * 5)
    values: dict[str, Any] = {
        "population": "storm",
        "at_s": 5.0,
        "length_s": 5.0,
        "due": due,
        "sent": due,
        "answered": due,
        "ok": due,
        "latency_ms": quantiles(2.0, due),
        "held_share": 0.0,
        "lateness_ms": 1.0,
        "longest_gap_s": 0.12,
        "events": due,
        **fields,
    }
    return StormStep(offered_hz=offered_hz, **values)


def storm(*steps: StormStep, limited_by: str = "nothing", **fields: Any) -> Storm:
    steps = steps or (step(),)
    values: dict[str, Any] = {
        "population": "storm",
        "method": "SetParameter",
        "parameter": "readout.adc_offset",
        "knee_hz": steps[-1].offered_hz,
        "achieved_hz": max(one.answered / one.length_s for one in steps),
        "limited_by": limited_by,
        **fields,
    }
    return Storm(steps=steps, **values)


def watcher(lost: int | None = 0, **fields: Any) -> ParameterEvents:
    values: dict[str, Any] = {
        "name": "watcher/0",
        "events": 2000,
        "by_source": {"user": 1000, "hardware": 1000},
        "first_counter": 1,
        "last_counter": 1000,
        "counted": 1000 - (lost or 0),
        "longest_loss": lost or 0,
        "out_of_order": 0,
        "delay_ms": quantiles(1.0, 1000),
        "ended": "",
        **fields,
    }
    return ParameterEvents(lost=lost, **values)


def stop_probe(took_ms: float | None = 20.0, **fields: Any) -> StopProbe:
    values: dict[str, Any] = {
        "at_s": 20.0,
        "call": "StopStream",
        "status": "OK",
        "silent_after_ms": 80.0,
        "during_storm": True,
        **fields,
    }
    return StopProbe(took_ms=took_ms, **values)


def health(oldest_s: float | None = 2.0, **fields: Any) -> ModuleHealth:
    values: dict[str, Any] = {"name": "hardware", "probes": 60, "statuses": {"healthy": 60}, **fields}
    return ModuleHealth(oldest_heartbeat_s=oldest_s, oldest_heartbeat_at_s=None if oldest_s is None else 31.0, **values)


def churn(**fields: Any) -> Churn:
    values: dict[str, Any] = {
        "population": "churner",
        "opened": 40,
        "accepted": 40,
        "with_frames": 40,
        "admission_refused": 0,
        "attempts_max": 1,
        "left": {"clean": 20, "dropped": 19},
        "first_frame_ms": quantiles(90.0, 40),
        "resubscribe_hole_ms": quantiles(110.0, 39),
        "ended_by_server": 0,
        "refused_after_leaving": 0,
        **fields,
    }
    return Churn(**values)


def slow_reader(policy: str = "skip", **fields: Any) -> SlowReader:
    values: dict[str, Any] = {
        "subscriber": "slow/0",
        "reads_hz": 4.0,
        "received_hz": 4.0,
        "skipped": 360,
        "age_p50_ms": 900.0,
        "age_last_ms": 1000.0,
        "ended_by_server": 0,
        "window_bytes": 65536,
        "buffered_frames_max": 10.0,
        **fields,
    }
    return SlowReader(policy=policy, **values)  # type: ignore[arg-type]  # a row's word is one of them


def cycle(attempt: int = 1, outcome: str = "ok", **fields: Any) -> Cycle:
    values: dict[str, Any] = {
        "started_at_s": 10.0 * attempt,
        "start_ms": 3.0,
        "first_frame_ms": 110.0,
        "frames": 100,
        "longest_gap_s": 0.11,
        "last_frame_number": 99,
        "stop_ms": 60.0,
        "captured": 100,
        **fields,
    }
    return Cycle(attempt=attempt, outcome=outcome, **values)


def log_account(*, agrees: bool = True, **fields: Any) -> LogAccount:
    values: dict[str, Any] = {
        "at_s": 60.0,
        "subscriber": "viewer/0",
        "call": 1,
        "sent_by_log": 602,
        "dropped_by_log": 0,
        "received": 600,
        "sent_by_frames": 600,
        "dropped_by_frames": 0,
        "on_the_way": 2,
        **fields,
    }
    return LogAccount(agrees=agrees, **values)


def growth(result: str = "flat", **fields: Any) -> Growth:
    values: dict[str, Any] = {
        "process": "target",
        "pid": 12,
        "figure": "rss",
        "windows": 24,
        "window_s": 60.0,
        "correlation_s": 3.0,
        "first": 100e6,
        "last": 101e6,
        "per_hour": 4e6,
        "per_hour_low": 3e6,
        "reason": "",
        **fields,
    }
    return Growth(result=result, **values)  # type: ignore[arg-type]  # a row's word is one of them


def action(number: int = 1, outcome: str = "done", **fields: Any) -> ActionDone:
    values: dict[str, Any] = {
        "at_s": 5.0 * number,
        "due_s": 5.0 * number,
        "text": "close b",
        "client": "b",
        "change": 0,
        "details": "",
        **fields,
    }
    return ActionDone(number=number, outcome=outcome, **values)


def resource(at_s: float, **fields: Any) -> Resource:
    values: dict[str, Any] = {
        "cpu_share": 0.3,
        "pressure_share": 0.02,
        "steal_share": 0.0,
        "memory_used_bytes": 2**31,
        "load_1": 1.2,
        "disk_busy_share": 0.01,
        "network_mb_s": 1.5,
        "interrupts_per_s": 4000.0,
        "target_cpu_share": 0.5,
        "target_rss_bytes": 2**27,
        "target_threads": 12,
        "target_fds": 33,
        **fields,
    }
    return Resource(at_s=at_s, **values)


def states(*seen: StateChange) -> States:
    return States("prime_bsi", 60, 0, 3, seen or (StateChange(0.1, "prime_bsi", True, True, False),), 1.01)


def observed(**fields: Any) -> Observed:
    values: dict[str, Any] = {
        "watcher": "observer/0",
        "name": "temperature",
        "values": 60,
        "first": -10.0,
        "last": -10.1,
        "least": -10.2,
        "most": -9.9,
        "longest_gap_s": 1.1,
        "ended": "",
        **fields,
    }
    return Observed(**values)


def machine(**fields: Any) -> Machine:
    values: dict[str, Any] = {
        "name": "lab",
        "samples": 60,
        "disk_read_mb_s": 0.1,
        "disk_written_mb_s": 2.0,
        "disk_busy_share": 0.02,
        "network_in_mb_s": 0.1,
        "network_out_mb_s": 1.4,
        "network_drops": 0,
        "interrupts_per_s": 4000.0,
        "context_switches_per_s": 9000.0,
        **fields,
    }
    return Machine(**values)


def life(kind: str = "gone", exit_status: int | None = None, **fields: Any) -> DaemonLife:
    return DaemonLife(**{"at_s": 30.0, "change": kind, "pid": 77, "exit_status": exit_status, "details": "", **fields})


def run(*listed: Change, **fields: Any) -> Summary:
    """A healthy run with this around it; `subscribers`, `summary` (fields of it) stand for themselves."""
    subscribers = fields.pop("subscribers", (subscriber(),))
    own = fields.pop("summary", {})
    return summary(*subscribers, around=around(*listed, **fields), **own)
