"""report.txt: what a run came to, for a person. The first ten lines are the answer, the rest is the evidence."""

from __future__ import annotations

import shlex

from pvload.report.sections import accounting, calls, criteria, streams, witnesses
from pvload.report.table import WIDTH, bullet, cut, paragraph
from pvload.report.worst import fitness, worst_thing
from pvload.stats.summary import Summary
from pvload.verdict.judgement import Verdict
from pvload.verdict.words import count, rate, seconds
from pvload.wire.run_directory import Manifest

_ENDS = {
    "duration": "as planned",
    "interrupted": "it was interrupted",
    "failed": "it could not go on",
    "unknown": "it was killed: no end was recorded",
}


def render_text(summary: Summary, verdict: Verdict, manifest: Manifest | None) -> str:
    """The whole report, lines of at most 100 columns; a pure function of its arguments."""
    sections = {
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
    """Verdict, why, the worst thing and when, was the tool fit: within ten lines."""
    facts, run = summary.facts, summary.run
    planned = f" of {seconds(facts.planned_s)} planned" if facts.planned_s else ""
    fps = "" if run.fps is None else f", {rate(run.fps)} a stream on average"
    return [
        f"{verdict.result}   {facts.name}   run {facts.run_id}",
        *_why(verdict),
        *_lines("worst", worst_thing(summary), most=2),
        *_lines("tool", fitness(summary), most=2),
        *_lines("length", f"{seconds(facts.length_s)}{planned}, ended: {_ENDS.get(facts.ended, facts.ended)}", most=1),
        *_lines(
            "frames", f"{count(run.frames, 'frame')} on {count(len(summary.subscribers), 'subscriber')}{fps}", most=1
        ),
    ]


def _why(verdict: Verdict) -> list[str]:
    """The first reason in two lines, then the second one or how many there are besides; three lines at most."""
    if len(verdict.why) <= 1:
        return _lines("why", "".join(verdict.why), most=3)
    rest = verdict.why[1] if len(verdict.why) == 2 else f"and {len(verdict.why) - 1} more, see Criteria"
    return [*_lines("why", verdict.why[0], most=2), *_lines("", rest, most=1)]


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
