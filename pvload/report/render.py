"""report.txt: what a run came to, for a person. The first ten lines are the answer, the rest is the evidence."""

from __future__ import annotations

import shlex
from typing import Final

from pvload.report.answer import answer
from pvload.report.around import calling, cameras, company, cycling, growing, timeline
from pvload.report.frames import frames_line
from pvload.report.minutes import minutes
from pvload.report.sections import accounting, calls, criteria, streams, witnesses
from pvload.report.table import WIDTH, bullet, cut, paragraph
from pvload.report.worst import fitness, nothing, what_happened, worst_thing
from pvload.stats.summary import Summary
from pvload.verdict.always import did_not_begin
from pvload.verdict.judgement import Result, Verdict
from pvload.verdict.words import seconds
from pvload.wire.run_directory import Manifest

HEAD_LINES: Final = 10
LEAST_REASONS: Final = 3
"""Reasons that the head has room for, however long each of them is."""
LABEL: Final = 10
"""Width of the column of labels; the verdict stands in it."""
OVERRUN = 1.05
_ENDS = {
    "duration": "as planned",
    "interrupted": "it was interrupted",
    "failed": "it could not go on",
    "unknown": "it was killed: no end was recorded",
}


def render_text(summary: Summary, verdict: Verdict, manifest: Manifest | None) -> str:
    """The whole report, lines of at most 100 columns; a pure function of its arguments."""
    sections = {
        "What happened": what_happened(summary),
        "Nothing of this was seen": nothing(summary),
        "Timeline": timeline(summary),
        "Changes of the camera": cameras(summary),
        "Start-stop cycles": cycling(summary),
        "Clients among each other": company(summary),
        "Calls, watchers and probes": calling(summary),
        "Accounting": accounting(summary),
        "Criteria": criteria(verdict),
        "Streams": streams(summary),
        "Minute by minute": minutes(summary),
        "Calls": calls(summary),
        "Witnesses": witnesses(summary),
        "Growth and resources": growing(summary),
        "Notes": _notes(summary),
        "To repeat it": _repeat(manifest),
    }
    lines = _head(summary, verdict, against=manifest.against if manifest is not None else "")
    for title, body in sections.items():
        if body:
            lines += ["", title, "-" * len(title), *body]
    return "\n".join(lines) + "\n"


def _head(summary: Summary, verdict: Verdict, *, against: str) -> list[str]:
    """Verdict and what was measured, answer, why, frames, the worst thing and when, was the tool fit, length.

    Where the streams are the only question all of it stands within ten lines, however long the sentences; otherwise the
    verdict, the answer, why and the frames do, and the rest follows.
    """
    facts = summary.facts
    planned = f" of {seconds(facts.planned_s)} planned" if facts.planned_s else ""
    if facts.planned_s and facts.length_s > OVERRUN * facts.planned_s:  # it ends after so many frames
        planned = f" until its frames were there, {seconds(facts.planned_s)} by the plan"
    ended = "it did not begin" if did_not_begin(summary) else _ENDS.get(facts.ended, facts.ended)
    length = f"{seconds(facts.length_s)}{planned}, ended: {ended}"
    tool = _lines("tool", fitness(summary, passed=verdict.result is Result.PASS), most=2)
    took = _lines("length", length, most=1)
    against = cut(f" against {against}", WIDTH - LABEL - len(facts.name) - len(facts.run_id) - 8) if against else ""
    first = f"{verdict.result:<{LABEL - 1}} {facts.name}{against}   run {facts.run_id}"
    told = _answer(summary, verdict)
    wide = len(told) <= 1 and len(verdict.why) == 1
    frames = _lines("frames", frames_line(summary, width=(WIDTH - LABEL) * (1 + wide) - LABEL * wide), most=1 + wide)
    if len(told) > 1:
        worst = _lines("worst", worst_thing(summary), most=2)
        why = _why(verdict, most=HEAD_LINES - 1 - len(told) - len(frames))
        return [first, *told, *why, *frames, *worst, *tool, *took]
    left = HEAD_LINES - 1 - len(told) - len(frames) - len(tool) - len(took)
    least_why = min(LEAST_REASONS, len(verdict.why) or 1)
    worst = _lines("worst", worst_thing(summary), most=left - least_why)
    why = _why(verdict, most=left - len(worst))
    return [first, *told, *why, *frames, *worst, *tool, *took]


def _answer(summary: Summary, verdict: Verdict) -> list[str]:
    """The answer beside its label; it leaves a line for the frames and one for why, two where there is more to say."""
    spare = 1 if sum(len(paragraph("", one)) for one in verdict.why) <= 1 else 2
    lines = answer(summary, verdict, width=LABEL, most=HEAD_LINES - 2 - spare, longest=HEAD_LINES - 3)
    return [f"{'answer' if at == 0 else '':<{LABEL}}{line}" for at, line in enumerate(lines)]


def _why(verdict: Verdict, *, most: int) -> list[str]:
    """Of the first reasons at least a line each, then more of each and more of them as there is room.

    What is not shown is counted: on a line of its own, or at the end of the last one.
    """
    whole = [paragraph("" if at else "why", reason) for at, reason in enumerate(verdict.why or ("",))]
    if sum(map(len, whole)) <= most:
        return [line for lines in whole for line in lines]
    shown = min(LEAST_REASONS, len(whole), most)
    while sum(map(len, whole[: shown + 1])) < most:
        shown += 1
    rest = len(whole) - shown
    spare = most - shown - (1 if rest and most > shown else 0)
    lines: list[str] = []
    for at, one in enumerate(whole[:shown]):
        room = 1 + min(spare, len(one) - 1)
        spare -= room - 1
        tail = f" (and {rest} more)" if rest and most == shown and at == shown - 1 else ""
        lines += _short(one, most=room, tail=tail)
    return [*lines, *(paragraph("", f"and {rest} more, see Criteria") if rest and most > shown else [])]


def _lines(label: str, text: str, *, most: int) -> list[str]:
    """A paragraph of at most `most` lines, its end cut off with `...` where it is longer."""
    return _short(paragraph(label, text), most=most)


def _short(lines: list[str], *, most: int, tail: str = "") -> list[str]:
    """At most `most` of the lines, cut at a word, with `tail` after them."""
    last = lines[most - 1] if len(lines) >= most else lines[-1]
    if len(lines) <= most and len(last) + len(tail) <= WIDTH:
        return [*lines[:-1], last + tail]
    room = WIDTH - len(tail) - len(" ...")
    kept = last if len(last) <= room else last[: room + 1].rpartition(" ")[0]
    return [*lines[: most - 1], f"{kept.rstrip(' ,;:')} ...{tail}"]


def _notes(summary: Summary) -> list[str]:
    lines = [line for note in summary.notes[:20] for line in bullet(cut(note, 300))]
    return lines + ([f"  and {len(summary.notes) - 20} more in summary.json"] if len(summary.notes) > 20 else [])


def _repeat(manifest: Manifest | None) -> list[str]:
    if manifest is None:
        return ["  the manifest is missing: how this run was started is not known"]
    facts = {
        "command": shlex.join(manifest.command),
        "profile": f"{manifest.profile_source} (sha256 {manifest.profile_sha256[:16]}), seed {manifest.seed}",
        "labels": ", ".join(f"{key}={value}" for key, value in sorted(manifest.labels.items())),
        "target": ", ".join(f"{key} {value}" for key, value in sorted(manifest.target.items()) if _plain(value)),
        "host": ", ".join(f"{key} {value}" for key, value in sorted(manifest.host.items()) if _plain(value)),
        "versions": ", ".join(f"{key} {value}" for key, value in sorted(manifest.versions.items())),
    }
    return [f"  {line}" for label, text in facts.items() if text for line in paragraph(label, text, width=10)]


def _plain(value: object) -> bool:
    return isinstance(value, str | int | float) and value != ""
