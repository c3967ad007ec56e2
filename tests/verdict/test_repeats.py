"""A set of repeats: the share that must pass, and whether the repeats agree in what they found."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pvload.diagnose.locks import StallPoint
from pvload.profiles.criteria import Criteria
from pvload.verdict.judgement import Result
from pvload.verdict.repeats import Repeat, judge_set, not_run

PASS, FAIL, INVALID, UNSURE = Result.PASS, Result.FAIL, Result.INVALID, Result.INCONCLUSIVE
BROKEN = None


def _repeats(*results: Result | None, **found: list[str]) -> list[Repeat]:
    made = []
    for number, result in enumerate(results, 1):
        words = {name: listed[number - 1] for name, listed in found.items()}
        made.append(Repeat(number=number, name=f"run-{number}", result=result, why=(), **words))  # type: ignore[arg-type]
    return made


@pytest.mark.parametrize(
    ("results", "limit", "planned", "expected"),
    [
        ((PASS, PASS, PASS), None, 3, PASS),
        ((PASS, FAIL, PASS), None, 3, FAIL),
        ((PASS, BROKEN, PASS), None, 3, FAIL),
        ((PASS, UNSURE, PASS), None, 3, UNSURE),
        ((PASS, INVALID, UNSURE), None, 3, INVALID),
        ((FAIL, INVALID, PASS), None, 3, FAIL),
        ((PASS, FAIL, PASS), 0.66, 3, PASS),
        ((PASS, BROKEN, PASS), 0.66, 3, PASS),
        ((PASS, BROKEN, UNSURE), 0.66, 3, UNSURE),
        ((PASS, BROKEN, FAIL), 0.66, 3, FAIL),
        ((PASS, PASS), None, 3, UNSURE),
        ((PASS, FAIL), None, 3, FAIL),
        ((), None, 3, UNSURE),
    ],
)
def test_the_share_that_passes_decides(
    results: tuple[Result | None, ...], limit: float | None, planned: int, expected: Result
) -> None:
    """What could still be either counts for the limit as it may; what could not run is a failure."""
    judged = judge_set(_repeats(*results), Criteria(success_rate=limit), planned=planned)
    assert judged.verdict.result is expected, judged.verdict.why


def test_a_repeat_that_could_not_run_is_named() -> None:
    made = [*_repeats(PASS), not_run(2, "", "the daemon did not answer")]
    judged = judge_set(made, Criteria(), planned=2)
    assert judged.verdict.why == ("1 of 2 repeats passed, at least 100 % must (not: 2); 1 could not run",)
    assert judged.verdict.exit_code == 1


@pytest.mark.parametrize(
    ("words", "expected", "says"),
    [
        (["per_client", "per_client", "per_client"], PASS, "per-client in each of 3 repeats"),
        (["per_client", "not_seen", "per_client"], PASS, "per-client in each of 2 repeats"),
        (["per_client", "zombie", "per_client"], FAIL, "inconsistent: per-client in 2, zombie in 1"),
        (["inconsistent", "inconsistent", "inconsistent"], FAIL, "is inconsistent"),
        (["not_seen", "", "not_seen"], PASS, ""),
    ],
)
def test_repeats_that_found_different_policies_fail(words: list[str], expected: Result, says: str) -> None:
    judged = judge_set(_repeats(PASS, PASS, PASS, disconnect_policy=words), Criteria(), planned=3)
    told = [one.reason for one in judged.verdict.criteria if one.name == "disconnect_policy"]
    assert judged.verdict.result is expected
    assert says in (told[0] if told else "")


def test_changes_must_come_to_the_same_each_time_where_changes_are_judged() -> None:
    def repeat(number: int, outcome: str) -> Repeat:
        changes = (("exposure 50 ms", outcome), ("exposure 100 ms", "effective"))
        return Repeat(number=number, name="", result=PASS, why=(), changes=changes)

    made = [repeat(1, "effective"), repeat(2, "ignored")]
    judged = judge_set(made, Criteria(changes="clear"), planned=2)
    assert judged.verdict.why == ("changes are inconsistent: exposure 50 ms: effective in 1, ignored in 1",)
    assert judge_set(made, Criteria(), planned=2).verdict.result is PASS


def test_what_stalls_have_in_common_is_found_over_all_repeats() -> None:
    """One stall a repeat: none of them can tell by itself, together they are locked to frames."""
    points = [StallPoint(85, 0.02, 1e6), StallPoint(84, 0.05, 1e6), StallPoint(86, 0.1, 4e6), StallPoint(85, 0.02, 4e6)]
    made = [replace(one, stalls=(point,)) for one, point in zip(_repeats(FAIL, FAIL, FAIL, FAIL), points, strict=True)]
    judged = judge_set(made, Criteria(), planned=4)
    assert judged.lock.kind == "frames"
    assert judge_set(made[:2], Criteria(), planned=2).lock.kind == "none"
