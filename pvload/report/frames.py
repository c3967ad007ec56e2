"""The head's line of frames: how many came, at what rate, what is missing, and what the server says that it dropped."""

from __future__ import annotations

from typing import Final

from pvload.stats.summary import Missing, Summary
from pvload.verdict.words import count

_SHORT: Final = {
    "backpressure": "dropped",
    "unseen": "lost unseen",
    "transport": "lost on the way",
    "undecided": "undecided",
    "before_numbering": "lost before numbering",
}
"""Fields of `Missing` in a word or two; the section Streams has them in full."""


def frames_line(summary: Summary, *, width: int) -> str:
    """In at most `width` columns as far as possible: of what is missing the lesser classes are left out first.

    What slow readers leave out by plan is told by itself, and what max_fps asks for not at all: it is no loss.
    """
    if not summary.subscribers:
        return "none: no stream was opened"
    run = summary.run
    number = len(summary.subscribers)
    slow = {one.subscriber for one in summary.around.slow_readers}
    speed = "" if run.fps is None or slow else f", {run.fps:.4g}/s{' each' if number > 1 else ''}"
    others = [one for one in summary.subscribers if one.name not in slow]
    skipped = sum(one.figures.missing.total for one in summary.subscribers if one.name in slow)
    plain = [one.figures for one in others if one.max_fps == 0]
    left = [f"{skipped:,} left out for slow readers"] if skipped else []
    dropped = []
    if any(one.frames_sent for one in plain):
        dropped = [f"{sum(one.frames_dropped for one in plain):,} dropped by the server's count"]
    came = f"{count(run.frames, 'frame')} on {count(number, 'subscriber')}{speed}; "
    told = _missing([one.figures.missing for one in others])
    lines = [came + ", ".join([missing, *dropped, *left]) for missing in told]
    return next((line for line in lines if len(line) <= width), came + ", ".join([told[-1], *(left or dropped)]))


def _missing(missing: list[Missing]) -> list[str]:
    """From the longest to the shortest."""
    lost = {name: sum(getattr(one, name) or 0 for one in missing) for name in _SHORT}
    told = sorted(((number, _SHORT[name]) for name, number in lost.items() if number), reverse=True)
    whole = f"{sum(lost.values()):,} missing"
    if not told:
        return [whole]
    if len(told) == 1:
        return [f"{whole} (all {told[0][1]})", whole]
    each = ", ".join(f"{number:,} {name}" for number, name in told)
    return [f"{whole} ({each})", f"{whole} (mostly {told[0][1]})", whole]
