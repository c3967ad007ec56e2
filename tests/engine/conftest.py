"""A real engine between a real frame server and a collector reduced to its wire."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from pvload.wire import command
from pvload.wire.event import Kind, Records, rows_of
from rig import EngineProcess
from sink import Sink

SERVER = Path(__file__).parent / "frame_server.py"


class Bench:
    """One engine with its surroundings; `start` may be given other targets and options."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self.sink = stack.enter_context(Sink())
        self.run = uuid.uuid4()
        self.server_pid = 0
        """Of the frame server started last."""
        self._stack = stack

    def serve(self, *arguments: str) -> str:
        """Starts a frame server and gives its address."""
        server = subprocess.Popen(
            [sys.executable, str(SERVER), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._stack.callback(server.wait, 10)
        self.server_pid = server.pid
        assert server.stdin is not None
        assert server.stdout is not None
        self._stack.callback(server.stdout.close)
        self._stack.callback(server.stdin.close)
        return f"127.0.0.1:{int(server.stdout.readline())}"

    def order(self, **changes: Any) -> command.Start:
        fields: dict[str, Any] = {
            "run": self.run.hex,
            "worker": "w",
            "incarnation": 0,
            "collector": self.sink.endpoint,
            "spool": str(self.folder / "spool"),
            "target": {"address": "127.0.0.1:1"},
        }
        return command.Start(**fields | changes)

    def start(self, address: str, **changes: Any) -> EngineProcess:
        """A ready engine on the server at `address`."""
        target = changes.pop("target", {}) | {"address": address}
        engine = EngineProcess(
            self.order(target=target, **changes), program=["-m", "pvload.engine"], stderr=self.folder / "engine.log"
        )
        self._stack.callback(engine.close)
        return engine

    def records(self, engine: EngineProcess) -> Records:
        """Ends the engine in order; all its records as the collector got them."""
        engine.order(command.Finish())
        finished = engine.answer("finished")
        assert isinstance(finished, command.Finished)
        assert engine.process.wait(10) == 0
        records = self.sink.records()
        assert finished.records == finished.delivered == len(records)
        return records


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with ExitStack() as stack:
        yield Bench(tmp_path, stack)


@pytest.fixture
def open_stream() -> Callable[..., int]:
    """Orders a stream of a device and gives its id."""

    def order(engine: EngineProcess, device: str, **changes: Any) -> int:
        number = engine.next_id()
        fields: dict[str, Any] = {"population": "viewer", "ordinal": number, "number": 1, "device": device}
        engine.order(command.Open(id=number, **fields | changes))
        return number

    return order


def texts(records: Records) -> dict[int, str]:
    """Every text of a sender by its id."""
    found: dict[int, bytes] = {0: b""}
    for row in rows_of(records, Kind.TEXT):
        found[int(row["ref"])] = found.get(int(row["ref"]), b"") + row["bytes"].item()[: int(row["code"])]
    return {number: data.decode() for number, data in found.items()}


@pytest.fixture(name="texts")
def texts_fixture() -> Callable[[Records], dict[int, str]]:
    return texts
