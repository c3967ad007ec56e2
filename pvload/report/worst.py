"""What happened in a run, the worst of it in one sentence; and whether the tool itself was fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from pvload.diagnose.finding import Severity, log_around, resources_around
from pvload.diagnose.findings import findings
from pvload.diagnose.nothing import nothing_seen
from pvload.report.table import WIDTH, bullet, cut, paragraph
from pvload.stats.around import Resource
from pvload.stats.summary import LogLine, Summary
from pvload.verdict.always import MONITOR
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
    found = [one for one in findings(summary) if one.severity > Severity.FACT]
    if not found:
        return _longest_gap(summary)
    worst = found[0]
    when = "" if worst.at_s is None else f"at {seconds(worst.at_s)}: "
    more = f"; {len(found) - 1} more under What happened" if len(found) > 1 else ""
    return f"{when}{worst.text}{more}"


def what_happened(summary: Summary) -> list[str]:
    """All findings in order of time, each with what the daemon's log said around it and what host and daemon used."""
    found = findings(summary)
    lines: list[str] = []
    for one in sorted(found[:MOST], key=lambda one: (one.at_s is None, one.at_s or 0.0)):
        label = "  in all" if one.at_s is None else f"  at {seconds(one.at_s)}"
        lines += paragraph(label, one.text, width=WHEN)
        if one.at_s is not None:
            lines += _log(log_around(summary, one), watched=summary.log.present)
        lines += _resources(resources_around(summary, one))
    return lines + ([f"  and {len(found) - MOST:,} lesser ones"] if len(found) > MOST else [])


def nothing(summary: Summary) -> list[str]:
    """What was looked for and not seen, with the rate that this rules out."""
    return [line for one in nothing_seen(summary) for line in bullet(one)]


def _log(near: Sequence[LogLine], *, watched: bool) -> list[str]:
    """A line for each of the log's, the daemon's own time and colours gone; that it was silent is evidence too."""
    if not near:
        return _line("log: nothing that matters within 2 s of its beginning and end") if watched else []
    lines = [
        line for one in near[:MOST_LINES] for line in _line(f"log at {one.at_s:.2f} s: {' '.join(one.text.split())}")
    ]
    more = len(near) - MOST_LINES
    return [*lines, *_line(f"and {count(more, 'log line')} more")] if more > 0 else lines


def _resources(near: Sequence[Resource]) -> list[str]:
    """The span of each figure over these seconds; a line for the host and one for the daemon, what matters most first.

    What finds no room on the line stands in summary.json.
    """
    if not near:
        return []
    host = {
        "CPU": _span([one.cpu_share for one in near], percent),
        "pressure": _span([one.pressure_share for one in near], percent),
        "stolen": _span([one.steal_share for one in near], percent),
        "disk busy": _span([one.disk_busy_share for one in near], percent),
        "network": _span([one.network_mb_s for one in near], lambda value: f"{value:.3g} MB/s"),
        "load": _span([one.load_1 for one in near], _number),
        "memory": _span([one.memory_used_bytes / 2**20 for one in near], _mib),
        "interrupts": _span([one.interrupts_per_s for one in near], lambda value: f"{value:,.0f}/s"),
    }
    daemon = {
        "CPU": _span([one.target_cpu_share for one in near], percent),
        "memory": _span([None if one.target_rss_bytes is None else one.target_rss_bytes / 2**20 for one in near], _mib),
        "threads": _span([one.target_threads for one in near], _number),
        "files": _span([one.target_fds for one in near], _number),
    }
    lines = []
    for whose, figures in (("host", host), ("daemon", daemon)):
        told = f"{whose}:"
        for name, span in figures.items():
            longer = f"{told}{'' if told.endswith(':') else ','} {name} {span}"
            told = longer if span and len(longer) <= WIDTH - WHEN - 2 else told
        lines += _line(told) if not told.endswith(":") else []
    return lines


def _line(text: str) -> list[str]:
    """Beside a finding, cut where it is longer than a line."""
    return paragraph("", cut(text, WIDTH - WHEN - 2), width=WHEN + 2)


def _span(values: Sequence[float | None], said: Callable[[float], str]) -> str:
    """`3.0 % .. 98.0 %`, one of them where they read the same; empty where nothing was measured."""
    known = [value for value in values if value is not None]
    if not known:
        return ""
    least, most = said(min(known)), said(max(known))
    return least if least == most else f"{least} .. {most}"


def _number(value: float) -> str:
    return f"{value:,.4g}"


def _mib(value: float) -> str:
    return f"{value:,.0f} MiB"


def _longest_gap(summary: Summary) -> str:
    run = summary.run
    if not run.frames:
        return "no frame came"
    return f"nothing worse than {seconds(run.gaps.longest_s)} without a frame"


def fitness(summary: Summary, *, passed: bool = False) -> str:
    """Was the tool itself fit to measure this? Begins with `fit`, `fit, though ...` or `NOT FIT`.

    passed: every criterion holds, whatever happened while the tool was blind; so it was fit for these.
    """
    faults = [*_account_faults(summary)]
    blind_s, length_s = summary.generator.blind_s, summary.facts.length_s
    gone = [one for one in summary.accounting.senders if one.recorded is None and one.role == MONITOR]
    blemishes = [f"the monitor on {one.host} never closed its account" for one in gone[:1]]
    if blind_s > 0:
        told = f"blind for {seconds(blind_s)} of {seconds(length_s)}"
        (faults if blind_s > BLIND_SHARE * length_s and not passed else blemishes).append(told)
    facts = _facts(summary)
    if faults:
        return f"NOT FIT: {', '.join([*faults, *blemishes])}; {facts}"
    fit = "fit for these criteria" if passed and blind_s > BLIND_SHARE * length_s else "fit"
    return f"{fit}, though {', '.join(blemishes)}; {facts}" if blemishes else f"fit: {facts}"


def _account_faults(summary: Summary) -> Iterator[str]:
    account = summary.accounting
    if account.undelivered or any(one.recorded is None and one.role != MONITOR for one in account.senders):
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
