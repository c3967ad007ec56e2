"""How long the loop had nothing to do: by it, waiting for a server is told from being busy oneself."""

from __future__ import annotations

import selectors
import time
from typing import Any


class IdleSelector(selectors.DefaultSelector):
    """The loop's selector, which adds up the time spent in it: two readings of the clock a turn of the loop."""

    idle_ns = 0
    """Since the loop began."""

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, Any]]:
        """As the selector does."""
        began_ns = time.monotonic_ns()
        ready = super().select(timeout)
        self.idle_ns += time.monotonic_ns() - began_ns
        return ready
