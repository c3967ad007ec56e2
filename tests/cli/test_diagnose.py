"""`pvload diagnose LOG`: text and JSON, packed logs, and clear words for what is no log."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from pathlib import Path

import pytest

DATA = Path(__file__).parent.parent / "data"
STDOUT, STDERR = str(DATA / "daemon-stdout.log"), str(DATA / "daemon-stderr.log")


def diagnose(*arguments: str) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "pvload.cli", "diagnose", *arguments]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)


def test_a_recorded_log_in_words() -> None:
    """Findings first; then classes, the server's accounts and what happened."""
    done = diagnose(STDOUT, STDERR)
    assert done.returncode == 0, done.stderr
    head, *sections = done.stdout.split("\n\n")
    assert "325 lines, 2026-11-21 11:23:05.511 to 2026-11-21 11:23:13.133 UTC" in head
    assert [section.splitlines()[0].partition(",")[0].partition(" (")[0] for section in sections] == [
        "Findings",
        "Lines by class",
        "Subscriptions",
        "What happened",
    ]
    assert "the camera is synthetic" in sections[0]
    assert len(sections[2].splitlines()) == 2 + 6


def test_the_same_for_a_program_and_packed(tmp_path: Path) -> None:
    """JSON with every figure; a packed log says what the plain one does."""
    packed = tmp_path / "daemon.log.gz"
    packed.write_bytes(gzip.compress(Path(STDOUT).read_bytes()))
    plain, same = (json.loads(diagnose(name, "--json").stdout) for name in (STDOUT, str(packed)))
    assert plain["schema"] == "pvload.diagnosis/1"
    assert plain["classes"]["stream_end"] == 6
    assert plain["ends"][0]["end"] == {
        "device": "prime_bsi",
        "reason": "client_disconnected",
        "sent": 5,
        "dropped": 0,
        "client": "127.0.0.1",
    }
    assert {**same, "logs": plain["logs"]} == plain


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file"),
        (b"\x7fELF\0\0\0", "is no text"),
        (b"\x1f\x8b\x08broken", "cannot be read"),
        (gzip.compress(b"x\n" * 90_000)[:-200], "cannot be read"),
    ],
    ids=["missing", "binary", "not packed at all", "packed and cut"],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, content: bytes | None, said: str) -> None:
    """Exit code 2 and the file's name, no traceback."""
    path = tmp_path / "daemon.log"
    if content is not None:
        path.write_bytes(content)
    done = diagnose(str(path))
    assert done.returncode == 2, done.stdout
    assert said in done.stderr
    assert str(path) in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_is_no_log(tmp_path: Path) -> None:
    """As `pvload diagnose runs`."""
    done = diagnose(str(tmp_path))
    assert done.returncode == 2
    assert "directory" in done.stderr
