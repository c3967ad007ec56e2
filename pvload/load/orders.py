"""What the timeline ordered of one client and waits for: its opening, and numbers of frames of its call."""

from __future__ import annotations

from pvload.load import messages
from pvload.load.station import Station, StationRun
from pvload.load.user import engine_of
from pvload.wire import command


class Orders:
    """Of one client. Every order is answered once."""

    def __init__(self, station: Station, run: StationRun) -> None:
        self.opening: messages.Order | None = None
        """The order to open that is not answered yet."""
        self.marks: list[messages.Order] = []
        """Orders to tell a number of frames, of the call that is open; at most as many as the timeline has actions."""
        self._station = station
        self._run = run

    @property
    def is_to_open(self) -> bool:
        """Is an order to open not answered yet?"""
        return self.opening is not None

    def answer_opening(self, *, done: bool, details: str) -> None:
        """Answers the order to open, if there is one."""
        opening, self.opening = self.opening, None
        if opening is not None:
            self.answer(opening, done=done, details=details)

    def answer_marks(self, reached: command.Reached | None = None) -> None:
        """Answers those that are reached; without one, the call is over and none can be any more."""
        waiting, self.marks = self.marks, []
        for order in waiting:
            if reached is None:
                self.answer(order, done=False, details="its stream ended before")
            elif order.frames <= reached.frames:
                self.answer(order, done=True, details="", at_ns=reached.at_ns, frames=reached.frames)
            else:
                self.marks.append(order)

    def answer(self, order: messages.Order, *, done: bool, details: str, at_ns: int = 0, frames: int = 0) -> None:
        """at_ns: this host's monotonic clock when it was done; 0: now. frames: of a mark, how many had come."""
        answer = messages.Ordered(
            run=self._run.id,
            token=order.token,
            population=order.population,
            ordinal=order.ordinal,
            done=done,
            details=details,
            at_ns=(at_ns or self._station.clock.monotonic_ns()) + engine_of(self._run).clock_offset_ns,
            frames=frames,
        )
        self._station.tell(answer)
