"""`pvload monitor`: a witness on the target's host, beside a run that goes on elsewhere."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Final

import typer

from pvload.cli.output import show
from pvload.clock import NS_PER_S, SystemClock
from pvload.errors import ConfigError, PvloadError
from pvload.monitor.command import words_of
from pvload.monitor.sample import Watched
from pvload.monitor.session import Order, Settings
from pvload.monitor.session import monitor as watch

_RUN: Final = re.compile(r"[0-9a-f]{32}")
_ADDRESS: Final = re.compile(r"(?:tcp://)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):(?P<port>\d{1,5})")


class NotDelivered(PvloadError):  # noqa: N818 - an outcome, not an error of the user's
    """What was seen did not all reach the run."""

    exit_code = 4


def monitor(
    collector: Annotated[str, typer.Option(help="HOST:PORT of the run's collector, as the run says it.")],
    run: Annotated[str, typer.Option(help="The run's id, 32 hex digits.")],
    pid: Annotated[int, typer.Option(min=0, help="Process id of the daemon; 0: not by id.")] = 0,
    process_name: Annotated[str, typer.Option(help="Name of the daemon's process, found again after a restart.")] = "",
    log: Annotated[
        list[Path] | None, typer.Option(help="The daemon's log (stdout, stderr); may be given again.")
    ] = None,
    log_command: Annotated[str, typer.Option(help="A command that prints it: journalctl -n 0 -fu rust-daq.")] = "",
    interval: Annotated[float, typer.Option(min=0.1, max=3600, help="Seconds between two samples.")] = 1.0,
    kernel_log: Annotated[bool, typer.Option(help="Look for USB trouble in the kernel's log.")] = True,
) -> None:
    """Watch this host, the daemon and its log for a run on another host.

    Start the run with `--set monitor.remote=true`: it says the command line to paste here. The monitor ends when the
    run does, or with Ctrl-C; the run goes on without it. Exit code 0: all it saw has reached the run; 2: the collector
    refused it or did not answer; 4: something was not delivered.
    """
    identity = _run_of(run)
    settings = Settings(
        run=identity,
        run_dir=Path(tempfile.gettempdir()) / f"pvload-{os.getuid()}" / identity.hex(),
        collector=_endpoint(collector),
        logs=tuple(log or []),
        log_command=log_command,
        watched=(*([Watched("target", pid)] if pid else []), Watched("monitor", os.getpid())),
        named=(process_name,) if process_name else (),
        interval_ns=int(interval * NS_PER_S),
        kernel_log=kernel_log,
        worker=f"monitor-{socket.gethostname()}",
        joined=True,
    )
    if log_command:
        words_of(log_command)
    order = Order(None)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda _number, _frame: order.give())
    delivered = watch(settings, order, SystemClock(), lambda: _say(f"watching for run {identity.hex()} (Ctrl-C ends)"))
    if not delivered:
        raise NotDelivered("the collector did not take everything in time", hint="did the run end before this monitor?")
    _say("all that was seen has reached the run")


def _say(text: str) -> None:
    show(f"pvload monitor: {text}")
    sys.stdout.flush()


def _run_of(text: str) -> bytes:
    digits = text.replace("-", "").lower()
    if not _RUN.fullmatch(digits):
        raise ConfigError(f"--run {text!r} is no run id", hint="32 hex digits, as the run says and its manifest.json")
    return bytes.fromhex(digits)


def _endpoint(text: str) -> str:
    found = _ADDRESS.fullmatch(text.strip())
    if found is None or not 0 < int(found["port"]) < 65536:
        raise ConfigError(f"--collector {text!r} is no address", hint="host:port, as the run says it")
    return f"tcp://{found['host']}:{found['port']}"
