"""The command line by which `pvload run` starts Locust. Pure."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pvload

LOCUSTFILE: Final = Path(pvload.__file__).parent / "load" / "soak.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a person asked `pvload run` for."""

    profile: str
    duration: str | None = None
    frames: int = 0
    """End after so many frames of every stream; 0: by time."""
    target: str | None = None
    overrides: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    workers: int = 0
    """Worker processes; 0: users live in Locust's one process."""
    force: bool = False
    runs: Path = Path("runs")
    said: tuple[str, ...] = ()
    """The command line that a person can repeat, for the manifest."""


def arguments(wish: Wish, *, port: int) -> list[str]:
    """The whole command line; `port` is for the workers to find their master by."""
    line = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--headless", "--only-summary"]
    line += ["--pvload-supervised", "--pvload-profile", wish.profile, "--pvload-runs", str(wish.runs)]
    line += ["--pvload-duration", wish.duration] if wish.duration is not None else []
    line += ["--pvload-frames", str(wish.frames)] if wish.frames else []
    line += ["--pvload-target", wish.target] if wish.target is not None else []
    line += ["--pvload-force"] if wish.force else []
    line += [f"--pvload-set={override}" for override in wish.overrides]
    line += [f"--pvload-label={label}" for label in wish.labels]
    line += [f"--pvload-command={shlex.join(wish.said)}"] if wish.said else []
    if wish.workers:
        line += ["--processes", str(wish.workers), "--master-bind-port", str(port), "--master-port", str(port)]
    return line


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """Without Locust's own variables: what is run is what the command line says."""
    return {name: value for name, value in variables.items() if not name.startswith("LOCUST_")}
