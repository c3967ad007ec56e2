"""Which commands there are."""

from __future__ import annotations

import typer

from pvload.cli import check, devices, diagnose, monitor, report, run, sim

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
app.command("diagnose")(diagnose.diagnose)
app.command("monitor")(monitor.monitor)
app.command("devices")(devices.devices)
app.command(
    "sim", context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
)(sim.sim)
