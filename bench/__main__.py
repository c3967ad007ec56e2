"""`python -m bench`: pvload's engine beside a plain Locust user on the same streams, alternating, as a table.

Every cell first measures what each client can take at most; both are then offered the same rate, less than half of the
smaller one, so that the figures are of a client that keeps up and not of a queue.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.clients import CLIENTS
from bench.measure import Figures, figures, longest_gaps_ms, measure
from bench.server import Source

RESULTS = Path(__file__).parent / "results"
KIB = 1024
CELLS = [(2 * KIB, 1), (2 * KIB, 16), (2 * KIB, 256), (512 * KIB, 1), (512 * KIB, 16), (512 * KIB, 256)]
CELLS += [(8 * KIB * KIB, 1), (8 * KIB * KIB, 16)]
QUICK_CELLS = [(2 * KIB, 16), (512 * KIB, 16)]
OFFERED_SHARE = 0.4
"""Of the smaller ceiling; the room to one half is for a machine that has other things to do."""
FLOOD_S = 5.0
"""How long a flood lasts at most before it is measured: a client that breaks down takes 300 MB a second."""
BROKEN_DOWN, KEEPS_UP, TRIES = 0.1, 0.9, 4


@dataclass(frozen=True, slots=True)
class Effort:
    """How long everything is measured."""

    cells: list[tuple[int, int]]
    ceiling_s: float
    window_s: float
    rounds: int
    stalled_s: float


FULL = Effort(CELLS, ceiling_s=1.5, window_s=3.0, rounds=2, stalled_s=8.0)
QUICK = Effort(QUICK_CELLS, ceiling_s=1.5, window_s=3.0, rounds=1, stalled_s=5.0)


@dataclass(frozen=True, slots=True)
class CellResult:
    """One row of the table."""

    data_bytes: int
    streams: int
    offered_per_s: float
    ceiling_per_s: dict[str, float]
    figures: dict[str, Figures]


@dataclass(frozen=True, slots=True)
class StalledResult:
    """20 streams that stopped beside 20 that did not: the worst gap on the latter."""

    longest_gap_ms: dict[str, float]
    longest_send_gap_ms: dict[str, float]
    frames: dict[str, int]


def ceilings(data_bytes: int, streams: int, effort: Effort) -> dict[str, float]:
    """The frames a second that each client takes of a server that sends without a pause.

    A client that breaks down under that (it fills its memory and hands out next to nothing) is offered less and less,
    from half of what the other takes, until it keeps up: that rate is its ceiling, or the last one tried.
    """
    endless = [Source(data_bytes, 0.0)] * streams
    found = {name: measure(name, endless, effort.ceiling_s, flow_s=FLOOD_S).frames_per_s for name in CLIENTS}
    best = max(found.values())
    for name in [name for name, rate in found.items() if rate < BROKEN_DOWN * best]:
        offered = best
        for _ in range(TRIES):
            offered /= 2
            paced = [Source(data_bytes, offered / streams)] * streams
            found[name] = measure(name, paced, effort.ceiling_s).frames_per_s
            if found[name] >= KEEPS_UP * offered:
                break
    return found


def run_cell(data_bytes: int, streams: int, effort: Effort) -> CellResult:
    """Both ceilings, then the clients in turn at the same offered rate."""
    ceiling = ceilings(data_bytes, streams, effort)
    offered = OFFERED_SHARE * min(ceiling.values())
    # One frame in 20 s and stream where a client took nothing at all: something for the other to be measured by.
    paced = [Source(data_bytes, max(offered / streams, 0.05))] * streams
    windows = [(name, measure(name, paced, effort.window_s)) for _ in range(effort.rounds) for name in CLIENTS]
    of = {name: figures([window for whose, window in windows if whose == name]) for name in CLIENTS}
    return CellResult(data_bytes, streams, offered, ceiling, of)


def run_stalled(effort: Effort) -> StalledResult:
    """The stalled streams are opened first; all healthy ones send 10 frames a second."""
    sources = [Source(2 * KIB, 10.0, frames=3)] * 20 + [Source(2 * KIB, 10.0)] * 20
    gaps, sent, frames = {}, {}, {}
    for name in CLIENTS:
        measured = measure(name, sources, effort.stalled_s)
        gaps[name], sent[name] = longest_gaps_ms(measured, set(range(20, 40)))
        frames[name] = measured.frames
    return StalledResult(gaps, sent, frames)


def size_text(data_bytes: int) -> str:
    """2 KB, 512 KB, 8 MB."""
    return f"{data_bytes // KIB} KB" if data_bytes < KIB * KIB else f"{data_bytes // KIB // KIB} MB"


def number(value: float | None) -> str:
    """Three significant digits; a dash where nothing was measured."""
    if value is None:
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def ratio(engine: float | None, gevent: float | None) -> str:
    """How many times more the plain user has."""
    return f"{gevent / engine:.1f}x" if engine and gevent else "-"


COLUMNS = [("size", 6), ("streams", 7), ("offered/s", 9), ("most/s", 7), ("gevent", 7)]
COLUMNS += [column for name in ("CPU us", "p50 ms", "p99 ms") for column in ((name, 7), ("gevent", 7), ("ratio", 6))]


def line_text(values: list[str]) -> str:
    """One line of the table, right-aligned under its column."""
    return " ".join(value.rjust(width) for value, (_, width) in zip(values, COLUMNS, strict=True))


HEADER = line_text([name for name, _ in COLUMNS])


def row_text(cell: CellResult) -> str:
    """One line under HEADER: of each pair the engine's value comes first."""
    engine, gevent = cell.figures["engine"], cell.figures["gevent"]
    values = [size_text(cell.data_bytes), str(cell.streams), number(cell.offered_per_s)]
    values += [number(cell.ceiling_per_s[name]) for name in CLIENTS]
    for a, b in (
        (engine.cpu_us_per_frame, gevent.cpu_us_per_frame),
        (engine.p50_ms, gevent.p50_ms),
        (engine.p99_ms, gevent.p99_ms),
    ):
        values += [number(a), number(b), ratio(a, b)]
    return line_text(values)


def stalled_text(stalled: StalledResult) -> str:
    """Two lines: what the healthy streams saw, and what they were sent."""
    return "\n".join(
        [
            "20 stalled streams beside 20 healthy ones at 10 frames/s: the longest gap on a healthy one",
            *(
                f"  {name}: {number(stalled.longest_gap_ms[name])} ms between arrivals,"
                f" {number(stalled.longest_send_gap_ms[name] or None)} ms between sendings,"
                f" {stalled.frames[name]} frames"
                for name in CLIENTS
            ),
        ]
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="two cells and the stalled streams, about a minute")
    parser.add_argument("--without-collector", action="store_true", help="leave out the collector's own bench")
    arguments = parser.parse_args()
    effort = QUICK if arguments.quick else FULL
    started, load = time.monotonic(), os.getloadavg()[0]
    print(f"{os.cpu_count()} cores, load average before: {load:.1f}\n\n{HEADER}", flush=True)
    cells = []
    for data_bytes, streams in effort.cells:
        cells.append(run_cell(data_bytes, streams, effort))
        print(row_text(cells[-1]), flush=True)
    stalled = run_stalled(effort)
    print(f"\n{stalled_text(stalled)}", flush=True)
    RESULTS.mkdir(exist_ok=True)
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    result = {
        "machine": {"cores": os.cpu_count(), "kernel": platform.release(), "python": platform.python_version()},
        "load_average_before": load,
        "effort": asdict(effort),
        "cells": [asdict(cell) for cell in cells],
        "stalled": asdict(stalled),
    }
    (RESULTS / f"{stamp}.json").write_text(json.dumps(result, indent=1) + "\n")
    text = "\n".join([HEADER, *map(row_text, cells), "", stalled_text(stalled)])
    (RESULTS / f"{stamp}.txt").write_text(text + "\n")
    print(f"\n{time.monotonic() - started:.0f} s; kept as {RESULTS / stamp}.txt and .json", flush=True)
    if arguments.without_collector:
        return 0
    print("\nThe collector", flush=True)
    events = ["--events", "250000"] if arguments.quick else []
    return subprocess.run([sys.executable, "-m", "bench.collector", *events], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
