"""`python -m bench.collector`: events a second that one collector process journals, acknowledges and folds.

A real collector with its real fold takes frames of 16 streams from one sender over loopback, in batches of 10 and of
4096 events, packed beforehand. Shown are events per second of the clock, and per second of the collector's own CPU
time, which other work on the machine lowers less. The journal alone and the fold alone stand beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path

import numpy as np
import zmq

from pvload.collect.intake import Intake, joined
from pvload.profiles.load import canonical_json
from pvload.profiles.schema import Profile, Run
from pvload.profiles.users import Users
from pvload.stats.config import fold_config
from pvload.stats.fold import RunFold
from pvload.wire.batch import Envelope, Hello, Message, pack, unpack
from pvload.wire.event import FRAME, Kind, Records, encode, encode_text
from pvload.wire.journal import BatchRow, JournalWriter, Row, SenderRow
from pvload.wire.replay import Fold, feed
from pvload.wire.run_directory import PROFILE, Manifest, write_manifest

RUN, SENDER = uuid.UUID(int=1), uuid.UUID(int=2).bytes
HELLO = Hello(role="engine", worker="w0", incarnation=0, host="here", boot="", pid=os.getpid())
STREAMS = 16
PERIOD_NS = 10_000_000
GROUP = {10: 512, 4096: 16}
"""Batches that are on the way at a time."""


def frames(count: int) -> bytes:
    """The records of 16 streams at 100 frames a second, opened first."""
    began = 10**12
    head = [*encode_text(1, "camera", t_ns=began), *encode_text(2, "viewers", t_ns=began)]
    head.append(encode(Kind.WANTED, t_ns=began, code=1, device=1, rate_hz=100.0, known_ns=began))
    for call in range(1, STREAMS + 1):
        fields = {"population": 2, "device": 1, "ordinal": call, "number": 1, "stall_ns": 2 * 10**9}
        head.append(encode(Kind.OPENED, t_ns=began, ref=call, **fields))
    rows: Records = np.zeros(count - len(head), FRAME)
    at = np.arange(len(rows))
    number = at // STREAMS
    rows["kind"], rows["flags"] = Kind.FRAME, 1
    rows["ref"] = at % STREAMS + 1
    rows["t_ns"] = began + (number + 1) * PERIOD_NS + at % STREAMS * 1000
    rows["source_ns"] = rows["t_ns"] - 500_000
    rows["frame_number"] = number
    rows["frames_sent"] = number + 1
    rows["message_bytes"] = 2048
    return b"".join(head) + rows.tobytes()


def batches(records: bytes, size: int) -> list[bytes]:
    """The packed messages."""
    count = len(records) // 96
    return [
        pack(
            Envelope(
                Message.BATCH,
                RUN.bytes,
                SENDER,
                first=first,
                count=min(size, count - first),
                payload=records[first * 96 : (first + size) * 96],
            )
        )
        for first in range(0, count, size)
    ]


def whole(folder: Path, records: bytes, size: int) -> tuple[float, float]:
    """(seconds of the clock, seconds of the collector's CPU) for all records, through a socket to a real process."""
    write_manifest(folder, Manifest(run=RUN.hex, name="bench", created_wall_ns=1))
    profile = Profile(run=Run(name="bench", duration=3600.0), users=[Users(name="viewers", count=STREAMS)])
    (folder / PROFILE).write_bytes(canonical_json(profile))
    messages = batches(records, size)
    with (folder / "stderr.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "pvload.collect", "--run-dir", str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
        )
    if process.stdin is None or process.stdout is None:
        raise OSError("no pipes")
    endpoint = json.loads(process.stdout.readline())["endpoint"]
    with zmq.Context() as context, context.socket(zmq.DEALER) as dealer:
        dealer.setsockopt(zmq.LINGER, 0)
        dealer.setsockopt(zmq.SNDHWM, 0)
        dealer.connect(endpoint)
        dealer.send(pack(Envelope(Message.HELLO, RUN.bytes, SENDER, payload=HELLO.to_json())))
        dealer.recv()
        began, cpu = time.perf_counter(), _cpu_s(process.pid)
        sent = known = 0
        window = GROUP[size]
        while known < len(records) // 96:
            while sent < len(messages) and sent - known // size < window:
                dealer.send(messages[sent])
                sent += 1
            known = unpack(dealer.recv()).count
        took, cpu_took = time.perf_counter() - began, _cpu_s(process.pid) - cpu
    process.stdin.close()
    process.stdout.close()
    process.wait(120)
    return took, cpu_took


def journal_alone(folder: Path, records: bytes, size: int) -> float:
    """CPU seconds of intake and commits."""
    messages = batches(records, size)
    intake = Intake(RUN.bytes)
    writer = JournalWriter.open(folder / "alone.sqlite", run=RUN.bytes)
    began = time.process_time()
    writer.commit(intake.take(pack(Envelope(Message.HELLO, RUN.bytes, SENDER, payload=HELLO.to_json())), now_ns=0).rows)
    for at in range(0, len(messages), GROUP[size]):
        rows: list[Row] = []
        for message in messages[at : at + GROUP[size]]:
            rows += intake.take(message, now_ns=0).rows
        writer.commit(joined(rows))
    took = time.process_time() - began
    writer.close()
    return took


def fold_alone(records: bytes, size: int) -> float:
    """CPU seconds of the fold, in pieces of `size`."""
    profile = Profile(run=Run(name="bench", duration=3600.0), users=[Users(name="viewers", count=STREAMS)])
    fold: Fold = RunFold(fold_config(profile))
    feed(fold, SenderRow(SENDER, HELLO))
    count = len(records) // 96
    began = time.process_time()
    for first in range(0, count, size):
        piece = records[first * 96 : (first + size) * 96]
        feed(fold, BatchRow(SENDER, first, len(piece) // 96, piece))
    return time.process_time() - began


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(prog="python -m bench.collector", description=__doc__)
    parser.add_argument("--events", type=int, default=1_000_000, help="events per row (default: %(default)s)")
    events = parser.parse_args().events
    print(f"{'events a batch':>15} {'events/s':>12} {'per CPU s':>12} {'journal only':>13} {'fold only':>12}")
    for size in (10, 4096):
        records = frames(events if size > 10 else events // 4)
        count = len(records) // 96
        with tempfile.TemporaryDirectory() as name:
            took, cpu = whole(Path(name), records, size)
            journal = journal_alone(Path(name), records, size)
        figures = (count / took, count / cpu, count / journal, count / fold_alone(records, min(size * 50, 4096)))
        row = "".join(f"{figure:>{width},.0f}" for figure, width in zip(figures, (13, 13, 14, 13), strict=True))
        print(f"{size:>15}{row}", flush=True)


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
