"""Writes the finished report into a run directory."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from pvload.errors import RunDirectoryError
from pvload.report.document import document_text
from pvload.report.followup import FOLLOWUP, followup
from pvload.report.render import render_text
from pvload.stats.summary import Summary
from pvload.verdict.judgement import Verdict
from pvload.wire.run_directory import REPORT, SUMMARY, Manifest, read_manifest, replace_text


@dataclass(frozen=True, slots=True)
class Written:
    """Where the report is."""

    summary: Path
    report: Path


def write(run_dir: Path, summary: Summary, verdict: Verdict) -> Written:
    """Replaces summary.json, report.txt and followup.md (if there is one); OSError if the folder cannot be written."""
    for name, text in texts_of(run_dir, summary, verdict).items():
        replace_text(run_dir / name, text)
    return Written(summary=run_dir / SUMMARY, report=run_dir / REPORT)


def texts_of(run_dir: Path, summary: Summary, verdict: Verdict) -> dict[str, str]:
    """File name -> its text; followup.md only where the run examined a question that it is about."""
    manifest = manifest_of(run_dir)
    texts = {SUMMARY: document_text(summary, verdict), REPORT: render_text(summary, verdict, manifest)}
    page = followup(summary, verdict, manifest)
    return {**texts, FOLLOWUP: page} if page else texts


def with_failure(run_dir: Path, summary: Summary) -> Summary:
    """The summary with what no record tells: why the run did not begin, or could not go on.

    A run that failed before any engine was there has nobody to record its end; the manifest has it.
    """
    manifest = manifest_of(run_dir)
    if manifest is None or not manifest.failure:
        return summary
    facts = summary.facts
    ended = manifest.ended if facts.ended == "unknown" and manifest.ended else facts.ended
    return replace(summary, facts=replace(facts, ended=ended, failure=manifest.failure))


def manifest_of(run_dir: Path) -> Manifest | None:
    """The manifest, or None where it is missing or damaged: a report must not need it."""
    try:
        return read_manifest(run_dir)
    except RunDirectoryError:
        return None
