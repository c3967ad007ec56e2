"""Visitors of a rig's camera: each cycle opens a stream and leaves it in a drawn way at a drawn moment.

A cycle is known on both sides by its max_fps, a number of its own that is too high to leave a frame out.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from pvload.wire import command
from rig import EngineProcess

MARK = 1_000_000
"""Cycle n asks for so many frames a second and n more."""
POPULATION = "visitor"
STYLES = {"clean": 5, "dropped": 5, "half_open": 1}
MOMENTS = {"at once": 2, "told": 3, "frames": 5}
"""Leaves before it is told anything, with the first word of the server, or after some frames."""
MOST_FRAMES = 4


@dataclass(slots=True)
class Visit:
    """One cycle, as planned and as it went."""

    mark: int
    style: str
    moment: str
    frames: int
    refused: bool = False
    received: int = 0
    """By the engine's last word."""


@dataclass(slots=True)
class Visitors:
    """So many at a time, each in a seat of its own; `come` is one round of cycles."""

    engine: EngineProcess
    device: str
    together: int
    seed: int
    linger_ms: float
    visits: list[Visit] = field(default_factory=list)
    left: Counter[str] = field(default_factory=Counter)
    """Ways in which calls were left by order."""

    def come(self, cycles: int) -> None:
        """Opens and leaves so many times, and returns when the last one is gone."""
        draw = random.Random(f"{self.seed}/{len(self.visits)}")
        open_visits: dict[int, tuple[int, Visit]] = {}
        started = 0
        for seat in range(self.together):
            self._open(seat, draw, open_visits)
            started += 1
        while open_visits:
            answer: Any = self.engine.answer_of("headers", "reached", "ended")
            if answer.id not in open_visits:
                continue
            seat, visit = open_visits[answer.id]
            if answer.NAME == "ended":
                visit.refused = answer.by == "server" and answer.status == "RESOURCE_EXHAUSTED"
                visit.received = answer.frames
                self.left[visit.style] += answer.by == "order"
                del open_visits[answer.id]
                if started < cycles:
                    self._open(seat, draw, open_visits)
                    started += 1
            elif answer.NAME == "headers":
                if visit.moment == "told":
                    self._leave(answer.id, visit)
                elif visit.moment == "frames":
                    self.engine.order(command.Mark(id=answer.id, frames=visit.frames))
            else:
                self._leave(answer.id, visit)

    def _open(self, seat: int, draw: random.Random, open_visits: dict[int, tuple[int, Visit]]) -> None:
        (style,) = draw.choices([*STYLES], [*STYLES.values()])
        (moment,) = draw.choices([*MOMENTS], [*MOMENTS.values()])
        visit = Visit(MARK + len(self.visits), style, moment, draw.randint(1, MOST_FRAMES))
        number = self.engine.next_id()
        order = command.Open(
            id=number,
            population=POPULATION,
            ordinal=seat,
            number=1 + len(self.visits),
            device=self.device,
            max_fps=visit.mark,
            droppable=True,
        )
        self.visits.append(visit)
        open_visits[number] = (seat, visit)
        self.engine.order(order)
        if moment == "at once":
            self._leave(number, visit)

    def _leave(self, number: int, visit: Visit) -> None:
        self.engine.order(command.Close(id=number, style=visit.style, linger_ms=self.linger_ms))
