"""`python -m pvload.collect`: one run's collector as a process."""

from __future__ import annotations

import argparse
import logging
import sys
from dataclasses import replace
from pathlib import Path

from pvload.clock import SystemClock
from pvload.collect.glance import Glance
from pvload.collect.service import Outcome, Work, serve
from pvload.errors import PvloadError
from pvload.lifeline import end_with_parent
from pvload.profiles.load import from_canonical
from pvload.profiles.schema import Profile
from pvload.report.write import with_failure, write
from pvload.stats.config import fold_config
from pvload.stats.fold import RunFold
from pvload.verdict.judge import judge_run
from pvload.verdict.judgement import Judged, Result, Verdict, worst
from pvload.verdict.so_far import judge_so_far, said_so_far
from pvload.wire.live import LiveFigures
from pvload.wire.run_directory import PROFILE, REPORT, read_manifest

_log = logging.getLogger("pvload.collect")


def main(arguments: list[str] | None = None) -> int:
    """Exit code 0 when a report was written, whatever its verdict; 2 when the collector could not begin."""
    options = _options(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    end_with_parent()
    run_dir: Path = options.run_dir
    try:
        manifest = read_manifest(run_dir)
        profile = from_canonical((run_dir / PROFILE).read_bytes())
        serve(
            run_dir,
            run=bytes.fromhex(manifest.run),
            address=options.bind,
            port=options.port,
            work=judged_work(run_dir, profile, manifest.run),
            clock=SystemClock(),
            orders_fd=sys.stdin.fileno(),
        )
    except (PvloadError, OSError) as exc:
        _log.error("%s", exc)
        return PvloadError.exit_code
    return 0


def judged_work(run_dir: Path, profile: Profile, run_hex: str) -> Work:
    """Fold, judge and report of one run directory."""
    fold = RunFold(fold_config(profile, run_hex))
    glance = Glance()

    def figures() -> LiveFigures:
        return glance.figures(fold.live())

    def verdict_so_far() -> str:
        return said_so_far(judge_so_far(fold.summary(), profile))

    def conclude(trouble: str) -> Outcome:
        summary = with_failure(run_dir, fold.summary())
        verdict = judge_run(summary, profile)
        if trouble:
            verdict = without_journal(verdict, trouble)
        report = str(run_dir / REPORT)
        try:
            write(run_dir, summary, verdict)
        except OSError as exc:
            _log.error("no report could be written: %s", exc)
            verdict, report = without_journal(verdict, f"no report could be written: {exc.strerror}"), ""
        return Outcome(verdict=str(verdict.result), exit_code=verdict.exit_code, report=report)

    return Work(fold=fold, figures=figures, verdict_so_far=verdict_so_far, conclude=conclude)


def without_journal(verdict: Verdict, trouble: str) -> Verdict:
    """The verdict of a run of which not everything could be stored, for `trouble`: never PASS, and it says why."""
    lacking = Judged("journal", Result.INVALID, f"the run could not be stored to its end: {trouble}", judged=True)
    result = worst((verdict.result, lacking.result))
    why = (*verdict.why, lacking.reason) if result is Result.FAIL else (lacking.reason, *verdict.why)
    return replace(verdict, result=result, criteria=(lacking, *verdict.criteria), why=why)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m pvload.collect", description="journals and judges one run")
    parser.add_argument("--run-dir", type=Path, required=True, help="holds manifest.json and profile.json")
    parser.add_argument("--bind", default="127.0.0.1", help="address to listen on (default: loopback only)")
    parser.add_argument("--port", type=int, default=0, help="0: any free one")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
