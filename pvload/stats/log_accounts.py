"""The daemon's own account of each stream, from its log, held against ours.

The line says how many frames were handed to the stream and how many were left out, but not whose stream it was. It is
joined to one of our calls of the device that ended near it: one whose counters it continues, of several the one that
it continues by the fewest frames, of those the one that ended first. Each call is joined once.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from pvload.stats.around import LogAccount
from pvload.stats.call_rows import Rows
from pvload.stats.comings import Comings
from pvload.stats.company import StreamEndLine
from pvload.stats.figures import seconds
from pvload.stats.sender import SenderFold
from pvload.stats.summary import LIST_LIMIT

EARLY_NS: Final = 2_000_000_000
"""A line may be older than the end that we saw by so much: the server ended the stream, or clocks differ."""
LATE_NS: Final = 60_000_000_000
"""And younger by so much: the daemon learns of a client's leaving at its next frame."""
CHANNEL_FRAMES: Final = 8
"""The daemon's own queue between camera and connection."""


def log_accounts_of(senders: list[SenderFold], there: Comings, start_ns: int) -> tuple[LogAccount, ...]:
    """The first thousand lines, in order of time."""
    lines = sorted(
        (
            (line.at_ns + sender.account.clock.axis_offset_ns, line)
            for sender in senders
            for line in sender.company.stream_ends
        ),
        key=lambda one: (one[0], one[1].account.device, one[1].account.sent, one[1].account.dropped),
    )[:LIST_LIMIT]
    rows = there.rows[(there.rows["accepted_ns"] >= 0) & (there.rows["ended_ns"] >= 0)]
    rows = rows[np.argsort(rows["ended_ns"], kind="stable")]
    free = np.ones(rows.size, np.bool_)
    found = []
    for at_ns, line in lines:
        call = _join(at_ns, line, rows, free, there.devices)
        if call is not None:
            free[call] = False
        found.append(_account(at_ns, line, None if call is None else rows[call], there.names, start_ns))
    return tuple(found)


def _join(
    at_ns: int,
    line: StreamEndLine,
    rows: Rows,
    free: np.ndarray[tuple[int], np.dtype[np.bool_]],
    devices: tuple[str, ...],
) -> int | None:
    """The place in `rows` of the call that the line is about."""
    low, high = np.searchsorted(rows["ended_ns"], [at_ns - LATE_NS, at_ns + EARLY_NS])
    near = np.arange(low, high)
    device = devices.index(line.account.device) if line.account.device in devices else -1
    near = near[free[low:high] & (rows["device"][low:high] == device)]
    ahead = line.account.sent - np.maximum(rows["sent"][near], rows["received"][near])
    less = line.account.dropped - np.maximum(rows["dropped"][near], 0)
    fits = (ahead >= 0) & (less >= 0)
    near, ahead = near[fits], ahead[fits]
    return int(near[np.lexsort((near, ahead))[0]]) if near.size else None


def _account(at_ns: int, line: StreamEndLine, row: np.void | None, names: tuple[str, ...], start_ns: int) -> LogAccount:
    said = line.account
    if row is None:
        return LogAccount(
            at_s=seconds(at_ns, start_ns),
            subscriber="",
            call=0,
            sent_by_log=said.sent,
            dropped_by_log=said.dropped,
            received=0,
            sent_by_frames=0,
            dropped_by_frames=0,
            on_the_way=0,
            agrees=False,
        )
    sent, dropped, received = max(0, int(row["sent"])), max(0, int(row["dropped"])), int(row["received"])
    on_the_way = said.sent - max(sent, received)
    room = CHANNEL_FRAMES + (2 + int(row["window_bytes"]) // max(1, int(row["frame_bytes"])) if received else 2)
    counters = int(row["sent"]) >= 0 or received == 0
    return LogAccount(
        at_s=seconds(at_ns, start_ns),
        subscriber=names[int(row["subscriber"])],
        call=int(row["number"]),
        sent_by_log=said.sent,
        dropped_by_log=said.dropped,
        received=received,
        sent_by_frames=sent,
        dropped_by_frames=dropped,
        on_the_way=on_the_way,
        agrees=counters and 0 <= on_the_way <= room and said.dropped >= dropped,
    )
