"""Ten minutes of scenario A at full size on the simulator: it passes, agrees with the ledger, and nothing grows."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pvload.sim.ledger import read_ledger
from pvload.sim.truth import call_truths
from pvload.wire import run_directory

DURATION_MIN = 10
ALLOWED_SHARE = 0.02
ALLOWED_BYTES = 8 * 1024 * 1024
WATCHED = {"target", "collector", "engine-local", "locust", "monitor", "supervisor"}

pytestmark = pytest.mark.soak


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run directory of one `pvload run scenario-a --duration 10min`."""
    folder = tmp_path_factory.mktemp("soak")
    done = subprocess.run(
        [str(Path(sys.executable).with_name("pvload")), "run", "scenario-a", "--duration", f"{DURATION_MIN}min"],
        cwd=folder,
        timeout=DURATION_MIN * 60 + 120,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (run,) = (folder / "runs").iterdir()
    return run


def test_it_passes_and_says_its_figures(run_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """PASS (the fixture holds the exit code); the report's head and the processes are printed for the reader."""
    report = (run_folder / run_directory.REPORT).read_text()
    head = report.partition("\n\n")[0]
    assert head.startswith("PASS")
    processes = report.partition("  process ")[2].partition("\n\n")[0]
    with capsys.disabled():
        print(f"\n{head}\n\n  process {processes}")


def test_the_report_equals_the_ledger(run_folder: Path) -> None:
    """Frames and missing by class are the simulator's own account, to the frame."""
    summary: dict[str, Any] = json.loads((run_folder / run_directory.SUMMARY).read_text())
    figures = summary["calls"][0]["figures"]
    end_ns = summary["facts"]["end_ns"]
    entries = [
        entry
        for entry in read_ledger(run_folder / run_directory.LEDGER)
        if not (entry["is"] == "sent" and entry["t_ns"] > end_ns)
    ]
    truth = call_truths(entries)[0]
    assert abs(figures["frames"] - truth.frames) <= 1  # the frame on its way at T_end belongs to either side
    for name in ("backpressure", "unseen", "transport", "undecided"):
        assert figures["missing"][name] == getattr(truth.missing, name), name
    assert (figures["duplicates"], figures["reorders"], figures["restarts"]) == (0, 0, 0)


def test_no_process_grows(run_folder: Path) -> None:
    """Median RSS of the last minute against that of minute 2, for every process of the run."""
    summary: dict[str, Any] = json.loads((run_folder / run_directory.SUMMARY).read_text())
    watched = {process["name"]: process for process in summary["processes"]}
    assert set(watched) >= WATCHED
    grown = {
        name: (process["rss_first_bytes"], process["rss_last_bytes"])
        for name, process in watched.items()
        if process["rss_last_bytes"]
        > process["rss_first_bytes"] + max(ALLOWED_SHARE * process["rss_first_bytes"], ALLOWED_BYTES)
    }
    assert grown == {}
