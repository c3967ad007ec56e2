"""What the camera said of itself after a coming or a leaving: its streaming flag in the latest state that counts.

A server notices that a client has left only when it next sends to it, so a state told at once says what was before.
The latest one counts, up to ten seconds, the plan's next change, the next opening of a stream that got frames (a camera
may start for it; one that waits in vain changes nothing), or another leaving that does not belong to the first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from pvload.stats.call_rows import End
from pvload.stats.comings import Comings
from pvload.stats.figures import NS_PER_S
from pvload.stats.sender import SenderFold

STATE_NS: Final = 10_000_000_000
SETTLE_NS: Final = 500_000_000
SETTLE_PERIODS: Final = 2.0
"""Leavings this close together, or half a second, are one: no state can be laid to the first of them alone."""


@dataclass(frozen=True, slots=True)
class Flag:
    """The streaming flag, and how long after the event it was told."""

    after_ns: int
    streaming: bool


def flag_after(senders: list[SenderFold], there: Comings, device: int, at_ns: int) -> Flag | None:
    """The flag of device number `device` after an event at at_ns; None: no state was seen that counts."""
    name = there.devices[device]
    until_ns = min(at_ns + STATE_NS, _plan_changes_ns(senders, name, at_ns), _clients_ns(senders, there, device, at_ns))
    found: list[tuple[int, bool]] = []
    for sender in senders:
        offset, runs = sender.account.clock.axis_offset_ns, sender.company.flags.get(name)
        seen = None if runs is None else runs.latest(at_ns - offset, until_ns - offset)
        if seen is not None:
            found.append((seen[0] + offset, seen[1]))
    if not found:
        return None
    told_ns, streaming = max(found)
    return Flag(told_ns - at_ns, streaming)


def _plan_changes_ns(senders: list[SenderFold], device: str, at_ns: int) -> int:
    """When any sender is next told something else of the camera."""
    changes = (
        edge.at_ns + sender.account.clock.axis_offset_ns
        for sender in senders
        for edge in sender.basis.timeline.edges(device).edges
    )
    return min((change for change in changes if change > at_ns), default=at_ns + STATE_NS)


def _clients_ns(senders: list[SenderFold], there: Comings, device: int, at_ns: int) -> int:
    """When the next stream that got frames was opened, or the next client left."""
    rows = there.rows[there.rows["device"] == device]
    opened = rows["opened_ns"][(rows["first_ns"] >= 0) & (rows["opened_ns"] > at_ns)]
    settled_ns = at_ns + _settle_ns(senders, there.devices[device], at_ns)
    left = rows["ended_ns"][(rows["end"] == End.ORDER) & (rows["accepted_ns"] >= 0) & (rows["ended_ns"] > settled_ns)]
    never = at_ns + STATE_NS
    return min(int(opened.min(initial=never)), int(left.min(initial=never)))


def _settle_ns(senders: list[SenderFold], device: str, at_ns: int) -> int:
    """How long after a leaving a state may still say what was before it."""
    rates = [0.0]
    for sender in senders:
        edge = sender.basis.timeline.edges(device).at(at_ns - sender.account.clock.axis_offset_ns)
        rates.append(edge.rate_hz if edge is not None else 0.0)
    rate = max(rates)
    return max(SETTLE_NS, round(SETTLE_PERIODS * NS_PER_S / rate)) if rate > 0 else SETTLE_NS
