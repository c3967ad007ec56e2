"""Brings a folder's spools to the collector, each record exactly once, in a thread of its own.

Dead predecessors' spools go first, under their own identity; then this process's own, while it grows. One spool is
talked about at a time, in sessions (`pvload.ship.session`); when the collector is lost the next session begins, for as
long as it takes. Nothing here ever blocks the process: LINGER is 0 and every wait is bounded.
"""

from __future__ import annotations

import logging
import os
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import zmq

from pvload.clock import NS_PER_S, Clock, boot_id
from pvload.ship.axis import ClockExchange, Offset
from pvload.ship.session import Over, Session
from pvload.ship.stored import SpoolReader, find_spools

_log = logging.getLogger(__name__)

PATIENCE_S: Final = 2.0
"""No answer, or no progress with records in flight, for this long: the collector is lost."""
_LOOK_AROUND_NS: Final = NS_PER_S
"""While our own spool is shipped: how often to look for a dead one that should go first."""
_IDLE_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class Delivery:
    """What became of this process's own records."""

    records: int
    """Ever made."""
    delivered: int
    """Of these, confirmed by the collector as journaled or stated missing."""


class Shipper:
    """Owns the thread. `start`; at the end close the spool, then `finish`, then `stop`."""

    def __init__(
        self,
        endpoint: str,
        folder: Path,
        *,
        run: bytes,
        clock: Clock,
        patience_s: float = PATIENCE_S,
        boot: str | None = None,
        own: bytes | None = None,
    ) -> None:
        """boot: identity of the boot whose monotonic clock `clock` reads; None: this host's.

        own: this process's sender; None: the one whose HELLO has its pid, which a dead one's may have too where
        processes are many.
        """
        self.connected = False
        """The collector answers."""
        self.kept: tuple[str, ...] = ()
        """Files in the folder that are not this run's, or cannot be read: `name: why`. They are left alone."""
        self.run_ends = False
        """The collector said that the run ends, and that it waits for our end."""
        self.collector_version = ""
        """Of pvload, as the collector says it; empty: not known yet."""
        self.refused = ""
        """Why the collector refused this process; empty: it did not."""
        self.trouble = ""
        """Why the thread ended before its time; empty otherwise."""
        self._endpoint = endpoint
        self._folder = folder
        self._run = run
        self._clock = clock
        self._boot = boot_id() if boot is None else boot
        self._patience_ns = int(patience_s * NS_PER_S)
        self._exchange = ClockExchange()
        self._acknowledged: dict[bytes, int] = {}
        self._records: dict[bytes, int] = {}
        self._settled: set[bytes] = set()
        """Senders that are finished or refused."""
        self._own = own
        self._by_pid = own is None
        self._own_settled = threading.Event()
        self._stopping = threading.Event()
        self._looked_ns = 0
        self._thread = threading.Thread(target=self._main, name="pvload-shipper", daemon=True)

    def start(self) -> None:
        """Begins to ship; returns at once."""
        self._thread.start()

    def acknowledged(self, sender: bytes) -> int:
        """Records of `sender` that the collector has confirmed."""
        return self._acknowledged.get(sender, 0)

    @property
    def offset(self) -> Offset | None:
        """Run axis minus this host's monotonic clock; None until it is known."""
        return self._exchange.best

    def finish(self, timeout_s: float) -> Delivery:
        """Waits until the collector has confirmed the end of this process's own, closed spool, or the time is over.

        What is not confirmed stays in the folder for a successor.
        """
        self._own_settled.wait(timeout_s)
        if self._own is None:
            return Delivery(records=0, delivered=0)
        return Delivery(records=self._records.get(self._own, 0), delivered=self.acknowledged(self._own))

    def stop(self) -> None:
        """Ends the thread, whatever is still in flight. May be repeated."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def __repr__(self) -> str:
        return f"Shipper({self._endpoint}, {'connected' if self.connected else 'not connected'})"

    def _main(self) -> None:
        context = zmq.Context()
        try:
            while not self._stopping.is_set():
                reader = self._next_spool()
                if reader is None:
                    self._stopping.wait(_IDLE_S)
                    continue
                try:
                    self._ship(context, reader)
                finally:
                    reader.close()
        except (OSError, zmq.ZMQError) as exc:
            self.trouble = str(exc)
            _log.error("shipping from %s ended: %s", self._folder, exc)
        finally:
            self.connected = False
            context.destroy(linger=0)

    def _next_spool(self) -> SpoolReader | None:
        """The spool whose turn it is: the oldest dead one, else our own; None if there is none to ship."""
        self._looked_ns = self._clock.monotonic_ns()
        found = find_spools(self._folder, run=self._run)
        if found.kept != self.kept:
            self.kept = found.kept
            for line in found.kept:
                _log.warning("kept in %s: %s", self._folder, line)
        for reader in found.readers:
            self._records[reader.sender] = reader.count
            if self._by_pid and reader.hello.pid == os.getpid():
                self._own = reader.sender
        ours = [reader for reader in found.readers if self._may_ship(reader)]
        chosen = min(ours, key=lambda reader: reader.sender == self._own, default=None)
        for reader in found.readers:
            if reader is not chosen:
                reader.close()
        return chosen

    def _may_ship(self, reader: SpoolReader) -> bool:
        if reader.sender in self._settled:
            return False
        return reader.sender == self._own or not reader.writer_lives()

    def _ship(self, context: zmq.Context[zmq.Socket[bytes]], reader: SpoolReader) -> None:
        """One spool, session after session, until it is settled or it is another one's turn."""
        over = Over.LOST
        while over is Over.LOST:
            with Session(
                context,
                self._endpoint,
                reader=reader,
                clock=self._clock,
                exchange=self._exchange,
                boot=self._boot,
                patience_ns=self._patience_ns,
            ) as session:
                over = session.hold(progress=self._interrupts)
                self._note(session, reader)
                if reader.sender == self._own:
                    self.refused = session.refusal
            self.connected = False
        if over is Over.INTERRUPTED:
            return
        self._settled.add(reader.sender)
        if over is Over.FINISHED:
            reader.remove()
        if reader.sender == self._own:
            self._own_settled.set()

    def _interrupts(self, session: Session) -> bool:
        """Keeps the account of the session, and says whether it must end."""
        self._note(session, session.reader)
        if self._stopping.is_set():
            return True
        if session.reader.sender != self._own or self._clock.monotonic_ns() - self._looked_ns < _LOOK_AROUND_NS:
            return False
        following = self._next_spool()
        if following is None:
            return False
        following.close()
        return following.sender != session.reader.sender

    def _note(self, session: Session, reader: SpoolReader) -> None:
        self.connected = session.connected
        self.run_ends = self.run_ends or session.run_ends
        self.collector_version = session.collector_version or self.collector_version
        self._records[reader.sender] = reader.count
        if session.outbox.acknowledged != self._acknowledged.get(reader.sender, -1) and session.welcomed:
            self._acknowledged[reader.sender] = session.outbox.acknowledged
            reader.release(session.outbox.acknowledged)
