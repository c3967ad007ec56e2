"""`pvload report`: everything again from a run's journal, to the byte."""

from __future__ import annotations

from itertools import takewhile
from pathlib import Path
from typing import Annotated

import typer

from pvload.cli.left_behind import take_in_leftovers
from pvload.cli.output import show
from pvload.report.recompute import reported
from pvload.report.sets import SET_TEXT, is_set, report_again
from pvload.wire.run_directory import REPORT


def report(
    run: Annotated[Path, typer.Argument(help="A run directory, or that of a set of repeats.")],
    whole: Annotated[bool, typer.Option("--whole", help="Print the whole report.")] = False,
) -> None:
    """Make the report of a run, or of a set of repeats, again; the exit code is the verdict's."""
    if is_set(run):
        made = report_again(run)
        show(f"{_shown(made.text, whole=whole)}\n\nset        {made.unwritten or run / SET_TEXT}")
        raise typer.Exit(made.exit_code)
    take_in_leftovers(run)
    again = reported(run)
    show(f"{_shown(again.text, whole=whole)}\n\nreport     {again.unwritten or run / REPORT}")
    raise typer.Exit(again.verdict.exit_code)


def _shown(text: str, *, whole: bool) -> str:
    lines = text.splitlines()
    return "\n".join(lines if whole else takewhile(str.strip, lines)).rstrip()
