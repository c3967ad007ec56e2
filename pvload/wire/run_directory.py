"""A run directory: the names of its files, and the manifest that says what was run and how it ended.

Who writes what: the plugin (or a test) makes the folder, the manifest and the canonical profile before anything else
starts; the collector writes journal, live figures, summary and report; the others write their logs. The manifest is
replaced atomically, so a run that is killed leaves the last complete one.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from pvload.errors import RunDirectoryError

SCHEMA: Final = "pvload.manifest/1"
MANIFEST: Final = "manifest.json"
PROFILE: Final = "profile.json"
JOURNAL: Final = "journal.sqlite"
LIVE: Final = "live.json"
SUMMARY: Final = "summary.json"
REPORT: Final = "report.txt"
DAEMON_LOG: Final = "daemon.log"
DAEMON_STDERR: Final = "daemon-stderr.log"
"""Of a daemon that pvload started: its stdout is in DAEMON_LOG."""
LEDGER: Final = "sim-ledger.jsonl"
LOGS: Final = "logs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What was run. Only `run`, `name` and `created_wall_ns` are needed for a run to be recorded and judged."""

    schema: str = SCHEMA
    run: str
    """UUID (version 7) of the run, 32 hex digits: the identity in every batch."""
    name: str
    created_wall_ns: int
    command: list[str] = field(default_factory=list)
    """The exact command line that a person can repeat."""
    profile_sha256: str = ""
    profile_source: str = ""
    seed: int = 1
    labels: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    """pvload, python, locust, grpcio ... -> version."""
    host: dict[str, Any] = field(default_factory=dict)
    """Facts of the generator's host: name, kernel, cores, memory, boot id."""
    target: dict[str, Any] = field(default_factory=dict)
    """Address as used, device, what the daemon said of itself."""
    channel_options: dict[str, Any] = field(default_factory=dict)
    camera_at_start: dict[str, str] = field(default_factory=dict)
    """Every camera parameter before pvload changed any."""
    camera_at_end: dict[str, str] = field(default_factory=dict)
    camera_changed: dict[str, list[str]] = field(default_factory=dict)
    """What differs between the two, name -> [at start, at end]; a parameter that one side lacks is not among them."""
    ended: str = ""
    """Set at the end: duration | interrupted | failed; empty in a run that was killed."""
    failure: str = ""
    """Why it did not begin or could not go on, set with `ended` before the report is written; empty: it did, or was
    killed."""
    verdict: str = ""

    @property
    def against(self) -> str:
        """What was measured, in words: an address, or that it was no real daemon; empty where nobody knows."""
        daemon = self.target.get("daemon")
        if isinstance(daemon, dict) and "simulator" in str(daemon.get("features", "")):
            return "pvload's simulator"
        return str(self.target.get("address", ""))


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Replaces manifest.json in one step."""
    replace_text(folder / MANIFEST, json.dumps(asdict(manifest), indent=1, sort_keys=True) + "\n")


def read_manifest(folder: Path) -> Manifest:
    """Raises RunDirectoryError if the file is missing, not a manifest, or of another schema."""
    path = folder / MANIFEST
    try:
        values = json.loads(path.read_text())
    except OSError as exc:
        raise RunDirectoryError(f"{folder} is no run directory: {MANIFEST} cannot be read ({exc.strerror})") from exc
    except ValueError as exc:
        raise RunDirectoryError(f"{path} is not JSON: {exc}") from exc
    if not isinstance(values, dict) or values.get("schema") != SCHEMA:
        raise RunDirectoryError(f"{path} is not a manifest of schema {SCHEMA}")
    known = {item.name for item in fields(Manifest)}
    try:
        manifest = Manifest(**{name: value for name, value in values.items() if name in known})
    except TypeError as exc:
        raise RunDirectoryError(f"{path}: {exc}") from exc
    if not re.fullmatch(r"[0-9a-f]{32}", manifest.run):
        raise RunDirectoryError(f"{path}: run is {manifest.run!r}, expected 32 hex digits")
    return manifest


def replace_text(path: Path, text: str) -> None:
    """Writes `text` so that a reader sees the old file or the new one, never a part."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        temporary.write_text(text)
        temporary.replace(path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise
