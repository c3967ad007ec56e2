"""A profile and its plan in words, for a person who wants to know what a run would do before it does it."""

from __future__ import annotations

from collections.abc import Iterator

from pvload.plan.admission import STREAMING
from pvload.plan.check import Plan
from pvload.plan.company import company_words, users_words
from pvload.plan.expected import (
    JOURNAL_LOG_BYTES,
    LEDGER_BYTES_PER_FRAME,
    RECORD_BYTES_PER_FRAME,
    expected_rate,
    frame_size,
    region,
)
from pvload.plan.passes import passes_if
from pvload.plan.share import Share
from pvload.plan.timeline import moment, starts_camera, words
from pvload.plan.words import plural, spoken
from pvload.profiles.schema import Profile
from pvload.profiles.users import Users


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
        yield f"{'users' if users is profile.users[0] else '':10} {users_words(plan, users, share.count)}"
        yield from (f"{'':12} {line}" for line in company_words(users))
    yield from _timeline(plan)
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


def _timeline(plan: Plan) -> Iterator[str]:
    """Its actions, those of the start first."""
    profile = plan.profile
    for number, action in enumerate(profile.timeline):
        when = "start" if number == 0 and starts_camera(profile) else moment(action)
        often = f", {plural(action.count, 'time')}" if action.action == "cycle" else ""
        again = ", restarts without an effect" if action.action == "set" and action.restart else ""
        yield f"{'timeline' if number == 0 else '':10} {when}: {words(action, profile.camera)}{often}{again}"
    if profile.timeline and profile.run.ends == "timeline":
        yield f"{'':10} then the run ends, and after {spoken(profile.run.duration)} at the latest"


def _target(profile: Profile) -> str:
    target = profile.target
    where = "a simulator that pvload starts on this host" if target.address == "sim" else target.address
    where += f", a daemon that pvload starts by `{target.start}`" if target.start else ""
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
    return [(users, share) for users, share in pairs if users.kind in STREAMING]


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
