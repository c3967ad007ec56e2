"""The collector's loop: messages in, journal, answers out, fold, live figures. A thin shell around `Intake`.

One round takes what the socket holds (bounded), makes it one transaction and answers; the fold comes after, a slice of
time between rounds, so that no sender waits for it. What is folded is what the journal holds, in each sender's order.
When the journal fails, nothing is acknowledged any more and nothing retried: `live.json` says so, the senders keep what
they have, and the end comes when it is ordered.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Final

import zmq

from pvload.clock import NS_PER_MS, NS_PER_S, Clock, boot_id
from pvload.collect.aside import Aside
from pvload.collect.backlog import Backlog
from pvload.collect.ending import End, awaited, end_from_line, interrupted
from pvload.collect.intake import Intake, joined
from pvload.errors import FormatError, PvloadError
from pvload.wire.batch import HEADER, MAX_BATCH_RECORDS, Envelope, Message, pack
from pvload.wire.event import RECORD_BYTES
from pvload.wire.journal import JournalError, JournalWriter, Row
from pvload.wire.live import Live, LiveAccounting, LiveFigures, write_live
from pvload.wire.replay import Fold

_log = logging.getLogger(__name__)

ROUND_MESSAGES: Final = 512
ROUND_BYTES: Final = 8 * 1024 * 1024
ROUND_NS: Final = 5 * NS_PER_MS
"""A round takes at most so much off the socket before it commits."""
_SLICE_NS: Final = 20 * NS_PER_MS
"""The fold gives way to the socket after so long, and one piece of work."""
_POLL_MS: Final = 100
_RECEIVE_QUEUE: Final = 64
"""Messages a peer; senders keep at most 16 batches in flight."""
_LARGEST_MESSAGE: Final = HEADER.size + MAX_BATCH_RECORDS * RECORD_BYTES
_LIVE_EVERY_NS: Final = NS_PER_S
_LIVE_WAITS_NS: Final = NS_PER_S
"""Live figures wait so long for the fold, then they show how far it came."""
_JUDGE_EVERY_NS: Final = 5 * NS_PER_S
_JUDGE_SHARE: Final = 20
"""Judging so far may take one part in so many of the time."""
_JUDGE_WITHIN_NS: Final = 60 * NS_PER_S
_ORDER_BYTES: Final = 64 * 1024


class Collector:
    """One run's collector, from `listen` until `serve` returns. Single-threaded."""

    def __init__(
        self,
        *,
        run_dir: Path,
        intake: Intake,
        journal: JournalWriter,
        fold: Fold,
        clock: Clock,
        figures: Callable[[], LiveFigures],
        verdict_so_far: Callable[[], str],
        run: bytes,
    ) -> None:
        self.trouble = ""
        """Why nothing is acknowledged any more; empty while all is well."""
        self._run_dir = run_dir
        self._run = run
        self._intake = intake
        self._journal = journal
        self._backlog = Backlog(fold, clock)
        self._clock = clock
        self._figures = figures
        self._judging = Aside(verdict_so_far)
        self._judging_since_ns = 0
        self._verdict = ""
        self._judge_at_ns = clock.monotonic_ns() + _JUDGE_EVERY_NS
        self._live_at_ns = 0
        self._end: End | None = None
        self._orders = b""
        self._orders_fd = -1
        self._interrupted = False
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.ROUTER)
        self._poller = zmq.Poller()

    def listen(self, address: str, port: int) -> str:
        """Binds (port 0: any free one) and gives the endpoint; PvloadError if it cannot."""
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.RCVHWM, _RECEIVE_QUEUE)
        self._socket.setsockopt(zmq.MAXMSGSIZE, _LARGEST_MESSAGE)
        host = f"[{address}]" if ":" in address else address
        self._socket.setsockopt(zmq.IPV6, int(":" in address))
        try:
            self._socket.bind(f"tcp://{host}:{port or '*'}")
        except zmq.ZMQError as exc:
            raise PvloadError(f"the collector cannot listen on {address}:{port}: {exc}") from exc
        self._poller.register(self._socket, zmq.POLLIN)
        return self._socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def interrupt(self) -> None:
        """Ends the run as soon as the loop looks; may be called from a signal handler."""
        self._interrupted = True

    def serve(self, orders_fd: int) -> End:
        """Works until the end is ordered on `orders_fd` (a line, or its EOF) or by `interrupt`, and reached."""
        self._orders_fd = orders_fd
        self._poller.register(orders_fd, zmq.POLLIN)
        while not self._is_over():
            ready = dict(self._poller.poll(0 if self._backlog.is_due else _POLL_MS))
            if orders_fd in ready:
                self._read_orders()
            if self._socket in ready:
                self._round(min(ROUND_BYTES, self._backlog.room_bytes))
            now_ns = self._clock.monotonic_ns()
            if now_ns >= self._live_at_ns:
                self._backlog.want()
            self._backlog.work(now_ns + _SLICE_NS)
            self._judge(now_ns)
            self._show()
        self._judging.close()
        self._backlog.finish()
        for name in self._awaited(now_ns=0):
            _log.warning("no FIN came from %s", name)
        return self._end or interrupted(now_ns=self._clock.monotonic_ns())

    def show_end(self, verdict: str) -> None:
        """Writes the last `live.json`."""
        self._verdict = verdict
        self._write_live("ended")

    def close(self) -> None:
        """Lets go of socket and journal."""
        self._judging.close()
        self._context.destroy(linger=0)
        try:
            self._journal.close()
        except JournalError as exc:
            _log.error("%s", exc)

    def _is_over(self) -> bool:
        now_ns = self._clock.monotonic_ns()
        if self._interrupted and self._end is None:
            self._end = interrupted(now_ns=now_ns)
        if self._end is None:
            return False
        self._intake.ends = True
        return bool(self.trouble) or now_ns >= self._end.deadline_ns or not self._awaited(now_ns)

    def _awaited(self, now_ns: int) -> tuple[str, ...]:
        if self._end is None:
            return ()
        expected = awaited(self._end, self._intake.senders(), now_ns=now_ns)
        return (*expected, *(name for name in self._intake.witnesses(now_ns) if name not in expected))

    def _read_orders(self) -> None:
        chunk = os.read(self._orders_fd, _ORDER_BYTES)
        if not chunk:
            self._poller.unregister(self._orders_fd)
            self._interrupted = True
            return
        *lines, self._orders = (self._orders + chunk)[-_ORDER_BYTES:].split(b"\n")
        for line in filter(None, lines):
            try:
                self._end = end_from_line(line, now_ns=self._clock.monotonic_ns())
            except FormatError as exc:
                _log.error("order not understood: %s", exc)

    def _round(self, most_bytes: int) -> None:
        """Takes what the socket holds, makes it durable, answers; the fold's part waits."""
        rows: list[Row] = []
        answers: list[tuple[bytes, Envelope]] = []
        taken = taken_bytes = 0
        until_ns = self._clock.monotonic_ns() + ROUND_NS
        while taken < ROUND_MESSAGES and taken_bytes < most_bytes and self._clock.monotonic_ns() < until_ns:
            try:
                frames = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                break
            data = frames[1] if len(frames) == 2 else b""
            taken, taken_bytes = taken + 1, taken_bytes + len(data)
            step = self._intake.take(data, now_ns=self._clock.monotonic_ns())
            rows += step.rows
            if step.answer is not None and step.at_once:
                self._send(frames[0], step.answer)
            elif step.answer is not None:
                answers.append((frames[0], step.answer))
        whole = joined(rows)
        if not self._commit(whole):
            return
        for routing, answer in _latest(answers):
            self._send(routing, answer)
        self._backlog.add(whole)

    def _commit(self, rows: list[Row]) -> bool:
        """Whether `rows` are durable and may be acknowledged."""
        if self.trouble:
            return False
        try:
            self._journal.commit(rows)
        except JournalError as exc:
            self.trouble = exc.message
            self._live_at_ns = 0
            _log.error("nothing is acknowledged from here on: %s", exc)
            return False
        return True

    def _send(self, routing: bytes, answer: Envelope) -> None:
        try:
            self._socket.send_multipart([routing, pack(answer)], zmq.NOBLOCK)
        except zmq.ZMQError as exc:
            _log.warning("an answer could not be sent: %s", exc)

    def _show(self) -> None:
        now_ns = self._clock.monotonic_ns()
        if now_ns < self._live_at_ns + (_LIVE_WAITS_NS if self._backlog.is_wanted else 0):
            return
        self._live_at_ns = now_ns + _LIVE_EVERY_NS
        self._write_live("running" if self._end is None else "ending")

    def _judge(self, now_ns: int) -> None:
        """Has the run judged as it stands, in a process aside, and not more often than it may be."""
        took_ns = now_ns - self._judging_since_ns
        if self._judging.is_busy():
            self._verdict = self._judging.text() or self._verdict
            if not self._judging.is_busy():
                self._judge_at_ns = max(self._judge_at_ns, now_ns + _JUDGE_SHARE * took_ns)
            elif took_ns > _JUDGE_WITHIN_NS:
                _log.warning("the verdict so far was given up after %d s", took_ns // NS_PER_S)
                self._judging.close()
        elif now_ns >= self._judge_at_ns:
            self._judging_since_ns = now_ns
            self._judge_at_ns = now_ns + _JUDGE_EVERY_NS
            self._judging.begin()

    def _write_live(self, state: str) -> None:
        senders = self._intake.senders()
        live = Live(
            run=self._run.hex(),
            state=state,
            wall_ns=self._clock.wall_ns(),
            figures=self._figures(),
            accounting=LiveAccounting(
                delivered=sum(row.known for row in senders) - self._intake.missing,
                missing=self._intake.missing,
                rejected=self._intake.rejected,
                senders=len(senders),
                senders_finished=sum(row.total is not None for row in senders),
            ),
            verdict=self._verdict,
            trouble=self.trouble,
        )
        try:
            write_live(self._run_dir, live)
        except OSError as exc:
            _log.warning("live figures could not be written: %s", exc)


def about_collector() -> bytes:
    """What the answer to a HELLO says: whose monotonic clock the run's axis is, and which pvload serves it."""
    return json.dumps({"boot": boot_id(), "version": version("pvload")}).encode()


def _latest(answers: list[tuple[bytes, Envelope]]) -> list[tuple[bytes, Envelope]]:
    """`answers` in order, without plain ACKs that a later one of the same peer and sender includes."""
    last = {(routing, answer.sender): at for at, (routing, answer) in enumerate(answers) if _is_plain_ack(answer)}
    return [
        (routing, answer)
        for at, (routing, answer) in enumerate(answers)
        if not _is_plain_ack(answer) or last[routing, answer.sender] == at
    ]


def _is_plain_ack(answer: Envelope) -> bool:
    return answer.message is Message.ACK and not answer.payload
