"""How one sender's subscribers saw each change: what `call_changes` finds call by call, put together."""

from __future__ import annotations

from collections.abc import Iterable
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
    ended: bool
    """The server ended the stream with it."""
    silent_to_ns: int | None
    """The stream fell silent with it and stayed so: what counts if no other one gets frames from here on. None: it
    did not."""
    on_ns: int | None
    """Frames came at least until here, its limit at most; None: there were none."""
    slow: bool
    """The subscriber reads slowly by plan: what it gets, and until when, is its own doing."""
    looked: bool
    """Frames came after it, and it was looked for as long as it may take."""
    told: bool
    """Frames carried the figures that it changes."""
    already: bool
    """The last frame before it showed the same: no frame can tell that it took effect."""

    def shifted(self, offset_ns: int) -> ChangeSeen:
        """The same on another axis of time."""
        return replace(
            self,
            effect_ns=_moved(self.effect_ns, offset_ns),
            silent_to_ns=_moved(self.silent_to_ns, offset_ns),
            on_ns=_moved(self.on_ns, offset_ns),
        )

    def merged(self, other: ChangeSeen) -> ChangeSeen:
        """Both together."""
        both = (self, other)
        asked = [one for one in both if not one.slow] or both
        return ChangeSeen(
            effect_ns=min((one.effect_ns for one in both if one.effect_ns is not None), default=None),
            before=self.before + other.before,
            missing=self.missing + other.missing,
            longest_ns=max(self.longest_ns, other.longest_ns),
            neither=self.neither + other.neither,
            ended=any(one.ended for one in asked),
            silent_to_ns=max((one.silent_to_ns for one in asked if one.silent_to_ns is not None), default=None),
            on_ns=max((one.on_ns for one in asked if one.on_ns is not None), default=None),
            slow=self.slow and other.slow,
            looked=self.looked or other.looked,
            told=self.told or other.told,
            already=self.already and other.already,
        )


def have_ended(views: Iterable[ChangeSeen]) -> bool:
    """Whether frames ended with the change, by all that its subscribers saw.

    The server ended a stream, or one fell silent and no other went on. What slow readers get is asked only if nobody
    else was there.
    """
    seen = list(views)
    asked = [one for one in seen if not one.slow] or seen
    latest_ns = max((one.on_ns for one in asked if one.on_ns is not None), default=None)
    return any(
        one.ended or (one.silent_to_ns is not None and (latest_ns is None or latest_ns < one.silent_to_ns))
        for one in asked
    )


def _moved(at_ns: int | None, offset_ns: int) -> int | None:
    return None if at_ns is None else at_ns + offset_ns


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
