"""The texts of one sender by id.

The first 65,536 stay for the whole run (names and methods come early and are used for ever), of the later ones the
last 65,536 (a log line or an answer is used right after it came). Older ones read as their number.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np

KEPT: Final = 65_536
LONGEST_BYTES: Final = 64 * 1024
"""Of one text; what goes beyond is cut."""


class Texts:
    """Puts pieces together and finds texts."""

    __slots__ = ("_later", "_pieces", "_texts")

    def __init__(self) -> None:
        self._texts: dict[int, str] = {}
        self._later: deque[int] = deque()
        self._pieces: dict[int, bytearray] = {}

    def piece(self, row: np.void) -> None:
        """Takes one TEXT record."""
        ref = int(row["ref"])
        data = self._pieces.setdefault(ref, bytearray())
        if len(data) < LONGEST_BYTES:
            data += bytes(row["bytes"])[: int(row["code"])]
        if not int(row["flags"]) & 1:
            return
        self._texts[ref] = self._pieces.pop(ref).decode("utf-8", "replace")
        if len(self._texts) > KEPT:
            self._later.append(ref)
        if len(self._later) > KEPT:
            self._texts.pop(self._later.popleft(), None)

    def text(self, ref: int) -> str:
        """The text with this id; 0 is empty, one that never came or is no longer kept reads `#id`."""
        return "" if ref == 0 else self._texts.get(ref, f"#{ref}")
