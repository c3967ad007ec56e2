"""`pvload run`: one experiment from start to verdict."""

from __future__ import annotations

import sys
from contextlib import suppress
from itertools import takewhile
from pathlib import Path
from typing import Annotated

import typer

from pvload.cli.left_behind import tell_leftovers
from pvload.cli.output import show
from pvload.errors import PvloadError
from pvload.plan.check import check
from pvload.profiles.load import load
from pvload.run.command import Wish
from pvload.run.progress import display_on
from pvload.run.repeats import SetOutcome, run_set
from pvload.run.supervisor import Outcome, Supervisor


def run(
    profile: Annotated[str, typer.Argument(help="A shipped profile's name, or a TOML file.")],
    duration: Annotated[str | None, typer.Option(help="Length of the run: 20s, 30min, 24h.")] = None,
    frames: Annotated[int, typer.Option(min=0, help="End after so many frames of every stream.")] = 0,
    target: Annotated[str | None, typer.Option(help='host:port, or "sim".')] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Override a value: camera.exposure_ms=50.")] = None,
    label: Annotated[list[str] | None, typer.Option(help="Label the run: key=value.")] = None,
    workers: Annotated[int | None, typer.Option(min=0, max=64, help="Worker processes for the users; 0: none.")] = None,
    repeat: Annotated[
        int | None, typer.Option(min=1, max=1000, help="Run it so often, and judge the set as a whole.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Run more subscribers than the target admits.")] = False,
    runs: Annotated[Path, typer.Option(help="Where the run directory is made.")] = Path("runs"),
) -> None:
    """Run an experiment; the exit code is the verdict's: 0 PASS, 1 FAIL, 3 INCONCLUSIVE, 4 INVALID (2: usage)."""
    loaded = load(profile, overrides=set_ or [], duration=duration, target=target, labels=label or [])
    plan = check(loaded.profile, force=force, source=str(loaded.source))
    wish = Wish(
        profile=profile,
        duration=duration,
        frames=frames,
        target=target,
        overrides=tuple(set_ or []),
        labels=tuple(label or []),
        workers=loaded.profile.run.workers if workers is None else workers,
        force=force,
        runs=runs,
        said=("pvload", *sys.argv[1:]),
    )
    if frames and duration is not None:
        print(f"note: --frames {frames} ends the run, not --duration {duration}", file=sys.stderr)
    tell_leftovers(runs)
    times = loaded.profile.run.repeat if repeat is None else repeat
    if times > 1:
        made = run_set(wish, plan, times, lambda: display_on(sys.stderr))
        _show_set(made)
        raise typer.Exit(made.exit_code)
    outcome = Supervisor(wish, display_on(sys.stderr), plan).run()
    _show(outcome)
    raise typer.Exit(outcome.exit_code)


def _show_set(made: SetOutcome) -> None:
    """The set's whole report: a line or two for each run."""
    if made.refused is not None:
        _show(made.refused)
    if made.report is None:
        return
    if made.report.unwritten:
        print(f"pvload: {made.report.unwritten}", file=sys.stderr)
    show(f"{made.report.text}\nset        {made.folder}")


def _show(outcome: Outcome) -> None:
    """Errors on stderr, the head of the report on stdout; nothing was measured where the device was wrong."""
    for error in outcome.errors:
        with suppress(OSError):  # nobody reads it any more
            print(f"pvload: {error}", file=sys.stderr)
    if outcome.exit_code == PvloadError.exit_code:
        return
    if outcome.report is None:
        if outcome.verdict:
            show(f"{outcome.verdict}: no report could be written, see {outcome.run_dir}")
        return
    try:
        with outcome.report.open() as text:
            head = "".join(takewhile(str.strip, text)).rstrip()
    except OSError as exc:
        print(f"pvload: {outcome.verdict}, but the report cannot be read: {exc.strerror}", file=sys.stderr)
        return
    show(f"{head}\n\nreport     {outcome.report}")
