"""The command `pvload`: which commands there are, and how an error of a person's making is shown."""

from __future__ import annotations

import sys

import typer

from pvload.cli import check, devices, report, run, sim
from pvload.errors import PvloadError

app = typer.Typer(
    name="pvload",
    help="Load and soak a service that streams frames, and say whether the stream is healthy.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("run")(run.run)
app.command("check")(check.check)
app.command("report")(report.report)
app.command("devices")(devices.devices)
app.command(
    "sim", context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
)(sim.sim)


def main() -> None:
    """Runs a command; a PvloadError becomes one message and its exit code."""
    try:
        app()
    except PvloadError as exc:
        print(f"pvload: {exc}", file=sys.stderr)
        sys.exit(exc.exit_code)
