"""Stalls: which of them are one event, whose it was, and what probably made it."""

from __future__ import annotations

from typing import Final

from pvload.diagnose.ends import was_open
from pvload.diagnose.finding import AROUND_S, Finding, Severity, first_line, names
from pvload.stats.summary import Stall, Summary

TOGETHER_S: Final = 1.0
"""Stalls that begin within this of each other are one event."""
OURS_SHARE: Final = 0.5
"""A stall is the generator's if so much of it could be."""
_STOPPED_BEFORE_S: Final = 0.5
"""A stop is told at most this long before the last frame arrives; one further back belongs to something else."""
_DRIVER: Final = ("stall_end", "driver_error", "panic", "unlock", "loop_exit", "no_consumers")


def stalls(summary: Summary) -> list[Finding]:
    """Stalls that begin together are one event; its scope tells whose it is."""
    devices = {subscriber.name: subscriber.device for subscriber in summary.subscribers}
    groups: dict[str, list[list[Stall]]] = {}
    for stall in sorted(summary.run.stalls.listed, key=lambda stall: (stall.at_s, stall.subscriber)):
        own = groups.setdefault(devices.get(stall.subscriber, "?"), [])
        if own and stall.at_s <= own[-1][0].at_s + TOGETHER_S:
            own[-1].append(stall)
        else:
            own.append([stall])
    return [_event(summary, device, group) for device, own in groups.items() for group in own]


def silent(summary: Summary) -> list[Finding]:
    """Subscribers that were let in and never got a frame, where no single stall tells it."""
    told = {stall.subscriber for stall in summary.run.stalls.listed}
    threshold_s = summary.run.stalls.threshold_s
    return [
        Finding(
            Severity.FAULT,
            one.figures.longest_silence_at_s,
            f"{one.name} was open and never got a frame in {one.figures.due_s:.1f} s of due time",
            one.figures.due_s,
        )
        for one in summary.subscribers
        if one.opened and one.figures.frames == 0 and one.figures.due_s > threshold_s and one.name not in told
    ]


def _event(summary: Summary, device: str, group: list[Stall]) -> Finding:
    longest = max(group, key=lambda stall: (stall.length_s, -stall.at_s))
    quiet = {stall.subscriber for stall in group}
    if longest.uncertainty_s >= OURS_SHARE * longest.length_s:
        text = (
            f"{longest.length_s:.2f} s without a frame on {names(quiet)}: "
            f"the generator itself was late for {longest.uncertainty_s:.2f} s of it"
        )
        return Finding(Severity.DOUBT, longest.at_s, text, longest.length_s)
    open_then = {
        call.subscriber for call in summary.calls if call.device == device and was_open(call, longest.at_s + 0.1)
    }
    text = (
        f"no frame for {longest.length_s:.2f} s on {_scope(device, quiet, open_then)}, {_after(longest)}, "
        f"{_end(summary, longest)}{_cause(summary, quiet, open_then, longest)}"
    )
    return Finding(Severity.FAULT, longest.at_s, text, longest.length_s)


def _scope(device: str, quiet: set[str], open_then: set[str]) -> str:
    if len(open_then) <= 1:
        return f"{names(quiet)}, the only stream of {device}"
    if open_then <= quiet:
        return f"any of the {len(quiet)} streams of {device}"
    return f"{names(quiet)} while other streams of {device} went on"


def _after(stall: Stall) -> str:
    if stall.frame_index == 0:
        return "from the opening on"
    frames = f"after {stall.frame_index:,} frame{'s' * (stall.frame_index > 1)}"
    return frames if stall.last_frame_number is None else f"{frames} (last frame_number {stall.last_frame_number})"


def _end(summary: Summary, stall: Stall) -> str:
    until_s = stall.at_s + stall.length_s
    if not stall.censored:
        return f"until frames came again at {until_s:.1f} s"
    if _to_the_end(summary, stall):
        return "none to the end of the run"
    return f"none until the stream was closed or the camera no longer wanted at {until_s:.1f} s"


def _to_the_end(summary: Summary, stall: Stall) -> bool:
    return stall.censored and stall.at_s + stall.length_s >= summary.facts.length_s - TOGETHER_S


def _cause(summary: Summary, quiet: set[str], open_then: set[str], stall: Stall) -> str:
    """The likely cause, as far as the evidence goes: the daemon's log first, then the scope."""
    if not open_then <= quiet:
        return ": the camera ran, so it is this stream's own way through the daemon or the network"
    stop = first_line(summary, ("acquisition_stopped",), stall.at_s - _STOPPED_BEFORE_S, stall.at_s + AROUND_S)
    if stop is not None:
        return (
            f": another client stopped the camera, nobody here ordered it (a stop in the daemon's log at "
            f"{stop.at_s:.2f} s)"
        )
    line = first_line(summary, _DRIVER, stall.at_s - AROUND_S, stall.at_s + stall.length_s + AROUND_S)
    if line is not None:
        return f": the camera's driver, by the daemon's log at {line.at_s:.2f} s ({line.log_class.replace('_', ' ')})"
    if _to_the_end(summary, stall) and stall.frame_index and not _errors(summary, quiet):
        return "; stream open, no error, no stop ordered here: the camera stopped, or another client stopped it"
    return ": the producer stood still" if len(quiet) > 1 else ""


def _errors(summary: Summary, quiet: set[str]) -> bool:
    return any(one.figures.errors for one in summary.subscribers if one.name in quiet)
