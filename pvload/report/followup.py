"""followup.md: what a run found out about the service's behaviour, ready to paste into a tracker.

Written where a run examined such a question: what a disconnect does, what a slow reader gets, what changes of the
camera do, a slot that was not given back, a daemon that died. A pure function of summary, verdict and manifest.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from typing import Final

from pvload.diagnose.changes import BROKEN, OUTCOMES
from pvload.diagnose.company import company, did
from pvload.diagnose.daemon import exited
from pvload.diagnose.finding import Finding, Severity, log_around, resources_around
from pvload.diagnose.findings import findings
from pvload.diagnose.nothing import nothing_seen
from pvload.diagnose.policy import (
    LEAVINGS,
    MEANS,
    SLOW_MEANS,
    Policy,
    client,
    disconnect_policy,
    slow_reader_policy,
)
from pvload.report.table import cut
from pvload.stats.around import Change, Disturbance
from pvload.stats.summary import Summary
from pvload.verdict.judgement import Result, Verdict
from pvload.verdict.words import count, ms, percent, seconds
from pvload.wire.run_directory import JOURNAL, MANIFEST, PROFILE, REPORT, SUMMARY, Manifest

FOLLOWUP: Final = "followup.md"
_CAMERA: Final = (
    "acquisition.exposure_ms",
    "acquisition.roi",
    "acquisition.binning",
    "acquisition.trigger_mode",
    "readout.port",
    "readout.speed_mode",
    "readout.gain_mode",
    "info.model_name",
    "info.firmware_version",
)
"""Parameters told of; all of them stand in manifest.json."""
_ROWS: Final = 40
_FINDINGS: Final = 8
_DISCONNECT: Final = (
    "The daemon's documents (several clients, scenario C) say that one client's disconnect stops the device for all; "
    "its code since January 2026 ends only that client's own stream. Which of the two holds was to be found out."
)
_SLOW: Final = (
    "A client that reads too slowly should cost nobody else anything: frames are left out for it (and counted in its "
    "frames_dropped), the others go on."
)
_CHANGES: Final = (
    "Each change either takes effect while the stream goes on, or is refused with a text that names the reason, frames "
    "going on, and takes effect after StopStream and StartStream. Never silently ignored, never a dead stream, never "
    "an answer that does not come (scenario D)."
)
_SLOTS: Final = "A stream that its client has left is given back, so that a new one is not refused while there is room."


def followup(summary: Summary, verdict: Verdict, manifest: Manifest | None) -> str:
    """The page; empty where the run examined no such question."""
    titles = _titles(summary)
    if not titles:
        return ""
    where = summary.devices[0].name if summary.devices else "the camera"
    parts = [
        f"# {where}: {'; '.join(titles)}",
        f"Found by a run of pvload ({_run(summary, manifest)}): {verdict.result}.",
        *_section("What was done", _done(summary)),
        *_section("What happened", _happened(summary)),
        *_section("Expected and found", _expected(summary, verdict)),
        *_section("Around it", _near(summary)),
        *_section("What was not seen", [f"- {one}" for one in nothing_seen(summary)]),
        *_section("Environment", _environment(summary, manifest)),
        *_section("To reproduce", _reproduce(manifest)),
        *_section("Attachments", _attachments(summary)),
    ]
    return "\n\n".join(parts) + "\n"


def _run(summary: Summary, manifest: Manifest | None) -> str:
    against = f" against {manifest.against}" if manifest is not None and manifest.against else ""
    return f"{summary.facts.name}{against}, run {summary.facts.run_id}"


def _titles(summary: Summary) -> list[str]:
    """What was found, in a few words each; the gravest questions first."""
    around = summary.around
    found = []
    if any(one.change == "gone" and one.exit_status not in (0, None) for one in around.daemon):
        found.append("the daemon died")
    if _leavings(summary):
        found.append(MEANS[disconnect_policy(summary).word])
    if around.changes.count:
        order = sorted(around.changes.outcomes.items(), key=lambda one: (one[0] not in BROKEN, one[0]))
        told = ", ".join(f"{number:,} {OUTCOMES[name]}" for name, number in order if number)
        found.append(f"{count(around.changes.count, 'change')} while streaming: {told}")
    if around.slow_readers:
        word = slow_reader_policy(around.slow_readers).word
        found.append(SLOW_MEANS[word])
    if any(one.refused_after_leaving for one in around.churn):
        found.append("slots of streams that were left are not given back")
    return found


def _leavings(summary: Summary) -> list[Disturbance]:
    moved = summary.around.disturbances
    return [] if moved is None else [one for one in moved.listed if one.kind in LEAVINGS]


def _section(title: str, body: Sequence[str]) -> list[str]:
    return [f"## {title}", "\n".join(body)] if body else []


def _done(summary: Summary) -> list[str]:
    """The timeline as it was carried out; without one, who came and went and what was changed."""
    around = summary.around
    moments: list[tuple[float, str]] = []
    if around.actions:
        moments = [
            (one.at_s, f"{one.text} ({one.outcome.replace('_', ' ')}{f': {one.details}' if one.details else ''})")
            for one in around.actions
            if one.outcome != "not_reached"
        ]
    else:
        listed = () if around.disturbances is None else around.disturbances.listed
        moments += [(one.at_s, did(summary, one)) for one in listed]
        moments += [(one.at_s, f"{one.by} sets {one.text}") for one in around.changes.listed]
    moments += [(one.at_s, f"daemon {one.change} (pid {one.pid})") for one in around.daemon]
    rows = [(seconds(at_s), text) for at_s, text in sorted(moments)]
    lines = _table(("done at" if around.actions else "at", "what"), rows[:_ROWS])
    lines += [f"\n... and {len(rows) - _ROWS:,} more, see summary.json."] if len(rows) > _ROWS else []
    streams = ", ".join(f"{client(summary, one.name)} ({count(one.calls, 'call')})" for one in summary.subscribers[:12])
    return [f"Streams: {streams or 'none'}. Times are seconds of the run.", "", *lines]


def _happened(summary: Summary) -> list[str]:
    """The evidence: policies in sentences, then a table of leavings and one of changes."""
    lines: list[str] = []
    leavings = _leavings(summary)
    if leavings:
        found = disconnect_policy(summary)
        lines += [f"**{_named(found)}**: {MEANS[found.word]}.", "", *(f"- {one}" for one in found.evidence), ""]
        head = ("left at", "who", "others", "worst gap", "periods", "missing", "silent for good", "camera streaming")
        lines += [*_table(head, [_leaving(summary, one) for one in leavings[:_ROWS]]), ""]
    if summary.around.changes.count:
        columns = ("at", "change", "answer", "text", "on the frames", "after stop and start", "outcome")
        lines += [*_table(columns, [_change(one) for one in summary.around.changes.listed[:_ROWS]]), ""]
    if summary.around.slow_readers:
        slow = slow_reader_policy(summary.around.slow_readers)
        lines += [f"**Slow readers: {slow.word.replace('_', ' ')}**: {SLOW_MEANS[slow.word]}.", ""]
        lines += [*(f"- {one}" for one in slow.evidence), ""]
    for one in summary.around.daemon:
        if one.change == "gone":
            lines += [f"- at {seconds(one.at_s)} the daemon was gone: {exited(one)} {one.details}".rstrip()]
    lines += [f"- {one.text}" for one in company(summary) if one.severity >= Severity.FAULT]
    return lines[:-1] if lines and not lines[-1] else lines


def _named(policy: Policy) -> str:
    return policy.word.replace("_", "-") if policy.word != "not_seen" else "not seen"


def _leaving(summary: Summary, one: Disturbance) -> tuple[str, ...]:
    worst = max(one.others, key=lambda other: other.longest_gap_s, default=None)
    silent = ", ".join(client(summary, other.subscriber) for other in one.others if other.silent)
    flag = "not seen" if one.streaming_after is None else ("yes" if one.streaming_after else "no")
    return (
        seconds(one.at_s),
        did(summary, one),
        f"{len(one.others)}",
        "-" if worst is None else seconds(worst.longest_gap_s),
        "-" if worst is None or worst.periods is None else f"{worst.periods:.1f}",
        f"{sum(other.missing for other in one.others):,}",
        cut(silent, 60) or "-",
        flag,
    )


def _change(one: Change) -> tuple[str, ...]:
    return (
        seconds(one.at_s),
        one.text,
        "none" if one.answered_after_ms is None else f"{one.status} after {ms(one.answered_after_ms)}",
        cut(one.details, 120) or "-",
        "-" if one.effect_after_ms is None else f"after {ms(one.effect_after_ms)}",
        "-" if one.effect_after_restart_ms is None else f"after {ms(one.effect_after_restart_ms)}",
        OUTCOMES[one.outcome],
    )


def _expected(summary: Summary, verdict: Verdict) -> list[str]:
    """What the documents say of each question, and what the judge made of what was found."""
    lines = []
    asked = {
        "disconnect_policy": (_DISCONNECT, bool(_leavings(summary))),
        "changes": (_CHANGES, bool(summary.around.changes.count)),
        "slow_reader_policy": (_SLOW, bool(summary.around.slow_readers)),
        "streams_return": (_SLOTS, any(one.refused_after_leaving for one in summary.around.churn)),
    }
    by_name = {one.name: one for one in verdict.criteria}
    for name, (expected, present) in asked.items():
        if not present:
            continue
        judged = by_name.get(name)
        lines.append(f"- Expected: {expected}")
        if judged is not None:
            result = f" ({name}: {judged.result})" if judged.judged else " (no limit was named)"
            lines.append(f"  Found: {judged.reason}{result}.")
    broken = [one for one in verdict.criteria if one.judged and one.result is Result.FAIL and one.name not in asked]
    return lines + [f"- Also broken, {one.name}: {one.reason}." for one in broken[:_FINDINGS]]


def _near(summary: Summary) -> list[str]:
    """The gravest findings with the log's lines and the host's load within two seconds."""
    told = [one for one in findings(summary) if one.severity >= Severity.FAULT][:_FINDINGS]
    lines: list[str] = []
    for one in sorted(told, key=lambda one: (one.at_s is None, one.at_s or 0.0, one.text)):
        when = "over the run" if one.at_s is None else f"at {seconds(one.at_s)}"
        lines += [f"- {when}: {one.text}", *_evidence(summary, one)]
    return lines


def _evidence(summary: Summary, one: Finding) -> Iterable[str]:
    if one.at_s is None:
        return
    near = log_around(summary, one)
    for line in near[:4]:
        yield f"  - log at {line.at_s:.2f} s: `{cut(line.text, 200).replace('`', chr(39))}`"
    if summary.log.present and not near:
        yield "  - log: nothing that matters within 2 s"
    busy = [each.cpu_share for each in resources_around(summary, one) if each.cpu_share is not None]
    if busy:
        yield f"  - host CPU {percent(min(busy))} to {percent(max(busy))} of all cores"


def _environment(summary: Summary, manifest: Manifest | None) -> list[str]:
    facts = summary.facts
    lines = [f"- run: {facts.run_id}, {seconds(facts.length_s)}, ended: {facts.ended}"]
    if summary.around.synthetic_camera:
        lines.append(f"- camera: SYNTHETIC, by the daemon's log: {cut(summary.around.synthetic_camera, 200)}")
    if manifest is None:
        return [*lines, "- manifest: missing, so versions and command are not known"]
    daemon = manifest.target.get("daemon")
    tables = {
        "target": manifest.target,
        "daemon, by its own word": daemon if isinstance(daemon, dict) else {},
        "generator's host": manifest.host,
        "versions": manifest.versions,
        "camera before the run": {name: manifest.camera_at_start.get(name, "") for name in _CAMERA},
        "labels": manifest.labels,
    }
    for name, values in tables.items():
        told = ", ".join(f"{key} {_plain(value)}" for key, value in sorted(values.items()) if _plain(value))
        if told:
            lines.append(f"- {name}: {told}")
    source = manifest.profile_source or facts.name
    return [*lines, f"- profile: {source} (sha256 {manifest.profile_sha256[:16]}), seed {manifest.seed}"]


def _plain(value: object) -> str:
    """A value in a line; lists joined, tables left out."""
    if isinstance(value, list | tuple):
        return " ".join(str(one) for one in value)
    return str(value) if isinstance(value, str | int | float) else ""


def _reproduce(manifest: Manifest | None) -> list[str]:
    if manifest is None or not manifest.command:
        return ["How this run was started is not known: its manifest is missing."]
    return ["```sh", shlex.join(manifest.command), "```"]


def _attachments(summary: Summary) -> list[str]:
    lines = [
        f"- {REPORT}: the whole report",
        f"- {SUMMARY}: every figure of it, docs/summary.md says what each is",
        f"- {PROFILE} and {MANIFEST}: what was run, with what",
        f"- {JOURNAL}: every event; `pvload report` makes this page again from it",
    ]
    return lines + (["- the daemon's log of this time"] if summary.log.present else [])


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table; none without rows."""
    if not rows:
        return []
    cells = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in (head, *rows)]
    lines = ["| " + " | ".join(row) + " |" for row in cells]
    return [lines[0], "|" + "---|" * len(head), *lines[1:]]
