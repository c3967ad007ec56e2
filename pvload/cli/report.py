"""`pvload report`: everything again from a run's journal, to the byte."""

from __future__ import annotations

from itertools import islice, takewhile
from pathlib import Path
from typing import Annotated, Final

import typer

from pvload.collect.__main__ import judged_work
from pvload.collect.collector import refill
from pvload.errors import RunDirectoryError
from pvload.profiles.load import from_canonical
from pvload.wire.journal import FILE_NAME, JournalReader
from pvload.wire.run_directory import PROFILE, read_manifest

_HEAD_LINES: Final = 10


def report(
    run: Annotated[Path, typer.Argument(help="A run directory.")],
    whole: Annotated[bool, typer.Option("--whole", help="Print the whole report.")] = False,
) -> None:
    """Make the report of a run again; the exit code is the verdict's."""
    manifest = read_manifest(run)
    try:
        profile = from_canonical((run / PROFILE).read_bytes())
    except OSError as exc:
        raise RunDirectoryError(f"{run} has no {PROFILE} that can be read: {exc.strerror}") from exc
    if not (run / FILE_NAME).is_file():
        raise RunDirectoryError(f"{run} has no journal ({FILE_NAME}): nothing was recorded")
    work = judged_work(run, profile, manifest.run)
    with JournalReader.open(run / FILE_NAME) as journal:
        refill(work.fold, journal)
    outcome = work.conclude("")
    with Path(outcome.report).open() as text:
        print("".join(text if whole else takewhile(str.strip, islice(text, _HEAD_LINES))).rstrip())
    print(f"\nreport     {outcome.report}")
    raise typer.Exit(outcome.exit_code)
