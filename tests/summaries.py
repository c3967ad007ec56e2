"""Summaries made by hand: a healthy run of scenario A in small, to be spoiled one figure at a time."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pvload.stats.quantiles import Quantiles
from pvload.stats.summary import (
    Accounting,
    Age,
    Call,
    Device,
    Figures,
    Freezes,
    Gaps,
    Generator,
    LogWitness,
    Missing,
    RunFacts,
    Sender,
    ServerMetrics,
    Stall,
    Stalls,
    Subscriber,
    Summary,
    TargetClock,
    UnaryCalls,
)


def quantiles(value: float | None, n: int = 100) -> Quantiles:
    """A distribution that is one value throughout; None: nothing was measured."""
    if value is None:
        return Quantiles(0, None, None, None, None, None, None, None, None)
    return Quantiles(n, value, value, value, value, value, value, value, value)


def stall(at_s: float = 30.0, length_s: float = 5.0, uncertainty_s: float = 0.0, **fields: Any) -> Stall:
    values: dict[str, Any] = {
        "subscriber": "viewer/0",
        "call": 1,
        "frame_index": 300,
        "last_frame_number": 299,
        "censored": False,
        **fields,
    }
    return Stall(at_s=at_s, length_s=length_s, uncertainty_s=uncertainty_s, **values)


def stalls(*listed: Stall, threshold_s: float = 2.0) -> Stalls:
    longest = max(listed, key=lambda one: one.length_s, default=None)
    return Stalls(
        threshold_s=threshold_s,
        count=len(listed),
        total_s=sum(one.length_s for one in listed),
        longest_s=longest.length_s if longest else 0.0,
        longest_uncertainty_s=longest.uncertainty_s if longest else 0.0,
        listed=listed,
    )


def figures(**fields: Any) -> Figures:
    """60 s at 10 frames/s, of which 55 s after warm-up; nothing wrong."""
    healthy: dict[str, Any] = {
        "frames": 600,
        "message_bytes": 600 * 100_000,
        "decoded_bytes": 600 * 8_388_608,
        "open_s": 60.0,
        "due_s": 60.0,
        "judged_s": 55.0,
        "judged_frames": 550,
        "blind_s": 0.0,
        "expected_hz": 10.0,
        "expected_is_stated": True,
        "fps": 10.0,
        "fps_worst_window": 9.9,
        "frames_due": 550.0,
        "coverage": 1.0,
        "mb_per_s": 1.0,
        "inter_arrival_ms": quantiles(100.0, 599),
        "gaps": Gaps(0.1, 0.1, 0.21, 0.0),
        "stalls": stalls(),
        "freezes": Freezes(0, 0.0, 0.0),
        "longest_silence_s": 0.3,
        "longest_silence_at_s": 0.0,
        "missing": Missing(),
        "duplicates": 0,
        "duplicates_before_numbering": 0,
        "reorders": 0,
        "restarts": 0,
        "late": 0,
        "lag_losses": 0,
        "frames_sent": 600,
        "frames_dropped": 0,
        "age": Age(True, 0.1, quantiles(5.0, 550), 0),
        "jitter_ms": 1.0,
        "connect_ms": quantiles(2.0, 1),
        "first_frame_ms": quantiles(110.0, 1),
        "payload_checked": 600,
        "payload_errors": {},
        "errors": {},
        "unexpected_ends": 0,
        "admission_refused": 0,
        "wait_timeouts": 0,
        "outages": 0,
        "outages_s": 0.0,
        "longest_outage_s": 0.0,
        "folded_frames": 0,
        "server": ServerMetrics(10.0, 600, 0, 1.5),
    }
    return Figures(**{**healthy, **fields})


def silent(due_s: float = 60.0, **fields: Any) -> Figures:
    """Accepted, and not one frame."""
    nothing: dict[str, Any] = {
        "frames": 0,
        "message_bytes": 0,
        "decoded_bytes": 0,
        "judged_frames": 0,
        "judged_s": 0.0,
        "due_s": due_s,
        "fps": None,
        "coverage": None,
        "inter_arrival_ms": quantiles(None),
        "age": Age(True, 0.1, quantiles(None), 0),
        "jitter_ms": None,
        "first_frame_ms": quantiles(None),
        "payload_checked": 0,
        "frames_sent": 0,
        "longest_silence_s": due_s,
        "server": None,
    }
    return figures(**{**nothing, **fields})


def subscriber(ordinal: int = 0, *, opened: int = 1, **fields: Any) -> Subscriber:
    """`fields` spoil its figures; `figures`, `max_fps` and `quality` stand for themselves."""
    own = {name: fields.pop(name) for name in ("max_fps", "quality", "windows", "calls") if name in fields}
    found = fields.pop("figures", None) or figures(**fields)
    values: dict[str, Any] = {"calls": 1, "max_fps": 0, "quality": "full", "windows": (), **own}
    return Subscriber(f"viewer/{ordinal}", "prime_bsi", opened=opened, figures=found, **values)


def call(number: int = 1, **fields: Any) -> Call:
    values: dict[str, Any] = {
        "subscriber": "viewer/0",
        "device": "prime_bsi",
        "opened_at_s": 0.1,
        "ended_at_s": 60.0,
        "ended_by": "run_end",
        "status": "CANCELLED",
        "details": "",
        "first_frame_number": 0,
        "last_frame_number": 599,
        "figures": figures(),
        **fields,
    }
    return Call(number=number, **values)


def sender(**fields: Any) -> Sender:
    values: dict[str, Any] = {
        "id": "00112233445566778899aabbccddeeff",
        "role": "engine",
        "worker": "local",
        "incarnation": 0,
        "host": "lab",
        "recorded": 700,
        "delivered": 700,
        "missing": 0,
        "missing_reasons": (),
        "finished": True,
        "frames": 600,
        "last_seen_s": 60.5,
        "clock_offset_ms": 0.0,
        "clock_uncertainty_ms": 0.0,
        "fault": "",
        **fields,
    }
    return Sender(**values)


def accounting(*senders: Sender, **fields: Any) -> Accounting:
    senders = senders or (sender(),)
    values: dict[str, Any] = {
        "recorded": sum(one.recorded or 0 for one in senders),
        "delivered": sum(one.delivered for one in senders),
        "missing": sum(one.missing for one in senders),
        "undelivered": 0,
        "frames_checked": True,
        "rejected_batches": 0,
        **fields,
    }
    return Accounting(senders=senders, **values)


def generator(**fields: Any) -> Generator:
    values: dict[str, Any] = {
        "lag_ms": quantiles(2.0, 60),
        "longest_lag_ms": 4.0,
        "longest_lag_at_s": 12.0,
        "late_intervals": 0,
        "late": (),
        "blind": (),
        "blind_s": 0.0,
        "cpu_share": 0.05,
        "rss_max_bytes": 60_000_000,
        "run_queue_s": 0.1,
        "gc_pause_max_ms": 0.5,
        "pressure_share": 0.01,
        "steal_share": 0.0,
        "spool_depth_max": 30,
        "open_fds_max": 20,
        **fields,
    }
    return Generator(**values)


def facts(**fields: Any) -> RunFacts:
    values: dict[str, Any] = {
        "run_id": "019a0000000070008000000000000001",
        "name": "scenario-a",
        "start_ns": 1_000_000_000,
        "end_ns": 61_000_000_000,
        "length_s": 60.0,
        "planned_s": 60.0,
        "warm_up_s": 5.0,
        "ended": "duration",
        "first_frame_at_s": 0.11,
        **fields,
    }
    return RunFacts(**values)


def unary(method: str = "StartStream", count: int = 1, **fields: Any) -> UnaryCalls:
    values: dict[str, Any] = {"errors": {}, "latency_ms": quantiles(3.0, count), "examples": (), **fields}
    return UnaryCalls(method=method, count=count, **values)


def summary(*subscribers: Subscriber, **fields: Any) -> Summary:
    """Of the given subscribers (a healthy one if none); `run` is the first one's figures unless given."""
    subscribers = subscribers or (subscriber(),)
    return summary_of(subscribers, **fields)


def summary_of(subscribers: tuple[Subscriber, ...], **fields: Any) -> Summary:
    """As `summary`, but an empty tuple means that nobody ever opened a stream."""
    run = subscribers[0].figures if subscribers else silent(0.0)
    if len(subscribers) > 1:
        run = replace(run, frames=sum(one.figures.frames for one in subscribers))
    calls = fields.pop("calls", (call(),) if subscribers else ())
    values: dict[str, Any] = {
        "facts": facts(),
        "accounting": accounting(),
        "target_clock": TargetClock(15, 0.0, 0.1, 0.0, ()),
        "generator": generator(),
        "run": run,
        "devices": (Device("prime_bsi", len(subscribers), run, 60.0, 0, "", 600),) if subscribers else (),
        "subscribers": subscribers,
        "calls": calls,
        "calls_total": len(calls),
        "unary": (unary("StartStream"), unary("StopStream")),
        "log": LogWitness(True, {"ready": 1}, 0, ()),
        "hosts": (),
        "processes": (),
        "users_spawned": 1 + len(subscribers),
        "users_failed": 0,
        "notes": (),
        **fields,
    }
    return Summary(**values)
