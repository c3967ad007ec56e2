"""The two ways to read streams, each as the processes it really is: pvload's engine with its collector, and Locust
with gevent. Both give the same thing: every frame's stream, arrival and sending time."""

from __future__ import annotations

import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from bench.server import Source
from pvload.profiles.schema import Profile, Run, Target
from pvload.profiles.users import Users
from pvload.wire import command, run_directory
from pvload.wire.event import Kind, decode, rows_of
from pvload.wire.journal import JournalReader

Arrivals = npt.NDArray[np.int64]
"""Shape (n, 3): stream, arrival and sending time, both CLOCK_MONOTONIC nanoseconds."""


class Client(Protocol):
    """One client process with its streams open."""

    pid: int
    """Of the process whose CPU time counts."""

    def wait_until_flowing(self, timeout_s: float) -> None:
        """Returns when every stream has had a frame, or after timeout_s: then the client is measured as it is."""
        ...

    def leave(self) -> Arrivals:
        """Ends the client and gives all that it received."""
        ...


def _line_with(stream: int, word: bytes, deadline_s: float) -> bool:
    """Reads `stream` until `word` came (True) or the deadline or its end (False)."""
    seen = b""
    while (left := deadline_s - time.monotonic()) > 0 and select.select([stream], [], [], left)[0]:
        piece = os.read(stream, 65_536)
        if not piece:
            return False
        seen = seen[-len(word) :] + piece
        if word in seen:
            return True
    return False


def _started(argv: list[str], folder: Path, **environment: str) -> subprocess.Popen[bytes]:
    with (folder / "stderr.log").open("ab") as errors:
        return subprocess.Popen(
            [sys.executable, *argv],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            env={**os.environ, **environment},
            start_new_session=True,
        )


def _ended(process: subprocess.Popen[bytes], timeout_s: float) -> None:
    """Closes its input, waits, and kills it if it does not go."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    try:
        process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _fd(pipe: object) -> int:
    return int(pipe.fileno())  # type: ignore[attr-defined]


class EngineClient:
    """`python -m pvload.engine`, recording, with a real collector that journals what it ships."""

    def __init__(self, folder: Path, engine: subprocess.Popen[bytes], streams: int) -> None:
        self.pid = engine.pid
        self._folder = folder
        self._engine = engine
        self._streams = streams

    def wait_until_flowing(self, timeout_s: float) -> None:
        waiting, rest = self._streams, b""
        deadline = time.monotonic() + timeout_s
        while waiting and (left := deadline - time.monotonic()) > 0:
            if not select.select([_fd(self._engine.stdout)], [], [], left)[0]:
                return
            *lines, rest = (rest + os.read(_fd(self._engine.stdout), 65_536)).split(b"\n")
            waiting -= sum(b'"is":"first_frame"' in line for line in lines)

    def leave(self) -> Arrivals:
        self._send(command.Finish())
        _line_with(_fd(self._engine.stdout), b'"is":"finished"', time.monotonic() + 30)
        with JournalReader.open(self._folder / run_directory.JOURNAL) as journal:
            (sender,) = [each.sender for each in journal.senders() if each.hello.role == "engine"]
            records = decode(b"".join(data for _, _, data, _ in journal.batches(sender) if data))
        opened, frames = rows_of(records, Kind.OPENED), rows_of(records, Kind.FRAME)
        stream_of_call = np.zeros(int(opened["ref"].max(initial=0)) + 1, dtype=np.int64)
        stream_of_call[opened["ref"]] = opened["ordinal"]
        return np.stack([stream_of_call[frames["ref"]], frames["t_ns"], frames["source_ns"]], axis=1)

    def _send(self, order: command.Command) -> None:
        if self._engine.stdin is not None:
            self._engine.stdin.write(command.to_line(order))
            self._engine.stdin.flush()

    def open(self, sources: list[Source]) -> None:
        """Orders one stream a source."""
        for number, source in enumerate(sources):
            self._send(command.Open(id=number + 1, population="bench", ordinal=number, number=1, device=str(source)))


@contextmanager
def engine_client(port: int, sources: list[Source]) -> Iterator[EngineClient]:
    """An engine with a stream open for each source; it and its collector are gone afterwards."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="pvload-bench-")))
        run = uuid.uuid4().hex
        target = Target(address=f"127.0.0.1:{port}", device=str(sources[0]), streams_per_client=0)
        profile = Profile(run=Run(name="bench", duration=60.0), target=target, users=[Users(name="bench")])
        run_directory.replace_text(folder / run_directory.PROFILE, profile.model_dump_json())
        manifest = run_directory.Manifest(run=run, name="bench", created_wall_ns=time.time_ns())
        run_directory.write_manifest(folder, manifest)
        (folder / run_directory.LOGS).mkdir()
        collector = _started(["-m", "pvload.collect", "--run-dir", str(folder)], folder)
        # What it would write at its end is not wanted: the journal is complete when the engine has finished.
        stack.callback(_ended, collector, 0.0)
        listening = collector.stdout.readline() if collector.stdout else b""
        if not listening:
            raise SystemExit(f"the collector did not start: {(folder / 'stderr.log').read_text()[-2000:]}")
        endpoint = json.loads(listening)["endpoint"]
        engine = _started(["-m", "pvload.engine"], folder)
        stack.callback(_ended, engine, 15.0)
        spool = Path("/dev/shm" if os.access("/dev/shm", os.W_OK) else folder) / f"pvload-bench-{run}"
        stack.callback(shutil.rmtree, spool, ignore_errors=True)
        client = EngineClient(folder, engine, len(sources))
        client._send(
            command.Start(
                run=run,
                worker="bench",
                incarnation=0,
                collector=endpoint,
                spool=str(spool),
                target=target.model_dump(mode="json"),
            )
        )
        if not _line_with(_fd(engine.stdout), b'"is":"ready"', time.monotonic() + 20):
            raise SystemExit(f"the engine did not start: {(folder / 'stderr.log').read_text()[-2000:]}")
        client.open(sources)
        yield client


class GeventClient:
    """`locust -f bench/plain_user.py --headless`: grpcio under `init_gevent`, in Locust's own process."""

    def __init__(self, folder: Path, locust: subprocess.Popen[bytes]) -> None:
        self.pid = locust.pid
        self._folder = folder
        self._locust = locust

    def wait_until_flowing(self, timeout_s: float) -> None:
        _line_with(_fd(self._locust.stdout), b"flowing", time.monotonic() + timeout_s)

    def leave(self) -> Arrivals:
        self._locust.send_signal(signal.SIGUSR1)
        try:
            self._locust.wait(20)
        except subprocess.TimeoutExpired:
            # A hub that does not come round to its signals has lost its arrivals with it.
            return np.empty((0, 3), dtype=np.int64)
        arrivals: Arrivals = np.load(self._folder / "arrivals.npy")
        return arrivals


@contextmanager
def gevent_client(port: int, sources: list[Source]) -> Iterator[GeventClient]:
    """A headless Locust with one user a source; it is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="pvload-bench-") as name:
        folder = Path(name)
        arguments = ["-m", "locust", "-f", str(Path(__file__).parent / "plain_user.py"), "--headless"]
        arguments += ["-u", str(len(sources)), "-r", str(len(sources)), "--host", f"127.0.0.1:{port}"]
        arguments += ["--only-summary", "--loglevel", "ERROR"]
        environment = {
            "BENCH_SOURCES": " ".join(map(str, sources)),
            "BENCH_USERS": str(len(sources)),
            "BENCH_OUT": str(folder / "arrivals.npy"),
        }
        locust = _started(arguments, folder, **environment)
        try:
            yield GeventClient(folder, locust)
        finally:
            _ended(locust, 0.0)


CLIENTS = {"engine": engine_client, "gevent": gevent_client}
"""In the order in which they take turns."""
