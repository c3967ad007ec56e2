"""Sections of report.txt about what happened around the streams: finished lines, none where there is nothing to say."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pvload.diagnose.calls import LIMITS
from pvload.diagnose.changes import OUTCOMES
from pvload.diagnose.company import did
from pvload.diagnose.cycles import asked, attempts
from pvload.diagnose.daemon import exited, grown
from pvload.diagnose.locks import lock_of, points_of
from pvload.diagnose.policy import LEAVINGS, MEANS, SLOW_MEANS, client, disconnect_policy, slow_reader_policy
from pvload.report.table import bullet, cut, paragraph, table
from pvload.stats.around import Cycle, Disturbance, Growth, Storm
from pvload.stats.summary import Summary
from pvload.verdict.words import count, ms, percent, seconds, times

_ROWS: Final = 20
"""Of any table; what is beyond stands in summary.json."""


def timeline(summary: Summary) -> list[str]:
    """Every action with when it was due, when it was done, and what came of it."""
    rows = [
        (
            f"{one.number}",
            seconds(one.at_s) if one.outcome != "not_reached" else "-",
            "-" if one.due_s is None else seconds(one.due_s),
            one.outcome.replace("_", " "),
            cut(one.text, 40),
            cut(one.details, 80),
        )
        for one in summary.around.actions[: 2 * _ROWS]
    ]
    lines = table(("#", "done at", "due at", "outcome", "action", "details"), rows, left=6)
    return lines + _beyond(len(summary.around.actions), 2 * _ROWS)


def cameras(summary: Summary) -> list[str]:
    """A row for each change, then what subscribers saw of those that were not effective."""
    all_of = summary.around.changes
    if not all_of.count:
        return []
    rows = [
        (
            seconds(one.at_s),
            cut(one.text, 26),
            "none" if one.answered_after_ms is None else cut(one.status, 18),
            "-" if one.effect_after_ms is None else ms(one.effect_after_ms),
            "-" if one.effect_after_restart_ms is None else ms(one.effect_after_restart_ms),
            one.outcome.replace("_", " "),
        )
        for one in all_of.listed[:_ROWS]
    ]
    lines = table(("at", "change", "answer", "effect", "restarted", "outcome"), rows, left=3)
    lines += _beyond(all_of.count)
    refused = dict.fromkeys(f"{one.text}: {one.status} {one.details}" for one in all_of.listed if one.details)
    lines += [line for text in list(refused)[:5] for line in bullet(cut(text, 240))]
    effect = all_of.effect_ms
    if effect.p50 is not None and effect.max is not None:
        lines += bullet(f"time to effect of {effect.n:,}: median {ms(effect.p50)}, at most {ms(effect.max)}")
    lines += bullet(f"{count(all_of.missing, 'frame')} lost across changes, over all subscribers")
    named = ", ".join(f"{number:,} {OUTCOMES[name]}" for name, number in sorted(all_of.outcomes.items()) if number)
    return lines + bullet(f"in all: {named}")


def cycling(summary: Summary) -> list[str]:
    """A row for each attempt: the first ones, the last one, and those that failed."""
    cycles = summary.around.cycles
    if not asked(summary) and all(one.outcome == "ok" for one in cycles):
        return []
    head = ("attempt", "at", "start", "first frame", "frames", "longest gap", "stop", "captured", "outcome")
    shown = _shown(cycles)
    lines = table(head, [_cycle(one) for one in shown], left=0)
    lines += [f"  and {len(cycles) - len(shown):,} more in summary.json"] if len(cycles) > len(shown) else []
    lines += bullet(attempts(cycles).sentence)
    lock = lock_of(points_of(summary)).sentence
    return lines + (bullet(lock) if lock else [])


def _shown(cycles: Sequence[Cycle]) -> list[Cycle]:
    """The first half of a table's rows, the failed ones up to the other half, and the last one; by attempt."""
    failed = [one for one in cycles if one.failed][: _ROWS // 2 - 1]
    chosen = dict.fromkeys([*cycles[: _ROWS // 2], *failed, cycles[-1]])
    return sorted(chosen, key=lambda one: (one.attempt, one.started_at_s))


def _cycle(one: Cycle) -> tuple[str, ...]:
    return (
        f"{one.attempt:,}",
        seconds(one.started_at_s),
        _ms(one.start_ms),
        _ms(one.first_frame_ms),
        f"{one.frames:,}",
        seconds(one.longest_gap_s),
        _ms(one.stop_ms),
        "-" if one.captured is None else f"{one.captured:,}",
        cut(one.outcome, 24),
    )


def company(summary: Summary) -> list[str]:
    """Policies with their evidence, the disturbances that were felt most, slow readers, and those that come and go."""
    return [*_policies(summary), *_disturbances(summary), *_slow_readers(summary), *_churn(summary)]


def _policies(summary: Summary) -> list[str]:
    lines: list[str] = []
    moved = summary.around.disturbances
    if moved is not None and any(one.kind in LEAVINGS for one in moved.listed):
        found = disconnect_policy(summary)
        unclear = f", {found.unclear} more tell nothing" if found.unclear else ""
        text = f"{found.word.replace('_', '-')}: {MEANS[found.word]} (seen {times(found.looked_at)}{unclear})"
        lines += paragraph("  disconnect", text, width=16)
        lines += [line for one in found.evidence for line in bullet(one, indent=16)]
    if summary.around.slow_readers:
        slow = slow_reader_policy(summary.around.slow_readers)
        text = f"{slow.word.replace('_', ' ')}: {SLOW_MEANS[slow.word]} (seen {times(slow.looked_at)})"
        lines += paragraph("  slow reader", text, width=16)
    return lines


def _disturbances(summary: Summary) -> list[str]:
    moved = summary.around.disturbances
    if moved is None or not moved.count:
        return []
    worst = sorted(moved.listed, key=lambda one: (-_felt(one), one.at_s))[:_ROWS]
    rows = [
        (
            seconds(one.at_s),
            cut(did(summary, one), 44),
            "-" if one.streaming_after is None else ("yes" if one.streaming_after else "no"),
            *_others(summary, one),
        )
        for one in sorted(worst, key=lambda one: (one.at_s, one.subscriber))
    ]
    text = f"{moved.count:,} comings and leavings, {moved.looked_at:,} times another stream was open beside one"
    head = ("at", "who", "camera on", "others", "worst gap", "periods", "missing", "silent")
    lines = [*paragraph("  disturbances", text, width=16), *table(head, rows, left=2)]
    return lines + ([f"  the worst {_ROWS} of {moved.count:,}"] if moved.count > len(rows) else [])


def _felt(one: Disturbance) -> float:
    """Sorts by what it did to others; silence is the worst."""
    return max((float("inf") if other.silent else other.longest_gap_s for other in one.others), default=0.0)


def _others(summary: Summary, one: Disturbance) -> tuple[str, ...]:
    if not one.others:
        return ("none left" if one.last else "-", "-", "-", "-", "-")
    worst = max(one.others, key=lambda other: other.longest_gap_s)
    silent = [client(summary, other.subscriber) for other in one.others if other.silent]
    return (
        f"{len(one.others)}",
        seconds(worst.longest_gap_s),
        "-" if worst.periods is None else f"{worst.periods:.1f}",
        f"{sum(other.missing for other in one.others):,}",
        cut(", ".join(silent), 20) if silent else "-",
    )


def _slow_readers(summary: Summary) -> list[str]:
    readers = summary.around.slow_readers
    rows = [
        (
            cut(one.subscriber, 20),
            _value(one.reads_hz),
            _value(one.received_hz),
            f"{one.skipped:,}",
            _ms(one.age_p50_ms),
            _ms(one.age_last_ms),
            "-" if one.buffered_frames_max is None else f"{one.buffered_frames_max:,.1f}",
            f"{one.window_bytes:,}",
            one.policy.replace("_", " "),
        )
        for one in readers[:_ROWS]
    ]
    head = ("slow reader", "reads/s", "got/s", "left out", "age p50", "age at end", "buffered", "window", "policy")
    return table(head, rows) + _beyond(len(readers))


def _churn(summary: Summary) -> list[str]:
    rows = [
        (
            cut(one.population, 20),
            f"{one.opened:,}",
            f"{one.with_frames:,}",
            f"{one.admission_refused:,}",
            f"{one.refused_after_leaving:,}",
            f"{one.attempts_max:,}",
            _ms(one.first_frame_ms.p50),
            _ms(one.first_frame_ms.max),
            _ms(one.resubscribe_hole_ms.p99),
            f"{sum(one.left.values()):,}",
        )
        for one in summary.around.churn[:_ROWS]
    ]
    head = ("population", "opened", "frames", "refused", "kept", "tries", "first p50", "max", "hole p99", "left")
    lines = table(head, rows)
    ways: dict[str, int] = {}
    for one in summary.around.churn:
        for way, number in one.left.items():
            ways[way] = ways.get(way, 0) + number
    named = ", ".join(f"{number:,} {way.replace('_', '-')}" for way, number in sorted(ways.items()) if number)
    lines += bullet(f"how they left: {named}") if named else []
    after = [one.server_streams_after for one in summary.around.churn if one.server_streams_after is not None]
    if not after or max(after) < 0:
        return lines
    more = f"{count(max(after), 'stream')} more than are open" if max(after) else "no more streams than are open"
    return lines + bullet(f"at the end the server has, by its log, {more}")


def calling(summary: Summary) -> list[str]:
    """Calls of load users, storms by step, watchers, probes, health, states and observables."""
    around = summary.around
    rows = [
        (
            cut(f"{one.population} {one.method}", 40),
            f"{one.count:,}",
            f"{one.ok:,}",
            f"{one.refused:,}",
            ", ".join(f"{code} {number:,}" for code, number in sorted(one.failed.items())) or "-",
            _value(one.latency_ms.p50),
            _value(one.latency_ms.p99),
            _value(one.latency_ms.max),
        )
        for one in around.calls[:_ROWS]
    ]
    lines = table(("calls of", "made", "ok", "refused", "failed", "p50 ms", "p99 ms", "max ms"), rows)
    lines += [
        line for one in around.calls[:_ROWS] for text in one.examples[:2] for line in bullet(f"{one.method} {text}")
    ]
    for storm in around.storms[:_ROWS]:
        lines += _storm(storm)
    return lines + _watchers(summary) + _probes(summary) + _health(summary) + _states(summary)


def _storm(storm: Storm) -> list[str]:
    knee = "not even the first rate was kept" if storm.knee_hz is None else f"knee at {storm.knee_hz:,.0f}/s"
    text = (
        f"{storm.population}: {storm.method} {storm.parameter}, at best {storm.achieved_hz:,.0f}/s answered, {knee}; "
        f"{LIMITS[storm.limited_by]}"
    )
    rows = [
        (
            seconds(one.at_s),
            f"{one.offered_hz:,.0f}",
            f"{one.due:,}",
            f"{one.answered:,}",
            f"{one.ok:,}",
            _value(one.latency_ms.p99),
            percent(one.held_share),
            f"{one.lateness_ms:,.1f}",
            "-" if one.longest_gap_s is None else seconds(one.longest_gap_s),
            f"{one.events:,}",
        )
        for one in storm.steps[:_ROWS]
    ]
    head = ("at", "per s", "due", "answered", "ok", "p99 ms", "held", "late ms", "frame gap", "events")
    return [*paragraph("  storm", text, width=12), *table(head, rows, left=0), *_beyond(len(storm.steps))]


def _watchers(summary: Summary) -> list[str]:
    watchers = summary.around.watchers
    rows = [
        (
            cut(one.name, 20),
            f"{one.events:,}",
            cut(", ".join(f"{name} {number:,}" for name, number in sorted(one.by_source.items())) or "-", 28),
            "-" if one.lost is None else f"{one.lost:,}",
            f"{one.longest_loss:,}",
            f"{one.out_of_order:,}",
            _value(one.delay_ms.p99),
            cut(one.ended, 20) or "-",
        )
        for one in watchers[:_ROWS]
    ]
    head = ("watcher", "events", "by source", "lost", "in a row", "disorder", "delay p99", "ended")
    return table(head, rows) + _beyond(len(watchers))


def _probes(summary: Summary) -> list[str]:
    probes = summary.around.stop_probes
    slowest = sorted(probes, key=lambda one: (one.took_ms is not None, -(one.took_ms or 0.0), one.at_s))[: _ROWS // 2]
    rows = [
        (
            one.call,
            seconds(one.at_s),
            _ms(one.took_ms),
            one.status or "none",
            _ms(one.silent_after_ms),
            "yes" if one.during_storm else "no",
        )
        for one in slowest
    ]
    head = ("stop probe", "at", "took", "answer", "last frame after", "storm")
    return table(head, rows) + ([f"  the slowest {len(rows)} of {len(probes):,}"] if len(probes) > len(rows) else [])


def _health(summary: Summary) -> list[str]:
    rows = [
        (
            cut(one.name, 32),
            f"{one.probes:,}",
            ", ".join(f"{name} {number:,}" for name, number in sorted(one.statuses.items())) or "-",
            "-" if one.oldest_heartbeat_s is None else seconds(one.oldest_heartbeat_s),
            "-" if one.oldest_heartbeat_at_s is None else seconds(one.oldest_heartbeat_at_s),
        )
        for one in summary.around.health[:_ROWS]
    ]
    return table(("health of", "asked", "answers", "oldest heartbeat", "at"), rows)


def _states(summary: Summary) -> list[str]:
    lines: list[str] = []
    for one in summary.around.states[:_ROWS]:
        silence = "" if one.longest_silence_s is None else f", longest silence {seconds(one.longest_silence_s)}"
        text = f"{one.device}: {one.polls:,} polls ({one.poll_failures:,} failed), {one.pushes:,} pushes{silence}"
        lines += paragraph("  state", text, width=12)
        flags = [
            f"{seconds(at.at_s)} {'streaming' if at.streaming else 'idle'}{'' if at.online else ', offline'}"
            for at in one.changes[:_ROWS]
        ]
        lines += paragraph("", "; ".join(flags), width=12) if flags else []
    rows = [
        (
            cut(f"{one.watcher} {one.name}", 40),
            f"{one.values:,}",
            *(_value(value) for value in (one.first, one.last, one.least, one.most)),
            "-" if one.longest_gap_s is None else seconds(one.longest_gap_s),
            cut(one.ended, 16) or "-",
        )
        for one in summary.around.observed[:_ROWS]
    ]
    return lines + table(("observable", "values", "first", "last", "least", "most", "longest gap", "ended"), rows)


def growing(summary: Summary) -> list[str]:
    """Growth by figure, machines, the daemon's life, and how the log's counts compare with ours."""
    around = summary.around
    rows = [_growth(one) for one in _by_result(around.growth)[:_ROWS]]
    head = ("process", "pid", "figure", "result", "windows", "first", "last", "per hour", "at least")
    lines = table(head, rows) + _beyond(len(around.growth))
    reasons = dict.fromkeys(one.reason for one in around.growth if one.result == "too_short" and one.reason)
    lines += [line for reason in list(reasons)[:3] for line in bullet(f"too short to judge: {reason}")]
    grows = [one for one in around.growth if one.result == "grows"]
    lines += [line for one in grows[:_ROWS] for line in bullet(grown(one))]
    rows = [
        (
            cut(one.name, 20),
            *(_value(value) for value in (one.disk_read_mb_s, one.disk_written_mb_s)),
            "-" if one.disk_busy_share is None else percent(one.disk_busy_share),
            *(_value(value) for value in (one.network_in_mb_s, one.network_out_mb_s)),
            f"{one.network_drops:,}",
            _value(one.interrupts_per_s),
            _value(one.context_switches_per_s),
        )
        for one in around.machines[:_ROWS]
    ]
    head = ("host", "read MB/s", "written", "busy", "in MB/s", "out MB/s", "dropped", "interrupts/s", "switches/s")
    lines += table(head, rows)
    for life in around.daemon[:_ROWS]:
        how = f", {exited(life)}" if life.change == "gone" else f" {life.details}"
        text = f"at {seconds(life.at_s)} {life.change} (pid {life.pid}){how}".rstrip()
        lines += paragraph("  daemon", cut(text, 240), width=12)
    return lines + _log(summary)


def _by_result(growth: Sequence[Growth]) -> list[Growth]:
    """What grows first, the rest in its own order."""
    return sorted(growth, key=lambda one: one.result != "grows")


def _growth(one: Growth) -> tuple[str, ...]:
    scale, unit = (2**20, " MiB") if one.figure == "rss" else (1, "")
    first, last, per_hour, low = (
        "-" if value is None else f"{value / scale:,.4g}{unit}"
        for value in (one.first, one.last, one.per_hour, one.per_hour_low)
    )
    name = cut(one.process, 20)
    return name, f"{one.pid}", one.figure, one.result.replace("_", " "), f"{one.windows}", first, last, per_hour, low


def _log(summary: Summary) -> list[str]:
    around = summary.around
    ours = [one for one in around.log_accounts if one.subscriber]
    lines: list[str] = []
    if ours:
        agree = sum(one.agrees for one in ours)
        text = f"{agree} of {count(len(ours), 'end-of-stream line')} agree with the frames"
        rest = len(around.log_accounts) - len(ours)
        text += f", {rest} are of no stream of ours" if rest else ""
        lines += paragraph("  log", text, width=12)
        for one in [one for one in ours if not one.agrees][:5]:
            said = f"{one.sent_by_log:,} sent and {one.dropped_by_log:,} dropped"
            found = f"{one.sent_by_frames:,} and {one.dropped_by_frames:,}, {one.received:,} received"
            lines += bullet(f"{one.subscriber} call {one.call}: the log says {said}, the frames {found}", indent=12)
    if around.hidden_log_classes:
        names = ", ".join(one.replace("_", " ") for one in around.hidden_log_classes)
        lines += paragraph("  hidden", f"the log's level hides: {names}", width=12)
    return lines


def _beyond(number: int, shown: int = _ROWS) -> list[str]:
    return [f"  and {number - shown:,} more in summary.json"] if number > shown else []


def _ms(value: float | None) -> str:
    return "-" if value is None else ms(value)


def _value(value: float | None) -> str:
    return "-" if value is None else f"{value:,.4g}"
