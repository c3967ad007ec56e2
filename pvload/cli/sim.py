"""`pvload sim`: the simulated daemon on its own, for a target that stays."""

from __future__ import annotations

import typer

from pvload.sim.__main__ import main as sim_main


def sim(context: typer.Context) -> None:
    """Run the simulated camera daemon until Ctrl-C (`pvload sim --help` lists its options)."""
    raise typer.Exit(sim_main(context.args))
