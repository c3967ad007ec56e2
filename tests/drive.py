"""Drives pvload and Locust as people do: commands in a folder of their own, awaited by what they leave and say.

Every process that a command starts inherits a mark in its environment, so a test can say that none was left behind.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[1]
LOCUSTFILE = REPOSITORY / "locustfiles" / "soak.py"
MARK = "PVLOAD_TEST_MARK"
TIMEOUT_S = 90.0
SMALL = ("--set", "camera.roi={x=0,y=0,width=256,height=256}", "--set", "camera.exposure_ms=50")
"""A small, fast picture: what `pvload run` is told where the picture does not matter."""
SMALL_FOR_LOCUST = ("--pvload-profile", "quick", "--pvload-set", "camera.roi={x=0,y=0,width=256,height=256}")


@dataclass
class Command:
    """One command in its folder, with its output in files."""

    arguments: list[str]
    folder: Path
    mark: str = field(default_factory=lambda: uuid.uuid4().hex)
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> Command:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "stdout").open("wb") as out, (self.folder / "stderr").open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", *self.arguments],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env={**os.environ, MARK: self.mark},
                start_new_session=True,
            )
        return self

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def stdout(self) -> str:
        return (self.folder / "stdout").read_text()

    @property
    def stderr(self) -> str:
        return (self.folder / "stderr").read_text()

    def wait(self, timeout_s: float = TIMEOUT_S) -> int:
        """The exit code; says what was printed if it does not end in time."""
        assert self.process is not None
        try:
            return self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            said = f"{self.stdout}\n{self.stderr}"
            self.kill()
            raise AssertionError(f"{self.arguments} did not end within {timeout_s} s:\n{said}") from None

    def signal(self, number: int) -> None:
        os.kill(self.pid, number)

    def kill(self) -> None:
        """Ends the command and all that it started, by pid."""
        for pid in self.survivors():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if self.process is not None:
            self.process.wait(10)

    def survivors(self) -> list[int]:
        """Processes that bear this command's mark."""
        wanted = f"{MARK}={self.mark}".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if not entry.name.isdecimal():
                continue
            try:
                if wanted in (entry / "environ").read_bytes().split(b"\0") and not _is_zombie(entry):
                    found.append(int(entry.name))
            except OSError:
                continue
        return found

    def find(self, module: str) -> int:
        """The pid of the process that runs `python -m MODULE` for this command; 0: there is none."""
        for pid in self.survivors():
            try:
                words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if module.encode() in words:
                return pid
        return 0

    def nothing_left(self) -> None:
        """Fails if a process of this command still lives a moment after its end."""
        until(lambda: not self.survivors(), 10.0, "every process ended")


def pvload(folder: Path, *arguments: str) -> Command:
    """`pvload ...` in `folder`, started."""
    return Command(["pvload.cli", *arguments], folder).start()


def locust(folder: Path, *arguments: str) -> Command:
    """`locust -f locustfiles/soak.py ...` in `folder`, started."""
    return Command(["locust", "-f", str(LOCUSTFILE), *arguments], folder).start()


def run_dirs(folder: Path) -> list[Path]:
    """The run directories under `folder`, oldest first."""
    return sorted(path for path in (folder / "runs").glob("*") if path.is_dir())


def sole_run(folder: Path) -> Path:
    """The one run directory that a command left."""
    found = run_dirs(folder)
    assert len(found) == 1, found
    return found[0]


def summary(run_dir: Path) -> dict[str, Any]:
    values: dict[str, Any] = json.loads((run_dir / "summary.json").read_text())
    return values


def live_frames(folder: Path) -> int:
    """Frames so far of the newest run in `folder`; 0 before there are any."""
    for run_dir in reversed(run_dirs(folder)):
        try:
            return int(json.loads((run_dir / "live.json").read_text())["figures"]["frames"])
        except (OSError, ValueError):
            return 0
    return 0


def until(what: Callable[[], Any], timeout_s: float, name: str) -> Any:
    """Waits for `what` to be true and gives its value."""
    deadline = time.monotonic() + timeout_s
    while not (value := what()):
        assert time.monotonic() < deadline, f"not within {timeout_s} s: {name}"
        time.sleep(0.05)
    return value


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _is_zombie(entry: Path) -> bool:
    return (entry / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
