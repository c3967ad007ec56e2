"""`pvload diagnose`: what a daemon's old log says, without a run."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import IO, Annotated, Final

import typer

from pvload.cli.output import show
from pvload.errors import ConfigError
from pvload.monitor.follow import MAX_LINE_BYTES
from pvload.monitor.past import LISTED, Past, Reading, past_lines, seconds_between
from pvload.monitor.past_findings import findings, moment

_LOOK_BYTES: Final = 4096
_GZIP: Final = b"\x1f\x8b"
_TEXT: Final = 180
"""Characters of a line that are shown."""
SCHEMA: Final = "pvload.diagnosis/1"


def diagnose(
    logs: Annotated[list[Path], typer.Argument(metavar="LOG...", help="Logs of one daemon (stdout, stderr); .gz too.")],
    json_: Annotated[bool, typer.Option("--json", help="Everything, for a program.")] = False,
) -> None:
    """Say what a daemon's log tells of its streams; exit code 0 whatever it tells (2: a log cannot be read)."""
    reading = Reading()
    with ExitStack() as opened:
        files = [_lines(path, opened.enter_context(_open(path))) for path in logs]
        for line in past_lines(files):
            reading.take(line)
    past = reading.account()
    said = findings(past)
    show(_json(logs, past, said) if json_ else _text(logs, past, said))


def _open(path: Path) -> IO[bytes]:
    """ConfigError if it is not there, cannot be read, or is no text. A pipe will do too."""
    try:
        file: io.BufferedReader | gzip.GzipFile = path.open("rb")
        head = file.peek(_LOOK_BYTES)
        if head.startswith(_GZIP):
            file = gzip.GzipFile(fileobj=file)
            head = file.peek(_LOOK_BYTES)
    except (OSError, EOFError) as exc:
        why = getattr(exc, "strerror", None) or exc
        raise ConfigError(f"{path} cannot be read: {why}") from exc
    if b"\0" in head:
        file.close()
        raise ConfigError(f"{path} is no text", hint="a daemon's log: its stdout, its stderr, or `journalctl -u` of it")
    return file  # type: ignore[return-value]  # it reads lines, which is all that is done with it


def _lines(path: Path, file: IO[bytes]) -> Iterator[str]:
    """Lines of bounded length."""
    reader = io.BufferedReader(file) if isinstance(file, io.RawIOBase) else file
    inside = False
    try:
        while piece := reader.readline(MAX_LINE_BYTES):
            if not inside:
                yield piece.decode("utf-8", "replace")
            inside = not piece.endswith(b"\n")
    except (OSError, EOFError) as exc:
        raise ConfigError(f"{path} cannot be read to its end: {exc}") from exc


def _json(logs: list[Path], past: Past, said: list[str]) -> str:
    fields = {"schema": SCHEMA, "logs": [str(path) for path in logs], "findings": said, **asdict(past)}
    return json.dumps(fields, indent=1, ensure_ascii=False)


def _text(logs: list[Path], past: Past, said: list[str]) -> str:
    length = seconds_between(past.first_ns, past.last_ns)
    stretch = f", {moment(past.first_ns)} to {moment(past.last_ns)} UTC ({length:,.1f} s)" if length is not None else ""
    out = [f"{', '.join(str(path) for path in logs)}: {past.lines:,} lines{stretch}", "", "Findings"]
    out += [f"  - {one}" for one in said]
    out += ["", "Lines by class"]
    out += [f"  {name:<20} {count:>8,}" for name, count in past.classes.items()] or ["  none that matters"]
    levels = ", ".join(f"{level} {count:,}" for level, count in past.levels.items())
    out += [f"  levels: {levels or 'none'}"]
    if past.ends:
        out += [
            "",
            "Subscriptions, by the server's own account",
            "  ended (UTC)              device            sent   dropped  reason",
        ]
        out += [
            f"  {moment(one.at_ns):<24} {one.end.device:<14} {one.end.sent:>8,} {one.end.dropped:>9,}  {one.end.reason}"
            for one in past.ends
        ]
        out += [f"  {past.ended - len(past.ends):,} more"] if past.ended > len(past.ends) else []
    if past.timeline:
        out += ["", "What happened (UTC)"]
        out += [f"  {moment(one.at_ns):<24} {one.log_class:<20} {one.text[:_TEXT]}" for one in past.timeline]
        left = past.moments - len(past.timeline)
        out += [f"  {left:,} more lines of these classes (at most {LISTED} are shown)"] if left > 0 else []
    return "\n".join(out)
