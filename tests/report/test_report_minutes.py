"""report.txt tells a run minute by minute: all of a short one, the worst minutes of a long one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pvload.profiles.load import load
from pvload.report.minutes import minutes
from pvload.report.render import render_text
from pvload.stats.summary import Window
from pvload.verdict.judge import judge
from summaries import summary

MINUTE = Window(0.0, 60.0, 600, 60.0, 0, 0.0, 0.21, 5.0, 10**8, 10.0, 3.0)


def _minutes(number: int, **odd: Window) -> tuple[Window, ...]:
    """Healthy minutes; `odd`: m7=... is put in the place of the seventh."""
    return tuple(replace(odd.get(f"m{i}", MINUTE), at_s=60.0 * i) for i in range(number))


@pytest.mark.parametrize("number", [0, 1])
def test_a_single_minute_is_the_run(number: int) -> None:
    assert minutes(summary(run_windows=_minutes(number))) == []


def test_a_short_run_is_told_whole_and_in_order() -> None:
    of = summary(run_windows=_minutes(3, m2=replace(MINUTE, length_s=0.5, frames=2, due_s=0.0, age_p99_ms=None)))
    lines = minutes(of)
    assert len(lines) == 4
    assert lines[1].split()[:7] == ["0.00", "s", "60.0", "s", "600", "10", "0"]
    assert lines[3].split()[-2:] == ["-", "100.0"]
    assert "\nMinute by minute\n----------------\n" in render_text(
        of, judge(of, load("scenario-a").profile.criteria), None
    )


def test_of_a_long_run_the_worst_minutes_are_told() -> None:
    """By time stalled, then frames missing, then the lowest rate; a short last minute is no low rate."""
    odd = {
        "m40": replace(MINUTE, stalled_s=5.0),
        "m50": replace(MINUTE, missing=3),
        "m55": replace(MINUTE, frames=500),
        "m59": replace(MINUTE, frames=1, due_s=1.0, length_s=1.0),
    }
    lines = minutes(summary(run_windows=_minutes(60, **odd)))
    assert len(lines) == 12
    assert lines[-1].startswith("  the worst 10 of 60: ")
    assert [line.split()[0] for line in lines[-4:-1]] == ["2,400.0", "3,000.0", "3,300.0"]
    assert max(map(len, lines)) <= 100
