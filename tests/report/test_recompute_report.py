"""A report is a function of journal and profile: the same bytes again, and an answer even for a run that was killed."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import numpy as np
import pytest

from pvload.errors import RunDirectoryError
from pvload.profiles.load import load
from pvload.report.recompute import computed, recompute, reported
from pvload.stats.config import fold_config
from pvload.stats.fold import RunFold
from pvload.verdict.judge import judge_run
from pvload.wire import codes, event
from pvload.wire.batch import Hello
from pvload.wire.event import Kind, decode, encode, encode_text
from pvload.wire.journal import BatchRow, FinishedRow, JournalWriter, RejectedRow, SenderRow
from pvload.wire.run_directory import Manifest, write_manifest

RUN = "019a0000000070008000000000000001"
S = 1_000_000_000
MS = 1_000_000
BEGIN = 100 * S
HELLO = Hello(role="engine", worker="local", incarnation=0, host="lab", boot="b", pid=1)


def frame(number: int, t_ns: int) -> bytes:
    return encode(
        Kind.FRAME,
        t_ns=t_ns,
        ref=1,
        flags=codes.FrameFlag.METRICS | codes.FrameFlag.EXPOSURE | codes.FrameFlag.BINNING,
        frame_number=number,
        source_ns=t_ns - 5 * MS,
        frames_sent=number + 1,
        exposure_ms=100.0,
        message_bytes=100_000,
        data_bytes=99_000,
        uncompressed_bytes=2 * 2048 * 2048,
        width=2048,
        height=2048,
        binning_x=1,
        binning_y=1,
    )


def engine_records(frames: int, *, end: bool) -> bytes:
    """A subscriber's stream of `frames` frames at 10/s, from the camera's start to its end (or to the kill)."""
    last = BEGIN + frames * 100 * MS
    records = [
        *encode_text(1, "viewer", t_ns=BEGIN - 1),
        *encode_text(2, "prime_bsi", t_ns=BEGIN - 1),
        encode(Kind.CLOCK, t_ns=BEGIN - 1),
        encode(
            Kind.WANTED, t_ns=BEGIN, code=1, device=2, rate_hz=10.0, width=2048, height=2048, binning_x=1, binning_y=1,
            exposure_ms=100.0, known_ns=BEGIN,
        ),
        encode(
            Kind.OPENED, t_ns=BEGIN + MS, ref=1, population=1, device=2, ordinal=0, number=1, ordered_ns=BEGIN,
            stall_ns=2 * S,
        ),
        encode(Kind.HEADERS, t_ns=BEGIN + 3 * MS, ref=1),
        *(frame(i, BEGIN + (i + 1) * 100 * MS) for i in range(frames)),
        encode(Kind.LAG, t_ns=last, interval_ns=S, lateness_ns=2 * MS, latest_ns=last),
    ]  # fmt: skip
    if end:
        stop = last + 50 * MS
        records += [
            encode(Kind.END, t_ns=stop, code=codes.EndReason.DURATION, warm_up_ns=S, planned_ns=20 * S),
            encode(
                Kind.ENDED, t_ns=stop + MS, ref=1, code=codes.EndedBy.RUN_END, status=1, frames=frames,
                message_bytes=frames * 100_000,
            ),
        ]  # fmt: skip
    return b"".join(records)


def run_dir_of(folder: Path, *, records: bytes, finished: bool, batch: int = 7, manifest: bool = True) -> Path:
    folder.mkdir()
    profile = load("scenario-a", duration="20s")
    (folder / "profile.json").write_bytes(profile.canonical_json)
    if manifest:
        write_manifest(folder, Manifest(run=RUN, name="scenario-a", created_wall_ns=1, command=["pvload", "run", "x"]))
    sender = uuid.UUID(int=1).bytes
    writer = JournalWriter.open(folder / "journal.sqlite", run=bytes.fromhex(RUN))
    total = len(records) // event.RECORD_BYTES
    writer.commit([SenderRow(sender, HELLO)])
    for first in range(0, total, batch):
        piece = records[first * event.RECORD_BYTES : (first + batch) * event.RECORD_BYTES]
        writer.commit([BatchRow(sender, first, len(piece) // event.RECORD_BYTES, piece)])
    if finished:
        writer.commit([FinishedRow(sender, total), RejectedRow(2, "junk")])
    writer.close()
    return folder


def test_the_same_journal_gives_the_same_bytes_however_it_was_cut(tmp_path: Path) -> None:
    """Live (records as they came), recomputed, and recomputed again; batches of 7 and of 64."""
    records = engine_records(200, end=True)
    texts = []
    for batch in (7, 64):
        folder = run_dir_of(tmp_path / f"cut{batch}", records=records, finished=True, batch=batch)
        for _ in range(2):
            recompute(folder)
            texts.append(((folder / "summary.json").read_bytes(), (folder / "report.txt").read_bytes()))
    assert len(set(texts)) == 1

    profile = load("scenario-a", duration="20s").profile
    live = RunFold(fold_config(profile, RUN))
    sender = uuid.UUID(int=1).bytes
    live.hello(sender, HELLO)
    for piece in np.array_split(decode(records), 5):
        live.add(sender, piece)
    live.finished(sender, len(records) // event.RECORD_BYTES)
    live.rejected(2)
    summary, verdict = computed(tmp_path / "cut7")
    assert live.summary() == summary
    assert judge_run(live.summary(), profile) == verdict
    assert json.loads(texts[0][0])["accounting"]["rejected_batches"] == 2


def test_the_stream_is_judged_by_its_records(tmp_path: Path) -> None:
    folder = run_dir_of(tmp_path / "run", records=engine_records(200, end=True), finished=True)
    summary, verdict = recompute(folder)
    assert summary.run.frames == 200
    by_name = {one.name: one.result.value for one in verdict.criteria}
    assert by_name["fps_within"] == by_name["drop_rate_below"] == by_name["longest_stall_s"] == "PASS"
    assert by_name["driver_errors"] == "NOT CHECKED"
    assert verdict.result.value == "INCONCLUSIVE"
    assert "driver_errors: the daemon's log was not there to look into" in (folder / "report.txt").read_text()


def test_a_killed_run_is_reported_with_how_it_ended(tmp_path: Path) -> None:
    """No END, no FIN, no end in the manifest: what came until then, INVALID, and why."""
    folder = run_dir_of(tmp_path / "run", records=engine_records(30, end=False), finished=False)
    summary, verdict = recompute(folder)
    text = (folder / "report.txt").read_text()
    assert summary.facts.ended == "unknown"
    assert verdict.result.value in ("INVALID", "INCONCLUSIVE")
    assert "it was killed: no end was recorded" in text.split("\n\n")[0]
    assert "never closed its account" in text
    assert "30 frames on 1 subscriber" in text


def test_a_run_killed_before_anything_happened_still_has_a_report(tmp_path: Path) -> None:
    folder = run_dir_of(tmp_path / "run", records=b"", finished=False)
    _, verdict = recompute(folder)
    assert verdict.result.value == "INVALID"
    assert "no stream was ever opened" in (folder / "report.txt").read_text()


def test_a_run_that_never_began_says_so_by_its_manifest(tmp_path: Path) -> None:
    """No engine was there to record an end: the manifest has it, and the report does not call it killed."""
    folder = run_dir_of(tmp_path / "run", records=b"", finished=False)
    failure = "the daemon (x) ended by itself: exit status 3"
    write_manifest(folder, Manifest(run=RUN, name="x", created_wall_ns=1, ended="failed", failure=failure))
    summary, _ = recompute(folder)
    text = (folder / "report.txt").read_text()
    assert (summary.facts.ended, summary.facts.failure) == ("failed", failure)
    assert f"the run did not begin: {failure}" in " ".join(text.split())
    assert "ended: it did not begin" in text
    assert "killed" not in text


def test_what_the_records_tell_of_the_end_stands_above_the_manifest(tmp_path: Path) -> None:
    folder = run_dir_of(tmp_path / "run", records=engine_records(30, end=True), finished=True)
    write_manifest(folder, Manifest(run=RUN, name="x", created_wall_ns=1, ended="failed", failure="it broke"))
    summary, _ = recompute(folder)
    assert (summary.facts.ended, summary.facts.failure) == ("duration", "it broke")


def test_the_manifest_may_be_missing(tmp_path: Path) -> None:
    folder = run_dir_of(tmp_path / "run", records=engine_records(30, end=True), finished=True, manifest=False)
    summary, _ = recompute(folder)
    assert summary.facts.run_id == RUN
    assert "how this run was started is not known" in (folder / "report.txt").read_text()


@pytest.mark.parametrize(
    ("lacks", "says"), [("profile.json", "profile.json cannot be read"), ("journal.sqlite", "no journal")]
)
def test_what_a_report_needs_and_does_not_find_is_named(tmp_path: Path, lacks: str, says: str) -> None:
    folder = run_dir_of(tmp_path / "run", records=engine_records(5, end=True), finished=True)
    (folder / lacks).unlink()
    with pytest.raises(RunDirectoryError, match=says):
        recompute(folder)


def test_a_manifest_of_another_run_is_not_believed(tmp_path: Path) -> None:
    folder = run_dir_of(tmp_path / "run", records=engine_records(5, end=True), finished=True)
    write_manifest(folder, Manifest(run="0" * 32, name="x", created_wall_ns=1))
    with pytest.raises(RunDirectoryError, match="the manifest of 000"):
        recompute(folder)


def test_a_report_is_made_where_nothing_can_be_written(tmp_path: Path) -> None:
    """For a person its text is enough; for whom wants the files it is an error."""
    folder = run_dir_of(tmp_path / "run", records=engine_records(200, end=True), finished=True)
    recompute(folder)
    text = (folder / "report.txt").read_text()
    (folder / "summary.json").unlink()
    (folder / "summary.json").mkdir()
    made = reported(folder)
    assert made.text == text
    assert "cannot be written" in made.unwritten
    with pytest.raises(RunDirectoryError, match="cannot be written"):
        recompute(folder)


def test_a_report_that_stands_already_is_not_written_again(tmp_path: Path) -> None:
    folder = run_dir_of(tmp_path / "run", records=engine_records(200, end=True), finished=True)
    recompute(folder)
    before = {path.name: path.stat().st_ino for path in folder.iterdir()}
    assert reported(folder).unwritten == ""
    assert {path.name: path.stat().st_ino for path in folder.iterdir()} == before
    assert "journal.sqlite-wal" not in before
