"""A profile and its plan in words, for a person who wants to know what a run would do before it does it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from pvload.plan.check import Plan
from pvload.plan.expected import (
    JOURNAL_LOG_BYTES,
    LEDGER_BYTES_PER_FRAME,
    RECORD_BYTES_PER_FRAME,
    expected_rate,
    frame_size,
    region,
)
from pvload.plan.share import Share
from pvload.profiles.schema import Profile
from pvload.profiles.users import Users

_SILENCE = {
    "keep_waiting": "keeps waiting",
    "resubscribe": "subscribes again",
    "end": "ends",
}


def explain(plan: Plan) -> str:
    """Some twenty lines: what runs where, who subscribes, what passes, data rates, frames, disk."""
    return "\n".join(_lines(plan)) + "\n"


def _lines(plan: Plan) -> Iterator[str]:
    profile = plan.profile
    run = profile.run
    yield f"{run.name}: {run.description}" if run.description else run.name
    yield ""
    yield f"length     {spoken(run.duration)}, the first {spoken(plan.warm_up_s)} after the first frame are warm-up"
    yield f"target     {_target(profile)}"
    yield f"camera     {_camera(plan)}"
    for users, share in zip(profile.users, plan.shares, strict=True):
        yield f"{'users' if users is profile.users[0] else '':10} {_users(plan, users, share)}"
    yield f"expected   {_expected(plan)}"
    yield f"data       {_data(plan)}"
    yield f"disk       {_disk(plan)}"
    yield ""
    yield "passes if"
    yield from (f"  - {line}" for line in passes_if(profile))
    if plan.remarks:
        yield ""
        yield "to know"
        yield from (f"  - {remark}" for remark in plan.remarks)


def _target(profile: Profile) -> str:
    target = profile.target
    where = "a simulator that pvload starts on this host" if target.address == "sim" else target.address
    secured = "" if target.tls is None else ", encrypted (TLS)"
    token = ", with a bearer token" if target.token else ""
    faults = len(profile.simulator.faults) if target.address == "sim" else 0
    wrong = f", with {plural(faults, 'injected fault')}" if faults else ""
    return f'{where}, device "{target.device}", protocol {target.protocol}{secured}{token}{wrong}'


def _camera(plan: Plan) -> str:
    camera = plan.profile.camera
    area = region(camera)
    binning = f"{camera.binning[0]}x{camera.binning[1]}"
    mode = f", trigger {camera.trigger_mode}" if camera.trigger_mode else ""
    place = "" if camera.roi == "full" else f" at {area.x},{area.y} of {camera.sensor_width}x{camera.sensor_height}"
    return (
        f"{area.width}x{area.height}{place}, binning {binning}, exposure {camera.exposure_ms:g} ms{mode}: "
        f"frames of {plan.size.width}x{plan.size.height}"
    )


def _users(plan: Plan, users: Users, share: Share) -> str:
    if users.kind == "operator":
        if not share.count:
            return f"{users.name}: none"
        return f"{users.name}: sets the camera, reads it back, starts it, and stops it at the end"
    pace = f", at most {users.max_fps} frames/s (the daemon skips the rest)" if users.max_fps else ""
    size = frame_size(plan.profile.camera, users.quality)
    patience = (
        f"; after {spoken(users.silence)} without a frame it {_SILENCE[users.on_silence]}" if users.silence else ""
    )
    return (
        f"{users.name}: {plural(share.count, 'subscriber')}, quality {users.quality} "
        f"({size.width}x{size.height}){pace}{patience}"
    )


def _expected(plan: Plan) -> str:
    if not plan.rate_hz:
        return "the rate is measured after warm-up, since nothing states it"
    frames = _frames(plan)
    return f"{plan.rate_hz:g} frames/s on each stream, about {frames:,.0f} frames in all"


def _frames(plan: Plan) -> float:
    """Frames of all subscribers over the run."""
    return sum(_rate(plan, users) * share.count for users, share in _subscribing(plan)) * plan.profile.run.duration


def _rate(plan: Plan, users: Users) -> float:
    rate = expected_rate(plan.profile.camera)
    return min(rate, users.max_fps) if users.max_fps else rate


def _subscribing(plan: Plan) -> list[tuple[Users, Share]]:
    pairs = zip(plan.profile.users, plan.shares, strict=True)
    return [(users, share) for users, share in pairs if users.kind == "subscriber"]


def _data(plan: Plan) -> str:
    per_second = sum(
        _rate(plan, users) * share.count * frame_size(plan.profile.camera, users.quality).decoded_bytes
        for users, share in _subscribing(plan)
    )
    one = plan.size.decoded_bytes / 1e6
    if not per_second:
        return f"{one:.2f} MB a frame before compression"
    return f"{one:.2f} MB a frame, {per_second / 1e6:,.1f} MB/s for all streams, before compression"


def _disk(plan: Plan) -> str:
    frames = _frames(plan)
    log = f"while it runs, the journal's log needs up to {JOURNAL_LOG_BYTES / 1e6:.0f} MB more; pixels are not kept"
    if not frames:
        return f"{RECORD_BYTES_PER_FRAME} bytes a frame in the run directory; {log}"
    size = frames * RECORD_BYTES_PER_FRAME * 1.1 / 1e6
    simulated = plan.profile.target.address == "sim"
    ledger = f" and {frames * LEDGER_BYTES_PER_FRAME / 1e6:,.1f} MB of the simulator's ledger" if simulated else ""
    return f"about {max(size, 0.3):,.1f} MB of journal{ledger} in the run directory; {log}"


def passes_if(profile: Profile) -> list[str]:
    """The named criteria, one sentence each, then what every run must keep."""
    criteria = profile.criteria
    rate = expected_rate(profile.camera)
    sentences: dict[str, Callable[[Any], str]] = {
        "fps_within": lambda share: (
            f"the rate stays within {_percent(share)} of the expected one"
            + (f": {rate * (1 - share):.4g} to {rate * (1 + share):.4g} frames/s" if rate else "")
        ),
        "drop_rate_below": lambda share: f"at most {_percent(share)} of the frames are dropped or missing",
        "longest_stall_s": lambda seconds: f"no stream is silent for more than {spoken(seconds)}",
        "longest_silence_s": lambda seconds: (
            f"no subscriber is without frames for more than {spoken(seconds)}, reconnects included"
        ),
        "grpc_errors": lambda count: f"{_at_most(count, 'gRPC error')}",
        "unexpected_ends": lambda count: f"{_at_most(count, 'end')} of a stream that nobody ordered",
        "driver_errors": lambda count: f"{_at_most(count, 'driver error')} in the daemon's log",
        "coverage_at_least": lambda share: f"at least {_percent(share)} of the due frames arrive",
        "age_p99_ms": lambda ms: f"99 of 100 frames arrive within {ms:g} ms of their timestamp",
        "jitter_ms": lambda ms: f"jitter is at most {ms:g} ms",
        "connect_ms": lambda ms: f"every stream stands within {ms:g} ms",
        "first_frame_ms": lambda ms: f"every stream gives its first frame within {ms:g} ms",
        "unexplained_missing": lambda count: f"{_at_most(count, 'missing frame')} without an explanation",
        "payload_errors": lambda count: f"{_at_most(count, 'picture')} with wrong content",
        "generator_lag_ms": lambda ms: f"pvload itself is never more than {ms:g} ms late",
    }
    named = [say(getattr(criteria, name)) for name, say in sentences.items() if getattr(criteria, name) is not None]
    waived = [f"{name} may go unchecked" for name in criteria.waive]
    return [
        *named,
        *waived,
        "the run lasts as planned, the camera is as planned, every stream is admitted, every record is accounted for",
    ]


def _percent(share: float) -> str:
    return f"{share * 100:.4g} %"


def _at_most(count: int, noun: str) -> str:
    return f"no {noun}" if count == 0 else f"at most {plural(count, noun)}"


def plural(count: int, noun: str) -> str:
    """`1 frame`, `2 frames`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def spoken(seconds: float) -> str:
    """A length of time as a person writes it: `250 ms`, `20 s`, `30 min`, `24 h`."""
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 2 * length and seconds % length == 0:
            return f"{seconds / length:g} {unit}"
    return f"{seconds:g} s" if seconds >= 1 or seconds == 0 else f"{seconds * 1000:g} ms"
