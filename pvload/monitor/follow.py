"""Follows one log file: the lines that are appended to it from now on, whatever happens to the file meanwhile.

The file may not exist yet, be replaced (rotation: the old one is read to its end first) or be emptied in place. Lines
that stood in it before are not ours. A file that was emptied and refilled beyond our place between two polls cannot be
told from an appended one: poll often.
"""

from __future__ import annotations

import mmap
import os
import stat
from pathlib import Path
from typing import Final

from pvload.monitor.tokens import BUILD, SYNTHETIC_BUILDS, strip_escapes

MAX_LINE_BYTES: Final = 8192
"""What is kept of one line; the rest up to its end is dropped and the line counted as cut."""
_CHUNK_BYTES: Final = 64 * 1024
_CHUNKS_PER_POLL: Final = 32
"""At most 2 MiB a poll, so that a flood of lines cannot keep the process from its other work."""


_LOOK_BACK_BYTES: Final = 256 * 1024 * 1024
"""So far back the daemon's last start is looked for in what a log holds already."""


class LineAssembler:
    """Lines from pieces of a byte stream, of bounded length, decoded with replacement, without escapes."""

    def __init__(self) -> None:
        self.cut = 0
        """Lines of which the end was dropped."""
        self._kept = bytearray()
        self._overflowed = False

    def feed(self, data: bytes) -> list[str]:
        """The lines that `data` completes, in order."""
        *ended, rest = data.split(b"\n")
        lines = []
        for piece in ended:
            self._keep(piece)
            lines.append(self._take())
        self._keep(rest)
        return lines

    def flush(self) -> list[str]:
        """The line that was begun and not ended, if any."""
        return [self._take()] if self._kept else []

    def _keep(self, piece: bytes) -> None:
        room = MAX_LINE_BYTES - len(self._kept)
        self._kept += piece[:room]
        self._overflowed = self._overflowed or len(piece) > room

    def _take(self) -> str:
        line = strip_escapes(bytes(self._kept).decode("utf-8", "replace")).rstrip("\r")
        self.cut += self._overflowed
        self._kept.clear()
        self._overflowed = False
        return line


class LogFollower:
    """The new lines of the file at `path`. Constructing it opens nothing; `start` decides what counts as new."""

    def __init__(self, path: Path, *, whole: bool = False) -> None:
        """whole: what the file holds already is new, too."""
        self.path = path
        self._whole = whole
        self.name = str(path)
        self.opened = False
        """True once the file has been open."""
        self.synthetic = ""
        """The line of the daemon's last start, before ours, that tells of a synthetic camera; empty: there is none."""
        self.replaced = 0
        """How often the file was replaced or emptied."""
        self.trouble = ""
        """Why the file could not be opened or read, the last time that it could not."""
        self._file = -1
        self._assembler = LineAssembler()
        self._inside_old_line = False

    def __repr__(self) -> str:
        state = "open" if self._file >= 0 else "waiting"
        return f"LogFollower({str(self.path)!r}, {state})"

    @property
    def cut(self) -> int:
        """Lines longer than MAX_LINE_BYTES."""
        return self._assembler.cut

    def start(self) -> None:
        """What the file holds now is old. A file that appears later is new from its first byte."""
        self._open()
        if self._file < 0 or self._whole:
            return
        end = os.lseek(self._file, 0, os.SEEK_END)
        self._inside_old_line = end > 0 and os.pread(self._file, 1, end - 1) != b"\n"
        self.synthetic = synthetic_line(self._file, end)

    def poll(self) -> list[str]:
        """Lines completed since the last poll; empty if there is nothing new (or no file yet)."""
        if self._file < 0:
            self._open()
        if self._file < 0:
            return []
        try:
            lines, at_end = self._read()
            return lines + self._turn() if at_end else lines
        except OSError as exc:
            self.trouble = f"{self.path} cannot be read: {exc.strerror}"
            self._leave()
            return []

    def close(self) -> list[str]:
        """Closes the file; gives the last line if its end is missing."""
        self._leave()
        return self._assembler.flush()

    def _open(self) -> None:
        try:
            # Without O_NONBLOCK a named pipe would block here until somebody writes to it.
            file = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        except OSError as exc:
            self.trouble = f"{self.path} cannot be opened: {exc.strerror}"
            return
        if not stat.S_ISREG(os.fstat(file).st_mode):
            os.close(file)
            self.trouble = f"{self.path} is not a plain file"
            return
        self._file = file
        self.opened = True

    def _leave(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _read(self) -> tuple[list[str], bool]:
        """Lines up to the end of the open file or this poll's bound, and whether it was the end."""
        lines: list[str] = []
        for _ in range(_CHUNKS_PER_POLL):
            data = os.read(self._file, _CHUNK_BYTES)
            if not data:
                return lines, True
            lines += self._assembler.feed(self._beyond_old_line(data))
        return lines, False

    def _beyond_old_line(self, data: bytes) -> bytes:
        """`data` without the rest of a line that had begun before we started."""
        if not self._inside_old_line:
            return data
        _, newline, beyond = data.partition(b"\n")
        self._inside_old_line = not newline
        return beyond

    def _turn(self) -> list[str]:
        """At the end of the open file: goes to its successor, or to its beginning if it was emptied."""
        ours = os.fstat(self._file)
        try:
            named = self.path.stat()
        except FileNotFoundError:
            return []
        if (named.st_dev, named.st_ino) != (ours.st_dev, ours.st_ino):
            # What was written between our last read and the replacement is still there.
            lines, at_end = self._read()
            if not at_end:
                return lines
            self._leave()
            self._open()
        elif ours.st_size < os.lseek(self._file, 0, os.SEEK_CUR):
            lines = []
            os.lseek(self._file, 0, os.SEEK_SET)
        else:
            return []
        self.replaced += 1
        self._inside_old_line = False
        return lines + self._assembler.flush()


def synthetic_line(file: int, end: int) -> str:
    """The last line before `end` that says what camera the daemon was built for, if it says a synthetic one."""
    first = max(0, end - _LOOK_BACK_BYTES) // mmap.ALLOCATIONGRANULARITY * mmap.ALLOCATIONGRANULARITY
    if end <= first:
        return ""
    try:
        with mmap.mmap(file, end - first, offset=first, access=mmap.ACCESS_READ) as held:
            at = max(held.rfind(token.encode()) for token in (BUILD, *SYNTHETIC_BUILDS))
            if at < 0:
                return ""
            begin, stop = held.rfind(b"\n", 0, at) + 1, held.find(b"\n", at)
            piece = held[begin : min(stop if stop >= 0 else end - first, begin + MAX_LINE_BYTES)]
    except (OSError, ValueError):  # it was emptied meanwhile
        return ""
    line = strip_escapes(piece.decode("utf-8", "replace")).rstrip("\r")
    return line if any(token in line for token in SYNTHETIC_BUILDS) else ""
