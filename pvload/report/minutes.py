"""The run minute by minute: all of a short run, the worst minutes of a long one."""

from __future__ import annotations

from typing import Final

from pvload.report.table import paragraph, table
from pvload.stats.summary import Summary, Window
from pvload.verdict.words import ms, seconds

_ROWS: Final = 10


def minutes(summary: Summary) -> list[str]:
    """A row for each minute of the run over all subscribers, in order of time; nothing for a run of a single one."""
    windows = summary.run_windows
    if len(windows) < 2:
        return []
    longest_s = max(window.due_s for window in windows)
    worst = sorted(windows, key=lambda window: _badness(window, longest_s))[:_ROWS]
    head = ("at", "length", "frames", "fps", "missing", "stalled", "longest gap", "age p99", "MB")
    lines = table(head, [_row(window) for window in sorted(worst, key=lambda window: window.at_s)], left=0)
    if len(windows) > _ROWS:
        text = f"the worst {_ROWS} of {len(windows):,}: by time stalled, frames missing, fps; all are in summary.json"
        lines += paragraph("", text, width=2)
    return lines


def _badness(window: Window, longest_s: float) -> tuple[float, int, float, float]:
    """Sorts the worst first; the rate of a window with less than half of the longest due time says little."""
    told = window.due_s > 0 and window.due_s * 2 >= longest_s
    rate = window.frames / window.due_s if told else float("inf")
    return -window.stalled_s, -window.missing, rate, window.at_s


def _row(window: Window) -> tuple[str, ...]:
    return (
        seconds(window.at_s),
        seconds(window.length_s),
        f"{window.frames:,}",
        f"{window.frames / window.due_s:,.4g}" if window.due_s else "-",
        f"{window.missing:,}",
        seconds(window.stalled_s) if window.stalled_s else "-",
        seconds(window.longest_gap_s),
        "-" if window.age_p99_ms is None else ms(window.age_p99_ms),
        f"{window.message_bytes / 1e6:,.1f}",
    )
