"""Clients that come and go by the thousand, through the real engine: nothing stays behind, and the report is the
ledger's.

Streams are left cleanly, by a reset, half open and by SIGKILL of a viewer process; before the first word of the server,
with it, or after some frames. One steady subscriber watches all the while.
"""

from __future__ import annotations

import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from coming import MARK, POPULATION, Visitors
from journaled import Journaled, journaled
from pvload.profiles.schema import Camera, Profile, Run
from pvload.profiles.simulated import Fault, Simulator
from pvload.profiles.users import Abort, Churn, Users
from pvload.profiles.values import Roi
from pvload.sim.ledger import read_ledger
from pvload.sim.truth import CallTruth, call_truths
from pvload.wire import command, run_directory
from pvload.wire.event import Kind, Records
from rig import EngineProcess, Rig, running
from simulated import until

TOGETHER = 16
LINGER_MS = 150.0
SEATS = 17
"""Places at the server: the steady one's, and fewer than the visitors want while the dead ones still hold some."""
EXPOSURE_MS = 20.0
WARM_ROUNDS = 2
"""Pools of threads and arenas of memory grow until then."""
FEW = 4
"""Threads and descriptors that may come and go by themselves; a leak would be of hundreds."""
PLATEAU_BYTES = 8 * 1024 * 1024
RESULT_WITHIN_S = 90.0
"""Ten thousand calls take a busy host a while."""
VIEWER_MARK = 2 * MARK
VIEWERS = 3
VIEWER_FRAMES = 10
SUCCESSORS = 5
"""One is enough, where the collector has a core to itself."""


def profile_of(*, faults: tuple[Fault, ...] = (), seats: int = SEATS) -> Profile:
    """Small frames for one that stays and many that do not."""
    abort = Abort(clean=5, dropped=5, half_open=1, killed=1)
    return Profile(
        run=Run(name="churn", duration=10.0, warm_up=0.5),
        camera=Camera(exposure_ms=EXPOSURE_MS, roi=Roi(x=0, y=0, width=64, height=64)),
        users=[
            Users(name="steady"),
            Users(name=POPULATION, count=TOGETHER, churn=Churn(abort=abort, half_open_for=LINGER_MS / 1000)),
        ],
        simulator=Simulator(model="grid", streams_per_client=seats, faults=list(faults)),
    )


@dataclass(frozen=True, slots=True)
class Base:
    """What a process holds between two rounds."""

    fds: int
    threads: int
    rss_bytes: int

    @classmethod
    def of(cls, pid: int) -> Base:
        process = psutil.Process(pid)
        return cls(process.num_fds(), process.num_threads(), process.memory_info().rss)


@dataclass(slots=True)
class Server:
    """The simulator's account, read again and again."""

    ledger: Path
    _at: int = 0
    _open: int = 0

    def streams(self) -> int:
        """Calls whose forwarders run, by the ledger as far as it is written."""
        with self.ledger.open("rb") as file:
            file.seek(self._at)
            text = file.read()
        whole = text.rpartition(b"\n")[0]
        self._at += len(whole) + 1 if whole else 0
        self._open += whole.count(b'{"is":"call_opened"') - whole.count(b'{"is":"slot_released"')
        return self._open


@dataclass(slots=True)
class Rounds:
    """Rounds of visitors, and what the processes hold after each."""

    rig: Rig
    visitors: Visitors
    bases: dict[str, list[Base]] = field(default_factory=lambda: {"engine": [], "simulator": [], "collector": []})
    seconds: list[float] = field(default_factory=list)
    """How long each round took."""
    _server: Server | None = None

    def one(self, cycles: int) -> None:
        """Ends when the server holds the steady stream alone."""
        server = self._server = self._server or Server(self.rig.folder / run_directory.LEDGER)
        begun = time.monotonic()
        self.visitors.come(cycles)
        until(lambda: server.streams() == 1, "the server to hold the steady stream alone")
        for name, child in (
            ("engine", self.rig.engine),
            ("simulator", self.rig.sim),
            ("collector", self.rig.collector),
        ):
            assert child is not None
            self.bases[name].append(Base.of(child.process.pid))
        self.seconds.append(time.monotonic() - begun)

    def text(self) -> str:
        """How it went, for a reader."""
        lines = [f"  rounds of {', '.join(f'{seconds:.1f}' for seconds in self.seconds)} s"]
        for name, every in self.bases.items():
            told = "; ".join(f"{one.fds} fds {one.threads} threads {one.rss_bytes / 2**20:.1f} MiB" for one in every)
            lines.append(f"  {name} after each: {told}")
        return "\n".join(lines)


def assert_back_to_base(bases: dict[str, list[Base]]) -> None:
    """Descriptors and threads as in the first round that is warm, memory on a plateau.

    The collector keeps a row of every leave, to a limit of its own.
    """
    for name, every in bases.items():
        first, last = every[WARM_ROUNDS - 1], every[-1]
        assert abs(last.fds - first.fds) <= FEW, (name, every)
        assert abs(last.threads - first.threads) <= FEW, (name, every)
        if name != "collector":
            assert last.rss_bytes - first.rss_bytes < PLATEAU_BYTES, (name, every)


def viewer(rig: Rig, life: int) -> EngineProcess:
    """A process to be killed, in the one slot for them."""
    target = rig.profile.target.model_copy(update={"address": rig.address}).model_dump(mode="json")
    start = command.Start(
        run=rig.run,
        worker="rig-viewer-0",
        incarnation=life,
        collector=rig.endpoint,
        spool=str(rig.folder / "viewer"),
        target=target,
        role="viewer",
    )
    log = rig.folder / run_directory.LOGS / "viewer.log"
    return EngineProcess(start, program=["-m", "pvload.engine"], stderr=log)


def die(one: EngineProcess, device: str, life: int) -> command.Left:
    """The viewer reads some frames and is killed by SIGKILL; what its worker records of it."""
    place: dict[str, Any] = {"population": POPULATION, "ordinal": TOGETHER, "number": 1 + life, "device": device}
    one.order(command.Open(id=1, max_fps=VIEWER_MARK + life, **place))
    one.order(command.Mark(id=1, frames=VIEWER_FRAMES))
    one.answer("reached", id=1)
    left = command.Left(style="killed", at_ns=time.monotonic_ns(), **place)
    one.kill()
    return left


def successors(rig: Rig) -> int:
    """Viewers that only ship what the dead ones left: so many were needed until nothing was left."""
    for number in range(1, SUCCESSORS + 1):
        one = viewer(rig, VIEWERS + number)
        one.order(command.Finish())
        one.answer("finished")
        one.close()
        if not list((rig.folder / "viewer").iterdir()):
            return number
    raise TimeoutError(f"{SUCCESSORS} successors could not ship what was left")


@dataclass(slots=True)
class Told:
    """The frames of every call by its max_fps, as the engines recorded them."""

    numbers: dict[int, list[int]] = field(default_factory=dict)
    accepted: set[int] = field(default_factory=set)
    """Heard the server's first word before they left."""

    def add(self, sender: Journaled) -> None:
        marks = {int(row["ref"]): int(row["max_fps"]) for row in sender.rows(Kind.OPENED)}
        left = {(int(row["ordinal"]), int(row["number"])): int(row["t_ns"]) for row in sender.rows(Kind.LEFT)}
        leavings = {
            int(row["ref"]): left.get((int(row["ordinal"]), int(row["number"])), 2**62)
            for row in sender.rows(Kind.OPENED)
        }
        self.accepted |= {
            marks[int(row["ref"])] for row in sender.rows(Kind.HEADERS) if row["t_ns"] <= leavings[int(row["ref"])]
        }
        frames: Records = sender.rows(Kind.FRAME)
        for ref, mark in marks.items():
            self.numbers[mark] = [int(number) for number in frames[frames["ref"] == ref]["frame_number"]]


def told_by(folder: Path) -> Told:
    """By all engines and viewers."""
    told = Told()
    for sender in journaled(folder):
        told.add(sender)
    return told


def sent_by(folder: Path) -> dict[int, CallTruth]:
    """Every admitted call by its max_fps; a message whose write was cut off may have come all the same."""
    entries = [
        {**entry, "ok": True} if entry["is"] == "sent" else entry
        for entry in read_ledger(folder / run_directory.LEDGER)
    ]
    return {truth.max_fps: truth for truth in call_truths(entries)}


def assert_frames_equal(told: Told, sent: dict[int, CallTruth]) -> None:
    """What a call received is what the server sent on it, from its first frame on and without a hole."""
    assert set(sent) <= set(told.numbers)
    for mark, numbers in told.numbers.items():
        truth = sent.get(mark)
        assert numbers == ([] if truth is None else truth.frame_number[: len(numbers)].tolist()), mark


def assert_nothing_lost(accounting: dict[str, Any], lives: int) -> None:
    """Every record of every process that could still speak was delivered, once."""
    assert accounting["missing"] == accounting["undelivered"] == accounting["rejected_batches"] == 0
    assert accounting["frames_checked"]
    assert all(one["recorded"] == one["delivered"] for one in accounting["senders"]), accounting
    assert sorted(one["worker"] for one in accounting["senders"]) == ["rig", *["rig-viewer-0"] * lives]


@pytest.mark.parametrize(
    ("rounds", "cycles"),
    [pytest.param(5, 200, id="1000"), pytest.param(6, 2000, id="12000", marks=pytest.mark.soak)],
)
def test_thousands_come_and_go_and_nothing_stays(
    tmp_path: Path, rounds: int, cycles: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """Descriptors, threads, memory and streams back to base; no event lost; the report equals the ledger."""
    with running(tmp_path, profile_of()) as rig, ExitStack() as stack, ThreadPoolExecutor(1) as beside:
        assert rig.engine is not None
        device = rig.profile.target.device
        rig.start_camera()
        steady = rig.open()
        visitors = Visitors(rig.engine, device, TOGETHER, seed=1, linger_ms=LINGER_MS)
        going_on = Rounds(rig, visitors)
        for life in range(rounds):
            starting = beside.submit(viewer, rig, life) if life < VIEWERS else None
            going_on.one(cycles)
            if starting is not None:
                one = starting.result()
                stack.callback(one.close)
                rig.engine.order(die(one, device, life))
        lives = VIEWERS + successors(rig)
        rig.end([steady], result_within_s=RESULT_WITHIN_S)
        summary = rig.summary()
    with capsys.disabled():
        print(f"\n{going_on.text()}")
    assert_back_to_base(going_on.bases)
    assert_nothing_lost(summary["accounting"], lives)

    told, sent = told_by(tmp_path), sent_by(tmp_path)
    assert_frames_equal(told, sent)
    ledger = list(read_ledger(tmp_path / run_directory.LEDGER))
    kinds = Counter(entry["is"] for entry in ledger)
    assert kinds["call_opened"] == kinds["slot_released"] == kinds["call_ended"] == len(sent)
    assert [entry["open"] for entry in ledger if entry["is"] == "slot_released"][-1] == 0

    (churn,) = summary["around"]["churn"]
    visits = visitors.visits
    assert churn["opened"] == len(visits) + VIEWERS
    by_mark = {one.mark: one for one in visits}
    unheard = set(sent) - told.accepted
    half_heard = told.accepted - set(sent)
    assert {by_mark[mark].moment for mark in unheard | half_heard} <= {"at once"}, "the others heard all, in time"
    assert len(half_heard) <= 2, "left between the two halves of a refusal, which come in one packet"
    assert churn["accepted"] == len(sent) - 1 - len(unheard) + len(half_heard)
    assert churn["with_frames"] == sum(bool(numbers) for mark, numbers in told.numbers.items() if mark >= MARK)
    assert churn["admission_refused"] == sum(one.refused for one in visits) > 0
    unheard_refusals = kinds["call_refused"] - churn["admission_refused"]
    assert 0 <= unheard_refusals <= sum(one.moment == "at once" for one in visits)
    assert churn["left"] == {**visitors.left, "killed": VIEWERS}
    assert churn["ended_by_server"] == 0
    assert all(len(told.numbers[VIEWER_MARK + life]) >= VIEWER_FRAMES for life in range(VIEWERS)), "by their spools"

    frames = {one["name"]: one["figures"]["frames"] for one in summary["subscribers"]}
    assert sum(frames.values()) == sum(len(numbers) for numbers in told.numbers.values())
    assert frames["steady/0"] == len(told.numbers[0])
    assert sum(one.received for one in visits) == sum(
        len(numbers) for mark, numbers in told.numbers.items() if MARK <= mark < VIEWER_MARK
    )
    missing = summary["run"]["missing"]
    assert [missing[name] for name in ("unseen", "transport", "undecided")] == [0, 0, 0]


def test_a_place_that_is_not_given_back_shows(tmp_path: Path) -> None:
    """The comparison can fail: a server that keeps places is caught by its ledger and by the report."""
    faults = (Fault(kind="slot_leak", frame=0),)
    with running(tmp_path, profile_of(faults=faults)) as rig:
        assert rig.engine is not None
        rig.start_camera()
        steady = rig.open()
        visitors = Visitors(rig.engine, rig.profile.target.device, TOGETHER, seed=2, linger_ms=LINGER_MS)
        visitors.come(60)
        time.sleep(1.2)  # the daemon may be slow to notice for a second, by the definition
        visitors.come(20)
        rig.end([steady])
        (churn,) = rig.summary()["around"]["churn"]
    kinds = Counter(entry["is"] for entry in read_ledger(tmp_path / run_directory.LEDGER))
    assert kinds["slot_leaked"] == kinds["call_opened"]
    assert churn["refused_after_leaving"] > 0
