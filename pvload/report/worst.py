"""What happened in a run, the worst of it in one sentence; and whether the tool itself was fit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from pvload.diagnose.finding import log_around
from pvload.diagnose.findings import findings
from pvload.report.table import cut, paragraph
from pvload.stats.summary import Summary
from pvload.verdict.words import count, ms, percent, seconds

MOST: Final = 12
"""Findings shown; the gravest ones."""
MOST_LINES: Final = 4
"""Log lines shown beside each."""
WHEN: Final = 16
"""Width of the column with the moment."""
BLIND_SHARE: Final = 0.05
"""More blind time than this share of the run, and the tool was not fit."""


def worst_thing(summary: Summary) -> str:
    """The first finding with its moment; without one, the longest gap between frames."""
    found = findings(summary)
    if not found:
        return _longest_gap(summary)
    worst = found[0]
    when = "" if worst.at_s is None else f"at {seconds(worst.at_s)}: "
    more = f"; {len(found) - 1} more under What happened" if len(found) > 1 else ""
    return f"{when}{worst.text}{more}"


def what_happened(summary: Summary) -> list[str]:
    """All findings in order of time, each with what the daemon's log said around it."""
    found = sorted(findings(summary), key=lambda one: (one.at_s is None, one.at_s or 0.0))
    worst = set(findings(summary)[:MOST])
    lines: list[str] = []
    for one in found:
        if one not in worst:
            continue
        label = "  in all" if one.at_s is None else f"  at {seconds(one.at_s)}"
        lines += paragraph(label, one.text, width=WHEN)
        near = log_around(summary, one)
        for line in near[:MOST_LINES]:
            lines += paragraph("", f"log at {line.at_s:.2f} s: {cut(line.text, 200)}", width=WHEN + 2)
        if len(near) > MOST_LINES:
            lines += paragraph("", f"and {len(near) - MOST_LINES} more log lines", width=WHEN + 2)
    return lines + ([f"  and {len(found) - MOST:,} lesser ones"] if len(found) > MOST else [])


def _longest_gap(summary: Summary) -> str:
    run = summary.run
    if not run.frames:
        return "no frame came"
    return f"nothing worse than a gap of {seconds(run.gaps.longest_s)} between two frames"


def fitness(summary: Summary) -> str:
    """Was the tool itself fit to measure this? Begins with `fit`, `fit, though ...` or `NOT FIT`."""
    faults = [*_account_faults(summary)]
    blind_s, length_s = summary.generator.blind_s, summary.facts.length_s
    blemishes: list[str] = []
    if blind_s > 0:
        told = f"blind for {seconds(blind_s)} of {seconds(length_s)}"
        (faults if blind_s > BLIND_SHARE * length_s else blemishes).append(told)
    facts = _facts(summary)
    if faults:
        return f"NOT FIT: {', '.join([*faults, *blemishes])}; {facts}"
    return f"fit, though {', '.join(blemishes)}; {facts}" if blemishes else f"fit: {facts}"


def _account_faults(summary: Summary) -> Iterator[str]:
    account = summary.accounting
    if account.undelivered or any(one.recorded is None for one in account.senders):
        yield "its account is not closed"
    if account.missing:
        yield f"{count(account.missing, 'record')} missing"
    if not account.frames_checked:
        yield "frame totals differ"
    if summary.generator.longest_lag_ms is None:
        yield "it never told how late it was"


def _facts(summary: Summary) -> str:
    """Lag, CPU, records: the tool's own figures in a few words."""
    generator = summary.generator
    parts = []
    if generator.longest_lag_ms is not None:
        at_s = generator.longest_lag_at_s
        when = "" if at_s is None else f" (at {seconds(at_s)})"
        parts.append(f"at most {ms(generator.longest_lag_ms)} late{when}")
    if generator.cpu_share is not None:
        parts.append(f"{percent(generator.cpu_share)} of a core")
    return ", ".join([*parts, f"{summary.accounting.delivered:,} of {_recorded(summary)} records came"])


def _recorded(summary: Summary) -> str:
    recorded = summary.accounting.recorded
    return "an unknown number of" if recorded is None else f"{recorded:,}"
