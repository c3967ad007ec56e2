"""A report from nothing but a run directory: journal and canonical profile in, summary and verdict out.

The live run's collector folds the same records through the same fold, so what is computed here is the same to the byte,
however often and wherever it is done. A run that was killed has a journal up to its last commit, and that is enough.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pvload.errors import FormatError, RunDirectoryError
from pvload.profiles.load import from_canonical
from pvload.profiles.schema import Profile
from pvload.report.write import manifest_of, texts_of, with_failure, write
from pvload.stats.config import fold_config
from pvload.stats.fold import RunFold
from pvload.stats.summary import Summary
from pvload.verdict.judge import judge_run
from pvload.verdict.judgement import Verdict
from pvload.wire.journal import JournalReader
from pvload.wire.replay import refold
from pvload.wire.run_directory import JOURNAL, PROFILE, REPORT


@dataclass(frozen=True, slots=True)
class Reported:
    """A report made again."""

    summary: Summary
    verdict: Verdict
    text: str
    """What report.txt says, or would say."""
    unwritten: str
    """Why the run directory still has what it had before; empty: it has this report."""


def reported(run_dir: Path) -> Reported:
    """Computes everything anew; writes the files of `texts_of` where they differ and the folder lets it.

    Raises RunDirectoryError where journal or profile are missing or unreadable.
    """
    summary, verdict = computed(run_dir)
    texts = texts_of(run_dir, summary, verdict)
    unwritten = ""
    if not all(_has(run_dir / name, text) for name, text in texts.items()):
        try:
            write(run_dir, summary, verdict)
        except OSError as exc:
            unwritten = f"{run_dir} cannot be written: {exc.strerror}"
    return Reported(summary, verdict, texts[REPORT], unwritten)


def recompute(run_dir: Path) -> tuple[Summary, Verdict]:
    """`reported` for whom only the files will do: RunDirectoryError where they cannot be written."""
    made = reported(run_dir)
    if made.unwritten:
        raise RunDirectoryError(made.unwritten, hint="copy it to where it can")
    return made.summary, made.verdict


def _has(path: Path, text: str) -> bool:
    try:
        return path.read_bytes() == text.encode()
    except OSError:
        return False


def computed(run_dir: Path) -> tuple[Summary, Verdict]:
    """`recompute` without writing anything."""
    profile = profile_of(run_dir)
    try:
        with JournalReader.open(run_dir / JOURNAL) as journal:
            manifest = manifest_of(run_dir)
            run_id = journal.run_hex if manifest is None else manifest.run
            if run_id != journal.run_hex:
                raise RunDirectoryError(f"{run_dir}: the journal is of run {journal.run_hex}, the manifest of {run_id}")
            fold = RunFold(fold_config(profile, run_id))
            refold(fold, journal)
    except FormatError as exc:
        raise RunDirectoryError(f"{run_dir} cannot be reported on: {exc}") from exc
    summary = with_failure(run_dir, fold.summary())
    return summary, judge_run(summary, profile)


def profile_of(run_dir: Path) -> Profile:
    """The run's canonical profile; RunDirectoryError if it is not there."""
    path = run_dir / PROFILE
    try:
        return from_canonical(path.read_bytes())
    except OSError as exc:
        raise RunDirectoryError(f"{run_dir} is no run directory: {PROFILE} cannot be read ({exc.strerror})") from exc
