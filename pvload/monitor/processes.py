"""The processes that are watched: those named in advance, those told of during the run, and the run's own offspring."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import psutil

from pvload.clock import NS_PER_S, Clock
from pvload.monitor.family import Family, Relative, module_of
from pvload.monitor.sample import ProcessSampler, Usage, Watched, usage
from pvload.ship.recorder import Recorder
from pvload.wire.event import Kind

LOOK_EVERY_NS: Final = 5 * NS_PER_S
"""Looking who was born costs a pass over the host's processes."""
VIEWERS: Final = "viewers"
"""Name of the record of all viewer processes together; its pid is 0."""


TARGET: Final = "target"


def pids_named(names: tuple[str, ...]) -> list[int]:
    """Processes whose name, or whose program's file name, is one of `names`; none if `names` is empty."""
    found = []
    for process in psutil.process_iter(["name", "cmdline"]) if names else ():
        command = process.info["cmdline"] or [""]
        if process.info["name"] in names or command[0].rpartition("/")[2] in names:
            found.append(process.pid)
    return found


class ViewerGroup:
    """All viewer processes as one PROCESS record of pid 0: their sums."""

    def __init__(self, recorder: Recorder, clock: Clock) -> None:
        self._recorder = recorder
        self._clock = clock
        self._processes: dict[int, psutil.Process] = {}
        self._cpu_ns: dict[int, int] = {}

    def sample(self, pids: Iterable[int]) -> None:
        """Records those that live; nothing where there are none."""
        found: dict[int, Usage] = {}
        for pid in pids:
            try:
                process = self._processes.setdefault(pid, psutil.Process(pid))
                found[pid] = usage(process)
            except psutil.Error:
                self._processes.pop(pid, None)
        spent_ns = sum(now.cpu_ns - self._cpu_ns.get(pid, now.cpu_ns) for pid, now in found.items())
        self._cpu_ns = {pid: now.cpu_ns for pid, now in found.items()}
        self._processes = {pid: process for pid, process in self._processes.items() if pid in found}
        if not found:
            return
        self._recorder.append(
            Kind.PROCESS,
            t_ns=self._clock.monotonic_ns(),
            cpu_ns=spent_ns,
            rss_bytes=sum(one.rss_bytes for one in found.values()),
            threads=sum(one.threads for one in found.values()),
            fds=sum(one.fds for one in found.values()),
            pid=0,
            name=self._recorder.text_id(VIEWERS),
        )


class ProcessWatch:
    """PROCESS records of everything watched. Memory: one entry a living process."""

    def __init__(
        self,
        watched: tuple[Watched, ...],
        *,
        recorder: Recorder,
        clock: Clock,
        named: tuple[str, ...] = (),
        roots: tuple[int, ...] = (),
    ) -> None:
        """named: names of the target's processes. roots: processes whose offspring is the run's own."""
        self._named = named
        self._recorder = recorder
        self._clock = clock
        self._roots = roots
        self._samplers: dict[int, ProcessSampler] = {}
        self._family = Family({one.pid: one.name for one in watched})
        self._viewers = ViewerGroup(recorder, clock)
        self._modules: dict[int, tuple[float, str]] = {}
        self._look_ns = 0
        for one in watched:
            self.add(one)

    def add(self, watched: Watched) -> None:
        """Watches one more from the next sample on; one of the same pid and name is watched already."""
        known = self._samplers.get(watched.pid)
        if known is None or known.gone or known.name != watched.name:
            self._samplers[watched.pid] = ProcessSampler(watched, self._recorder, self._clock)

    def sample(self) -> None:
        """Records all of them; looks for new ones when it is time to."""
        now_ns = self._clock.monotonic_ns()
        if (self._roots or self._named) and now_ns >= self._look_ns:
            self._look_ns = now_ns + LOOK_EVERY_NS
            for pid in pids_named(self._named):
                self.add(Watched(TARGET, pid))
            for pid, name in self._family.look(self._offspring()).items():
                self.add(Watched(name, pid))
        for sampler in self._samplers.values():
            sampler.sample()
        self._samplers = {pid: one for pid, one in self._samplers.items() if not one.gone}
        self._viewers.sample(tuple(self._family.viewers))

    def _offspring(self) -> list[Relative]:
        found: dict[int, Relative] = {}
        modules: dict[int, tuple[float, str]] = {}
        for root in self._roots:
            if root in found:
                continue
            try:
                children = psutil.Process(root).children(recursive=True)
            except psutil.Error:
                continue
            for child in children:
                try:
                    born = child.create_time()
                    known = self._modules.get(child.pid)
                    module = known[1] if known is not None and known[0] == born else module_of(child.cmdline())
                    found[child.pid] = Relative(child.pid, child.ppid(), module)
                except psutil.Error:
                    continue
                modules[child.pid] = (born, module)
        self._modules = modules
        return list(found.values())
