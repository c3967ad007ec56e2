"""Viewer processes: engines of their own whose streams are left by killing them, as a viewer that crashes leaves.

Each lives in a slot, which is a folder for its spool. At most VIEWERS_LIMIT live at a time, spares among them, so that
a call need not wait for a process. A slot is used again as soon as its process is dead, the lowest first: the
next one in it ships what the dead one left, and at the run's end one more does so where nobody came after. Every viewer
hangs on a pipe of this worker and ends when the worker does.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

import gevent
from gevent.event import Event

from pvload.load.children import ChildError
from pvload.load.engine_client import EngineClient
from pvload.wire import command

_log = logging.getLogger(__name__)
VIEWERS_LIMIT: Final = 12
"""Processes alive at once, of one worker."""
PREPARED: Final = 2
"""Spares at most."""
SPOOL_BYTES: Final = 64 * 1024 * 1024
"""Of one slot."""
SHIP_TIMEOUT_S: Final = 15.0


class Viewers:
    """This worker's viewer processes."""

    def __init__(
        self, start: command.Start, *, folder: Path, log: Path, on_aggregate: Callable[[command.Aggregate], None]
    ) -> None:
        """folder: where the slots' spools lie. log: the viewers' own, together."""
        self.killed = 0
        """Viewers that were killed by plan."""
        self._start = start
        self._folder = folder
        self._log = log
        self._on_aggregate = on_aggregate
        self._slots: dict[EngineClient, int] = {}
        """Those alive, the spare included."""
        self._left_behind: set[int] = set()
        """Slots whose last process was killed, and nobody came after it."""
        self._lives = 0
        self._spares: list[EngineClient] = []
        self._calls_left: int | None = None
        """How many calls are still to come; None: nobody knows."""
        self._warming: gevent.Greenlet | None = None
        self._free = Event()
        self._free.set()
        self._told: dict[str, command.Command] = {}
        self._ending = False

    def alive(self) -> tuple[EngineClient, ...]:
        """Those that live, the spare included."""
        return tuple(self._slots)

    def tell(self, message: command.Command, *, newcomers_too: bool = True) -> None:
        """What every engine must know: told to all that live, and the newest of each kind to those that come."""
        if newcomers_too:
            self._told[message.NAME] = message
        for viewer in list(self._slots):
            viewer.send(message)

    def prepare(self, calls: int | None) -> None:
        """Makes spares for so many calls (None: nobody knows how many), and waits for them: before the camera runs, a
        starting process disturbs nobody."""
        self._calls_left = calls
        count = PREPARED if calls is None else min(calls, PREPARED)
        gevent.joinall([gevent.spawn(self._make_spare) for _ in range(count)])

    def warm(self) -> None:
        """Makes a spare, unless there is one or no call is to come."""
        if self._ending or self._spares or (self._warming is not None and not self._warming.dead):
            return
        if self._calls_left is None or self._calls_left > 0:
            self._warming = gevent.spawn(self._make_spare)

    def take(self) -> EngineClient:
        """A viewer that runs, for one call; ChildError if it cannot be had. Waits while too many live."""
        while not self._ending:
            if self._warming is not None and not self._spares:
                self._warming.join()
            viewer = self._spares.pop() if self._spares else None
            if viewer is not None and not viewer.pid:
                self._bury(viewer)
                continue
            if viewer is None and len(self._slots) < VIEWERS_LIMIT:
                viewer = self._made()
            if viewer is not None:
                if self._calls_left is not None:
                    self._calls_left -= 1
                self.warm()
                return viewer
            self._free.clear()
            self._free.wait(1.0)
        raise ChildError("no viewer process any more: the run ends")

    def kill(self, viewer: EngineClient) -> None:
        """SIGKILL; what it recorded is shipped by the next one in its slot."""
        viewer.kill()
        self.killed += 1
        self._bury(viewer)
        self.warm()

    def give_back(self, viewer: EngineClient) -> None:
        """Its call is over in another way: it is a spare again, or ended where there are enough."""
        if self._ending or viewer not in self._slots:
            return
        if len(self._spares) < PREPARED and viewer.pid:
            self._spares.append(viewer)
            self._free.set()
            return
        gevent.spawn(self._dismiss, viewer)

    def finish(self) -> None:
        """Ends all in order, and ships what killed ones left."""
        self._ending = True
        self._free.set()
        if self._warming is not None:
            self._warming.join()
        with gevent.Timeout(SHIP_TIMEOUT_S, False):
            work = [gevent.spawn(viewer.finish) for viewer in self._slots]
            work += [gevent.spawn(self._ship, slot) for slot in self._left_behind - set(self._slots.values())]
            gevent.joinall(work)
            # A process that was just being started where a killed one had been is ended unready and shipped nothing.
            still = {slot for viewer, slot in self._slots.items() if viewer.pid}
            gevent.joinall([gevent.spawn(self._ship, slot) for slot in self._left_behind - still])
        for viewer in list(self._slots):
            if viewer.pid:
                viewer.kill()
        self._slots.clear()
        self._left_behind.clear()

    def _dismiss(self, viewer: EngineClient) -> None:
        viewer.finish()
        self._slots.pop(viewer, None)
        self._free.set()

    def _make_spare(self) -> None:
        if len(self._slots) >= VIEWERS_LIMIT:
            return
        try:
            viewer = self._made()
        except ChildError as exc:
            _log.error("no spare viewer: %s", exc)
            return
        if len(self._spares) < PREPARED and not self._ending:
            self._spares.append(viewer)
            self._free.set()
        else:  # others were given back meanwhile
            self._dismiss(viewer)

    def _made(self) -> EngineClient:
        """A new viewer in the lowest free slot."""
        taken = set(self._slots.values())
        slot = min(set(range(VIEWERS_LIMIT)) - taken)
        viewer = self._client(slot)
        self._slots[viewer] = slot
        try:
            viewer.start()
        except (ChildError, OSError) as exc:
            self._slots.pop(viewer, None)
            raise ChildError(f"a viewer process could not be started: {exc}") from exc
        self._left_behind.discard(slot)
        for message in self._told.values():
            viewer.send(message)
        return viewer

    def _client(self, slot: int) -> EngineClient:
        self._lives += 1
        start = replace(
            self._start,
            worker=f"{self._start.worker}-viewer-{slot}",
            incarnation=self._lives,
            spool=str(self._folder / f"slot-{slot:02d}"),
            spool_bytes=SPOOL_BYTES,
            role="viewer",
        )
        return EngineClient(
            start, log=self._log, on_aggregate=self._on_aggregate, on_given_up=lambda _text: None, replaced=False
        )

    def _bury(self, viewer: EngineClient) -> None:
        slot = self._slots.pop(viewer, None)
        if slot is not None:
            self._left_behind.add(slot)
        self._free.set()

    def _ship(self, slot: int) -> None:
        """A process that has no call and only ships what the slot's last one left."""
        viewer = self._client(slot)
        self._slots[viewer] = slot
        try:
            viewer.start()
            viewer.finish()
            self._left_behind.discard(slot)
        except (ChildError, OSError) as exc:
            _log.error("what a killed viewer left in slot %d could not be shipped: %s", slot, exc)
