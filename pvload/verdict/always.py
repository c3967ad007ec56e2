"""What every run must keep, whatever its profile names: without these no other figure means what it says."""

from __future__ import annotations

from typing import Final

from pvload.stats.summary import Call, Summary
from pvload.verdict.doubt import Doubt
from pvload.verdict.judgement import Judged, Result
from pvload.verdict.streams import accepted, no_frame_but_records_missing
from pvload.verdict.words import count, seconds

MONITOR: Final = "monitor"
"""Role of a sender that witnesses and has no stream."""


def duration(summary: Summary) -> Judged:
    """A run that ended before its plan can show a failure but not the absence of one."""
    facts = summary.facts
    length = seconds(facts.length_s)
    planned = f" of {seconds(facts.planned_s)} planned" if facts.planned_s else ""
    if facts.ended == "duration" and facts.length_s > 0:
        return _judged("duration", Result.PASS, f"the run lasted {length}{planned}", facts.length_s)
    if did_not_begin(summary):
        return _judged("duration", Result.INCONCLUSIVE, f"the run did not begin: {facts.failure}", facts.length_s)
    why = {
        "duration": "the run ended in order, but nothing happened in it",
        "interrupted": f"the run was interrupted after {length}{planned}",
        "failed": f"the run could not go on after {length}{planned}{f': {facts.failure}' if facts.failure else ''}",
    }.get(
        facts.ended,
        f"the run was killed: no end was recorded, and its last event came after {length}{planned}",
    )
    return _judged("duration", Result.INCONCLUSIVE, why, facts.length_s)


def did_not_begin(summary: Summary) -> bool:
    """Something was missing that it needs, and nobody ever opened a stream; `facts.failure` tells what."""
    return summary.facts.ended == "failed" and bool(summary.facts.failure) and not summary.subscribers


def frames(summary: Summary, doubt: Doubt) -> Judged:
    """Every subscriber was accepted and got frames when they were due; a missing record may have been a frame."""
    if not summary.subscribers:
        failed = summary.note_counts.get("operator_failed", 0) or summary.note_counts.get("unknown_device", 0)
        reason = _note(summary, "operator_failed", "unknown_device", "not_connected") if failed else _never(summary)
        return _judged("frames", Result.INVALID, reason or "no stream was ever opened")
    threshold = summary.run.stalls.threshold_s
    for one in summary.subscribers:
        sure = one.figures.frames == 0 and not doubt.stream_records
        if accepted(one) and sure and one.figures.due_s > threshold:
            reason = f"{one.name} was accepted and got no frame in {seconds(one.figures.due_s)} of due time"
            return _judged("frames", Result.FAIL, reason, 0.0, subject=one.name)
    refused = [one for one in summary.subscribers if not accepted(one)]
    if refused:
        reason = f"{refused[0].name} was never accepted by the target{_why_refused(summary, refused[0].name)}"
        more = len(refused) - 1
        others = f", nor {'was another' if more == 1 else f'were {more} others'}" if more else ""
        return _judged("frames", Result.INVALID, reason + others, subject=refused[0].name)
    if summary.users_failed:
        return _judged("frames", Result.INVALID, f"{count(summary.users_failed, 'user')} could not start")
    silent = next((one for one in summary.subscribers if one.figures.frames == 0), None)
    if silent is not None and doubt.stream_records:
        reason = no_frame_but_records_missing(silent, doubt)
        return _judged("frames", Result.INVALID, reason, 0.0, subject=silent.name)
    if silent is not None:
        result = Result.INVALID if silent.figures.blind_s > 0 else Result.INCONCLUSIVE
        reason = f"{silent.name} got no frame, in only {seconds(silent.figures.due_s)} of due time"
        return _judged("frames", result, reason, 0.0, subject=silent.name)
    if summary.run.frames == 0:
        return _judged("frames", Result.INVALID, "no stream was accepted, so no frame came", 0.0)
    number = len(summary.subscribers)
    return _judged(
        "frames", Result.PASS, f"{count(summary.run.frames, 'frame')} on {count(number, 'subscriber')}", number
    )


def admission(summary: Summary) -> Judged:
    """No stream was refused because the target had too many already: that is a fault of the plan.

    A refusal although there was room is none of the plan: `streams_return` is about it.
    """
    kept = sum(one.refused_after_leaving for one in summary.around.churn)
    refused = max(0, sum(one.figures.admission_refused for one in summary.subscribers) - kept)
    if refused:
        example = next(
            (
                f": {call.subscriber} {call.status} {call.details}".rstrip()
                for call in summary.calls
                if _is_refusal(call)
            ),
            "",
        )
        reason = f"the target refused {count(refused, 'stream')} for its limit of streams per client{example}"
        return _judged("admission", Result.INVALID, reason, refused)
    return _judged("admission", Result.PASS, "no stream was refused for the target's stream limit", 0.0)


def camera_as_planned(summary: Summary, *, may_be_running: bool) -> Judged:
    """Frames show the size, exposure and binning of the plan, and the camera was ours from start to end."""
    wrong = sum(device.not_as_planned for device in summary.devices)
    name = "camera_as_planned"
    if wrong:
        example = next((device.not_as_planned_example for device in summary.devices if device.not_as_planned), "")
        said = f": {example}" if example else ""
        return _judged(name, Result.INVALID, f"{count(wrong, 'frame')} not as planned{said}", wrong)
    notes = summary.note_counts
    suspects = ["operator_failed", "unknown_device", "camera_not_as_planned"]
    suspects += [] if may_be_running else ["camera_was_running"]
    present = [kind for kind in suspects if notes.get(kind)]
    if present:
        reason = _note(summary, *present) or present[0].replace("_", " ")
        return _judged(name, Result.INVALID, reason, sum(notes[kind] for kind in present))
    if summary.run.frames == 0:
        return _judged(name, Result.INCONCLUSIVE, "no frame came that could show the camera's settings")
    return _judged(name, Result.PASS, "every frame showed the camera as planned", 0.0)


def accounting(summary: Summary) -> Judged:
    """Everything that was recorded came or is stated missing, and every call's own total was met.

    A monitor that never closed its account leaves a witness missing, and no frame in doubt: see `judge`.
    """
    account = summary.accounting
    name = "accounting"
    lost = [one for one in account.senders if one.recorded is None and one.role != MONITOR]
    if account.undelivered:
        reason = f"{count(account.undelivered, 'record')} neither came nor are stated missing"
        return _judged(name, Result.INVALID, reason, account.undelivered)
    if lost:
        last = f" after {seconds(lost[0].last_seen_s)}" if lost[0].last_seen_s is not None else ""
        reason = f"what {lost[0].role} {lost[0].worker} recorded{last} is not known: it never closed its account"
        more = len(lost) - 1
        others = f", nor did {'another' if more == 1 else f'{more} others'}" if more else ""
        return _judged(name, Result.INVALID, reason + others, len(lost))
    faulty = next((one for one in account.senders if one.fault), None)
    if faulty is not None:
        reason = f"what {faulty.role} {faulty.worker} recorded cannot be folded beyond {faulty.fault}"
        return _judged(name, Result.INVALID, reason)
    if not account.frames_checked:
        return _judged(name, Result.INVALID, "a call's own total of frames differs from the frames that came for it")
    if not account.senders:
        return _judged(name, Result.INVALID, "no process ever reported to the collector")
    missing = f", {count(account.missing, 'record')} stated missing" if account.missing else ""
    of = f" of {account.recorded:,}" if account.recorded is not None else ""
    gone = "" if account.recorded is not None else "; a monitor never closed its account"
    return _judged(name, Result.PASS, f"{count(account.delivered, 'record')}{of} came{missing}{gone}", 0.0)


def _judged(name: str, result: Result, reason: str, value: float | None = None, *, subject: str = "") -> Judged:
    return Judged(name, result, reason, judged=True, value=value, subject=subject)


def _is_refusal(call: Call) -> bool:
    return call.status == "RESOURCE_EXHAUSTED" and call.first_frame_number is None


def _why_refused(summary: Summary, name: str) -> str:
    call = next((call for call in summary.calls if call.subscriber == name and call.status not in ("OK", "")), None)
    return f": {call.status} {call.details}".rstrip() if call else ""


def _never(summary: Summary) -> str:
    """Why no subscriber ever came so far as to open a stream."""
    failed = next((text for one in summary.unary for text in one.examples), "")
    noted = _note(summary, "not_connected")
    if noted:
        return f"no stream was ever opened: {noted}"
    return f"no stream was ever opened; a call failed {failed}" if failed else "no stream was ever opened"


def _note(summary: Summary, *kinds: str) -> str:
    """The text of the first note of one of these classes."""
    for kind in kinds:
        for note in summary.notes:
            if note.startswith(f"{kind}: "):
                return note.removeprefix(f"{kind}: ")
    return ""
