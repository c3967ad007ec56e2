"""Kill -9 of engine and collector at seeded moments during a real run, and what the journal then holds."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from pvload.profiles.criteria import Criteria
from pvload.profiles.schema import Camera, Profile, Run
from pvload.profiles.simulated import Simulator
from pvload.profiles.users import Users
from pvload.profiles.values import Roi
from pvload.wire import event, run_directory
from pvload.wire.journal import JournalReader
from rig import Rig, running

STREAMS = 3


@dataclass(frozen=True, slots=True)
class Account:
    """What was committed and what the journal holds after the run."""

    counted: int
    """By the shared counter: at most one append a kill of the engine behind the truth."""
    engine_kills: int
    delivered: int
    missing: int
    holes: int
    """Records that a sender's numbering skips or tells twice."""
    doubled_frames: int
    """Frames of one call with the same frames_sent."""
    undelivered: int

    def faults(self) -> list[str]:
        """Why this is not exactly-once; empty if it is."""
        found = []
        if not self.counted <= self.delivered + self.missing <= self.counted + self.engine_kills * 8:
            found.append(f"{self.counted} committed, {self.delivered} delivered, {self.missing} stated missing")
        never = ("missing", "holes", "doubled_frames", "undelivered")
        return found + [f"{name}: {getattr(self, name)}" for name in never if getattr(self, name)]


def run_with_kills(folder: Path, *, seed: int, kills: int) -> Account:
    """Streams frames at 100 a second from three calls while one process after the other is killed and replaced."""
    chance = random.Random(seed)
    counter = folder / "counter"
    folder.mkdir(parents=True, exist_ok=True)
    counter.write_bytes(bytes(8))
    os.environ["PVLOAD_TEST_COUNTER"] = str(counter)
    engine_kills = 0
    with running(folder / "run", _profile(), engine_script=Path(__file__).with_name("counted_engine.py")) as rig:
        started_ns = rig.start_camera()
        calls = _open_all(rig, number=1)
        for kill in range(kills):
            time.sleep(chance.uniform(0.05, 0.4))
            if chance.random() < 0.5:
                engine_kills += 1
                calls = _replace_engine(rig, started_ns, number=2 + kill)
            else:
                _replace_collector(rig)
        rig.end(calls)
        undelivered = rig.summary()["accounting"]["undelivered"]
    return _account(folder / "run", int.from_bytes(counter.read_bytes(), "little"), engine_kills, undelivered)


def _profile() -> Profile:
    return Profile(
        run=Run(name="kills", duration=600.0),
        camera=Camera(exposure_ms=10.0, roi=Roi(x=0, y=0, width=64, height=64)),
        users=[Users(name="viewer", count=STREAMS)],
        criteria=Criteria(longest_stall_s=2.0),
        simulator=Simulator(streams_per_client=0),
    )


def _open_all(rig: Rig, *, number: int) -> list[int]:
    return [rig.open(ordinal=ordinal, number=number) for ordinal in range(STREAMS)]


def _replace_engine(rig: Rig, started_ns: int, *, number: int) -> list[int]:
    """Kill -9, a successor on the same spool, and the same subscribers once more."""
    assert rig.engine is not None
    rig.engine.kill()
    rig.engine.close()
    rig.start_engine()
    rig.want_camera(started_ns)
    return _open_all(rig, number=number)


def _replace_collector(rig: Rig) -> None:
    assert rig.collector is not None
    rig.collector.kill()
    rig.collector.close()
    rig.start_collector()


def _account(run: Path, counted: int, engine_kills: int, undelivered: int) -> Account:
    delivered = missing = holes = doubled = 0
    with JournalReader.open(run / run_directory.JOURNAL) as journal:
        for sender in journal.senders():
            if sender.hello.role != "engine":
                continue
            expected = 0
            frames: Counter[tuple[int, int]] = Counter()
            for first, count, records, _reason in journal.batches(sender.sender):
                holes += abs(first - expected)
                expected = first + count
                if records is None:
                    missing += count
                    continue
                delivered += count
                rows = event.rows_of(event.decode(records), event.Kind.FRAME)
                frames.update(zip(rows["ref"].tolist(), rows["frames_sent"].tolist(), strict=True))
            doubled += sum(times - 1 for times in frames.values())
    return Account(counted, engine_kills, delivered, missing, holes, doubled, undelivered)
