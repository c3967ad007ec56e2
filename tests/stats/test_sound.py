"""A sender with a fault of its own: its folding stops at its first impossible record, nothing else does."""

from __future__ import annotations

import random
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pvload.profiles.load import canonical_json
from pvload.profiles.schema import Profile, Run
from pvload.profiles.users import Users
from pvload.report.recompute import recompute
from pvload.stats.config import FoldConfig
from pvload.stats.fold import RunFold
from pvload.stats.sound import LARGEST, LONGEST_NS, Soundness
from pvload.stats.summary import Summary
from pvload.stats.summary_json import to_json
from pvload.verdict.judgement import Result
from pvload.wire.event import LAYOUTS, RECORD, Kind, Records
from pvload.wire.journal import BatchRow, FinishedRow, JournalWriter, SenderRow
from pvload.wire.run_directory import JOURNAL, PROFILE, Manifest, write_manifest
from tests.stats.stream import T0, S, Stream

EXTREMES = (0, 1, 2, 3, 10**9, 10**12, 2**31, 2**32 - 1, 2**62, 2**63 - 1, 2**64 - 1, -1, -(2**63))
T0_NS = 10**12


def strange(seed: int, *, wild: int) -> Records:
    """Up to 80 records of any kind for a few calls; of ten values `wild` are extreme, the others small."""
    chance = random.Random(seed)
    records = np.zeros(chance.randrange(1, 80), RECORD)
    strange_kinds = [0, len(Kind) + 1, 255] if chance.randrange(10) < wild else []
    kinds = [*Kind, *[Kind.FRAME] * 6, *[Kind.OPENED] * 3, *strange_kinds]
    now_ns = T0_NS
    for at in range(records.size):
        kind = chance.choice(kinds)
        now_ns += chance.randrange(10**9)
        row = records[at : at + 1].view(LAYOUTS.get(Kind(kind), RECORD) if kind in LAYOUTS else RECORD)
        for name, (dtype, *_) in (row.dtype.fields or {}).items():
            if dtype.kind == "V":
                row[name] = np.void(chance.randbytes(dtype.itemsize))
            else:
                row[name] = value(chance, dtype, wild=wild)
        row["kind"], row["ref"] = kind, chance.randrange(4)
        if chance.randrange(10) >= wild:
            row["t_ns"], row["code"] = now_ns, chance.randrange(5)
    return records


def value(chance: random.Random, dtype: np.dtype[Any], *, wild: int) -> float | int:
    if chance.randrange(10) >= wild:
        return chance.randrange(4)
    if dtype.kind == "f":
        return chance.choice([0.0, -1.0, 1e-300, 1e38, float("inf"), float("nan")])
    limits = np.iinfo(dtype)
    return min(max(chance.choice(EXTREMES), int(limits.min)), int(limits.max))


def folded(*parts: Records) -> Summary:
    fold, stream = RunFold(FoldConfig()), Stream()
    fold.hello(stream.sender, stream.hello)
    for part in parts:
        fold.add(stream.sender, part)
        fold.catch_up()
        fold.live()
    fold.finished(stream.sender, sum(part.size for part in parts))
    return fold.summary()


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32), wild=st.integers(0, 4), cut=st.integers(0, 80))
@example(seed=6, wild=1, cut=0)  # a host whose clock goes back
@example(seed=1186, wild=4, cut=0)  # frames without end, known as a count
def test_no_records_whatever_they_hold_stop_the_fold(seed: int, wild: int, cut: int) -> None:
    """Folded or stated, never raised, and the fault is the same one however they are cut."""
    records = strange(seed, wild=wild)
    with np.errstate(all="ignore"):
        whole, pieces = folded(records), folded(records[:cut], records[cut:])
    assert whole.accounting.delivered == whole.accounting.recorded == records.size
    assert whole.accounting.senders[0].fault == pieces.accounting.senders[0].fault
    assert to_json(whole)


def one(kind: int, **fields: int) -> Records:
    row = np.zeros(1, LAYOUTS[Kind(kind)] if kind in LAYOUTS else RECORD)
    row["kind"], row["t_ns"] = kind, T0_NS
    for name, number in fields.items():
        row[name] = number
    records: Records = row.view(RECORD)
    return records


@pytest.mark.parametrize(
    ("what", "record", "sound"),
    [
        ("a kind that nobody knows", one(99), False),
        ("kind 0", one(0), False),
        ("a time before the boot", one(Kind.HEARTBEAT, t_ns=-1), False),
        ("a time far from the first", one(Kind.HEARTBEAT, t_ns=T0_NS + LONGEST_NS + 1), False),
        ("a time just within", one(Kind.HEARTBEAT, t_ns=T0_NS + LONGEST_NS), True),
        ("an end by nobody known", one(Kind.ENDED, code=5), False),
        ("an end by the server", one(Kind.ENDED), True),
        ("a sum that begins elsewhere", one(Kind.FOLDED, first_ns=T0_NS + 2 * LONGEST_NS), False),
        ("a lag as long as nothing is", one(Kind.LAG, lateness_ns=LARGEST), False),
        ("a frame with a stamp before 1970", one(Kind.FRAME, source_ns=-1), False),
        ("a frame of a target gone mad", one(Kind.FRAME, source_ns=2**63 - 1, frames_sent=2**64 - 1), True),
        ("a call that was never opened", one(Kind.FRAME, ref=77), True),
        ("a text that never came", one(Kind.NOTE, text=99), True),
    ],
)
def test_what_is_sound(what: str, record: Records, sound: bool) -> None:
    """The first record is an ordinary one."""
    found = Soundness()
    assert found.sound(one(Kind.HEARTBEAT), first=0) == 1
    assert found.sound(record, first=1) == int(sound)
    assert bool(found.fault) is not sound
    assert found.sound(one(Kind.HEARTBEAT), first=2) == int(sound), "nothing is sound after a fault"


@pytest.mark.parametrize("number", [2**48 + 1, 2**63 - 1, 2**63, 2**64 - 1])
def test_a_sum_of_a_target_gone_mad_is_folded(number: int) -> None:
    """Numbers and counts that no stream ever had, where only the last frame's are known."""
    stream = Stream().open(0.0).frames(0.1, 0.1, 3)
    mad = {"frame_number": number, "frames_sent": number, "frames_dropped": number}
    stream.put(Kind.FOLDED, 0.5, ref=1, frames=2, first_ns=T0 + S // 2, **mad)
    assert folded(stream.frame(0.6, 6).end(1.0).records).run.frames == 6


def test_one_sender_with_a_fault_leaves_the_others_and_is_invalid(tmp_path: Path) -> None:
    """Recomputed from the journal: the healthy sender's frames count, and the verdict names the record."""
    run = uuid.UUID(int=5)
    write_manifest(tmp_path, Manifest(run=run.hex, name="faulty", created_wall_ns=1))
    profile = Profile(run=Run(name="faulty", duration=2.0), users=[Users(name="viewer", count=1)])
    (tmp_path / PROFILE).write_bytes(canonical_json(profile))
    good, bad = Stream(1), Stream(2, worker="w2")
    for stream in (good, bad):
        stream.open(0.0).frames(0.1, 0.1, 20)
    good.end(2.0).ended(2.1, frames=20)
    writer = JournalWriter.open(tmp_path / JOURNAL, run=run.bytes)
    for stream, extra in ((good, b""), (bad, one(200).tobytes() + bytes(96) * 3)):
        records = stream.records.tobytes() + extra
        count = len(records) // 96
        writer.commit(
            [
                SenderRow(stream.sender, stream.hello),
                BatchRow(stream.sender, 0, count, records),
                FinishedRow(stream.sender, count),
            ]
        )
    writer.close()
    summary, verdict = recompute(tmp_path)
    fault = f"record {bad.records.size} (of unknown kind 200) holds what no such record can"
    assert [one.fault for one in summary.accounting.senders] == ["", fault]
    assert summary.run.frames == 40
    assert summary.accounting.undelivered == 0
    (judged,) = [judged for judged in verdict.criteria if judged.name == "accounting"]
    assert judged.result is Result.INVALID
    assert fault in judged.reason
