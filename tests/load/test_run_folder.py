"""A run's identity, its directory, and what its manifest says."""

from __future__ import annotations

import errno
import json
import os
import time
import uuid
from pathlib import Path

import pytest

from pvload.clock import SystemClock
from pvload.errors import RunDirectoryError
from pvload.load.run_folder import RunFolder, uuid7_hex
from pvload.profiles.load import load
from pvload.wire.run_directory import read_manifest


def test_a_run_id_is_a_uuid_of_version_7_and_sorts_by_time() -> None:
    """Version, variant and milliseconds are where RFC 9562 has them."""
    wall_ns = 1_700_000_000_123_456_789
    value = uuid.UUID(hex=uuid7_hex(wall_ns, bytes(range(10))))
    assert value.version == 7
    assert value.variant == uuid.RFC_4122
    assert value.int >> 80 == wall_ns // 1_000_000
    assert uuid7_hex(wall_ns, b"\xff" * 10) < uuid7_hex(wall_ns + 1_000_000, b"\x00" * 10)


def test_two_runs_of_one_second_get_directories_of_their_own(tmp_path: Path) -> None:
    """The second one is numbered."""

    class Frozen(SystemClock):
        @staticmethod
        def wall_ns() -> int:
            return 1_700_000_000_000_000_000

    made = [RunFolder.make(tmp_path, loaded=load("quick"), command=["pvload"], clock=Frozen()) for _ in range(2)]
    assert [one.path.name for one in made] == ["20231114T221320Z-quick", "20231114T221320Z-quick-2"]
    assert made[0].manifest.run != made[1].manifest.run


def test_the_manifest_says_what_was_run_and_hides_secrets(tmp_path: Path) -> None:
    """Versions, host, labels, profile; a token on the command line is hidden, its variable's name is not."""
    words = ["pvload", "run", "--set", "target.token=hush", "--set", "target.token=env:TOKEN"]
    folder = RunFolder.make(tmp_path, loaded=load("quick", labels=["a=b"]), command=words, clock=SystemClock())
    folder.note(ended="duration", verdict="PASS")
    manifest = read_manifest(folder.path)
    assert "hush" not in (folder.path / "manifest.json").read_text()
    assert manifest.command[3:] == ["target.token=(hidden)", "--set", "target.token=env:TOKEN"]
    assert manifest.labels == {"a": "b"}
    assert manifest.verdict == "PASS"
    assert {"pvload", "python", "locust", "grpcio"} <= manifest.versions.keys()
    assert manifest.host["cores"] >= 1
    assert abs(manifest.created_wall_ns - time.time_ns()) < 60e9
    assert json.loads((folder.path / "profile.json").read_text())["run"]["name"] == "quick"


def test_a_root_that_cannot_be_written_is_a_clear_error(tmp_path: Path) -> None:
    """A file stands where the folder should be."""
    (tmp_path / "runs").write_text("")
    with pytest.raises(RunDirectoryError, match="no run directory can be made"):
        RunFolder.make(tmp_path / "runs", loaded=load("quick"), command=[], clock=SystemClock())


def test_a_manifest_that_cannot_be_written_any_more_is_said_once_and_stops_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is full in the middle of a run: what became known is kept and written when there is room again."""
    folder = RunFolder.make(tmp_path, loaded=load("quick"), command=[], clock=SystemClock())
    with monkeypatch.context() as full:
        full.setattr("pvload.wire.run_directory.replace_text", _no_room)
        assert "No space left" in folder.note(camera_at_start={"a": "1"})
        assert folder.note(ended="duration") == ""
    assert read_manifest(folder.path).ended == ""
    assert folder.note(verdict="PASS") == ""
    manifest = read_manifest(folder.path)
    assert (manifest.camera_at_start, manifest.ended, manifest.verdict) == ({"a": "1"}, "duration", "PASS")


def test_a_first_manifest_that_cannot_be_written_is_a_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it there is no run."""
    monkeypatch.setattr("pvload.load.run_folder.run_directory.write_manifest", _no_room)
    with pytest.raises(RunDirectoryError, match="No space left"):
        RunFolder.make(tmp_path, loaded=load("quick"), command=[], clock=SystemClock())


def _no_room(*_: object) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
