"""What the plugin says to whoever started Locust: lines for a person, or JSON lines for `pvload run`.

Locust's own log and tables go to stderr; stdout is this voice's alone.
"""

from __future__ import annotations

import json
import sys
from itertools import islice, takewhile
from pathlib import Path
from typing import Any, Final

from pvload.errors import PvloadError
from pvload.load.spools import memory_place

HEAD_LINES: Final = 10


class Voice:
    """Says what a run came to."""

    def __init__(self, *, supervised: bool) -> None:
        self.supervised = supervised
        """`pvload run` started this Locust and reads what is said."""
        self._report = ""

    def began(self, folder: Path, run: str, *, ends: str) -> None:
        """The collector runs: from here on a report is certain."""
        fields = {"is": "began", "run_dir": str(folder), "run": run, "spool": str(memory_place(run))}
        self._say(fields, f"pvload: recording in {folder}, ends {ends}")

    def daemon(self, pid: int) -> None:
        """The daemon that pvload started: whoever has to kill this process must end its session; 0: it is gone."""
        if self.supervised:
            self._say({"is": "daemon", "pid": pid}, "")

    def remark(self, text: str) -> None:
        """Something a person should know and that stops nothing; an empty text is not said."""
        if text:
            self._say({"is": "remark", "message": text}, f"pvload: {text}")

    def error(self, exc: PvloadError) -> None:
        """Why a run could not begin, or cannot go on."""
        fields = {"is": "error", "message": exc.message, "hint": exc.hint, "exit_code": exc.exit_code}
        self._say(fields, f"pvload: {exc}", stream=sys.stderr)

    def ended(self, verdict: str, exit_code: int, report: str) -> None:
        """The run was judged."""
        self._report = report
        fields = {"is": "ended", "verdict": verdict, "exit_code": exit_code, "report": report}
        self._say(fields, f"pvload: {verdict} (exit code {exit_code}), report: {report}")

    def head(self) -> None:
        """The first lines of the last run's report, for a person."""
        if self.supervised or not self._report:
            return
        try:
            with Path(self._report).open() as text:
                lines = list(takewhile(str.strip, islice(text, HEAD_LINES)))
        except OSError as exc:
            lines = [f"pvload: the report cannot be read: {exc.strerror}\n"]
        self._say({}, f"\n{''.join(lines)}\nreport     {self._report}")

    def _say(self, fields: dict[str, Any], text: str, *, stream: Any = None) -> None:
        out = sys.stdout if self.supervised or stream is None else stream
        try:
            out.write((json.dumps(fields) if self.supervised else text) + "\n")
            out.flush()
        except OSError:
            pass  # nobody listens any more; the run directory has it all
