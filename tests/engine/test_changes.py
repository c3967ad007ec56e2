"""A change is answered by its first frame and by no other; what the worker tells about changes is recorded whole."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from pvload._pb import daq_pb2
from pvload.engine.changes import PENDING_NS, PendingChanges, shows
from pvload.protocols import protocol_named
from pvload.protocols.seam import Frame
from pvload.wire import command
from pvload.wire.codes import Abort, ChangeFlag, ChangeKind, Outcome
from pvload.wire.event import Kind, Records, rows_of

OpenStream = Callable[..., int]
Texts = Callable[[Records], dict[int, str]]


def frame(**fields: Any) -> Frame:
    return protocol_named("rust-daq").read_frame(daq_pb2.FrameData(device_id="cam", **fields).SerializeToString())


def change(number: int = 1, kind: str = "exposure", **fields: Any) -> command.Change:
    return command.Change(number=number, device="cam", at_ns=fields.pop("at_ns", 100), text="", kind=kind, **fields)


SHOWN: list[tuple[str, dict[str, Any], dict[str, Any], int, bool]] = [
    ("exposure", {"exposure_ms": 10.0}, {"exposure_ms": 10.0}, 1, True),
    ("exposure rounded", {"exposure_ms": 10.0}, {"exposure_ms": 10.04}, 1, True),
    ("exposure of before", {"exposure_ms": 10.0}, {"exposure_ms": 10.06}, 1, False),
    ("exposure untold", {"exposure_ms": 10.0}, {"width": 8}, 1, False),
    ("size", {"width": 512, "height": 256}, {"width": 512, "height": 256}, 1, True),
    ("one side only", {"width": 512, "height": 256}, {"width": 512, "height": 512}, 1, False),
    ("size of a preview", {"width": 511, "height": 256}, {"width": 255, "height": 128}, 2, True),
    ("size of a fast one", {"width": 511, "height": 256}, {"width": 127, "height": 64}, 4, True),
    ("binning is not scaled", {"binning_x": 2, "binning_y": 2}, {"binning_x": 2, "binning_y": 2}, 2, True),
    ("other binning", {"binning_x": 2, "binning_y": 2}, {"binning_x": 1, "binning_y": 1}, 1, False),
    ("binning untold, size", {"width": 64, "height": 64, "binning_x": 2}, {"width": 64, "height": 64}, 1, True),
    ("nothing given", {}, {"width": 64}, 1, False),
]


@pytest.mark.parametrize(("given", "told", "scale", "shown"), [c[1:] for c in SHOWN], ids=[c[0] for c in SHOWN])
def test_a_frame_shows_a_change(given: dict[str, Any], told: dict[str, Any], scale: int, shown: bool) -> None:
    assert shows(frame(**told), change(**given), scale) is shown


def test_a_change_is_superseded_by_the_next_of_its_kind_only() -> None:
    pending = PendingChanges()
    pending.add(change(1, exposure_ms=10.0))
    pending.add(change(2, "roi", width=8, height=8))
    pending.add(change(3, exposure_ms=20.0))
    pending.add(change(4, "other"))
    seen = frame(width=8, height=8, exposure_ms=10.0)
    assert pending.shown(seen, device="cam", quality="full", t_ns=99) == [], "it came before the change was sent"
    assert [it.number for it in pending.shown(seen, device="cam", quality="full", t_ns=100)] == [2]
    late = frame(exposure_ms=10.0)
    assert pending.shown(late, device="cam", quality="full", t_ns=101 + PENDING_NS) == []
    assert not pending.devices


def test_the_first_frame_that_shows_a_change_is_answered_once(bench: Any, open_stream: OpenStream) -> None:
    engine = bench.start(bench.serve())
    number = open_stream(engine, "changing", stop_after_frames=15, population="viewer", ordinal=7)
    order = command.Change(
        number=3, device="changing", at_ns=time.monotonic_ns(), text="5 ms", kind="exposure", exposure_ms=5.0
    )
    engine.order(order)
    engine.order(command.Mark(id=number, frames=12))
    effect = engine.answer("effect")
    assert isinstance(effect, command.Effect)
    assert (effect.number, effect.again, effect.population, effect.ordinal) == (3, False, "viewer", 7)
    reached = engine.answer("reached", id=number)
    assert isinstance(reached, command.Reached)
    engine.order(command.Mark(id=number, frames=1))
    assert engine.answer("reached", id=number).frames == 1
    with pytest.raises(TimeoutError):
        engine.answer("effect", timeout_s=0.2)
    records = bench.records(engine)
    frames = rows_of(records, Kind.FRAME)
    assert effect.at_ns == frames["t_ns"][10]
    assert reached.at_ns == frames["t_ns"][11]
    row = rows_of(records, Kind.CHANGE)[0]
    assert (row["ref"], row["code"], row["exposure_ms"], row["flags"]) == (3, ChangeKind.EXPOSURE, 5.0, 0)
    assert row["t_ns"] == order.at_ns < row["known_ns"]


def test_what_the_worker_says_of_changes_is_recorded(bench: Any, texts: Texts) -> None:
    engine = bench.start(bench.serve())
    engine.order(
        command.Change(number=9, device="cam", at_ns=5, text="p = 1", again=True, population="turner", ordinal=2)
    )
    engine.order(command.Left(population="viewer", ordinal=1, number=4, device="cam", style="killed", at_ns=6))
    engine.order(
        command.Action(number=2, text="open B", outcome="unmet", details="no", due_ns=7, at_ns=8, client="b", change=9)
    )
    engine.order(
        command.Call(
            id=70, method="StopStream", arguments={"device_id": "cam"}, population="turner", ordinal=2, change=9
        )
    )
    engine.answer("answered", id=70)
    engine.order(command.Mark(id=71, frames=1))
    assert "not open" in engine.answer("failed", id=71).reason
    records = bench.records(engine)
    text = texts(records)
    changed, left, action, call = (
        rows_of(records, kind)[0] for kind in (Kind.CHANGE, Kind.LEFT, Kind.ACTION, Kind.UNARY)
    )
    assert (changed["flags"], changed["code"], text[changed["population"]]) == (ChangeFlag.AGAIN, 0, "turner")
    assert (left["code"], text[left["population"]], left["ordinal"], left["number"]) == (Abort.KILLED, "viewer", 1, 4)
    assert (action["code"], text[action["text"]], text[action["client"]]) == (Outcome.UNMET, "open B", "b")
    assert (action["due_ns"], action["t_ns"], action["number"], action["change"]) == (7, 8, 2, 9)
    assert (text[call["population"]], call["ordinal"], call["change"]) == ("turner", 2, 9)
