"""An engine whose parent is killed while a sibling still holds the pipe: only the kernel tells it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from collecting import Collecting
from pvload.wire import command
from pvload.wire.codes import EndedBy
from pvload.wire.event import Kind, decode, rows_of

PARENT = """
import json, subprocess, sys
lines, until = json.loads(sys.stdin.readline())
engine = subprocess.Popen(
    [sys.executable, "-m", "pvload.engine"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
)
sibling = subprocess.Popen(
    ["sleep", "60"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, pass_fds=[engine.stdin.fileno()]
)
engine.stdin.write("".join(lines).encode())
engine.stdin.flush()
while json.loads(engine.stdout.readline())["is"] != until:
    pass
print(engine.pid, sibling.pid, flush=True)
sys.stdin.read()
"""


@contextmanager
def orphan(orders: list[command.Command], *, until: str) -> Iterator[psutil.Process]:
    """An engine that was given `orders` and answered `until`, and then lost its parent by SIGKILL."""
    parent = subprocess.Popen([sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert parent.stdin is not None
    assert parent.stdout is not None
    lines = [command.to_line(order).decode() for order in orders]
    parent.stdin.write(json.dumps([lines, until]).encode() + b"\n")
    parent.stdin.flush()
    engine_pid, sibling_pid = (int(pid) for pid in parent.stdout.readline().split())
    engine = psutil.Process(engine_pid)
    try:
        parent.kill()
        parent.wait(10)
        yield engine
    finally:
        os.kill(sibling_pid, signal.SIGKILL)
        parent.stdin.close()
        parent.stdout.close()


def is_gone(engine: psutil.Process) -> bool:
    psutil.wait_procs([engine], timeout=20)
    return not engine.is_running() or bool(engine.status() == psutil.STATUS_ZOMBIE)


def test_a_killed_parent_takes_the_engine_with_it(bench: Any) -> None:
    """It ends in order: the collector has its FIN."""
    with orphan([bench.order(target={"address": "127.0.0.1:1"})], until="ready") as engine:
        assert bench.sink.finished.wait(20)
        assert is_gone(engine)


def test_what_an_orphan_recorded_is_shipped_by_the_next_engine(bench: Any, tmp_path: Path) -> None:
    """No collector was there to take it: the whole account lies in the spool, and comes with the successor."""
    address = bench.serve()
    start = bench.order(target={"address": address}, collector="tcp://127.0.0.1:9")
    order = command.Open(id=1, population="viewer", ordinal=0, number=1, device="steady")
    with orphan([start, order], until="first_frame") as engine:
        assert is_gone(engine)
    with Collecting(tmp_path / "run", bench.run.bytes) as collecting:
        successor = bench.start(address, collector=collecting.endpoint, incarnation=1)
        successor.order(command.Finish())
        successor.answer("finished")
        first, second = collecting.intake.senders()
        stored = b"".join(records or b"" for _, _, records, _ in collecting.stored(first.sender))
    assert (first.hello.incarnation, second.hello.incarnation) == (0, 1)
    assert first.total == first.known
    (end,) = rows_of(decode(stored), Kind.ENDED)
    assert end["frames"] == len(rows_of(decode(stored), Kind.FRAME)) > 0
    assert end["code"] == EndedBy.ENGINE
