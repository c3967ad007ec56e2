"""`pvload report`: everything again from a run's journal, to the byte."""

from __future__ import annotations

from itertools import islice, takewhile
from pathlib import Path
from typing import Annotated, Final

import typer

from pvload.cli.output import show
from pvload.report.recompute import reported
from pvload.wire.run_directory import REPORT

_HEAD_LINES: Final = 10


def report(
    run: Annotated[Path, typer.Argument(help="A run directory.")],
    whole: Annotated[bool, typer.Option("--whole", help="Print the whole report.")] = False,
) -> None:
    """Make the report of a run again; the exit code is the verdict's."""
    made = reported(run)
    lines = made.text.splitlines()
    shown = "\n".join(lines if whole else takewhile(str.strip, islice(lines, _HEAD_LINES))).rstrip()
    show(f"{shown}\n\nreport     {made.unwritten or run / REPORT}")
    raise typer.Exit(made.verdict.exit_code)
