"""The stations as the director sees them: who is there, who said hello, and waiting for all of them."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, Final

import gevent
from locust.runners import STATE_MISSING, MasterRunner, Runner

from pvload.clock import boot_id
from pvload.errors import ConfigError
from pvload.load import messages
from pvload.load.director_run import DirectorRun
from pvload.load.messages import say
from pvload.load.options import LOOPBACK
from pvload.load.run_folder import pvload_version
from pvload.profiles.schema import Profile

_log = logging.getLogger(__name__)
HELLO_TIMEOUT_S: Final = 10.0
BEAT_S: Final = 0.01
LOCAL_NODE: Final = "local"
_LOOPBACKS: Final = (LOOPBACK, "localhost", "::1")


class Stations:
    """Nodes are Locust's names of its workers; the local runner's one node is `local`."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._hellos: dict[str, messages.Hello] = {}

    @property
    def hosts(self) -> int:
        """From how many hosts users will come."""
        return len({one.boot or node for node, one in self._hellos.items() if node in self.present()})

    @property
    def bind(self) -> str:
        """The address that workers reach this host by; loopback unless the master was told otherwise."""
        bind = str(getattr(self._runner, "master_bind_host", LOOPBACK))
        return LOOPBACK if bind in _LOOPBACKS else bind

    def present(self) -> set[str]:
        """Nodes whose workers are there."""
        if isinstance(self._runner, MasterRunner):
            return {node for node, one in self._runner.clients.items() if one.state != STATE_MISSING}
        return {LOCAL_NODE}

    def hello(self, node: str, word: messages.Hello) -> str:
        """Takes a greeting; why the station cannot take part, empty if it can."""
        if word.version != pvload_version():
            return f"this worker has pvload {word.version}, the master {pvload_version()}: install the same"
        self._hellos[node] = word
        return ""

    def fault_with(self, profile: Profile, nodes: Iterable[str]) -> str:
        """Why these nodes cannot run `profile`, empty if they can: an embedded simulator serves its own host only."""
        if profile.target.address != "sim":
            return ""
        far = [self._hellos[node].host for node in nodes if self._hellos[node].boot != boot_id()]
        return f"the embedded simulator serves this host only, and there are workers on {', '.join(far)}" if far else ""

    def greeted(self, profile: Profile) -> list[str]:
        """The nodes that will run users; ConfigError if one does not speak pvload, or cannot run this profile."""
        with gevent.Timeout(HELLO_TIMEOUT_S, False):
            while self.present() - self._hellos.keys():
                gevent.sleep(BEAT_S)
        if strangers := self.present() - self._hellos.keys():
            raise ConfigError(f"workers without pvload, or of another version of it: {', '.join(sorted(strangers))}")
        nodes = sorted(self.present())
        if fault := self.fault_with(profile, nodes):
            hint = "start `pvload sim` by hand and give its address with --pvload-target"
            raise ConfigError(fault, hint=hint)
        return nodes

    def say_all(self, nodes: Iterable[str], word: messages.Word) -> None:
        """Says it to each that is still there."""
        present = self.present()
        for node in nodes:
            if node in present:
                say(self._runner, word, to=node)

    def await_all(self, run: DirectorRun, kind: type[Any], nodes: list[str], *, timeout_s: float) -> None:
        """Waits until every node that is still there has answered with that kind; logs who did not in time."""
        with gevent.Timeout(timeout_s, False):
            while any((kind.NAME, node) not in run.replies for node in nodes if node in self.present()):
                gevent.sleep(BEAT_S)
        late = [node for node in nodes if node in self.present() and (kind.NAME, node) not in run.replies]
        if late:
            _log.error("no %s within %g s from %s", kind.NAME, timeout_s, ", ".join(late))
