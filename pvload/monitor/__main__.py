"""`python -m pvload.monitor`: the process that watches a host, processes on it and the daemon's log during one run.

Prints `{"is":"ready"}` when it watches; ends at end of file on stdin, SIGTERM or SIGINT, after it has read the log to
its end and shipped everything. Exit code 0; 1 if records stayed in the spool; 2 for a wrong command line.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import sys
from pathlib import Path

from pvload.clock import NS_PER_S, SystemClock
from pvload.errors import PvloadError
from pvload.lifeline import end_with_parent
from pvload.monitor.sample import Watched
from pvload.monitor.session import Order, Settings, monitor

_log = logging.getLogger("pvload.monitor")


def parse(arguments: list[str] | None = None) -> Settings:
    """The settings of a command line; argparse ends the process with 2 if it is wrong."""
    parser = argparse.ArgumentParser(prog="python -m pvload.monitor", description="Watch a host and a log for one run.")
    parser.add_argument("--run-hex", type=_run, required=True, help="the run's id, 32 hex digits")
    parser.add_argument("--run-dir", type=Path, required=True, help="the run directory")
    parser.add_argument("--collector", required=True, help="the collector's endpoint, tcp://host:port")
    parser.add_argument("--log", type=Path, action="append", default=[], help="the daemon's log; may appear later")
    parser.add_argument("--whole-log", action="store_true", help="what a log holds already is the run's, too")
    parser.add_argument("--log-command", default="", help="a command that prints the daemon's log")
    parser.add_argument("--kernel-log", action="store_true", help="look for USB lines in the kernel's log")
    parser.add_argument("--no-host", action="store_true", help="leave the host's figures out")
    parser.add_argument("--tree", type=int, action="append", default=[], help="watch what this process starts, too")
    parser.add_argument("--pid", type=int, default=0, help="the daemon's process id; 0: not on this host")
    parser.add_argument("--watch", type=_watched, action="append", default=[], metavar="NAME=PID")
    parser.add_argument("--interval", type=_interval, default=NS_PER_S, help="seconds between two samples")
    given = parser.parse_args(arguments)
    target = [Watched("target", given.pid)] if given.pid else []
    return Settings(
        run=given.run_hex,
        run_dir=given.run_dir,
        collector=given.collector,
        logs=tuple(given.log),
        whole_log=given.whole_log,
        log_command=given.log_command,
        kernel_log=given.kernel_log,
        host=not given.no_host,
        roots=tuple(given.tree),
        watched=(*target, *given.watch, Watched("monitor", os.getpid())),
        interval_ns=given.interval,
    )


def _run(text: str) -> bytes:
    run = bytes.fromhex(text)
    if len(run) != 16:
        raise argparse.ArgumentTypeError(f"expected 32 hex digits, got {text!r}")
    return run


def _watched(text: str) -> Watched:
    name, _, pid = text.rpartition("=")
    if not name or not pid.isdecimal():
        raise argparse.ArgumentTypeError(f"expected NAME=PID, got {text!r}")
    return Watched(name, int(pid))


def _interval(text: str) -> int:
    seconds = float(text)
    if not 0.01 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"expected 0.01 to 3600 seconds, got {text!r}")
    return int(seconds * NS_PER_S)


def _announce() -> None:
    sys.stdout.write(json.dumps({"is": "ready"}) + "\n")
    sys.stdout.flush()


def main(arguments: list[str] | None = None) -> int:
    """Runs the monitor and gives its exit code."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    settings = parse(arguments)
    order = Order(sys.stdin.fileno())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: order.give())
    # Covers a parent that dies while a sibling still holds our stdin open.
    end_with_parent()
    try:
        delivered = monitor(settings, order, SystemClock(), _announce)
    except PvloadError as exc:
        _log.error("%s", exc)
        return exc.exit_code
    if not delivered:
        _log.error("the collector did not take everything in time: records stay in the spool")
    return 0 if delivered else 1


if __name__ == "__main__":
    sys.exit(main())
