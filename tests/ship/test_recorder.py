"""The recorder: every event in order, texts before their use, and counts that survive a full spool."""

from __future__ import annotations

import os
import resource
import struct
import uuid
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pvload.clock import SystemClock
from pvload.ship import recorder as recorder_module
from pvload.ship.recorder import OVERFLOW_TEXT, RETRY_EVERY, Recorder
from pvload.ship.spool import SMALLEST_SEGMENT_RECORDS, Spool
from pvload.ship.stored import SpoolReader, Stretch, find_spools
from pvload.wire.batch import Hello
from pvload.wire.event import CALLED_STRUCT, ENDED, FRAME_STRUCT, TEXT, Kind, Records, decode, rows_of

RUN, SENDER = uuid.UUID(int=1).bytes, uuid.UUID(int=2).bytes
SMALL = 96 + SMALLEST_SEGMENT_RECORDS * 96


class Desk:
    """A recorder with the reader of its spool."""

    def __init__(self, folder: Path, limit: int) -> None:
        hello = Hello(role="engine", worker="w", incarnation=0, host="h", boot="b", pid=os.getpid())
        spool = Spool.create(folder, run=RUN, sender=SENDER, hello=hello, limit_bytes=limit, segment_bytes=SMALL)
        self.recorder = Recorder(spool, SystemClock())
        self.reader: SpoolReader = find_spools(folder, run=RUN).readers[0]
        self._kept: list[bytes] = []
        self._read = 0

    def frame(self, call: int, number: int) -> None:
        values = (Kind.FRAME, 1, 0, call, number * 100, number, number, number + 1, 2, 1.0, 1.0, 1.0, 50, 40, 40, 4, 4)
        self.recorder.frame(struct.pack(FRAME_STRUCT, *values, 0, 0, 1, 1))

    def records(self) -> Records:
        """All records so far, also those whose segments were released."""
        while isinstance(piece := self.reader.read(self._read, 4096), Stretch):
            self._kept.append(piece.records)
            self._read += piece.count
        return decode(b"".join(self._kept))

    def release(self) -> None:
        self.records()
        self.reader.release(self._read)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    it = Desk(tmp_path, limit=4 * SMALL)
    yield it
    it.recorder.close()
    it.reader.close()


def test_events_stand_in_the_order_they_were_made(desk: Desk) -> None:
    """A text is defined once, before the record that names it."""
    device = desk.recorder.text_id("prime_bsi")
    desk.recorder.append(Kind.OPENED, t_ns=5, ref=1, device=device)
    desk.frame(1, 0)
    assert desk.recorder.text_id("prime_bsi") == device
    assert desk.recorder.text_id("") == 0
    desk.recorder.append(Kind.ENDED, ref=1, details=desk.recorder.text_id("x" * 200))
    kinds = [Kind(kind) for kind in desk.records()["kind"]]
    assert kinds == [Kind.TEXT, Kind.OPENED, Kind.FRAME, Kind.TEXT, Kind.TEXT, Kind.TEXT, Kind.ENDED]
    texts = desk.records()[[0, 3, 4, 5]].view(TEXT)
    assert b"".join(row["bytes"].tobytes()[: row["code"]] for row in texts) == b"prime_bsi" + b"x" * 200
    assert texts["flags"].tolist() == [1, 0, 0, 1]
    assert desk.records()[6:].view(ENDED)["details"] == 2


def test_a_full_spool_costs_resolution_and_no_count(desk: Desk) -> None:
    """Frames that find no room come as sums, before the end of their call, in order, and all of them are there."""
    made = 0
    for at in range(2000):
        if at % 7 == 0 and at > 600:
            desk.release()
        desk.frame(1 + at % 3, at)
        made += 1
    for call in (1, 2, 3):
        desk.recorder.append(Kind.ENDED, ref=call, frames=made)
    desk.recorder.close()
    records = desk.records()
    folded = rows_of(records, Kind.FOLDED)
    frames = rows_of(records, Kind.FRAME)
    assert desk.recorder.folded == folded["frames"].sum() > 0
    assert len(frames) + folded["frames"].sum() == made
    assert desk.recorder.lost == 0
    for call in (1, 2, 3):
        mine = records[(records["ref"] == call) & np.isin(records["kind"], (Kind.FRAME, Kind.FOLDED, Kind.ENDED))]
        assert mine["kind"][-1] == Kind.ENDED
        assert np.all(np.diff(mine["t_ns"][:-1]) > 0), "a call's records are in the order of time"
    assert np.all(folded["longest_ns"] <= folded["t_ns"] - folded["first_ns"])
    assert folded["message_bytes"].sum() == 50 * folded["frames"].sum()


def test_what_is_no_frame_waits_its_turn(desk: Desk) -> None:
    """Without room, other records are kept in order, and `close` writes them beyond the limit."""
    for at in range(4 * SMALLEST_SEGMENT_RECORDS):
        desk.frame(1, at)
    desk.frame(1, 1000)
    desk.frame(2, 1001)
    desk.recorder.append(Kind.ENDED, t_ns=2000, ref=1)
    desk.frame(2, 1002)
    desk.recorder.append(Kind.HEARTBEAT, t_ns=2001)
    desk.recorder.append(Kind.END, t_ns=2002)
    assert len(desk.records()) == 4 * SMALLEST_SEGMENT_RECORDS
    desk.recorder.close()
    rest = desk.records()[4 * SMALLEST_SEGMENT_RECORDS :]
    assert [(Kind(row["kind"]).name, int(row["ref"])) for row in rest] == [
        ("FOLDED", 1),
        ("ENDED", 1),
        ("HEARTBEAT", 0),
        ("FOLDED", 2),
        ("END", 0),
    ]


def test_without_room_on_the_filesystem_the_account_stays_open(desk: Desk) -> None:
    """What could not be stored is not passed over: no total is stated, so no FIN can say that all is there."""
    for at in range(4 * SMALLEST_SEGMENT_RECORDS):
        desk.frame(1, at)
    desk.recorder.append(Kind.END)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL - 1, hard))
    try:
        desk.recorder.close()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert desk.reader.total is None
    assert len(desk.records()) == 4 * SMALLEST_SEGMENT_RECORDS
    desk.recorder.spool.close()


def test_what_could_not_even_wait_is_counted_and_said(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The line is bounded; what finds no place in it is a number in the spool."""
    monkeypatch.setattr(recorder_module, "WAITING_LIMIT", 3)
    for at in range(4 * SMALLEST_SEGMENT_RECORDS):
        desk.frame(1, at)
    for _ in range(RETRY_EVERY // 2):
        desk.recorder.append(Kind.HEARTBEAT)
    desk.recorder.close()
    (note,) = rows_of(desk.records(), Kind.NOTE)
    assert note["value"] == desk.recorder.lost == RETRY_EVERY // 2 - 3


def test_too_many_texts_become_one(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table is bounded; the overflow has a text that says so."""
    monkeypatch.setattr(recorder_module, "TEXTS_LIMIT", 3)
    known = [desk.recorder.text_id(text) for text in ("a", "b", "c", "d")]
    assert known == [1, 2, 3, 3]
    assert desk.recorder.text_id(OVERFLOW_TEXT) == 3


def test_a_field_that_the_kind_does_not_have_is_refused(desk: Desk) -> None:
    """A mistake in the caller is an error there, not a wrong record."""
    with pytest.raises(ValueError, match="frames"):
        desk.recorder.append(Kind.WANTED, frames=1)


def test_what_comes_by_the_thousand_crowds_out_no_end(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a full spool calls of a storm take half of the line, and those beyond it are counted."""
    monkeypatch.setattr("pvload.ship.recorder.WAITING_LIMIT", 20)
    fits = 3 * SMALLEST_SEGMENT_RECORDS
    for number in range(fits + 4 * SMALLEST_SEGMENT_RECORDS):
        called = struct.pack(CALLED_STRUCT, Kind.CALLED, 0, 0, 7, 5, 1, 2, number, 0, 0, 0, 0, 0)
        desk.recorder.packed(Kind.CALLED, 7, called)
    desk.recorder.append(Kind.ENDED, ref=7)
    stored = len(desk.records())
    assert desk.recorder.lost == fits + 4 * SMALLEST_SEGMENT_RECORDS - stored - 10
    desk.recorder.close()
    rows = desk.records()
    assert rows_of(rows, Kind.CALLED)["counter"].tolist() == list(range(stored + 10))
    assert len(rows_of(rows, Kind.ENDED)) == 1
