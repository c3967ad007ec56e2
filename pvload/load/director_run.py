"""One run as the director sees it: what was made, who answered, how far it is, what it came to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from gevent.event import Event
from locust.runners import Runner

from pvload.clock import NS_PER_S
from pvload.errors import PvloadError
from pvload.load import messages
from pvload.load.camera_state import CameraState
from pvload.load.daemon import Daemon, Happened
from pvload.load.processes import Processes, Result
from pvload.load.run_folder import RunFolder
from pvload.load.seats import Seats
from pvload.plan.check import Plan
from pvload.profiles.schema import Profile


class DirectorRun:
    """One run as the director sees it."""

    def __init__(self, folder: RunFolder, profile: Profile, plan: Plan, processes: Processes, frames: int) -> None:
        self.id = folder.manifest.run
        self.folder = folder
        self.profile = profile
        self.plan = plan
        self.processes = processes
        self.frames = frames
        """Frames after which every stream, and then the run, ends; 0: by time."""
        self.state = "beginning"
        self.stop_asked = Event()
        self.over = Event()
        self.seats = Seats()
        self.stations: dict[str, messages.Ready] = {}
        """Node -> what its engine said when it was ready."""
        self.replies: dict[tuple[str, str], Any] = {}
        """(word's name, node) -> the node's answer."""
        self.camera = CameraState(profile)
        self.known: set[tuple[str, int, bool]] = set()
        """(node, change, again) that the engines know of, of the newest change."""
        self.operator_node = ""
        self.daemon: Daemon | None = None
        """The daemon, where pvload starts it."""
        self.happened: list[Happened] = []
        """To the daemon, not recorded yet; bounded by the restarts of the timeline."""
        self.timeline_node = ""
        self.timeline_next = 0
        """Which of its actions is the next."""
        self.timeline_done_ns: int | None = None
        """Run axis: when the last action of a run that ends with its timeline was done."""
        self.began_ns = 0
        self.started_ns: int | None = None
        """Run axis: when StartStream was sent, or the first stream was opened where nobody here starts the camera."""
        self.joined = False
        self.done: dict[tuple[str, int], int] = {}
        self.collecting = False
        self.failure: PvloadError | None = None
        self.result: Result | None = None

    @property
    def able(self) -> list[str]:
        """Nodes whose engines became ready."""
        return [node for node, one in self.stations.items() if not one.failed]

    @property
    def planned_ns(self) -> int:
        """Length of the run by its plan: to the end of its timeline, where that ends it."""
        by_plan = int(self.profile.run.duration * NS_PER_S)
        if self.timeline_done_ns is None or self.started_ns is None:
            return by_plan
        return min(by_plan, self.timeline_done_ns - self.started_ns)


class Interrupted(PvloadError):  # noqa: N818 - an order, not an error
    """The run was asked to end before it had begun."""


def hear_of_run(
    runner: Runner,
    kind: type[Any],
    mine: Callable[[Any], DirectorRun | None],
    listener: Callable[[DirectorRun, str, Any], None],
) -> None:
    """Calls `listener` with (run, node, word) for each word of that kind of the run that `mine` finds for it."""

    def heard(node: str, word: Any) -> None:
        if run := mine(word):
            listener(run, node, word)

    messages.hear(runner, kind, heard)
