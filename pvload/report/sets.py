"""What a set of repeats came to: set.json and set.txt in its directory, made from its runs' directories."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from pvload.errors import PvloadError
from pvload.profiles.criteria import Criteria
from pvload.report.recompute import computed
from pvload.report.table import paragraph
from pvload.verdict.judgement import Judged
from pvload.verdict.repeats import NOT_FOUND, Repeat, SetVerdict, judge_set, not_run, repeat_of
from pvload.wire.run_directory import replace_text

SET_JSON: Final = "set.json"
SET_TEXT: Final = "set.txt"
SCHEMA: Final = "pvload.set/1"
LABEL: Final = 10


@dataclass(frozen=True, slots=True)
class Ran:
    """One repeat as its supervisor left it."""

    run_dir: Path | None
    """None: it got none, or it was removed again."""
    trouble: str = ""
    """Why it has no verdict; empty: it has one."""


@dataclass(frozen=True, slots=True)
class SetReport:
    """The finished report of a set."""

    result: str
    exit_code: int
    text: str
    unwritten: str = ""
    """Why the files could not be written; empty: they are."""


def report_set(folder: Path, ran: Sequence[Ran], criteria: Criteria, *, name: str, planned: int) -> SetReport:
    """Judges the set and writes its two files into `folder`."""
    found = [_repeat(number, one) for number, one in enumerate(ran, 1)]
    judged = judge_set(found, criteria, planned=planned)
    text = set_text(name, judged)
    unwritten = ""
    try:
        replace_text(folder / SET_JSON, json.dumps(_document(name, judged), indent=1, ensure_ascii=False) + "\n")
        replace_text(folder / SET_TEXT, text)
    except OSError as exc:
        unwritten = f"{folder} cannot be written: {exc.strerror}"
    return SetReport(judged.verdict.result.value, judged.verdict.exit_code, text, unwritten)


def _repeat(number: int, ran: Ran) -> Repeat:
    """What a run found, by its own journal."""
    name = ran.run_dir.name if ran.run_dir is not None else ""
    if ran.trouble or ran.run_dir is None:
        return not_run(number, name, ran.trouble or "it left no run directory")
    try:
        summary, verdict = computed(ran.run_dir)
    except PvloadError as exc:
        return not_run(number, name, exc.message)
    return repeat_of(number, name, summary, verdict)


def set_text(name: str, judged: SetVerdict) -> str:
    """set.txt: the verdict and why, then a line a repeat with its reasons, then the criteria."""
    verdict, repeats = judged.verdict, judged.repeats
    lines = [f"{verdict.result.value:<{LABEL - 1}} {name}   {len(repeats)} of {judged.planned} repeats"]
    for number, why in enumerate(verdict.why):
        lines += paragraph("" if number else "why", why)
    if policies := _found("leaving", [one.disconnect_policy for one in repeats]):
        lines.append(policies)
    if policies := _found("slow", [one.slow_reader_policy for one in repeats]):
        lines.append(policies)
    lines += ["", "Repeats", "-------"]
    for one in repeats:
        lines.append(f"{one.number:>3}  {_result(one):<13} {one.name or '(no run directory)'}")
        if one.result is None or one.result.value != "PASS":
            lines += [f"       {why}" for why in one.why]
    lines += ["", "Criteria of the set", "-------------------"]
    lines += [f"{one.result.value:<13} {one.name}: {one.reason}" for one in verdict.criteria]
    return "\n".join(lines) + "\n"


def _found(label: str, words: Sequence[str]) -> str:
    """What the repeats found, one word each."""
    if all(word in NOT_FOUND for word in words):
        return ""
    return f"{label:<{LABEL}}" + ", ".join(word.replace("_", "-") or "-" for word in words)


def _result(one: Repeat) -> str:
    return one.result.value if one.result is not None else "COULD NOT RUN"


def _document(name: str, judged: SetVerdict) -> dict[str, Any]:
    verdict = judged.verdict
    return {
        "schema": SCHEMA,
        "name": name,
        "planned": judged.planned,
        "result": verdict.result.value,
        "exit_code": verdict.exit_code,
        "why": list(verdict.why),
        "criteria": [_criterion(one) for one in verdict.criteria],
        "runs": [{**asdict(one), "result": _result(one)} for one in judged.repeats],
    }


def _criterion(one: Judged) -> dict[str, Any]:
    return {**asdict(one), "result": one.result.value}
