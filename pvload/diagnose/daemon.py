"""The daemon as a process and by its log: how it exited, what grew, what its log hides, what it says otherwise."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

from pvload.diagnose.cycles import attempts
from pvload.diagnose.finding import Finding, Severity
from pvload.diagnose.locks import lock_of, points_of
from pvload.stats.around import DaemonLife, Growth
from pvload.stats.summary import Summary

TARGET: Final = "target"
"""Name of the watched process that is the service under test."""


def daemon(summary: Summary) -> list[Finding]:
    """Findings about the daemon's life, growth, cycles and log."""
    return [
        *_died(summary),
        *_cycles(summary),
        *_grows(summary),
        *_synthetic(summary),
        *_disagrees(summary),
        *_hidden(summary),
    ]


def is_target(process: str) -> bool:
    """Whether a watched process is the service under test and not pvload's own."""
    return process == TARGET or process.startswith(f"{TARGET} ")


def exited(life: DaemonLife) -> str:
    """`exit status 1`, `killed by signal 9`, or that nobody knows."""
    if life.exit_status is None:
        return "how it exited is not known"
    return f"killed by signal {-life.exit_status}" if life.exit_status < 0 else f"exit status {life.exit_status}"


def grown(one: Growth) -> str:
    """`rss of target (pid 12) grows by 3.1 MiB an hour`."""
    said = {"rss": ("MiB", 2**20)}.get(one.figure, ("", 1))
    unit = f" {said[0]}" if said[0] else ""
    speed = "" if one.per_hour is None else f" by {one.per_hour / said[1]:.3g}{unit} an hour"
    least = "" if one.per_hour_low is None else f" (at least {one.per_hour_low / said[1]:.3g} at 95 %)"
    return f"{one.figure} of {one.process} (pid {one.pid}) grows{speed}{least}"


def deaths(summary: Summary) -> list[DaemonLife]:
    """When the daemon that pvload started was gone although nobody had stopped it."""
    lives = summary.around.daemon
    return [
        life
        for before, life in zip((None, *lives), lives, strict=False)
        if life.change == "gone" and not _stopping(before)
    ]


def died(life: DaemonLife) -> str:
    """`the daemon (pid 77) died: killed by signal 9`."""
    details = "" if life.details.startswith("signal SIG") else life.details
    return f"the daemon (pid {life.pid}) died: {exited(life)}" + (f"; {details}" if details else "")


def _stopping(life: DaemonLife | None) -> bool:
    return life is not None and life.change == "stopping"


def _died(summary: Summary) -> list[Finding]:
    """The daemon that pvload started went away although nobody stopped it, or ended badly when it was."""
    found = [Finding(Severity.DEATH, life.at_s, died(life)) for life in deaths(summary)]
    lives = summary.around.daemon
    for before, life in pairwise(lives):
        if _stopping(before) and life.change == "gone" and life.exit_status not in (0, None):
            text = f"the daemon (pid {life.pid}) was stopped and ended badly: {exited(life)}"
            found.append(Finding(Severity.FAULT, life.at_s, text))
    return found


def _cycles(summary: Summary) -> list[Finding]:
    """Failed cycles, a first attempt unlike the others, and what decides when stalls come."""
    found = []
    cycles = summary.around.cycles
    told = attempts(cycles)
    if told.count > 1 and (told.failed or told.first_differs):
        severity = Severity.FAULT if told.failed else Severity.NOTICE
        bad = next((one for one in cycles if one.failed), told.first)
        text = f"{told.failed} of {told.count} start-stop cycles failed; {told.sentence}"
        found.append(Finding(severity, None if bad is None else bad.started_at_s, text))
    lock = lock_of(points_of(summary))
    if lock.sentence:
        found.append(Finding(Severity.NOTICE, None, lock.sentence))
    return found


def _grows(summary: Summary) -> list[Finding]:
    return [
        Finding(Severity.FAULT if is_target(one.process) else Severity.DOUBT, None, grown(one))
        for one in summary.around.growth
        if one.result == "grows"
    ]


def _synthetic(summary: Summary) -> list[Finding]:
    line = summary.around.synthetic_camera
    return [Finding(Severity.FACT, None, f"the camera is synthetic, by the daemon's log: {line}")] if line else []


def _disagrees(summary: Summary) -> list[Finding]:
    """The log's end-of-stream lines against ours."""
    wrong = [one for one in summary.around.log_accounts if one.subscriber and not one.agrees]
    if not wrong:
        return []
    one = wrong[0]
    text = (
        f"the log and the frames disagree on {one.subscriber} call {one.call}: the log says {one.sent_by_log:,} sent "
        f"and {one.dropped_by_log:,} dropped, the frames {one.sent_by_frames:,} and {one.dropped_by_frames:,}"
    )
    text += f"; {len(wrong) - 1} more like it" if len(wrong) > 1 else ""
    return [Finding(Severity.FAULT, one.at_s, text)]


def _hidden(summary: Summary) -> list[Finding]:
    hidden = summary.around.hidden_log_classes
    if not hidden:
        return []
    names = ", ".join(one.replace("_", " ") for one in hidden)
    text = f"the daemon's log is at a level that hides: {names}; none of them seen says nothing"
    return [Finding(Severity.FACT, None, text)]
