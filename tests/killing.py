"""Kills the collector and a sender at seeded random moments, restarts them, ends in order, and counts what is left."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
PATIENCE_S = 30.0


@dataclass(frozen=True)
class Balance:
    """What the senders committed, by their shared-memory counters, against what the journal holds."""

    senders: int
    committed: int
    delivered: int
    lost: int
    doubled: int


class Child:
    """A process that says lines on stdout."""

    def __init__(self, script: str, *arguments: str, log: Path) -> None:
        with log.open("ab") as stderr:
            self.process = subprocess.Popen(
                [sys.executable, str(HERE / script), *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                start_new_session=True,
            )

    def line(self) -> str:
        """The next line; the test's own time limit bounds it, since a dead child closes its end."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().decode().strip()

    def say(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.close()

    def close(self) -> None:
        try:
            self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()


class Scene:
    """One collector and one sender, replaced whenever they are killed."""

    def __init__(self, folder: Path, *, seed: int, options: tuple[str, ...] = ()) -> None:
        self.chance = random.Random(seed)
        self.run = uuid.UUID(int=self.chance.getrandbits(128)).hex
        self.run_dir, self.spools, self.counters = (folder / name for name in ("run", "spools", "counters"))
        for path in (self.run_dir, self.spools, self.counters):
            path.mkdir()
        self._log = folder / "stderr.log"
        self._options = options
        self._endpoint = ""
        self._incarnation = 0
        self.collector = self._new_collector(port="0")
        self.sender = self._new_sender()

    def wreak(self, kills: int) -> None:
        """Kills one or the other `kills` times in all; half of the senders die while the collector hangs.

        What such a sender had on the way reaches the collector together with what its successor sends.
        """
        for _ in range(kills):
            time.sleep(self.chance.uniform(0.02, 0.25))  # the schedule of the kills, not a synchronisation
            if self.chance.random() < 0.5:
                self.collector.kill()
                time.sleep(self.chance.choice((0.0, 0.0, 0.1)))
                self.collector = self._new_collector(port=self._endpoint.rpartition(":")[2])
            else:
                self.replace_sender(collector_hangs=self.chance.random() < 0.5)

    def replace_sender(self, *, collector_hangs: bool) -> None:
        """Kills the sender and starts its successor; the collector may be stopped from before to after that."""
        if collector_hangs:
            os.kill(self.collector.process.pid, signal.SIGSTOP)
            time.sleep(0.1)  # so that the sender fills its window
        self.sender.kill()
        self.sender = self._new_sender()
        if collector_hangs:
            os.kill(self.collector.process.pid, signal.SIGCONT)

    def end(self) -> None:
        """The end in order: the sender drains and says FIN, then the collector ends."""
        self.sender.say("finish")
        word, records, delivered = self.sender.line().split()
        assert (word, records) == ("finished", delivered)
        self.sender.close()
        self.collector.say(json.dumps({"is": "end", "reason": "duration", "expect": ["w0"]}))
        assert json.loads(self.collector.line())["is"] == "result"
        self.collector.close()

    def wait_for_delivery(self) -> None:
        """Returns once the journal holds something."""
        until = time.monotonic() + PATIENCE_S
        while not self.balance().delivered and time.monotonic() < until:
            time.sleep(0.01)

    def close(self) -> None:
        """Whatever still runs is killed."""
        for child in (self.sender, self.collector):
            if child.process.poll() is None:
                child.kill()

    def balance(self) -> Balance:
        """Reads the journal by its tables, not by our reader, so that a double is counted and not refused."""
        committed = {path.name: int.from_bytes(path.read_bytes(), "little") for path in self.counters.iterdir()}
        held: dict[str, list[np.ndarray]] = {name: [] for name in committed}
        connection = sqlite3.connect(self.run_dir / "journal.sqlite")
        query = "SELECT senders.sender, records FROM batches JOIN senders ON senders.id = batches.sender"
        query += " WHERE records IS NOT NULL"
        for sender, records in connection.execute(query):
            held[sender.hex()].append(np.frombuffer(records, "<i8").reshape(-1, 12)[:, 3])
        connection.close()
        lost = doubled = delivered = 0
        for name, parts in held.items():
            numbers = np.concatenate([np.zeros(0, "<i8"), *parts])
            different = np.unique(numbers)
            delivered += len(different)
            doubled += len(numbers) - len(different)
            lost += committed[name] - int(np.count_nonzero(different < committed[name]))
        return Balance(len(committed), sum(committed.values()), delivered, lost, doubled)

    def _new_collector(self, *, port: str) -> Child:
        child = Child("plain_collector.py", str(self.run_dir), self.run, port, *self._options, log=self._log)
        line = child.line()
        assert line, self._log.read_text()
        self._endpoint = json.loads(line)["endpoint"]
        return child

    def _new_sender(self) -> Child:
        seed = str(self.chance.getrandbits(32))
        places = (str(self.spools), self.run, self._endpoint, str(self.counters))
        child = Child("numbered_sender.py", *places, str(self._incarnation), seed, log=self._log)
        self._incarnation += 1
        assert child.line().startswith("ready"), self._log.read_text()
        return child
