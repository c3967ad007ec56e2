"""Simulator, collector and engine as real processes, without Locust: a whole run in a few seconds, for tests.

`Rig` does by hand what the Locust plugin does: makes the run directory, starts the three, orders the camera and the
streams, ends the run in its one order, and hands back the summary beside the simulator's ledger.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pvload.profiles.schema import Profile
from pvload.wire import command, run_directory
from pvload.wire.command import Answer, Command

STARTUP_S = 20.0


class LineProcess:
    """A child that speaks one JSON object a line; reading is bounded in time, and the end is by pid."""

    def __init__(self, arguments: list[str], *, stderr: Path) -> None:
        self._stderr = stderr.open("ab")
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            start_new_session=True,
        )
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._stdout, selectors.EVENT_READ)
        self._buffer = b""

    @property
    def _stdout(self) -> Any:
        return self.process.stdout

    def send(self, line: bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line)
        self.process.stdin.flush()

    def line(self, timeout_s: float) -> bytes | None:
        """The next line, or None when none came in time or the child has closed its stdout."""
        deadline = time.monotonic() + timeout_s
        while b"\n" not in self._buffer:
            left = deadline - time.monotonic()
            if left <= 0 or not self._selector.select(left):
                return None
            piece = os.read(self._stdout.fileno(), 65536)
            if not piece:
                return None
            self._buffer += piece
        line, self._buffer = self._buffer.split(b"\n", 1)
        return line

    def expect(self, what: str, *, timeout_s: float = STARTUP_S) -> dict[str, Any]:
        """The next object whose `is` equals `what`; others are passed over."""
        deadline = time.monotonic() + timeout_s
        while (line := self.line(deadline - time.monotonic())) is not None:
            fields: dict[str, Any] = json.loads(line)
            if fields["is"] == what:
                return fields
        raise TimeoutError(f"{self.process.args}: no {what!r} within {timeout_s} s (exit code {self.process.poll()})")

    def kill(self) -> None:
        """SIGKILL by pid, then reap."""
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait(10)

    def close(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()
        self._selector.close()
        self._stderr.close()


class EngineProcess(LineProcess):
    """The real engine, spoken to in values."""

    def __init__(self, start: command.Start, *, program: list[str], stderr: Path) -> None:
        super().__init__(program, stderr=stderr)
        self.order(start)
        self.ready = self.expect("ready")
        self._next_id = 1

    def next_id(self) -> int:
        self._next_id += 1
        return self._next_id - 1

    def order(self, message: Command) -> None:
        self.send(command.to_line(message))

    def answer(self, name: str, *, id: int | None = None, timeout_s: float = STARTUP_S) -> Answer:
        """The next answer of this name (and id); others are passed over."""
        deadline = time.monotonic() + timeout_s
        while (line := self.line(deadline - time.monotonic())) is not None:
            answer = command.answer_from_line(line)
            if name == answer.NAME and (id is None or getattr(answer, "id", None) == id):
                return answer
        raise TimeoutError(f"the engine gave no {name!r} (id {id}) within {timeout_s} s")

    def answer_of(self, *names: str, timeout_s: float = STARTUP_S) -> Answer:
        """The next answer of one of these names; others are passed over."""
        deadline = time.monotonic() + timeout_s
        while (line := self.line(deadline - time.monotonic())) is not None:
            answer = command.answer_from_line(line)
            if answer.NAME in names:
                return answer
        raise TimeoutError(f"the engine gave none of {names} within {timeout_s} s")

    def call(self, method: str, **arguments: Any) -> command.Answered:
        """Makes a unary call and waits for its answer."""
        call_id = self.next_id()
        self.order(command.Call(id=call_id, method=method, arguments=arguments, operator=True))
        answered = self.answer("answered", id=call_id)
        assert isinstance(answered, command.Answered)
        return answered


@dataclass
class Rig:
    """One run. `folder` is its run directory."""

    folder: Path
    profile: Profile
    run: str = field(default_factory=lambda: uuid.uuid4().hex)
    sim: LineProcess | None = None
    collector: LineProcess | None = None
    engine: EngineProcess | None = None
    address: str = ""
    endpoint: str = ""
    engines_started: int = 0
    engine_program: list[str] = field(default_factory=lambda: ["-m", "pvload.engine"])
    sim_options: tuple[str, ...] = ()
    spool_bytes: int = 256 * 1024 * 1024

    def prepare(self) -> None:
        """Makes the run directory with manifest and profile."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / run_directory.LOGS).mkdir(exist_ok=True)
        run_directory.replace_text(self.folder / run_directory.PROFILE, self.profile.model_dump_json())
        run_directory.write_manifest(
            self.folder,
            run_directory.Manifest(run=self.run, name=self.profile.run.name, created_wall_ns=time.time_ns()),
        )

    def start_sim(self) -> None:
        self.sim = LineProcess(
            [
                *("-m", "pvload.sim", "--profile-json", str(self.folder / run_directory.PROFILE)),
                *("--ledger", str(self.folder / run_directory.LEDGER)),
                *("--log", str(self.folder / run_directory.DAEMON_LOG), "--parent-stdin"),
                *self.sim_options,
            ],
            stderr=self.folder / run_directory.LOGS / "sim.log",
        )
        self.address = self.sim.expect("listening")["address"]

    def start_collector(self) -> None:
        """Starts the collector, or starts it again on the port it had."""
        port = self.endpoint.rsplit(":", 1)[-1] if self.endpoint else "0"
        self.collector = LineProcess(
            ["-m", "pvload.collect", "--run-dir", str(self.folder), "--bind", "127.0.0.1", "--port", port],
            stderr=self.folder / run_directory.LOGS / "collector.log",
        )
        self.endpoint = self.collector.expect("listening")["endpoint"]

    def start_engine(self) -> EngineProcess:
        """Starts the engine, or its successor on the same spool."""
        target = self.profile.target.model_copy(update={"address": self.address}).model_dump(mode="json")
        self.engine = EngineProcess(
            command.Start(
                run=self.run,
                worker="rig",
                incarnation=self.engines_started,
                collector=self.endpoint,
                spool=str(self.folder / "spool"),
                target=target,
                spool_bytes=self.spool_bytes,
            ),
            program=self.engine_program,
            stderr=self.folder / run_directory.LOGS / "engine.log",
        )
        self.engines_started += 1
        return self.engine

    def start_camera(self) -> int:
        """Sets exposure and ROI, probes the clock, starts the camera; returns StartStream's sending time."""
        engine, camera, device = self._engine, self.profile.camera, self.profile.target.device
        roi = camera.roi if not isinstance(camera.roi, str) else None
        parameters = {"acquisition.exposure_ms": str(camera.exposure_ms)}
        if roi is not None:
            parameters["acquisition.roi"] = roi.model_dump_json()
        for name, value in parameters.items():
            answered = engine.call("SetParameter", device_id=device, parameter_name=name, value=value)
            assert answered.status == "OK", answered
        probe_id = engine.next_id()
        engine.order(command.Probe(id=probe_id, device=device, parameter=self.profile.target.clock_parameter))
        engine.answer("answered", id=probe_id)
        answered = engine.call("StartStream", device_id=device)
        assert answered.status == "OK", answered
        self.want_camera(answered.sent_ns)
        return answered.sent_ns

    def want_camera(self, since_ns: int) -> None:
        """Tells the engine since when the camera is wanted, and what its frames must show."""
        camera = self.profile.camera
        roi = camera.roi if not isinstance(camera.roi, str) else None
        self._engine.order(
            command.Wanted(
                device=self.profile.target.device,
                at_ns=since_ns,
                wanted=True,
                rate_hz=camera.rate_hz or 1000.0 / camera.exposure_ms,
                width=roi.width if roi else camera.sensor_width,
                height=roi.height if roi else camera.sensor_height,
                binning_x=1,
                binning_y=1,
                exposure_ms=camera.exposure_ms,
            )
        )

    def open(self, *, users: str = "", ordinal: int = 0, number: int = 1, stop_after_frames: int = 0) -> int:
        """Opens a stream for a subscriber of `users` (the first population) and waits for the server's headers."""
        engine = self._engine
        population = next(one for one in self.profile.users if users in ("", one.name))
        call_id = engine.next_id()
        engine.order(
            command.Open(
                id=call_id,
                population=population.name,
                ordinal=ordinal,
                number=number,
                device=self.profile.target.device,
                quality=population.quality,
                max_fps=population.max_fps,
                window_bytes=population.window_bytes,
                stall_ms=1000.0 * (self.profile.criteria.longest_stall_s or 2.0),
                payload=population.payload,
                payload_every=population.payload_every,
                read_fps=population.read_fps,
                pause_ms=1000 * population.pause_after_frame,
                stop_after_frames=stop_after_frames,
            )
        )
        engine.answer("headers", id=call_id)
        return call_id

    def end(self, calls: list[int], *, result_within_s: float = STARTUP_S) -> dict[str, Any]:
        """The one order: T_end, streams cancelled, camera stopped, engine finished, collector's result."""
        engine, collector = self._engine, self.collector
        assert collector is not None
        at_ns = time.monotonic_ns()
        run = self.profile.run
        warm_up_s = min(run.warm_up, run.duration / 4)
        engine.order(
            command.RunEnd(
                at_ns=at_ns, reason="duration", warm_up_ns=int(warm_up_s * 1e9), planned_ns=int(run.duration * 1e9)
            )
        )
        for call_id in calls:
            engine.order(command.Close(id=call_id, by="run_end"))
        waiting = set(calls)
        while waiting:
            waiting.discard(getattr(engine.answer("ended"), "id", None))
        time.sleep(2 * self.profile.camera.exposure_ms / 1000)
        engine.call("StopStream", device_id=self.profile.target.device)
        engine.order(command.Finish())
        engine.answer("finished")
        collector.send(
            json.dumps(
                {
                    "is": "end",
                    "at_ns": at_ns,
                    "reason": "duration",
                    "expect": ["rig"],
                    "deadline_ns": time.monotonic_ns() + 10_000_000_000,
                }
            ).encode()
            + b"\n"
        )
        return collector.expect("result", timeout_s=result_within_s)

    def summary(self) -> dict[str, Any]:
        """summary.json as the collector wrote it."""
        values: dict[str, Any] = json.loads((self.folder / run_directory.SUMMARY).read_text())
        return values

    @property
    def _engine(self) -> EngineProcess:
        assert self.engine is not None
        return self.engine

    def close(self) -> None:
        """Ends whatever still runs, engine first."""
        for child in (self.engine, self.collector, self.sim):
            if child is not None:
                child.close()


@contextmanager
def running(
    folder: Path,
    profile: Profile,
    *,
    engine_script: Path | None = None,
    sim_options: tuple[str, ...] = (),
    spool_bytes: int = 256 * 1024 * 1024,
) -> Iterator[Rig]:
    """A rig with all three processes up; ended whatever happens. engine_script: a program in the engine's place."""
    rig = Rig(folder=folder, profile=profile, sim_options=sim_options, spool_bytes=spool_bytes)
    if engine_script is not None:
        rig.engine_program = [str(engine_script)]
    rig.prepare()
    try:
        rig.start_sim()
        rig.start_collector()
        rig.start_engine()
        yield rig
    finally:
        rig.close()
