"""`pvload report SETDIR`: a set of repeats judged again from its runs, to the byte."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from pvload.cli import report as command
from pvload.errors import RunDirectoryError
from pvload.profiles.criteria import Criteria
from pvload.report.sets import SET_JSON, SET_TEXT, Ran, is_set, report_again, report_set, set_page
from pvload.verdict.judgement import Result
from pvload.verdict.repeats import judge_set, not_run
from tests.report.test_recompute_report import engine_records, run_dir_of


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two runs with a verdict, and one that could not run."""
    there = tmp_path / "20261121T164314Z-scenario-a-set"
    there.mkdir()
    ran = [
        Ran(run_dir_of(there / f"run-{number}", records=engine_records(200, end=True), finished=True))
        for number in (1, 2)
    ]
    report_set(there, [*ran, Ran(None, "the daemon did not answer")], Criteria(), name="scenario-a", planned=3)
    return there


def files(folder: Path) -> tuple[bytes, bytes]:
    return (folder / SET_JSON).read_bytes(), (folder / SET_TEXT).read_bytes()


def test_the_same_set_gives_the_same_bytes(folder: Path) -> None:
    before = files(folder)
    assert is_set(folder)
    assert not is_set(folder / "run-1")
    made = report_again(folder)
    assert files(folder) == before
    assert made.text.encode() == before[1]
    assert json.loads(before[0])["runs"][2]["trouble"] == "the daemon did not answer"


def test_the_first_lines_say_how_many_passed_and_what_could_not_run(folder: Path) -> None:
    head = (folder / SET_TEXT).read_text().partition("\n\n")[0]
    assert head.startswith("FAIL      scenario-a   3 of 3 repeats\nanswer    ")
    assert "of 3 repeats passed, 1 could not run (number 3)" in head
    assert "the daemon did not answer" in (folder / SET_TEXT).read_text()


def test_a_run_whose_journal_is_gone_is_judged_as_one_that_could_not_run(folder: Path) -> None:
    (folder / "run-2" / "journal.sqlite").unlink()
    made = report_again(folder)
    assert "2 could not run (number 2, 3)" in " ".join(made.text.split())


def test_a_set_that_was_killed_is_judged_by_what_it_left(folder: Path) -> None:
    for name in (SET_JSON, SET_TEXT):
        (folder / name).unlink()
    assert is_set(folder)
    assert json.loads(files_made(folder)[0])["planned"] == 2
    (folder / SET_JSON).write_text("{")
    assert report_again(folder).text.splitlines()[0].endswith("2 of 2 repeats")


def files_made(folder: Path) -> tuple[bytes, bytes]:
    report_again(folder)
    return files(folder)


def test_a_directory_of_unrelated_runs_is_no_set(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "runs"
    shutil.copytree(folder / "run-1", other / "run-1")
    assert not is_set(other)
    for name in ("run-1", "run-2"):
        shutil.rmtree(folder / name)
    with pytest.raises(RunDirectoryError, match="none of its runs can be read"):
        report_again(folder)


def test_the_command_prints_the_sets_head_and_ends_with_its_verdict(folder: Path) -> None:
    app = typer.Typer()
    app.command()(command.report)
    done = CliRunner().invoke(app, [str(folder)])
    assert done.exit_code == 1
    assert done.stdout.startswith("FAIL      scenario-a   3 of 3 repeats")
    assert "Repeats" not in done.stdout
    assert f"set        {folder / SET_TEXT}" in done.stdout.replace("\n", "")


def test_the_sets_page_shows_all_repeats_and_the_worst_in_full() -> None:
    """Without a page of any repeat there is none of the set."""
    good = not_run(1, "run-1", "")
    repeats = [replace(good, number=number, name=f"run-{number}", result=result, disconnect_policy="per_client")
               for number, result in ((1, Result.PASS), (2, Result.FAIL), (3, Result.PASS))]  # fmt: skip
    judged = judge_set(repeats, Criteria(), planned=3)
    pages = {number: f"# cam: title\n\nFound by {number}.\n\n## What was done\n" for number in (1, 2, 3)}
    text = set_page("scenario-c", judged, pages)
    assert text.startswith("# cam: title, in 3 repeats\n\nscenario-c, 3 of 3 repeats, FAIL: ")
    assert "| 2 | FAIL | per-client | run-2 |" in text
    assert "Repeat 2 in full:\n\nFound by 2." in text
    assert "Found by 1." not in text
    assert set_page("scenario-a", judged, {}) == ""
