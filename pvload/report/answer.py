"""The run's answer in a few lines: what it found out about the question that it asked.

Which questions a run asked is seen from what it contains: changes of the camera, clients that left, slow readers, a
storm, cycles. What it was made for comes first, then what a criterion asks, then the rest. Where it asked none of these
its streams themselves are the question.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from pvload.diagnose.finding import Severity
from pvload.diagnose.findings import findings
from pvload.diagnose.policy import LEAVINGS
from pvload.report.questions import (
    Entries,
    changes,
    churn,
    cycles,
    endurance,
    isolation,
    leavings,
    plain,
    slow_readers,
    storms,
    timeline,
)
from pvload.report.table import WIDTH
from pvload.stats.summary import Summary
from pvload.verdict.judgement import Verdict
from pvload.verdict.words import seconds

QUESTIONS: Final = 4
"""Answers shown; what the others would say stands in its section."""


@dataclass(frozen=True, slots=True)
class Question:
    """Something that a run can ask."""

    criteria: frozenset[str]
    """Criteria that ask it by name."""
    answer: Callable[[Summary], Entries]
    rows: bool = False
    """Its entries are the rows of a table: those for which there is no room are counted."""
    unasked: Callable[[Summary], bool] = lambda _: True
    """Whether it has something to tell that nobody asked."""


@dataclass(frozen=True, slots=True)
class Found:
    """An answer with something to say."""

    entries: Entries
    rows: bool = False


def answer(summary: Summary, verdict: Verdict, *, width: int, most: int, longest: int) -> list[str]:
    """At most `most` lines of at most `WIDTH - width` columns; empty where no frame came and nothing was asked.

    Where the rows of a table come first, at most `longest`.
    """
    found = _found(summary, verdict)[: min(QUESTIONS, most)]
    most = longest if found and found[0].rows else most
    if not found:
        return [line for one in plain(summary) for line in _fitted(Found([one]), width=width, most=1)]
    lines: list[str] = []
    for at, one in enumerate(found):
        room = most - len(lines)
        if room <= 0:
            break
        if at > 0 and len(_wrapped(one, width)[0]) > room:
            continue  # half a sentence may lack the word that matters; its section has it whole
        whole = _fitted(one, width=width, most=room)
        is_cut = len(whole) < _length(one, width)
        shared = room > 1 and at + 1 < len(found) and len(whole) == room and (at > 0 or is_cut)
        lines += _fitted(one, width=width, most=room - 1) if shared else whole
    return lines


def _found(summary: Summary, verdict: Verdict) -> list[Found]:
    """Every answer, the daemon's death first, then those that were asked."""
    asked = {one.name for one in verdict.criteria if one.judged}
    if any(one.client for one in summary.around.actions):
        asked.add("disconnect_policy")
    if summary.around.slow_readers:
        asked.add("slow_reader_policy")
    told = [Found([one.reason]) for one in verdict.criteria if one.name == "consecutive_frames" and one.judged]
    for one in sorted(QUESTIONS_ASKED, key=lambda one: not one.criteria & asked):
        entries = one.answer(summary) if one.criteria & asked or one.unasked(summary) else []
        told += [Found(entries, one.rows)] if entries else []
    return [*(_death(summary) if told else []), *told]


def _death(summary: Summary) -> list[Found]:
    """That the service was gone comes before whatever else was asked."""
    worst = next(iter(findings(summary)), None)
    if worst is None or worst.severity is not Severity.DEATH:
        return []
    when = "" if worst.at_s is None else f"at {seconds(worst.at_s)}: "
    return [Found([f"{when}{worst.text}"])]


def _length(found: Found, width: int) -> int:
    return sum(map(len, _wrapped(found, width)))


def _wrapped(found: Found, width: int) -> list[list[str]]:
    return [
        textwrap.wrap(one, WIDTH - width, subsequent_indent="    ", break_on_hyphens=False) for one in found.entries
    ]


def _fitted(found: Found, *, width: int, most: int) -> list[str]:
    """The entries, wrapped, as many as there is room for; rows that are not shown are counted, the first may be cut."""
    wrapped = _wrapped(found, width)
    if sum(map(len, wrapped)) <= most:
        return [line for lines in wrapped for line in lines]
    counted = found.rows and len(wrapped) > 1 and most > 1
    room = most - 1 if counted else most
    first, rest = wrapped[0], wrapped[1:]
    lines = first if len(first) <= room else [*first[: room - 1], _cut(first[room - 1], width)]
    shown = 0
    for one in rest:
        if len(lines) + len(one) > room:
            break
        lines = [*lines, *one]
        shown += 1
    left = len(rest) - shown
    return [*lines, f"  and {left} more below"] if counted and left else lines


def _cut(line: str, width: int) -> str:
    room = WIDTH - width - len(" ...")
    kept = line if len(line) <= room else line[: room + 1].rpartition(" ")[0]
    return f"{kept.rstrip(' ,;:')} ..."


def _growth_is_known(summary: Summary) -> bool:
    return any(one.result != "too_short" for one in summary.around.growth)


def _somebody_left(summary: Summary) -> bool:
    moved = summary.around.disturbances
    return moved is not None and any(one.kind in LEAVINGS for one in moved.listed)


def _is_behind(summary: Summary) -> bool:
    return any(one.outcome != "done" for one in summary.around.actions)


QUESTIONS_ASKED: Final[Sequence[Question]] = (
    Question(frozenset({"changes"}), changes, rows=True),
    Question(frozenset({"failed_cycles"}), cycles, rows=True),
    Question(frozenset({"rate_achieved_at_least", "call_p99_ms", "change_events_lost", "stop_ms"}), storms),
    Question(frozenset({"slow_reader_policy"}), slow_readers),
    Question(frozenset({"flat"}), endurance, unasked=_growth_is_known),
    Question(frozenset({"isolation_periods", "isolation_missing"}), isolation, unasked=_somebody_left),
    Question(frozenset({"disconnect_policy"}), leavings),
    Question(frozenset({"streams_return"}), churn),
    Question(frozenset({"expectations"}), timeline, rows=True, unasked=_is_behind),
)
"""In the order of their weight where no criterion names one."""
