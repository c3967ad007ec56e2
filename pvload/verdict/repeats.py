"""A set of repeats judged as a whole: how many passed, and whether they agree in what they found. Pure.

A repeat that could not run is a failure, not a gap in the figures: what does not run does not work. Repeats that found
different policies contradict each other, and so the service has none that anybody can rely on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pvload.diagnose.locks import Lock, StallPoint, lock_of, points_of
from pvload.diagnose.policy import disconnect_policy, slow_reader_policy
from pvload.profiles.criteria import Criteria
from pvload.stats.summary import LIST_LIMIT, Summary
from pvload.verdict.judgement import Judged, Result, Verdict, worst

NOT_FOUND = ("", "not_seen")


@dataclass(frozen=True, slots=True)
class Repeat:
    """One run of a set."""

    number: int
    """From 1."""
    name: str
    """Its directory; empty: it got none."""
    result: Result | None
    """None: it could not run."""
    why: tuple[str, ...]
    disconnect_policy: str = ""
    """What was found about clients that leave, `not_seen` and empty: nothing."""
    slow_reader_policy: str = ""
    changes: tuple[tuple[str, str], ...] = ()
    """(change in words, outcome) of those that the timeline made, in their order."""
    stalls: tuple[StallPoint, ...] = ()
    """What each of its stalls could be locked to."""
    trouble: str = ""
    """Why it got no verdict, by what ran it; empty: it got one, or left nothing to judge."""


@dataclass(frozen=True, slots=True)
class SetVerdict:
    """What a set came to."""

    verdict: Verdict
    repeats: tuple[Repeat, ...]
    planned: int
    lock: Lock
    """What the stalls of all its runs have in common."""


def repeat_of(number: int, name: str, summary: Summary, verdict: Verdict) -> Repeat:
    """A run that has a report. One that the tool had to give up could not run, whatever its report says."""
    policy = disconnect_policy(summary)
    slow = slow_reader_policy(summary.around.slow_readers)
    return Repeat(
        number=number,
        name=name,
        result=None if summary.facts.ended == "failed" else verdict.result,
        why=verdict.why,
        disconnect_policy=policy.word,
        slow_reader_policy=slow.word,
        changes=tuple((one.text, one.outcome) for one in summary.around.changes.listed if one.by == "timeline"),
        stalls=points_of(summary)[:LIST_LIMIT],
    )


def not_run(number: int, name: str, why: str, *, trouble: str = "") -> Repeat:
    """A run without a report."""
    return Repeat(number=number, name=name, result=None, why=(why,), trouble=trouble)


def judge_set(repeats: Sequence[Repeat], criteria: Criteria, *, planned: int) -> SetVerdict:
    """The set's verdict: the worst of its criteria. Fewer repeats than planned never pass."""
    found = (
        _made(len(repeats), planned),
        _success_rate(repeats, criteria.success_rate),
        *_policies(repeats),
        *_changes(repeats, judged=criteria.changes is not None),
    )
    result = worst(one.counts_as for one in found if one.judged)
    why = tuple(one.reason for one in found if one.judged and one.counts_as is result)
    if result is Result.PASS:
        why = (f"{len(repeats)} of {planned} repeats were made, and {found[1].reason}",)
    lock = lock_of(point for one in repeats for point in one.stalls)
    return SetVerdict(Verdict(result=result, criteria=found, why=why), tuple(repeats), planned, lock)


def _made(made: int, planned: int) -> Judged:
    result = Result.PASS if made >= planned else Result.INCONCLUSIVE
    return Judged("repeats", result, f"{made} of {planned} repeats were made", True, float(made), lower_limit=planned)


def _success_rate(repeats: Sequence[Repeat], named: float | None) -> Judged:
    """Repeats that could be either count as passed only for the question whether the limit can still be met."""
    limit, count = (1.0 if named is None else named), len(repeats)
    if not count:
        return Judged("success_rate", Result.NOT_CHECKED, "no repeat was made", True, lower_limit=limit)
    passed = sum(one.result is Result.PASS for one in repeats)
    doubtful = (Result.INVALID, Result.INCONCLUSIVE)
    undecided = [one.result for one in repeats if one.result is not None and one.result in doubtful]
    rate, possible = passed / count, (passed + len(undecided)) / count
    result = Result.PASS if rate >= limit else worst(undecided) if possible >= limit else Result.FAIL
    failed = [str(one.number) for one in repeats if one.result is not Result.PASS]
    broken = sum(one.result is None for one in repeats)
    reason = f"{passed} of {count} repeats passed, at least {limit * 100:.4g} % must"
    reason += f" (not: {', '.join(failed[:10])}{' ...' if len(failed) > 10 else ''})" if failed else ""
    reason += f"; {broken} could not run" if broken else ""
    return Judged("success_rate", result, reason, True, rate, lower_limit=limit, n=count)


def _policies(repeats: Sequence[Repeat]) -> list[Judged]:
    """Of leaving clients and of slow readers, where any was found."""
    told = []
    for name, words in (
        ("disconnect_policy", [one.disconnect_policy for one in repeats]),
        ("slow_reader_policy", [one.slow_reader_policy for one in repeats]),
    ):
        seen = [word for word in words if word not in NOT_FOUND]
        if not seen:
            continue
        counted = {word: seen.count(word) for word in dict.fromkeys(seen)}
        what = name.replace("_", " ")
        if len(counted) > 1 or "inconsistent" in counted:
            listed = ", ".join(f"{word.replace('_', '-')} in {count}" for word, count in counted.items())
            told.append(Judged(name, Result.FAIL, f"the {what} is inconsistent: {listed}", True, n=len(seen)))
        else:
            word = seen[0].replace("_", "-")
            reason = f"the {what} is {word} in each of {len(seen)} repeats that show it"
            told.append(Judged(name, Result.PASS, reason, True, n=len(seen)))
    return told


def _changes(repeats: Sequence[Repeat], *, judged: bool) -> list[Judged]:
    """Do the timeline's changes have the same outcome each time?"""
    by_change: dict[tuple[int, str], dict[str, int]] = {}
    for one in repeats:
        for place, (text, outcome) in enumerate(one.changes):
            counted = by_change.setdefault((place, text), {})
            counted[outcome] = counted.get(outcome, 0) + 1
    if not by_change:
        return []
    differing = [
        f"{text}: {', '.join(f'{outcome} in {count}' for outcome, count in counted.items())}"
        for (_, text), counted in by_change.items()
        if len(counted) > 1
    ]
    name, count = "change_outcomes", len(by_change)
    if differing:
        return [Judged(name, Result.FAIL, f"changes are inconsistent: {'; '.join(differing[:5])}", judged, n=count)]
    return [Judged(name, Result.PASS, f"each of {count} changes had the same outcome in every repeat", judged, n=count)]
