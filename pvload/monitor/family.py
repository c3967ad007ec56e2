"""Which of the processes below a run's own are its own, and what each is called: they come and go during a run.

An engine is named after the worker that started it. One that starts while its worker's engine lives is a viewer's;
viewers are many and short-lived and are watched as one group. One that starts after that engine ended replaces it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

ENGINE: Final = "pvload.engine"
COLLECTOR: Final = "pvload.collect"
_ROLES: Final[Mapping[str, str]] = {
    ENGINE: "engine",
    COLLECTOR: "collector",
    "pvload.monitor": "monitor",
    "pvload.sim": "target",
    "locust": "locust",
}
PROCESSES_LIMIT: Final = 256
"""Named at once; more are left out."""


@dataclass(frozen=True, slots=True)
class Relative:
    """A process below one of the run's own."""

    pid: int
    parent: int
    module: str
    """What Python was told to run, `-m` module; empty: something else."""


def module_of(command: list[str]) -> str:
    """The module of a command line `python -m MODULE ...`; empty if it is none."""
    for word, following in pairwise(command):
        if word == "-m":
            return following
        if not word.startswith("-") and word != command[0]:
            return ""
    return ""


def _is_copy(one: Relative, here: Mapping[int, Relative]) -> bool:
    """A collector below a collector is a copy of it that judges the run so far and is gone in a moment."""
    parent = here.get(one.parent)
    return one.module == COLLECTOR and parent is not None and parent.module == COLLECTOR


class Family:
    """Names for the run's processes. Memory: one entry a process."""

    def __init__(self, named: Mapping[int, str]) -> None:
        """named: pid -> name of those known already."""
        self.names: dict[int, str] = dict(named)
        """The living that are watched one by one."""
        self.viewers: set[int] = set()
        self._engine_of: dict[int, tuple[int, str]] = {}
        """Worker's pid -> its engine's pid and name."""

    def look(self, living: Iterable[Relative]) -> dict[int, str]:
        """Takes who lives now; gives those that are new and to be watched one by one, pid -> name."""
        here = {one.pid: one for one in living}
        for pid, name in self.names.items():
            if pid in here and here[pid].module == ENGINE:
                self._engine_of.setdefault(here[pid].parent, (pid, name))
        self.viewers &= here.keys()
        new: dict[int, str] = {}
        for one in sorted(here.values(), key=lambda one: one.pid):
            if one.pid in self.names or one.pid in self.viewers or one.module not in _ROLES or _is_copy(one, here):
                continue
            if len(self.names) + len(self.viewers) >= PROCESSES_LIMIT:
                break
            if one.module == ENGINE:
                self._engine(one, here, new)
            else:
                new[one.pid] = self.names[one.pid] = _ROLES[one.module]
        for pid in [pid for pid in self.names if pid not in here]:
            del self.names[pid]
        return new

    def _engine(self, one: Relative, here: Mapping[int, Relative], new: dict[int, str]) -> None:
        pid, name = self._engine_of.get(one.parent, (0, "engine"))
        if pid in here:
            self.viewers.add(one.pid)
            return
        self._engine_of[one.parent] = (one.pid, name)
        new[one.pid] = self.names[one.pid] = name
