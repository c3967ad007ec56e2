"""A collector that takes nothing for long costs resolution, never counts."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from pvload.wire import command
from pvload.wire.batch import Envelope, Message
from pvload.wire.event import Kind, rows_of
from sink import Sink

OpenStream = Callable[..., int]
SPOOL_BYTES = 40_000
"""About 400 records."""


class HeldSink(Sink):
    """Knows nothing and takes nothing until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.released = threading.Event()

    def _answers(self, got: Envelope) -> list[Envelope]:
        if got.message in (Message.BATCH, Message.FIN) and not self.released.is_set():
            return []
        return super()._answers(got)


def test_a_full_spool_folds_frames_and_loses_no_count(bench: Any, open_stream: OpenStream) -> None:
    with HeldSink() as held:
        engine = bench.start(bench.serve(), collector=held.endpoint, spool_bytes=SPOOL_BYTES)
        calls = [open_stream(engine, "steady", stop_after_frames=120) for _ in range(8)]
        missing = set(calls)
        while missing:
            missing.discard(engine.answer("ended").id)
        held.released.set()
        engine.order(command.Finish())
        finished = engine.answer("finished")
        assert engine.process.wait(10) == 0
        records = held.records()
    assert finished.records == finished.delivered == len(records)
    frames, folded, ends = (rows_of(records, kind) for kind in (Kind.FRAME, Kind.FOLDED, Kind.ENDED))
    assert len(folded) >= len(calls)
    assert len(frames) < 8 * 120
    for call in calls:
        own, sums = frames[frames["ref"] == call], folded[folded["ref"] == call]
        end = ends[ends["ref"] == call][0]
        assert end["frames"] == 120
        assert len(own) + sums["frames"].sum() == 120
        assert own["message_bytes"].sum() + sums["message_bytes"].sum() == end["message_bytes"]
