"""What probably happened in a run, from its summary alone: stalls and their scope, doubled producers, deaths, doubts.

Every rule says what it saw; none of them changes a verdict. Findings come worst first, equals by length, then by time,
so the first one is "the worst thing that happened".
"""

from __future__ import annotations

from typing import Final

from pvload.diagnose.finding import Finding, Severity
from pvload.stats.summary import Call, Figures, Stall, Subscriber, Summary

DOUBLED_WITHIN: Final = 0.2
"""A rate counts as k times the expected one if it is off by no more than this share of one producer."""
TOGETHER_S: Final = 1.0
"""Stalls that begin within this (and one threshold) of each other are one event."""
DIED_WITHIN_S: Final = 2.0
OURS_SHARE: Final = 0.5
"""A stall is the generator's if so much of it could be."""


def findings(summary: Summary) -> tuple[Finding, ...]:
    """All findings, worst first."""
    found = [
        *_death(summary),
        *_stalls(summary),
        *_producers(summary),
        *_loss(summary),
        *_never_opened(summary),
        *_doubts(summary),
    ]
    return tuple(
        sorted(
            found, key=lambda one: (-one.severity, -one.length_s, one.at_s if one.at_s is not None else -1.0, one.text)
        )
    )


def _death(summary: Summary) -> list[Finding]:
    """All streams ended UNAVAILABLE at once: the daemon, not a stream."""
    dead = sorted(
        (call for call in summary.calls if call.ended_by == "server" and call.status == "UNAVAILABLE" and _had(call)),
        key=lambda call: call.ended_at_s or 0.0,
    )
    found: list[Finding] = []
    while dead:
        at_s = dead[0].ended_at_s or 0.0
        together = [call for call in dead if (call.ended_at_s or 0.0) <= at_s + DIED_WITHIN_S]
        dead = dead[len(together) :]
        alive = {call.subscriber for call in summary.calls if _was_open(call, at_s)}
        gone = {call.subscriber for call in together}
        if alive <= gone:
            text = f"the daemon died or was shut down: all {len(gone)} streams ended UNAVAILABLE at once"
            later = [call for call in summary.calls if call.opened_at_s > at_s and _had(call)]
            text += "; it came back" if later else "; it did not come back"
            back_s = min((call.opened_at_s for call in later), default=summary.facts.length_s)
            found.append(Finding(Severity.DEATH, at_s, text, max(0.0, back_s - at_s)))
        else:
            text = f"the connection of {', '.join(sorted(gone))} was lost while other streams went on"
            found.append(Finding(Severity.FAULT, at_s, text))
    return found


def _had(call: Call) -> bool:
    return call.figures.frames > 0 or call.figures.due_s > 0


def _was_open(call: Call, at_s: float) -> bool:
    return _had(call) and call.opened_at_s < at_s and (call.ended_at_s is None or call.ended_at_s >= at_s)


def _stalls(summary: Summary) -> list[Finding]:
    """Stalls that begin together are one event; its scope tells whose it is."""
    devices = {subscriber.name: subscriber.device for subscriber in summary.subscribers}
    stalls = sorted(summary.run.stalls.listed, key=lambda stall: (stall.at_s, stall.subscriber))
    found: list[Finding] = []
    while stalls:
        first = stalls[0]
        device = devices.get(first.subscriber, "?")
        group = [
            stall
            for stall in stalls
            if devices.get(stall.subscriber, "?") == device and stall.at_s <= first.at_s + TOGETHER_S
        ]
        stalls = [stall for stall in stalls if stall not in group]
        found.append(_event(summary, device, group))
    return found


def _event(summary: Summary, device: str, group: list[Stall]) -> Finding:
    longest = max(group, key=lambda stall: (stall.length_s, -stall.at_s))
    length = f"{longest.length_s:.2f} s"
    silent = {stall.subscriber for stall in group}
    expected = {
        call.subscriber for call in summary.calls if call.device == device and _was_open(call, longest.at_s + 0.1)
    }
    if longest.uncertainty_s >= OURS_SHARE * longest.length_s:
        late = f"the generator itself was late for {longest.uncertainty_s:.2f} s of it"
        text = f"{length} without a frame on {_names(silent)}: {late}"
        return Finding(Severity.DOUBT, longest.at_s, text, longest.length_s)
    number = longest.last_frame_number
    after = f"after frame_number {number}" if number is not None else f"after {longest.frame_index} frames"
    if longest.frame_index == 0:
        after = "from the opening on"
    if expected <= silent and len(expected) > 1:
        text = (
            f"no frame for {length} on any of the {len(silent)} streams of {device}, {after}: the producer stood still"
        )
    elif len(expected) > 1:
        text = f"no frame for {length} on {_names(silent)} {after}, while other streams of {device} went on"
    else:
        text = f"no frame for {length} on {_names(silent)}, the only stream of {device}, {after}"
    if _to_the_end(summary, longest):
        text += _stopped(summary, device, silent, longest)
    return Finding(Severity.FAULT, longest.at_s, text, longest.length_s)


def _to_the_end(summary: Summary, stall: Stall) -> bool:
    return stall.censored and stall.at_s + stall.length_s >= summary.facts.length_s - TOGETHER_S


def _stopped(summary: Summary, device: str, silent: set[str], stall: Stall) -> str:
    """Silence to the end on open streams without an error."""
    figures = [subscriber.figures for subscriber in summary.subscribers if subscriber.name in silent]
    if any(one.errors for one in figures) or stall.frame_index == 0:
        return "; it never came back"
    if {one.name for one in summary.subscribers if one.device == device} <= silent:
        quiet = "; to the end of the run, streams open and without an error"
        return f"{quiet}: the camera stopped, or another client stopped it"
    return "; to the end of the run, the stream open and without an error"


def _names(names: set[str]) -> str:
    ordered = sorted(names)
    return ", ".join(ordered[:3]) + (f" and {len(ordered) - 3} more" if len(ordered) > 3 else "")


def _producers(summary: Summary) -> list[Finding]:
    """A rate of k times the expected one, with clean loss figures, is k producers after a quick restart."""
    found = []
    for device in summary.devices:
        times = _times_expected(device.figures)
        when, fastest = _fastest(summary, device.name, device.figures)
        if times < 2 and fastest < 2:
            continue
        factor = max(times, fastest)
        clean = ", although no counter shows a loss" if device.figures.missing.total == 0 else ""
        text = (
            f"{device.name} ran at {factor} times the expected {device.figures.expected_hz:.1f} frames/s{clean}: "
            f"{factor} producers at once, as after a restart within one exposure"
        )
        found.append(Finding(Severity.FAULT, when, text))
    return found


def _times_expected(figures: Figures) -> int:
    if not figures.expected_hz or figures.fps is None or not figures.expected_is_stated:
        return 0
    return _multiple(figures.fps / figures.expected_hz)


def _multiple(ratio: float) -> int:
    nearest = round(ratio)
    return nearest if nearest >= 2 and abs(ratio - nearest) <= DOUBLED_WITHIN * nearest else 0


def _fastest(summary: Summary, device: str, figures: Figures) -> tuple[float | None, int]:
    """The first window in which a stream of the device had a multiple of its expected rate."""
    if not figures.expected_hz:
        return None, 0
    for subscriber in summary.subscribers:
        if subscriber.device != device or not subscriber.figures.expected_hz:
            continue
        for window in subscriber.windows:
            if window.due_s >= 5.0:
                factor = _multiple(window.frames / window.due_s / subscriber.figures.expected_hz)
                if factor:
                    return window.at_s, factor
    return None, 0


def _loss(summary: Summary) -> list[Finding]:
    """Where most of the missing frames went."""
    missing = summary.run.missing
    classes = {
        "skipped by the server for a slow client": missing.backpressure,
        "lost in the server without a word": missing.unseen,
        "sent by the server's count and not received": missing.transport,
        "lost in the server or on the way, which is not decidable": missing.undecided,
        "lost before they were numbered (driver, hardware)": missing.before_numbering or 0,
    }
    worst = max(classes, key=lambda name: classes[name])
    if classes[worst] == 0:
        return []
    found = []
    ours = summary.run.lag_losses
    text = f"{missing.total} frames missing, {classes[worst]} of them {worst}"
    if ours and ours * 2 >= missing.total:
        found.append(Finding(Severity.DOUBT, _worst_minute(summary), f"{text}; {ours} while the generator was late"))
    else:
        found.append(Finding(Severity.FAULT if missing.unexplained else Severity.NOTICE, _worst_minute(summary), text))
    return found


def _worst_minute(summary: Summary) -> float | None:
    windows = [window for subscriber in summary.subscribers for window in subscriber.windows if window.missing]
    return max(windows, key=lambda window: (window.missing, -window.at_s)).at_s if windows else None


def _never_opened(summary: Summary) -> list[Finding]:
    """Subscribers that the server never accepted."""
    shut: list[Subscriber] = [one for one in summary.subscribers if one.opened == 0]
    if not shut:
        return []
    calls = [call for call in summary.calls if call.subscriber in {one.name for one in shut} and call.status]
    why = f": {calls[0].status} {calls[0].details}".rstrip() if calls else ""
    text = f"{len(shut)} of {len(summary.subscribers)} subscribers were never admitted{why}"
    return [Finding(Severity.DOUBT, calls[0].ended_at_s if calls else None, text)]


def _doubts(summary: Summary) -> list[Finding]:
    """What was wrong with the measurement."""
    found = [
        Finding(Severity.DOUBT, blind.at_s, f"blind for {blind.length_s:.2f} s: {blind.reason}", blind.length_s)
        for blind in summary.generator.blind[:10]
    ]
    accounting = summary.accounting
    if accounting.missing or accounting.undelivered:
        recorded = "an unknown number" if accounting.recorded is None else f"{accounting.recorded}"
        text = f"{accounting.missing + accounting.undelivered} records of {recorded} are missing"
        found.append(Finding(Severity.DOUBT, None, text))
    found += [Finding(Severity.NOTICE, step.at_s, step.reason) for step in summary.target_clock.steps[:10]]
    restarts = summary.run.restarts
    if restarts:
        found.append(Finding(Severity.NOTICE, None, f"{restarts} restarts of the acquisition seen on open streams"))
    return found
