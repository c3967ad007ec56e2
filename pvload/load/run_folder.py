"""A run's identity and its directory, made by the director before anything else is started."""

from __future__ import annotations

import os
import platform
import re
import secrets
import socket
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pvload.clock import Clock, boot_id
from pvload.errors import RunDirectoryError
from pvload.profiles.load import LoadedProfile
from pvload.wire import channel, run_directory
from pvload.wire.run_directory import Manifest

_PACKAGES = ("pvload", "locust", "gevent", "grpcio", "pyzmq", "numpy", "protobuf")
_SECRET = re.compile(r"((?:token|password|secret)[^=\s]*=)(?!env:).*", re.IGNORECASE)


def uuid7_hex(wall_ns: int, randomness: bytes) -> str:
    """A UUID of version 7 (RFC 9562): 48 bits of milliseconds, then 74 of `randomness` (10 bytes or more)."""
    milliseconds = (wall_ns // 1_000_000) & (2**48 - 1)
    rest = int.from_bytes(randomness[:10], "big")
    value = (milliseconds << 80) | (0x7 << 76) | ((rest >> 64 & 0xFFF) << 64) | (0b10 << 62) | (rest & (2**62 - 1))
    return f"{value:032x}"


class RunFolder:
    """One run directory, and the manifest in it, which is replaced whenever something more is known."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path = path
        self.manifest = manifest
        self._unwritten = False

    @classmethod
    def make(cls, root: Path, *, loaded: LoadedProfile, command: list[str], clock: Clock) -> RunFolder:
        """A new directory under `root`, named by time and profile, with manifest and profile in it.

        RunDirectoryError if it cannot be made.
        """
        wall_ns = clock.wall_ns()
        run = loaded.profile.run
        try:
            folder = _fresh(root, run.name, wall_ns)
            (folder / run_directory.LOGS).mkdir()
            run_directory.replace_text(folder / run_directory.PROFILE, loaded.canonical_json.decode())
        except OSError as exc:
            raise RunDirectoryError(f"no run directory can be made in {root}: {exc.strerror}") from exc
        manifest = Manifest(
            run=uuid7_hex(wall_ns, secrets.token_bytes(10)),
            name=run.name,
            created_wall_ns=wall_ns,
            command=[_SECRET.sub(r"\1(hidden)", word) for word in command],
            profile_sha256=loaded.sha256,
            profile_source=str(loaded.source),
            seed=run.seed,
            labels=dict(run.labels),
            versions=versions(),
            host=host_facts(),
            channel_options={
                one.name: dict(channel.options(one.window_bytes))
                for one in loaded.profile.users
                if one.kind == "subscriber"
            },
        )
        try:
            run_directory.write_manifest(folder, manifest)
        except OSError as exc:
            raise RunDirectoryError(f"{folder} cannot be written: {exc.strerror}") from exc
        return cls(folder.absolute(), manifest)

    def note(self, **known: Any) -> str:
        """Writes the manifest, with the fields that became known. A run goes on without it: gives the words for the
        person who should know, the first time that it cannot be written; else nothing.
        """
        self.manifest = replace(self.manifest, **known)
        try:
            run_directory.write_manifest(self.path, self.manifest)
        except OSError as exc:
            said, self._unwritten = self._unwritten, True
            return "" if said else f"the run's manifest cannot be written any more ({exc.strerror}); the run goes on"
        return ""

    def log(self, name: str) -> Path:
        """Where the stderr of one process goes."""
        return self.path / run_directory.LOGS / f"{name}.log"


def versions() -> dict[str, str]:
    """What runs: pvload, Python and the libraries whose version can matter to a figure."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "unknown"
    return found


def pvload_version() -> str:
    """Of the installed package; both ends of a distributed run must have the same."""
    return versions()["pvload"]


def host_facts() -> dict[str, Any]:
    """Of the generator's host."""
    pages, page = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return {
        "name": socket.gethostname(),
        "kernel": platform.release(),
        "machine": platform.machine(),
        "cores": os.cpu_count() or 0,
        "memory_bytes": pages * page,
        "boot": boot_id(),
        "timezone": time.tzname[0],
        "clocksource": _clocksource(),
        "executable": sys.executable,
    }


def _clocksource() -> str:
    """What the kernel's clocks are read from."""
    try:
        return Path("/sys/devices/system/clocksource/clocksource0/current_clocksource").read_text().strip()
    except OSError:
        return "unknown"


def _fresh(root: Path, name: str, wall_ns: int) -> Path:
    """A directory of this second's name that was not there; a second run in the same second gets a number."""
    stamp = datetime.fromtimestamp(wall_ns / 1e9, UTC).strftime("%Y%m%dT%H%M%SZ")
    for number in range(1, 1000):
        folder = root / (f"{stamp}-{name}" if number == 1 else f"{stamp}-{name}-{number}")
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder
    raise RunDirectoryError(f"{root} has a thousand runs of this second")
