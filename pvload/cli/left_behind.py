"""What killed runs have left on this host: said before a run, and taken in when a run's report is made again."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from pvload.errors import PvloadError
from pvload.report.write import manifest_of
from pvload.ship.leftovers import Leftover, leftovers, take_in
from pvload.wire.run_directory import JOURNAL
from pvload.wire.spools import memory_place

_SHOWN: Final = 3
"""Runs that are told one by one, the latest; of more of them only the number and the size."""


def tell_leftovers(runs: Path) -> None:
    """Says on stderr which runs have left records in this host's memory; runs: where their directories may be."""
    found = leftovers()
    if found:
        wanted = {one.run for one in found}
        print("\n".join(words(found, _directories(runs, wanted))), file=sys.stderr)


def words(found: Sequence[Leftover], directories: Mapping[str, Path]) -> list[str]:
    """Which runs left how much, and what can be done; directories: run (hex) -> its directory, where it is known."""
    whole = sum(one.size_bytes for one in found)
    who = f"{len(found)} runs that were killed have" if len(found) > 1 else "a run that was killed has"
    lines = [f"note: {who} left records in this host's memory, {whole / 1e6:,.1f} MB"]
    for one in list(found)[-_SHOWN:]:
        run_dir = directories.get(one.run)
        take = f"pvload report {shlex.quote(str(run_dir))}" if run_dir is not None else "pvload report RUNDIR"
        lines.append(f"  {one.folder}: {one.records:,} records, {one.size_bytes / 1e6:,.1f} MB")
        lines.append(f"    `{take}` takes them into the run; `rm -r {shlex.quote(str(one.folder))}` gives them up")
    if len(found) > _SHOWN:
        lines.append(f"  and {len(found) - _SHOWN} older ones beside them")
    return lines


def take_in_leftovers(run_dir: Path) -> None:
    """Puts into the run's journal what its killed processes left on this host, and says so on stderr."""
    manifest = manifest_of(run_dir)
    if manifest is None:
        return
    for place in (memory_place(manifest.run), run_dir / "spool"):
        try:
            taken = take_in(place, run_dir / JOURNAL, run=bytes.fromhex(manifest.run))
        except PvloadError as exc:
            print(f"note: what the run left in {place} stays there: {exc.message}", file=sys.stderr)
            continue
        if taken.records:
            print(f"note: {taken.records:,} records that were left in {place} are in the run now", file=sys.stderr)
        for one in taken.kept:
            print(f"note: kept {one}", file=sys.stderr)


def _directories(runs: Path, wanted: set[str]) -> dict[str, Path]:
    found = {}
    for path in sorted(runs.glob("*/manifest.json")) + sorted(runs.glob("*/*/manifest.json")):
        manifest = manifest_of(path.parent)
        if manifest is not None and manifest.run in wanted:
            found[manifest.run] = path.parent
    return found
