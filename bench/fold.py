"""How fast the statistics fold: one call, and many interleaved ones, at several batch sizes; and calls that are short.

Run it as `python -m bench.fold`. Figures are of one core, and a busy host makes them worse: to compare two versions,
run them in turn and compare medians.
"""

from __future__ import annotations

import time

import numpy as np

from pvload.stats.config import FoldConfig
from pvload.stats.fold import RunFold
from pvload.wire.batch import Hello
from pvload.wire.codes import EndedBy, FrameFlag
from pvload.wire.event import FRAME, RECORD, Kind, Records, decode, encode, encode_text

S = 1_000_000_000
MS = 1_000_000
SHORT_CALLS = 1500
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


def short_calls(count: int) -> Records:
    """Calls of eight users, 20 ms apart: opened, five frames in 50 ms, left."""
    parts = []
    for call in range(count):
        at, ref, user = 2 * S + call * 20 * MS, call + 1, call % 8
        rows = [
            encode(Kind.OPENED, t_ns=at, ref=ref, population=1, ordinal=user, number=call // 8 + 1, device=2),
            encode(Kind.HEADERS, t_ns=at, ref=ref),
            encode(Kind.ENDED, t_ns=at + 60 * MS, ref=ref, code=EndedBy.ORDER, status=1, frames=5),
        ]
        own = frames(5, 1)
        own["ref"], own["t_ns"] = ref, at + np.arange(1, 6) * 10 * MS
        parts += [decode(b"".join(rows)), own]
    every = np.concatenate(parts)
    return every[np.argsort(every["t_ns"], kind="stable")]


def spent(begin: Records, records: Records, batch: int, count: int) -> float:
    """Seconds of one core to fold records with `count` frames after `begin`, the summary included."""
    run = RunFold(FoldConfig(warm_up_ns=S))
    run.hello(SENDER, Hello(role="engine", worker="w", incarnation=0, host="h", boot="b", pid=1))
    run.add(SENDER, begin)
    began = time.process_time()
    for start in range(0, records.size, batch):
        run.add(SENDER, records[start : start + batch])
    summary = run.summary()
    took = time.process_time() - began
    if summary.run.frames != count:
        raise SystemExit(f"folded {summary.run.frames} of {count} frames")
    return took


def main() -> None:
    """Prints the table."""
    print(f"{'calls':>6} {'batch':>6} {'frames/s':>12}")
    for calls in (1, 16, 256):
        for batch in (10, 4096):
            count = 200_000 if batch == 10 else 1_500_000
            took = spent(opening(calls), frames(count, calls), batch, count)
            print(f"{calls:>6} {batch:>6} {count / took:>12,.0f}", flush=True)
    took = spent(opening(0), short_calls(SHORT_CALLS), 500, 5 * SHORT_CALLS)
    print(f"\na call of five frames: {took / SHORT_CALLS * 1000:.2f} ms")


if __name__ == "__main__":
    main()
