"""`pvload check`: a profile and its plan in words, without running it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pvload.cli.left_behind import tell_leftovers
from pvload.plan.check import check as check_plan
from pvload.plan.explain import explain
from pvload.profiles.load import load


def check(
    profile: Annotated[str, typer.Argument(help="A shipped profile's name, or a TOML file.")],
    duration: Annotated[str | None, typer.Option(help="Length of the run: 20s, 30min, 24h.")] = None,
    target: Annotated[str | None, typer.Option(help='host:port, or "sim".')] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="Override a value: camera.exposure_ms=50.")] = None,
    label: Annotated[list[str] | None, typer.Option(help="Label the run: key=value.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Accept more subscribers than the target admits.")] = False,
) -> None:
    """Say what a profile would do, or what is wrong with it (exit code 2)."""
    loaded = load(profile, overrides=set_ or [], duration=duration, target=target, labels=label or [])
    print(explain(check_plan(loaded.profile, force=force, source=str(loaded.source))), end="")
    tell_leftovers(Path("runs"))
