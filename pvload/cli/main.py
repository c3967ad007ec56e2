"""The command `pvload`: how an error is shown, and which exit code it ends with.

Verdicts have exit codes of their own, so nothing unforeseen may end with theirs: Python's own 1 would be a FAIL.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import tempfile
import threading
import traceback
from typing import Any, Final

from pvload.errors import PvloadError

TOOL_FAILED_EXIT_CODE: Final = 4
"""INVALID: nothing can be said of the target."""


class Interrupted(PvloadError):  # noqa: N818 - an order, not an error
    """Ctrl-C before there was anything to end in order."""

    exit_code = 3


def main() -> None:
    """Runs a command; a PvloadError becomes one message and its exit code, whatever else happens one line and 4."""
    asked = threading.Event()

    def interrupted(_number: int, _frame: Any) -> None:
        asked.set()
        raise Interrupted("interrupted")

    try:
        signal.signal(signal.SIGINT, interrupted)
        from pvload.cli.app import app  # takes a moment, in which Ctrl-C may come

        app()
    except PvloadError as exc:
        _say(f"pvload: {exc}")
        sys.exit(exc.exit_code)
    except Exception as exc:  # noqa: BLE001 - the process's last resort
        if asked.is_set():  # a library made something else of it
            _say("pvload: interrupted")
            sys.exit(Interrupted.exit_code)
        _say(f"pvload: failed unexpectedly: {type(exc).__name__}: {exc}\n  hint: {_kept(exc)}")
        sys.exit(TOOL_FAILED_EXIT_CODE)


def _say(text: str) -> None:
    with contextlib.suppress(OSError):  # nobody reads it any more: the exit code says it
        print(text, file=sys.stderr, flush=True)


def _kept(exc: Exception) -> str:
    """Where the traceback stands."""
    try:
        with tempfile.NamedTemporaryFile("w", prefix="pvload-error-", suffix=".log", delete=False) as log:
            traceback.print_exception(exc, file=log)
    except OSError as full:
        return f"where it happened could not be written down ({full.strerror})"
    return f"where it happened stands in {log.name}"
