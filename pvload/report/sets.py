"""What a set of repeats came to: set.json, set.txt and followup.md in its directory, made from those of its runs."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from pvload.diagnose.policy import MEANS
from pvload.errors import PvloadError, RunDirectoryError
from pvload.profiles.criteria import Criteria
from pvload.report.followup import FOLLOWUP, followup
from pvload.report.recompute import computed, profile_of
from pvload.report.table import paragraph
from pvload.report.write import manifest_of
from pvload.verdict.judgement import Judged, Result, severity
from pvload.verdict.repeats import NOT_FOUND, Repeat, SetVerdict, judge_set, not_run, repeat_of
from pvload.verdict.words import count
from pvload.wire.run_directory import PROFILE, replace_text

SET_JSON: Final = "set.json"
SET_TEXT: Final = "set.txt"
SCHEMA: Final = "pvload.set/1"
LABEL: Final = 10
_NAME: Final = re.compile(r"-set(-[0-9]+)?$")
"""How the name of a set's directory ends."""


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
    """Judges the set and writes its files into `folder`."""
    found = [_repeat(number, one) for number, one in enumerate(ran, 1)]
    judged = judge_set([repeat for repeat, _ in found], criteria, planned=planned)
    text = set_text(name, judged)
    page = set_page(name, judged, {repeat.number: page for repeat, page in found if page})
    unwritten = ""
    try:
        if page:
            replace_text(folder / FOLLOWUP, page)
        replace_text(folder / SET_JSON, json.dumps(_document(name, judged), indent=1, ensure_ascii=False) + "\n")
        replace_text(folder / SET_TEXT, text)
    except OSError as exc:
        unwritten = f"{folder} cannot be written: {exc.strerror}"
    return SetReport(judged.verdict.result.value, judged.verdict.exit_code, text, unwritten)


def is_set(folder: Path) -> bool:
    """Whether a directory is a set's and no run's: it says so itself, or by its name where it was not finished."""
    if (folder / PROFILE).is_file():
        return False
    return (folder / SET_JSON).is_file() or bool(_NAME.search(folder.resolve().name) and _runs_in(folder))


def report_again(folder: Path) -> SetReport:
    """`report_set` from nothing but the set's directory: the same bytes again, as long as its runs are as they were.

    Which runs it has, and what became of those without a verdict, stands in set.json; where that is missing, as after a
    kill, the runs are those that left a directory, and as many were planned as their profile says.
    """
    known = _known(folder)
    runs = _runs_in(folder)
    if known is None:
        ran = [Ran(one) for one in runs]
    else:
        ran = [Ran(folder / one["name"] if one["name"] else None, one.get("trouble", "")) for one in known["runs"]]
    named = next((one.run_dir for one in ran if one.run_dir is not None and (one.run_dir / PROFILE).is_file()), None)
    if named is None:
        raise RunDirectoryError(f"{folder} is no directory of a set: none of its runs can be read")
    profile = profile_of(named)
    name, planned = profile.run.name, max(profile.run.repeat, len(ran))
    if known is not None:
        name, planned = str(known["name"]), int(known["planned"])
    return report_set(folder, ran, profile.criteria, name=name, planned=planned)


def _runs_in(folder: Path) -> list[Path]:
    return sorted(one.parent for one in folder.glob(f"*/{PROFILE}"))


def _known(folder: Path) -> dict[str, Any] | None:
    """set.json, if there is one that can be read."""
    try:
        values = json.loads((folder / SET_JSON).read_text())
    except (OSError, ValueError):
        return None
    if not isinstance(values, dict) or values.get("schema") != SCHEMA:
        return None
    runs = values.get("runs")
    whole = isinstance(runs, list) and all(isinstance(one, dict) and isinstance(one.get("name"), str) for one in runs)
    return values if whole and "planned" in values and "name" in values else None


def _repeat(number: int, ran: Ran) -> tuple[Repeat, str]:
    """What a run found, by its own journal, and its followup.md, empty if it has none."""
    name = ran.run_dir.name if ran.run_dir is not None else ""
    if ran.trouble or ran.run_dir is None:
        return not_run(number, name, ran.trouble or "it left no run directory", trouble=ran.trouble), ""
    try:
        summary, verdict = computed(ran.run_dir)
    except PvloadError as exc:
        return not_run(number, name, exc.message), ""
    return repeat_of(number, name, summary, verdict), followup(summary, verdict, manifest_of(ran.run_dir))


def set_text(name: str, judged: SetVerdict) -> str:
    """set.txt: the verdict, the answer of all repeats together and why, then a line a repeat, then the criteria."""
    verdict, repeats = judged.verdict, judged.repeats
    lines = [f"{verdict.result.value:<{LABEL - 1}} {name}   {len(repeats)} of {judged.planned} repeats"]
    for number, text in enumerate(_answer(judged)):
        lines += paragraph("" if number else "answer", text)
    against = [one for one in verdict.why if verdict.result is not Result.PASS]
    for number, why in enumerate(against):
        lines += paragraph("" if number else "why", why)
    lines += ["", "Repeats", "-------"]
    for one in repeats:
        lines.append(f"{one.number:>3}  {_result(one):<13} {one.name or '(no run directory)'}{_found(one)}")
        if one.result is None or one.result.value != "PASS":
            lines += [line for why in one.why for line in paragraph("", why, width=7)]
    lines += ["", "Criteria of the set", "-------------------"]
    lines += [
        line for one in verdict.criteria for line in paragraph(one.result.value, f"{one.name}: {one.reason}", width=14)
    ]
    return "\n".join(lines) + "\n"


def set_page(name: str, judged: SetVerdict, pages: Mapping[int, str]) -> str:
    """followup.md of the set: what the repeats found together, and then that of the worst of them in full.

    Empty where none of them has a page.
    """
    shown = [one for one in judged.repeats if one.number in pages]
    if not shown:
        return ""
    worst = min(shown, key=lambda one: (severity(one.result or Result.FAIL), one.number))
    title, *rest = pages[worst.number].splitlines()
    first, *others = _answer(judged)
    lines = [
        f"{title}, in {count(len(judged.repeats), 'repeat')}" if len(shown) > 1 else title,
        "",
        f"{name}, {len(judged.repeats)} of {judged.planned} repeats, {judged.verdict.result.value}: {first}.",
        *(f"- {one}" for one in others),
        "",
        "| repeat | verdict | found | run directory |",
        "|---|---|---|---|",
        *(
            f"| {one.number} | {_result(one)} | {_found(one).strip() or '-'} | {one.name or '-'} |"
            for one in judged.repeats
        ),
        "",
        f"Repeat {worst.number} in full:",
        *rest,
    ]
    return "\n".join(lines) + "\n"


def _answer(judged: SetVerdict) -> list[str]:
    """Which policy was found and whether all agree, how many passed, how many could not run, what stalls share."""
    reasons = {one.name: one.reason for one in judged.verdict.criteria}
    told = [reasons[name] for name in ("disconnect_policy", "slow_reader_policy", "change_outcomes") if name in reasons]
    meant = {MEANS[one.disconnect_policy] for one in judged.repeats if one.disconnect_policy not in NOT_FOUND}
    if "disconnect_policy" in reasons and len(meant) == 1:
        told[0] += f": {next(iter(meant))}"
    passed = sum(one.result is Result.PASS for one in judged.repeats)
    broken = [str(one.number) for one in judged.repeats if one.result is None]
    rate = f"{passed} of {count(len(judged.repeats), 'repeat')} passed"
    rate += f", {len(broken)} could not run (number {', '.join(broken[:10])})" if broken else ""
    lock = judged.lock
    stalls = sum(len(one.stalls) for one in judged.repeats)
    seen = [lock.sentence or f"{count(stalls, 'stall')} over all repeats have no moment in common"] if stalls else []
    return [*told, rate, *seen]


def _found(one: Repeat) -> str:
    """The policies that a repeat found, one word each."""
    words = [
        word.replace("_", "-") for word in (one.disconnect_policy, one.slow_reader_policy) if word not in NOT_FOUND
    ]
    return f"   {', '.join(words)}" if words else ""


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
        "stall_lock": {
            "kind": judged.lock.kind,
            "not_ruled_out": judged.lock.not_ruled_out,
            "sentence": judged.lock.sentence,
            "stalls": judged.lock.stalls,
        },
        "runs": [{**asdict(one), "result": _result(one)} for one in judged.repeats],
    }


def _criterion(one: Judged) -> dict[str, Any]:
    return {**asdict(one), "result": one.result.value}
