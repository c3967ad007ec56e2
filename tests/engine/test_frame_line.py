"""Frames reach the spool in order of arrival, whatever their inspection takes, and never wait without bound."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import lz4.block  # type: ignore[import-untyped]  # the package brings no types
import pytest

from pvload._pb import daq_pb2
from pvload.clock import SystemClock
from pvload.engine import frames
from pvload.engine.frames import FrameLine, Inspection
from pvload.protocols.payload import UNCHECKED, Finding, Sampling
from pvload.protocols.rust_daq import RustDaq
from pvload.ship.recorder import Recorder
from pvload.ship.spool import SEGMENT_HEADER_BYTES, Spool
from pvload.wire.batch import Hello
from pvload.wire.codes import Payload
from pvload.wire.event import RECORD_BYTES, Kind, Records, decode, rows_of

HELLO = Hello(role="engine", worker="w", incarnation=0, host="h", boot="b", pid=1)


def message(number: int) -> bytes:
    image = bytes([1 + number % 200]) * 512
    return daq_pb2.FrameData(
        width=16,
        height=16,
        bit_depth=16,
        frame_number=number,
        data=lz4.block.compress(image),
        compression=daq_pb2.COMPRESSION_LZ4,
        uncompressed_size=512,
    ).SerializeToString()


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool.create(tmp_path, run=bytes(16), sender=bytes(16), hello=HELLO, limit_bytes=1 << 22)


def recorded(spool: Spool) -> Records:
    """The spool's frames; it has one segment."""
    (segment,) = spool.folder.glob("*.records")
    end = SEGMENT_HEADER_BYTES + spool.count * RECORD_BYTES
    return rows_of(decode(segment.read_bytes()[SEGMENT_HEADER_BYTES:end]), Kind.FRAME)


def line(spool: Spool, inspection: Inspection, *, call: int = 1, depth: str = "decoded", every: int = 1) -> FrameLine:
    return FrameLine(
        call,
        protocol=RustDaq(),
        recorder=Recorder(spool, SystemClock()),
        sampling=Sampling(depth, every),
        inspection=inspection,
    )


class Gate:
    """Holds the inspection thread up until it is opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened = threading.Event()
        real = frames.check_pixels

        def waiting(*args: object, **more: object) -> Finding:
            self.opened.wait(10)
            return real(*args, **more)  # type: ignore[arg-type]  # passed on as they came

        monkeypatch.setattr(frames, "check_pixels", waiting)


def test_frames_wait_for_the_one_before_them_and_other_calls_do_not(
    spool: Spool, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)

    async def scenario() -> None:
        inspection = Inspection()
        slow, off = line(spool, inspection, every=3), line(spool, inspection, call=2, depth="off")
        for number in range(4):
            slow.take(message(number), t_ns=number)
        off.take(message(9), t_ns=9)
        assert list(recorded(spool)["ref"]) == [2], "only the call without inspection is recorded"
        gate.opened.set()
        await asyncio.wait_for(slow.drained(), 10)
        inspection.close()

    asyncio.run(scenario())
    own = recorded(spool)[1:]
    assert list(own["frame_number"]) == [0, 1, 2, 3]
    assert list(own["t_ns"]) == [0, 1, 2, 3]
    assert list(own["code"]) == [Payload.OK, Payload.UNCHECKED, Payload.UNCHECKED, Payload.OK]


def test_beyond_the_backlog_frames_are_recorded_unchecked(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = Gate(monkeypatch)
    count = frames.BACKLOG_FRAMES + 10

    async def scenario() -> None:
        inspection = Inspection()
        slow = line(spool, inspection)
        for number in range(count):
            slow.take(message(number), t_ns=number)
        assert inspection.skipped == 10
        gate.opened.set()
        await asyncio.wait_for(slow.drained(), 10)
        slow.take(message(count), t_ns=count)
        await asyncio.wait_for(slow.drained(), 10)
        inspection.close()

    asyncio.run(scenario())
    own = recorded(spool)
    assert list(own["frame_number"]) == list(range(count + 1))
    assert [code == Payload.UNCHECKED for code in own["code"]] == [False] * 64 + [True] * 10 + [False]


def test_an_inspection_that_fails_itself_holds_no_frame_back(spool: Spool, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: object, **more: object) -> Finding:
        raise MemoryError

    monkeypatch.setattr(frames, "check_pixels", broken)

    async def scenario() -> None:
        inspection = Inspection()
        own = line(spool, inspection)
        own.take(message(0), t_ns=0)
        await asyncio.wait_for(own.drained(), 10)
        inspection.close()

    asyncio.run(scenario())
    assert list(recorded(spool)["code"]) == [UNCHECKED.payload]
