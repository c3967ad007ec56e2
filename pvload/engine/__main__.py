"""`python -m pvload.engine`: one data-plane process; commands on stdin, answers on stdout, log on stderr.

Ends in order at `finish`, at EOF on stdin and at SIGTERM, which the kernel also sends when the parent dies. Ctrl-C
reaches the one that orders the end, so SIGINT does nothing here.
"""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import signal
import sys
from typing import Final

from pvload.clock import SystemClock
from pvload.engine.idle import IdleSelector
from pvload.engine.life import Life
from pvload.engine.outbox import Outbox
from pvload.lifeline import end_with_parent

SWITCH_INTERVAL_S: Final = 0.0005
"""How long another thread may hold the interpreter while a frame waits for its stamp."""


def _allow_many_connections() -> None:
    """Raises the limit of open files, one for each stream, as far as the system lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _private_stdout() -> int:
    """The pipe of answers under a new number; whatever else writes to stdout goes to the log."""
    answers = os.dup(sys.stdout.fileno())
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    return answers


async def _live(selector: IdleSelector) -> int:
    life = Life(
        clock=SystemClock(),
        commands_fd=sys.stdin.fileno(),
        outbox=Outbox(_private_stdout()),
        idle_ns=lambda: selector.idle_ns,
    )
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, life.end)
    return await life.live()


def main() -> int:
    """Runs the engine and gives its exit code."""
    end_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _allow_many_connections()
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", stream=sys.stderr)
    selector = IdleSelector()
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selector)) as runner:
        return runner.run(_live(selector))


if __name__ == "__main__":
    sys.exit(main())
