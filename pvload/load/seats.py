"""Who sits where: ordinals of subscribers, given out by the director, kept over reconnect, freed with their worker."""

from __future__ import annotations

from collections.abc import Iterable


class Seats:
    """The lowest free ordinal of a population for each user, and how many calls each subscriber has made.

    Bounded by the largest number of users that were there at one time.
    """

    def __init__(self) -> None:
        self._taken: dict[tuple[str, int], str] = {}
        self._calls: dict[tuple[str, int], int] = {}

    def claim(self, population: str, node: str) -> tuple[int, int]:
        """(ordinal, calls made before) for a user on `node`."""
        ordinal = 0
        while (population, ordinal) in self._taken:
            ordinal += 1
        self._taken[population, ordinal] = node
        return ordinal, self._calls.get((population, ordinal), 0)

    def holder(self, population: str, ordinal: int) -> str | None:
        """The node of the user in this seat; None: nobody sits there."""
        return self._taken.get((population, ordinal))

    def release(self, population: str, ordinal: int, node: str) -> None:
        """The user on `node` is gone; a seat that has been given to another node meanwhile stays that one's."""
        if self._taken.get((population, ordinal)) == node:
            del self._taken[population, ordinal]

    def opened(self, population: str, ordinal: int, number: int) -> None:
        """The subscriber has made its call `number`."""
        seat = population, ordinal
        self._calls[seat] = max(self._calls.get(seat, 0), number)

    def keep_only(self, nodes: Iterable[str]) -> None:
        """Frees the seats of all other nodes: their workers are gone, and their users come again elsewhere."""
        present = set(nodes)
        self._taken = {seat: node for seat, node in self._taken.items() if node in present}

    def taken(self) -> set[tuple[str, int]]:
        """Who sits now."""
        return set(self._taken)
