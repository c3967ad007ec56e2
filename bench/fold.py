"""How fast the statistics fold frames: one call, and many interleaved ones, at several batch sizes."""

from __future__ import annotations

import time

import numpy as np

from pvload.stats.config import FoldConfig
from pvload.stats.fold import RunFold
from pvload.wire.batch import Hello
from pvload.wire.codes import FrameFlag
from pvload.wire.event import FRAME, RECORD, Kind, Records, decode, encode, encode_text

S = 1_000_000_000
SENDER = bytes(16)


def opening(calls: int) -> Records:
    """The records that open `calls` streams of one camera wanted at 100 frames/s."""
    made = [*encode_text(1, "viewer", t_ns=S), *encode_text(2, "cam", t_ns=S)]
    made.append(encode(Kind.WANTED, t_ns=S, code=1, device=2, rate_hz=100.0))
    for call in range(1, calls + 1):
        made.append(encode(Kind.OPENED, t_ns=S, ref=call, population=1, ordinal=call, number=1, device=2))
        made.append(encode(Kind.HEADERS, t_ns=S, ref=call))
    return decode(b"".join(made))


def frames(count: int, calls: int) -> Records:
    """Frames of `calls` streams in turn, 10 ms apart in each, with jitter and a skipped frame now and then."""
    chance = np.random.default_rng(1)
    rows = np.zeros(count, FRAME)
    tick = np.arange(count) // calls
    skipped = tick // 50
    rows["kind"], rows["flags"], rows["ref"] = Kind.FRAME, FrameFlag.METRICS, np.arange(count) % calls + 1
    rows["t_ns"] = 2 * S + (tick + skipped) * (S // 100) + chance.integers(0, S // 1000, count)
    rows["source_ns"] = rows["t_ns"] - 3_000_000
    rows["frame_number"], rows["frames_sent"], rows["frames_dropped"] = tick + skipped, tick + 1, skipped
    rows["message_bytes"], rows["uncompressed_bytes"] = 100_000, 8_388_608
    return rows.view(RECORD)


def fold_rate(calls: int, batch: int, count: int) -> float:
    """FRAME records folded per second of one core, the summary included."""
    records = frames(count, calls)
    run = RunFold(FoldConfig(warm_up_ns=S))
    run.hello(SENDER, Hello(role="engine", worker="w", incarnation=0, host="h", boot="b", pid=1))
    run.add(SENDER, opening(calls))
    began = time.process_time()
    for start in range(0, count, batch):
        run.add(SENDER, records[start : start + batch])
    summary = run.summary()
    spent = time.process_time() - began
    if summary.run.frames != count:
        raise SystemExit(f"folded {summary.run.frames} of {count} frames")
    return count / spent


def main() -> None:
    """Prints the table."""
    print(f"{'calls':>6} {'batch':>6} {'frames/s':>12}")
    for calls in (1, 16, 256):
        for batch in (10, 4096):
            count = 200_000 if batch == 10 else 1_500_000
            print(f"{calls:>6} {batch:>6} {fold_rate(calls, batch, count):>12,.0f}", flush=True)


if __name__ == "__main__":
    main()
