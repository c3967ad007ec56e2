"""The pipes to and from the worker, each in a thread of its own: a worker that does not read holds up no frame."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable
from typing import Final

from pvload.wire.command import Aggregate, Answer, to_line

ANSWERS_LIMIT: Final = 65_536
LINE_LIMIT_BYTES: Final = 4 * 1024 * 1024


class Outbox:
    """Answers on their way to the worker, in order."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._answers: queue.Queue[Answer | None] = queue.Queue(ANSWERS_LIMIT)
        self._thread = threading.Thread(target=self._write, name="answers", daemon=True)
        self.dropped = 0
        """Answers that found the line full: the worker reads nothing any more."""

    def start(self) -> None:
        """Begins to write."""
        self._thread.start()

    def send(self, answer: Answer) -> None:
        """Puts an answer in the line; never waits."""
        if isinstance(answer, Aggregate) and self._answers.qsize() > ANSWERS_LIMIT // 2:
            self.dropped += 1
            return
        try:
            self._answers.put_nowait(answer)
        except queue.Full:
            self.dropped += 1

    def close(self, timeout_s: float) -> None:
        """Writes what is in the line, for at most timeout_s."""
        try:
            self._answers.put(None, timeout=timeout_s)
        except queue.Full:
            return
        self._thread.join(timeout_s)

    def _write(self) -> None:
        while (answer := self._answers.get()) is not None:
            line = memoryview(to_line(answer))
            try:
                while line:
                    line = line[os.write(self._fd, line) :]
            except OSError:
                return


def read_lines(fd: int, take: Callable[[bytes], None], end: Callable[[], None]) -> None:
    """Hands every line that comes on fd to `take`, from the calling thread, until EOF; then calls `end`.

    A line longer than LINE_LIMIT_BYTES counts as the end: whoever writes it does not speak this language.
    """
    rest = b""
    while len(rest) <= LINE_LIMIT_BYTES:
        try:
            chunk = os.read(fd, 65_536)
        except OSError:
            break
        if not chunk:
            break
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            if line.strip():
                take(line)
    end()
