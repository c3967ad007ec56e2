"""How one sender's subscribers saw each change: what `call_changes` finds call by call, put together."""

from __future__ import annotations

from dataclasses import dataclass, replace

from pvload.stats.summary import LIST_LIMIT


@dataclass(frozen=True, slots=True)
class ChangeSeen:
    """One change as one subscriber saw it, on one or more of its calls."""

    effect_ns: int | None
    """Arrival of the first frame that showed it."""
    before: int
    """Frames between the change and its effect, or its limit."""
    missing: int
    longest_ns: int
    neither: int
    killed: bool
    """Frames ended with it."""
    looked: bool
    """Frames came after it, and it was looked for as long as it may take."""
    told: bool
    """Frames carried the figures that it changes."""
    already: bool
    """The last frame before it showed the same: no frame can tell that it took effect."""

    def shifted(self, offset_ns: int) -> ChangeSeen:
        """The same on another axis of time."""
        return replace(self, effect_ns=None if self.effect_ns is None else self.effect_ns + offset_ns)

    def merged(self, other: ChangeSeen) -> ChangeSeen:
        """Both together."""
        effects = [one for one in (self.effect_ns, other.effect_ns) if one is not None]
        return ChangeSeen(
            effect_ns=min(effects, default=None),
            before=self.before + other.before,
            missing=self.missing + other.missing,
            longest_ns=max(self.longest_ns, other.longest_ns),
            neither=self.neither + other.neither,
            killed=self.killed or other.killed,
            looked=self.looked or other.looked,
            told=self.told or other.told,
            already=self.already and other.already,
        )


class ChangesSeen:
    """By device, place of the change, and subscriber; of changes beyond the first thousand all subscribers in one."""

    __slots__ = ("found",)

    def __init__(self) -> None:
        self.found: dict[tuple[str, int], dict[str, ChangeSeen]] = {}

    def add(self, device: str, place: int, subscriber: str, seen: ChangeSeen) -> None:
        """One call's view of the change at this place in the device's list."""
        by_subscriber = self.found.setdefault((device, place), {})
        name = subscriber if place < LIST_LIMIT else ""
        before = by_subscriber.get(name)
        by_subscriber[name] = seen if before is None else before.merged(seen)
