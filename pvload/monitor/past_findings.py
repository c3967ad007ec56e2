"""What an old log comes to, in plain sentences, the weightiest first. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from pvload.clock import NS_PER_S
from pvload.monitor.past import TICK_S, Past, PastStall
from pvload.wire.log_text import StallTick

_SENTENCES: Final = {
    "panic": "the daemon panicked {n} times",
    "registration": "{n} devices could not be registered",
    "unlock": "frames could not be given back to the driver {n} times: its buffers starve",
    "integrity": "the driver found frames that repeat, are zero or are missing {n} times",
    "bad_frame": "{n} frames were left out for a wrong size or a failed compression",
    "pool": "the driver's buffer pool was empty {n} times: frames were lost before any subscriber",
    "no_consumers": "{n} lines of a camera that runs without anybody listening",
    "mode_fallback": "the camera refused its buffer mode {n} times and was started in another",
    "limit": "{n} subscriptions were refused for the limit of streams per client",
    "parameter_lag": "a subscriber of parameter changes lagged and lost some {n} times",
    "slow_observer": "the frame path took longer than its budget {n} times",
    "drop": "{n} lines tell of frames left out for slow subscribers (one line may stand for ten)",
    "disk": "the disk failed {n} times",
    "error": "{n} other errors",
    "daemon_warning": "{n} other warnings",
    "usb": "{n} lines of the kernel about USB",
}
"""Class -> what its lines mean."""
_FIRST: Final = ("panic", "registration", "unlock", "integrity", "bad_frame", "pool")


def moment(at_ns: int | None) -> str:
    """A time as people read it, UTC; `at an unknown time` where the log has none."""
    if at_ns is None:
        return "at an unknown time"
    second = datetime.fromtimestamp(at_ns // NS_PER_S, UTC).strftime("%Y-%m-%d %H:%M:%S")
    return f"{second}.{at_ns % NS_PER_S // 1_000_000:03d}"


def findings(past: Past) -> list[str]:
    """One sentence each; one that says so where nothing was found."""
    said = [_stall(stall) for stall in past.stalls if stall.involuntary_stop]
    said += [_stall(stall) for stall in past.stalls if not stall.involuntary_stop]
    said += _errors(past)
    said += [_counted(past, name) for name in _FIRST if past.classes.get(name)]
    said += [_counted(past, name) for name in _SENTENCES if name not in _FIRST and past.classes.get(name)]
    if past.frames_dropped:
        said.append(
            f"the server left {past.frames_dropped:,} frames out of its streams, by its own account, and sent "
            f"{past.frames_sent:,}"
        )
    if past.synthetic:
        said.append(f"the camera is synthetic, nothing here is about hardware: {past.synthetic}")
    if not past.lines:
        return ["the log is empty: it says nothing, neither good nor bad"]
    if not past.classes and not past.levelled:
        return ["no line of this looks like the daemon's: is it the right file?"]
    if not said:
        said.append("nothing in this log tells of trouble")
    if past.hidden:
        said.append(f"the log's level hides {', '.join(past.hidden)}: that they are absent means nothing")
    return said


def _counted(past: Past, name: str) -> str:
    return _SENTENCES[name].format(n=f"{past.classes[name]:,}")


def _stall(stall: PastStall) -> str:
    silent_s = stall.ticks * TICK_S
    waited = f"{stall.ticks} waits of {TICK_S:g} s in vain" if stall.ticks else "waits that the log does not show"
    since = stall.first_tick_ns - int(TICK_S * NS_PER_S) if stall.first_tick_ns is not None and stall.ticks else None
    last_frame = f"no frame after {moment(since)}" if since is not None else "no frame"
    sign = f"; {_sign(stall.last_tick)}" if stall.last_tick is not None else ""
    if stall.involuntary_stop:
        reason = f" ({stall.error})" if stall.error else ""
        after = f", {silent_s:g} s after the last callback" if stall.ticks else ""
        return (
            f"the acquisition ended by itself at {moment(stall.last_ns)}{after}{reason}: {last_frame}, {waited}{sign}"
        )
    return f"the camera was silent for at least {silent_s:g} s and came back: {last_frame}, {waited}{sign}"


def _sign(tick: StallTick) -> str:
    """What the driver's own figures point to."""
    if tick.callbacks_pending > 0:
        return f"{tick.callbacks_pending} callbacks were pending: their consumer was stuck"
    if tick.buffers > 0:
        return f"{tick.buffers} frames lay in the buffer and no callback came: a missed callback"
    if tick.status == 0:
        return "status 0, nothing in the buffer: the camera had stopped"
    if tick.bytes_arrived == 0:
        return f"status {tick.status} and no byte: the camera claims to expose and sends nothing"
    return f"status {tick.status}, {tick.bytes_arrived} bytes, error {tick.error}"


def _errors(past: Past) -> list[str]:
    said = []
    for code, count in sorted(past.error_codes.items(), key=lambda one: (-one[1], one[0])):
        first = next((one for one in past.errors if str(one.error.code or "none") == code), None)
        example = f", first {moment(first.at_ns)}: {first.error.message}" if first is not None else ""
        named = "without a number" if code == "none" else code
        said.append(f"PVCAM error {named} on {count:,} lines{example}")
    return said
