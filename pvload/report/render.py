"""report.txt: what a run came to, for a person. The first ten lines are the answer, the rest is the evidence."""

from __future__ import annotations

import shlex
from typing import Final

from pvload.report.sections import accounting, calls, criteria, streams, witnesses
from pvload.report.table import WIDTH, bullet, cut, paragraph
from pvload.report.worst import fitness, what_happened, worst_thing
from pvload.stats.summary import Summary
from pvload.verdict.judgement import Verdict
from pvload.verdict.words import count, rate, seconds
from pvload.wire.run_directory import Manifest

HEAD_LINES: Final = 10
LABEL: Final = 10
"""Width of the column of labels; the verdict stands in it."""
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
        "Accounting": accounting(summary),
        "Criteria": criteria(verdict),
        "Streams": streams(summary),
        "Calls": calls(summary),
        "Witnesses": witnesses(summary),
        "Notes": _notes(summary),
        "To repeat it": _repeat(manifest),
    }
    lines = _head(summary, verdict)
    for title, body in sections.items():
        if body:
            lines += ["", title, "-" * len(title), *body]
    return "\n".join(lines) + "\n"


def _head(summary: Summary, verdict: Verdict) -> list[str]:
    """Verdict, why, the worst thing and when, was the tool fit: within ten lines, however long the sentences."""
    facts, run = summary.facts, summary.run
    planned = f" of {seconds(facts.planned_s)} planned" if facts.planned_s else ""
    fps = "" if run.fps is None else f", {rate(run.fps)} a stream on average"
    length = f"{seconds(facts.length_s)}{planned}, ended: {_ENDS.get(facts.ended, facts.ended)}"
    frames = f"{count(run.frames, 'frame')} on {count(len(summary.subscribers), 'subscriber')}{fps}"
    known = [*_lines("length", length, most=1), *_lines("frames", frames, most=1)]
    tool = _lines("tool", fitness(summary), most=2)
    left = HEAD_LINES - 1 - len(known) - len(tool)
    least_why = min(2, len(_why(verdict, most=left)))
    worst = _lines("worst", worst_thing(summary), most=left - least_why)
    why = _why(verdict, most=left - len(worst))
    return [f"{verdict.result:<{LABEL}}{facts.name}   run {facts.run_id}", *why, *worst, *tool, *known]


def _why(verdict: Verdict, *, most: int) -> list[str]:
    """As many of the reasons as there is room for, the first one in full if it can be, then how many more there are."""
    lines = _lines("why", verdict.why[0] if verdict.why else "", most=most)
    for at, reason in enumerate(verdict.why[1:], 1):
        rest = len(verdict.why) - at
        own = paragraph("", reason)
        if len(lines) + len(own) + (rest > 1) > most:
            more = paragraph("", f"and {rest} more, see Criteria")
            return [*_lines("why", verdict.why[0], most=most - 1), *more] if len(lines) >= most else [*lines, *more]
        lines += own
    return lines


def _lines(label: str, text: str, *, most: int) -> list[str]:
    """A paragraph of at most `most` lines, its end cut off with `...` where it is longer."""
    lines = paragraph(label, text)
    return lines if len(lines) <= most else [*lines[: most - 1], _elided(lines[most - 1])]


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


def _elided(line: str) -> str:
    return line[: WIDTH - 4].rstrip() + " ..."
