"""What a run must keep to pass, one sentence a criterion."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from pvload.plan.expected import expected_rate
from pvload.plan.words import at_most, percent, spoken
from pvload.profiles.schema import Profile

_POLICY: Final = {
    "per-client": "ends its own stream alone",
    "stops-all": "stops the camera for all",
    "zombie": "leaves a camera that says it streams and gives no frames once the last one is gone",
}
_SLOW: Final = {
    "skip": "is left frames out",
    "block": "makes all others wait",
    "disconnect": "is disconnected",
}
_CHANGES: Final = {
    "effective": "shows on the frames while the stream goes on",
    "clear": "shows on the frames while the stream goes on, or is refused with a reason and shows after a restart",
}


def passes_if(profile: Profile) -> list[str]:
    """The named criteria, one sentence each, then what every run must keep."""
    criteria = profile.criteria
    rate = expected_rate(profile.camera)
    sentences: dict[str, Callable[[Any], str]] = {
        "fps_within": lambda share: (
            f"the rate stays within {percent(share)} of the expected one"
            + (f": {rate * (1 - share):.4g} to {rate * (1 + share):.4g} frames/s" if rate else "")
        ),
        "drop_rate_below": lambda share: f"at most {percent(share)} of the frames are dropped or missing",
        "longest_stall_s": lambda seconds: f"no stream is silent for more than {spoken(seconds)}",
        "longest_silence_s": lambda seconds: (
            f"no subscriber is without frames for more than {spoken(seconds)}, reconnects included"
        ),
        "grpc_errors": lambda count: f"{at_most(count, 'gRPC error')}",
        "unexpected_ends": lambda count: f"{at_most(count, 'end')} of a stream that nobody ordered",
        "driver_errors": lambda count: f"{at_most(count, 'driver error')} in the daemon's log",
        "coverage_at_least": lambda share: f"at least {percent(share)} of the due frames arrive",
        "age_p99_ms": lambda ms: f"99 of 100 frames arrive within {ms:g} ms of their timestamp",
        "jitter_ms": lambda ms: f"jitter is at most {ms:g} ms",
        "connect_ms": lambda ms: f"every stream stands within {ms:g} ms",
        "first_frame_ms": lambda ms: f"every stream gives its first frame within {ms:g} ms",
        "unexplained_missing": lambda count: f"{at_most(count, 'missing frame')} without an explanation",
        "payload_errors": lambda count: f"{at_most(count, 'picture')} with wrong content",
        "generator_lag_ms": lambda ms: f"pvload itself is never more than {ms:g} ms late",
        "disconnect_policy": lambda policy: f"a client that leaves {_POLICY[policy]}, each time",
        "slow_reader_policy": lambda policy: f"a slow reader {_SLOW[policy]}, each time",
        "changes": lambda wish: f"every change of the camera {_CHANGES[wish]}",
        "restored": lambda _: "at the end parameters and frames are what they were at the start",
        "expectations": lambda _: "every action of the timeline can be done, and every `expect` is met",
        "call_errors": lambda count: f"{at_most(count, 'call')} of changers, watchers and probes fails",
        "call_p99_ms": lambda ms: f"99 of 100 calls of each method are answered within {ms:g} ms of when they were due",
        "stop_ms": lambda ms: f"each StopStream and StartStream of a stop-probe is answered within {ms:g} ms",
        "change_events_lost": lambda count: f"{at_most(count, 'parameter change')} is lost on its way to a watcher",
        "rate_achieved_at_least": lambda share: f"at its highest rate {percent(share)} of a storm's calls are answered",
        "isolation_periods": lambda periods: (
            f"others' coming, leaving or slowness gives nobody a gap of more than {periods:g} frame periods"
        ),
        "isolation_missing": lambda count: f"and {at_most(count, 'frame')} of somebody else is missing around it",
        "streams_return": lambda _: "after each leaving the server's streams return to what is open",
        "flat": lambda _: "no process grows in memory, file descriptors or threads",
        "failed_cycles": lambda count: f"{at_most(count, 'start-stop cycle')} fails to give its frames",
        "consecutive_frames": lambda count: (
            f"each stream gives {count:,} frames in a row without a stall and without one missing"
        ),
        "heartbeat_age_s": lambda seconds: f"no module's heartbeat is older than {spoken(seconds)}",
        "log_agrees": lambda _: "the daemon's log counts the frames of each stream as its subscriber does",
        "success_rate": lambda share: f"of a set of repeats at least {percent(share)} pass",
    }
    named = [
        say(getattr(criteria, name))
        for name, say in sentences.items()
        if getattr(criteria, name) is not None and getattr(criteria, name) is not False
    ]
    waived = [f"{name} may go unchecked" for name in criteria.waive]
    return [
        *named,
        *waived,
        "the run lasts as planned, the camera is as planned, every stream is admitted, every record is accounted for",
    ]
