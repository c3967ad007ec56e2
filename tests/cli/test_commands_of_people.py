"""The commands beside `run`: clear words, the right exit code, never a traceback."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from drive import free_port
from pvload.cli.main import main


def _pvload(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "pvload.cli", *arguments]
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, cwd=cwd)


def test_check_explains_a_profile_without_running_it(tmp_path: Path) -> None:
    """In words, with what must hold for a PASS."""
    done = _pvload("check", "scenario-a", "--duration", "20s", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "passes if" in done.stdout
    assert "20 s" in done.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        pytest.param(("check", "scenario-aa"), 2, "did you mean scenario-a?", id="a profile that is not shipped"),
        pytest.param(("check", "quick", "--set", "camera.exposure_ms=-1"), 2, "exposure_ms", id="a value out of range"),
        pytest.param(("report", "nowhere"), 2, "no run directory", id="no run directory"),
        pytest.param(("devices", "sim"), 2, "has no address", id="the simulator has no address yet"),
        pytest.param(("devices", "nonsense.invalid:50051"), 4, "does not list its devices", id="no such host"),
        pytest.param(("devices", "127.0.0.1:99999"), 2, "host:port", id="a port that is none"),
        pytest.param(("devices", "nonsense:port"), 2, "host:port", id="a port in letters"),
        pytest.param(
            ("check", "quick", "--set", "users.viewer.count=4"), 2, "--pvload-force", id="how to force it, both ways"
        ),
        pytest.param(("run", "quick", "--target", "nonsense"), 2, "host:port", id="no address"),
        pytest.param(("sim", "--profile", "nowhere.toml"), 2, "nowhere.toml", id="a simulator without its profile"),
    ],
)
def test_what_is_wrong_is_said_in_one_message(tmp_path: Path, arguments: tuple[str, ...], code: int, said: str) -> None:
    """On stderr, with a hint where there is one."""
    done = _pvload(*arguments, cwd=tmp_path)
    assert done.returncode == code, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_devices_of_a_daemon_that_refuses(tmp_path: Path) -> None:
    """4: nothing can be said of it."""
    done = _pvload("devices", f"127.0.0.1:{free_port()}", cwd=tmp_path)
    assert done.returncode == 4
    assert "UNAVAILABLE" in done.stderr


def test_the_simulator_says_how_it_is_used(tmp_path: Path) -> None:
    """`pvload sim --help`: its options, and what to do with the address it prints."""
    done = _pvload("sim", "--help", cwd=tmp_path)
    assert done.returncode == 0
    for part in ("--port", "--profile", "Ctrl-C", "pvload devices", "pvload run"):
        assert part in done.stdout


def test_help_names_every_command(tmp_path: Path) -> None:
    """Without arguments too."""
    done = _pvload("--help", cwd=tmp_path)
    assert done.returncode == 0
    for command in ("run", "check", "report", "diagnose", "monitor", "devices", "sim"):
        assert command in done.stdout


def test_what_nobody_foresaw_is_one_line_and_invalid_never_a_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """4, and the traceback stands in a file; if that cannot be written either, this is said."""
    monkeypatch.setattr("pvload.cli.app.app", _no_room)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    before = signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 4
        said = capsys.readouterr().err
        assert "OSError: [Errno 28]" in said
        assert "Traceback" not in said
        assert "Traceback" in next(tmp_path.glob("pvload-error-*.log")).read_text()
        monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "gone"))
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 4
        assert "could not be written down" in capsys.readouterr().err
    finally:
        signal.signal(signal.SIGINT, before)


def test_ctrl_c_before_anything_began_is_three(monkeypatch: pytest.MonkeyPatch) -> None:
    """As while the libraries are still being loaded."""
    monkeypatch.setattr("pvload.cli.app.app", lambda: os.kill(os.getpid(), signal.SIGINT))
    before = signal.getsignal(signal.SIGINT)
    try:
        with pytest.raises(SystemExit) as ended:
            main()
    finally:
        signal.signal(signal.SIGINT, before)
    assert ended.value.code == 3


def _no_room() -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
