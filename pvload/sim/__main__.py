"""`python -m pvload.sim`: the simulated daemon as a process, in one of two manners.

On its own it behaves as the daemon does on a terminal or as the child of whoever started it: log on stdout and stderr,
of it only ERROR lines unless RUST_LOG says more, colours unless NO_COLOR is set, a line that says where it listens.
SIGINT ends it in order; SIGTERM kills it, and nothing is cleaned up.

With --log the log goes to a file, whole unless RUST_LOG limits it, and stdout carries one JSON line
{"is": "listening", "address", "pid"}; so it does with --parent-stdin, where the end of stdin ends it in order, and
SIGTERM too.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from pvload.clock import SystemClock
from pvload.errors import ConfigError, PvloadError
from pvload.lifeline import end_with_parent
from pvload.profiles.schema import Camera, Profile, Target
from pvload.profiles.simulated import Simulator as SimulatorTable
from pvload.sim.daemonlog import ALL, DaemonLog, Filter
from pvload.sim.ledger import FileLedger
from pvload.sim.server import Config, ServerTls, Simulator

_USE: Final = """\
it says where it listens:
  DAQ gRPC server (with hardware) listening on 127.0.0.1:50051
and in another terminal it is a daemon like any other:
  pvload devices 127.0.0.1:50051
  pvload run smoke --target 127.0.0.1:50051
RUST_LOG=info,server=debug,daq_driver_pvcam=debug makes its log say more than errors.
A profile can start it as its own daemon:
  [target]
  address = "127.0.0.1:50051"
  start = "pvload sim --port 50051 --set disconnect=stops-all --set parameters=guarded"
"""


def arguments() -> argparse.ArgumentParser:
    """What the process takes."""
    parser = argparse.ArgumentParser(
        prog="pvload sim",
        description="The simulated camera daemon, for a target that stays between runs. Ends with Ctrl-C.",
        epilog=_USE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--profile", type=Path, help="TOML profile: [simulator], [camera] and [target] are used")
    parser.add_argument("--profile-json", type=Path, help="the same as JSON, as a run directory holds it")
    parser.add_argument("--ledger", type=Path, help="JSON lines of what it really did")
    parser.add_argument("--log", type=Path, help="one file for the daemon's log, instead of stdout and stderr")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="one key of [simulator], such as parameters=guarded or slow_readers=block; instead of the profile's",
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, help="0: any free one; instead of the profile's")
    parser.add_argument("--tls-cert", default="", help="PEM: serve TLS with this certificate")
    parser.add_argument("--tls-key", default="")
    parser.add_argument("--tls-client-ca", default="", help="PEM: demand a client certificate of this authority")
    parser.add_argument(
        "--token", default="", help="demand this token of every call (default: the profile's); env:NAME reads it there"
    )
    parser.add_argument("--parent-stdin", action="store_true", help="end when stdin ends")
    return parser


def config_of(options: argparse.Namespace) -> Config:
    """The simulator's configuration; ConfigError says what cannot be used."""
    target, camera, table = tables_of(options)
    if options.port is not None:
        table = table.model_copy(update={"port": options.port})
    table = _with(table, options.set)
    if bool(options.tls_cert) != bool(options.tls_key):
        raise ConfigError("--tls-cert and --tls-key go together")
    tls = ServerTls(options.tls_cert, options.tls_key, options.tls_client_ca) if options.tls_cert else None
    return Config(
        simulator=table,
        camera=camera,
        device=target.device,
        tls=tls,
        token=_secret(options.token or target.token),
        host=options.host,
    )


def tables_of(options: argparse.Namespace) -> tuple[Target, Camera, SimulatorTable]:
    """The three tables of the profile given, or their defaults."""
    path = options.profile or options.profile_json
    if path is None:
        return Target(), Camera(), SimulatorTable()
    try:
        text = path.read_text(encoding="utf-8")
        content: Any = tomllib.loads(text) if options.profile else json.loads(text)
        profile = Profile.model_validate(content)
    except OSError as exc:
        raise ConfigError(f"cannot read {path}: {exc.strerror}") from exc
    except ValidationError as exc:
        first = exc.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{path}: {where}: {first['msg']}", hint="pvload check names every fault") from exc
    except ValueError as exc:
        raise ConfigError(f"{path}: {exc}") from exc
    return profile.target, profile.camera, profile.simulator


def _secret(given: str) -> str:
    if not given.startswith("env:"):
        return given
    value = os.environ.get(given[4:], "")
    if not value:
        raise ConfigError(f"token {given}: the environment variable is not set")
    return value


def _with(table: SimulatorTable, given: Sequence[str]) -> SimulatorTable:
    """The table with the keys of `--set KEY=VALUE` in place of its own; a value is TOML, or else a plain word."""
    content = table.model_dump()
    for each in given:
        key, equals, text = each.partition("=")
        if not equals:
            raise ConfigError(f"--set {each}: expected KEY=VALUE")
        try:
            content[key] = tomllib.loads(f"value = {text}")["value"]
        except tomllib.TOMLDecodeError:
            content[key] = text
    try:
        return SimulatorTable.model_validate(content)
    except ValidationError as exc:
        first = exc.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"--set {where}: {first['msg']}") from exc


def _log_of(options: argparse.Namespace, clock: SystemClock) -> DaemonLog:
    directives = os.environ.get("RUST_LOG", "")
    if options.log is not None:
        return DaemonLog(options.log, clock, only=Filter(directives) if directives else ALL)
    return DaemonLog(None, clock, only=Filter(directives), colours=not os.environ.get("NO_COLOR"))


def run(options: argparse.Namespace) -> None:
    """Serves until a signal, or the end of stdin, ends it."""
    clock, ended = SystemClock(), threading.Event()
    signal.signal(signal.SIGINT, lambda *_: ended.set())
    if options.parent_stdin:
        signal.signal(signal.SIGTERM, lambda *_: ended.set())
    log = _log_of(options, clock)
    ledger = FileLedger(options.ledger, clock) if options.ledger else None
    simulator = Simulator(config_of(options), ledger=ledger, log=log, clock=clock)
    log.start()
    if ledger is not None:
        ledger.start()
    try:
        simulator.start()
        if options.parent_stdin:
            _end_with_parent(ended)
        if options.parent_stdin or options.log is not None:
            line = {"is": "listening", "address": simulator.address, "pid": os.getpid()}
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()
        ended.wait()
    finally:
        simulator.stop()
        if ledger is not None:
            ledger.close()
        log.close()


def _end_with_parent(ended: threading.Event) -> None:
    def watch() -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        ended.set()

    threading.Thread(target=watch, name="sim-parent", daemon=True).start()


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0 after an ordered end, 2 if it could not be started as told."""
    try:
        run(arguments().parse_args(argv))
    except PvloadError as exc:
        sys.stderr.write(f"pvload sim: {exc}\n")
        return exc.exit_code
    return 0


if __name__ == "__main__":
    end_with_parent()
    sys.exit(main())
