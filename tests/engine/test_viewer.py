"""A process that is made to be killed: what it recorded arrives once, under its own name, by the next in its slot."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from collecting import Collecting
from pvload.profiles.schema import Target
from pvload.wire import command
from pvload.wire.event import Kind, decode, rows_of
from rig import EngineProcess

OpenStream = Callable[..., int]


def test_killed_viewers_are_accounted_for_by_who_comes_next(
    bench: Any, open_stream: OpenStream, tmp_path: Path
) -> None:
    """Three die by SIGKILL in one slot, the collector too on the way; the one that lives ships what all left."""
    run = uuid.uuid4()
    target = Target(address=bench.serve()).model_dump(mode="json")
    port = 0

    def viewer(life: int, collector: str) -> EngineProcess:
        start = bench.order(
            run=run.hex, worker="w-viewer", incarnation=life, collector=collector, target=target, role="viewer"
        )
        return EngineProcess(start, program=["-m", "pvload.engine"], stderr=tmp_path / "viewer.log")

    for life in range(3):
        with Collecting(tmp_path / "run", run.bytes, port=port) as collecting:
            port = int(collecting.endpoint.rpartition(":")[2])
            one = viewer(life, collecting.endpoint)
            number = open_stream(one, "steady")
            one.order(command.Mark(id=number, frames=5))
            one.answer("reached", id=number)
            one.kill()
            one.close()
    with Collecting(tmp_path / "run", run.bytes, port=port) as collecting:
        last = viewer(3, collecting.endpoint)
        last.order(command.Finish())
        last.answer("finished")
        last.close()
        senders = collecting.intake.senders()
        assert [(row.hello.role, row.hello.incarnation, row.known == row.total) for row in senders] == [
            ("viewer", life, True) for life in range(4)
        ]
        for row in senders[:3]:
            records = decode(b"".join(part or b"" for _, _, part, _ in collecting.stored(row.sender)))
            assert len(records) == row.total
            assert len(rows_of(records, Kind.OPENED)) == 1
            assert len(rows_of(records, Kind.FRAME)) >= 5
            assert not len(rows_of(records, Kind.ENDED)), "nobody was left to say so"
    assert not list(Path(bench.order().spool).iterdir())
