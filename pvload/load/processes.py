"""The processes a run has beside Locust and the engines: simulator, collector, monitor. One object for one run."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import socket
from dataclasses import dataclass
from typing import Any, Final

import gevent

from pvload.clock import NS_PER_S, Clock
from pvload.load.children import ChildError, LineChild
from pvload.load.run_folder import RunFolder
from pvload.profiles.schema import Profile
from pvload.wire import run_directory

_log = logging.getLogger(__name__)
START_TIMEOUT_S: Final = 30.0
SHIPPING_S: Final = 10.0
"""The collector waits so long for the senders' last words."""
RESULT_TIMEOUT_S: Final = 120.0
"""It folds what still waits (a minute, where streams were short and many), judges and writes the report."""
SIM_END_S: Final = 5.0
MONITOR_END_S: Final = 11.0
RESTARTS_LIMIT: Final = 5
EVERY_ADDRESS: Final = "0.0.0.0"


@dataclass(frozen=True, slots=True)
class Result:
    """What the collector said at the end."""

    verdict: str
    exit_code: int
    report: str


class Processes:
    """Started in order, ended in order; the collector is started again, on its port, when it dies."""

    def __init__(self, folder: RunFolder, profile: Profile, clock: Clock) -> None:
        self.address = profile.target.address
        """Of the target; of the simulator once it runs."""
        self.endpoint_port = 0
        self.collector_restarts = 0
        self._folder = folder
        self._profile = profile
        self._clock = clock
        self._sim: LineChild | None = None
        self.daemon_pid = 0
        """Of a daemon that pvload started; 0: it did not."""
        self._sim_pid = 0
        self._collector: LineChild | None = None
        self._collector_host = ""
        self._monitor: LineChild | None = None
        self._ending = False

    @property
    def monitors(self) -> bool:
        """Is there a witness whose last words the collector should wait for?"""
        return self._monitor is not None

    def start_sim(self) -> None:
        """Starts the simulator if the profile wants one; `address` is known afterwards."""
        if self._profile.target.address != "sim":
            return
        folder = self._folder.path
        arguments = ["pvload.sim", "--profile-json", str(folder / run_directory.PROFILE)]
        arguments += ["--ledger", str(folder / run_directory.LEDGER), "--log", str(folder / run_directory.DAEMON_LOG)]
        self._sim = LineChild("simulator", [*arguments, "--parent-stdin"], log=self._folder.log("sim"))
        self._sim.start()
        said = self._sim.expect("listening", timeout_s=START_TIMEOUT_S)
        self.address = str(said["address"])
        self._sim_pid = int(said.get("pid", self._sim.pid))

    def start_collector(self, *, bind: str) -> None:
        """Starts the collector on `bind`, on every address where a monitor beside the target may come;
        `endpoint_port` is known afterwards.
        """
        self._collector_host = EVERY_ADDRESS if self._profile.monitor.remote else bind
        self._launch_collector()

    def start_monitor(self, others: dict[str, int]) -> None:
        """Starts the witness of host, processes and the daemon's log; without one its criteria are not checked.

        others: name -> process id, of this run on this host; what they start is found by the monitor itself.
        """
        wishes = self._profile.monitor
        if not (wishes.host or wishes.log):
            return
        host = "127.0.0.1" if self._collector_host in ("", "*", "0.0.0.0", "::") else self._collector_host
        arguments = ["pvload.monitor", "--run-hex", self._folder.manifest.run, "--run-dir", str(self._folder.path)]
        arguments += ["--collector", f"tcp://{host}:{self.endpoint_port}", "--interval", f"{wishes.interval:g}"]
        arguments += ["--kernel-log"] if wishes.kernel_log else []
        arguments += [] if wishes.host else ["--no-host"]
        arguments += self._log_arguments() if wishes.log else []
        pid = self._sim_pid if self._profile.target.address == "sim" else self.daemon_pid or self._profile.target.pid
        arguments += ["--pid", str(pid)] if pid else []
        collector = self._collector.pid if self._collector is not None else 0
        watched = {**others, "collector": collector, "locust": os.getpid()}
        for name, process in watched.items():
            arguments += ["--watch", f"{name}={process}"] if process else []
        roots = {process for name, process in watched.items() if name.startswith(("locust", "supervisor"))}
        for root in sorted(roots):
            arguments += ["--tree", str(root)]
        monitor = LineChild("monitor", arguments, log=self._folder.log("monitor"))
        monitor.start()
        self._monitor = monitor
        monitor.expect("ready", timeout_s=START_TIMEOUT_S)

    def _log_arguments(self) -> list[str]:
        """Where the monitor reads the daemon's log."""
        target, folder = self._profile.target, self._folder.path
        if target.address == "sim":
            return ["--log", str(folder / run_directory.DAEMON_LOG)]
        if target.start:
            files = (folder / run_directory.DAEMON_LOG, folder / run_directory.DAEMON_STDERR)
            return ["--whole-log", *(word for file in files for word in ("--log", str(file)))]
        if target.log_command:
            return [f"--log-command={target.log_command}"]
        return ["--log", target.log] if target.log else []

    def watch(self, name: str, pid: int) -> None:
        """Has the monitor watch one process more, such as the daemon after its restart (name: target)."""
        if self._monitor is None or not self._monitor.alive:
            return
        with contextlib.suppress(ChildError):  # it died: the run goes on without it
            self._monitor.send(json.dumps({"is": "watch", "name": name, "pid": pid}).encode() + b"\n")

    def invitation(self) -> str:
        """How a monitor beside a remote target joins the run, in words; empty where the target is on this host."""
        target, wishes = self._profile.target, self._profile.monitor
        host, _, port = target.address.rpartition(":")
        own = own_address(host.strip("[]"), port)
        if target.address == "sim" or target.start or not own or own.startswith("127.") or own == host:
            return ""
        if not wishes.remote:
            return (
                f"nobody watches {host}: with --set monitor.remote=true this run listens for a monitor there, and says "
                "how to start it"
            )
        return (
            f"to have {host} watched, run there:\n  pvload monitor --collector {own}:{self.endpoint_port} "
            f"--run {self._folder.manifest.run} --process-name rust-daq-daemon --log FILE"
        )

    def end_monitor(self) -> None:
        """Lets the witness read the log to its end and ship."""
        if self._monitor is not None:
            self._monitor.end(timeout_s=MONITOR_END_S)

    def end_collector(self, *, at_ns: int, reason: str, expect: list[str]) -> Result:
        """Orders the end and gives the verdict; ChildError if there is none."""
        order: dict[str, Any] = {
            "is": "end",
            "at_ns": at_ns,
            "reason": reason,
            "expect": expect,
            "deadline_ns": self._clock.monotonic_ns() + int(SHIPPING_S * NS_PER_S),
        }
        collector = self._collector
        if collector is None:
            raise ChildError("there is no collector, so there is no verdict")
        self._ending = True
        collector.send(json.dumps(order).encode() + b"\n")
        said = collector.expect("result", timeout_s=RESULT_TIMEOUT_S)
        collector.end(timeout_s=5.0)
        return Result(verdict=str(said["verdict"]), exit_code=int(said["exit_code"]), report=str(said["report"]))

    def end_sim(self) -> None:
        """Ends the simulator in order."""
        if self._sim is not None:
            self._sim.end(timeout_s=SIM_END_S)

    def kill(self) -> None:
        """Ends all that still runs; the collector still writes what it has."""
        self._ending = True
        for child in (self._monitor, self._collector, self._sim):
            if child is not None:
                child.end(timeout_s=3.0)

    def _launch_collector(self) -> None:
        bind = "0.0.0.0" if self._collector_host in ("", "*") else self._collector_host
        arguments = ["pvload.collect", "--run-dir", str(self._folder.path), "--bind", bind]
        arguments += ["--port", str(self.endpoint_port)]
        collector = LineChild(
            "collector", arguments, log=self._folder.log("collector"), on_exit=lambda: self._collector_died(collector)
        )
        collector.start()
        self._collector = collector
        said = collector.expect("listening", timeout_s=START_TIMEOUT_S)
        self.endpoint_port = int(str(said["endpoint"]).rpartition(":")[2])

    def _collector_died(self, collector: LineChild) -> None:
        if self._ending or collector is not self._collector or self.endpoint_port == 0:
            return
        if self.collector_restarts >= RESTARTS_LIMIT:
            _log.error("the collector died again and again, it is not started any more: %s", collector.last_words())
            return
        self.collector_restarts += 1
        _log.error("the collector died, starting it again on port %d", self.endpoint_port)
        gevent.spawn(self._relaunch_collector)

    def _relaunch_collector(self) -> None:
        try:
            self._launch_collector()
        except ChildError as exc:
            _log.error("%s", exc)


def own_address(host: str, port: str) -> str:
    """The address of this host that `host` is reached from; empty if there is no way to it. Nothing is sent."""
    try:
        family, kind, protocol, _, there = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            probe.connect(there)
            address: str = probe.getsockname()[0]
    except (OSError, IndexError):
        return ""
    return address
