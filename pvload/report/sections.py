"""The sections of report.txt, one function each: finished lines, empty where there is nothing to say."""

from __future__ import annotations

from typing import Final

from pvload.report.table import bullet, cut, paragraph, table
from pvload.stats.quantiles import Quantiles
from pvload.stats.summary import Figures, Sender, Summary
from pvload.verdict.judgement import Judged, Result, Verdict
from pvload.verdict.losses import losses
from pvload.verdict.words import count, ms, percent, seconds

_ROWS: Final = 20
"""Of any table; what is beyond stands in summary.json."""


def accounting(summary: Summary) -> list[str]:
    """Recorded = delivered + missing; blind time; clocks; how much headroom the generator had."""
    account, generator, clock = summary.accounting, summary.generator, summary.target_clock
    recorded = "not known" if account.recorded is None else f"{account.recorded:,}"
    records = f"{recorded} recorded, {account.delivered:,} delivered, {account.missing:,} stated missing"
    records += f", {account.undelivered:,} unaccounted for" if account.undelivered else ""
    records += "" if account.frames_checked else "; a call's own total of frames differs from what came"
    rejected = f"; {count(account.rejected_batches, 'message')} rejected" if account.rejected_batches else ""
    blind = f"{seconds(generator.blind_s)} in which the generator was dead or late, see What happened"
    lines = paragraph("  records", records + rejected, width=16)
    lines += paragraph("  blind time", blind if generator.blind_s else "none", width=16)
    lines += paragraph("  generator", _headroom(summary), width=16)
    lines += paragraph(
        "  target clock", _clock(summary) if clock.probes else "never read: frame ages are changes only", width=16
    )
    for stretch in clock.steps[:5]:
        lines += paragraph("", f"clock step at {seconds(stretch.at_s)}: {stretch.reason}", width=16)
    head = ("sender", "worker", "recorded", "delivered", "missing", "last seen", "account")
    lines += ["", *table(head, [_sender(one) for one in account.senders[:_ROWS]], left=2)] if account.senders else []
    return lines + _beyond(len(account.senders))


def _headroom(summary: Summary) -> str:
    generator = summary.generator
    parts = []
    if generator.longest_lag_ms is not None:
        parts.append(f"lateness p99 {_value(generator.lag_ms.p99)} ms, worst {ms(generator.longest_lag_ms)}")
    parts.append(f"{count(generator.late_intervals, 'interval')} over 100 ms")
    if generator.cpu_share is not None:
        parts.append(f"CPU {percent(generator.cpu_share)} of a core")
    parts.append(f"waited {seconds(generator.run_queue_s)} for a core")
    parts.append(f"memory {generator.rss_max_bytes / 2**20:,.0f} MiB")
    parts.append(f"at most {count(generator.spool_depth_max, 'record')} waiting to be shipped")
    return ", ".join(parts)


def _clock(summary: Summary) -> str:
    clock = summary.target_clock
    if clock.offset_ms is None:
        return f"{count(clock.probes, 'probe')}, none of use"
    drift = "" if clock.drift_ppm is None else f", drift {clock.drift_ppm:.1f} ppm"
    off = f"off by at most {_value(clock.uncertainty_ms)} ms"
    return f"offset {clock.offset_ms:.3f} ms, {off}, {clock.probes} probes{drift}"


def _sender(one: Sender) -> tuple[str, ...]:
    recorded = "unknown" if one.recorded is None else f"{one.recorded:,}"
    state = "closed" if one.finished else ("by successor" if one.recorded is not None else "OPEN")
    last = "-" if one.last_seen_s is None else seconds(one.last_seen_s)
    name = one.role + (f" #{one.incarnation}" if one.incarnation else "")
    return name, cut(one.worker, 24), recorded, f"{one.delivered:,}", f"{one.missing:,}", last, state


def criteria(verdict: Verdict) -> list[str]:
    """Every criterion with value, limit, doubt and number of samples; reasons of those that were not kept."""
    lines = table(
        ("criterion", "result", "value", "limit", "off by", "n"), [_criterion(one) for one in verdict.criteria], left=2
    )
    told = [one for one in verdict.criteria if one.judged]
    lines.append("")
    for one in told:
        lines += bullet(f"{one.name}: {one.reason}")
    return lines


def _criterion(one: Judged) -> tuple[str, ...]:
    result = one.result.value if one.judged or one.result is not Result.NOT_CHECKED else "(shown)"
    off = "-" if one.uncertainty is None else _scaled(float(f"{one.uncertainty:.2g}"), one.unit)
    return one.name, result, _scaled(one.value, one.unit), _limit(one), off, f"{one.n:,}" if one.n else "-"


def _limit(one: Judged) -> str:
    if one.lower_limit is not None and one.upper_limit is not None:
        return f"{one.lower_limit:.4g} .. {one.upper_limit:.4g}"
    if one.lower_limit is not None:
        return f">= {_scaled(one.lower_limit, one.unit)}"
    return "-" if one.upper_limit is None else f"<= {_scaled(one.upper_limit, one.unit)}"


def _scaled(value: float | None, unit: str) -> str:
    if value is None:
        return "-"
    if unit == "ratio":
        return percent(value)
    return f"{value:,.4g} {unit}".rstrip()


def streams(summary: Summary) -> list[str]:
    """A row for each subscriber, then what was missing, the stalls, and the ends that nobody ordered."""
    if not summary.subscribers:
        return ["  no stream was ever opened"]
    head = (
        "subscriber",
        "calls",
        "frames",
        "fps",
        "coverage",
        "missing",
        "stalls",
        "longest gap",
        "age p99",
        "first frame",
    )
    rows = [_stream(one.name, one.calls, one.figures) for one in summary.subscribers[:_ROWS]]
    lines = [*table(head, rows), *_beyond(len(summary.subscribers)), ""]
    lines += paragraph("  missing", _missing(summary.run), width=12)
    lines += paragraph("  data", _data(summary.run), width=12)
    server = summary.run.server
    if server is not None:
        text = (
            f"its own figures as of the last frame: {server.current_fps:.4g} frames/s (of its last second), "
            f"{server.frames_sent:,} sent, {server.frames_dropped:,} dropped, "
            f"latency {ms(server.avg_latency_ms)} (a mean before compression and queue)"
        )
        lines += paragraph("  server", text, width=12)
    return lines + _stalls(summary) + _ends(summary)


def _stream(name: str, number: int, figures: Figures) -> tuple[str, ...]:
    return (
        cut(name, 24),
        f"{number:,}",
        f"{figures.frames:,}",
        _value(figures.fps),
        "-" if figures.coverage is None else percent(figures.coverage),
        f"{figures.missing.total:,}",
        f"{figures.stalls.count:,}",
        seconds(max(figures.gaps.longest_s, figures.stalls.longest_s)),
        _age(figures),
        "-" if figures.first_frame_ms.max is None else ms(figures.first_frame_ms.max),
    )


def _age(figures: Figures) -> str:
    value = figures.age.quantiles.p99
    if value is None:
        return "-"
    return ms(value) if figures.age.offset_known else f"+{ms(value)}"


def _missing(run: Figures) -> str:
    missing = run.missing
    first, *others = (f"{number:,} {name}" for name, number in losses(missing).items())
    parts = [f"{missing.total:,} in all: {first}", *others]
    parts += ["before numbering not decidable"] if missing.before_numbering is None else []
    parts += [f"{missing.decimated:,} left out as max_fps asks (no loss)"] if missing.decimated else []
    apart = {
        "duplicates": run.duplicates + run.duplicates_before_numbering,
        "reorders": run.reorders,
        "restarts of the numbering": run.restarts,
        "of the losses pvload's own": run.lag_losses,
    }
    parts += [f"{number:,} {name}" for name, number in apart.items() if number]
    return ", ".join(parts)


def _data(run: Figures) -> str:
    between = run.inter_arrival_ms
    speed = "" if run.mb_per_s is None else f" ({run.mb_per_s:,.1f} MB/s)"
    text = f"{run.message_bytes / 1e6:,.1f} MB received{speed}, {run.decoded_bytes / 1e6:,.0f} MB decoded"
    if between.p50 is not None:
        text += f"; between frames {_spread(between)} ms"
    if run.jitter_ms is not None:
        text += f"; jitter {ms(run.jitter_ms)}"
    if run.age.quantiles.n and run.age.offset_known:
        text += f"; age {_spread(run.age.quantiles)} ms"
    return text


def _spread(quantiles: Quantiles) -> str:
    return f"p50 {_value(quantiles.p50)} p99 {_value(quantiles.p99)} max {_value(quantiles.max)}"


def _stalls(summary: Summary) -> list[str]:
    stalls = summary.run.stalls
    if not stalls.count:
        return []
    longest = sorted(stalls.listed, key=lambda stall: -stall.length_s)[:10]
    rows = [
        (
            stall.subscriber,
            seconds(stall.at_s),
            seconds(stall.length_s),
            f"{stall.frame_index:,}",
            "-" if stall.last_frame_number is None else f"{stall.last_frame_number:,}",
            seconds(stall.uncertainty_s),
            "cut" if stall.censored else "over",
        )
        for stall in sorted(longest, key=lambda stall: stall.at_s)
    ]
    said = f"  {count(stalls.count, 'stall')} over {seconds(stalls.threshold_s)}, {seconds(stalls.total_s)} in all"
    head = ("stall of", "at", "length", "after frames", "last number", "could be ours", "state")
    return ["", f"{said}{'; the longest ones:' if stalls.count > len(rows) else ':'}", *table(head, rows)]


def _ends(summary: Summary) -> list[str]:
    ends = [call for call in summary.calls if call.ended_by == "server"]
    lines = [
        line
        for call in ends[:10]
        for line in bullet(
            f"{call.subscriber} call {call.number} ended at {seconds(call.ended_at_s or 0.0)}, "
            f"which nobody here ordered: {call.status} {cut(call.details, 200)}".rstrip()
        )
    ]
    return (["", *lines] if lines else []) + _beyond(len(ends), shown=10)


def calls(summary: Summary) -> list[str]:
    """Unary calls by method, and the first failures."""
    rows = [
        (
            one.method,
            f"{one.count:,}",
            ", ".join(f"{code} {number:,}" for code, number in sorted(one.errors.items())) or "-",
            _value(one.latency_ms.p50),
            _value(one.latency_ms.p99),
            _value(one.latency_ms.max),
        )
        for one in summary.unary[:_ROWS]
    ]
    examples = [line for one in summary.unary for text in one.examples[:3] for line in bullet(f"{one.method} {text}")]
    return table(("method", "calls", "failed", "p50 ms", "p99 ms", "max ms"), rows) + examples


def witnesses(summary: Summary) -> list[str]:
    """What the daemon's log and the hosts had to say."""
    log = summary.log
    if not log.present:
        lines = ["  the daemon's log was not watched"]
    else:
        lines_seen = ", ".join(f"{name} {number:,}" for name, number in sorted(log.lines.items()) if number)
        lines = paragraph("  log", lines_seen or "nothing that matters was said", width=12)
        lines += [line for example in log.examples[:10] for line in bullet(cut(example, 300), indent=4)]
    for host in summary.hosts[:_ROWS]:
        share = "-" if host.cpu_share is None else percent(host.cpu_share)
        text = (
            f"{host.name}: CPU {share} of all cores, memory at most {host.memory_used_max_bytes / 2**30:.1f} of "
            f"{host.memory_total_bytes / 2**30:.1f} GiB, load at most {host.load_1_max:.2f}"
        )
        text += "" if host.steal_share is None else f", stolen {percent(host.steal_share)}"
        lines += paragraph("  host", text, width=12)
    rows = [
        (
            cut(one.name, 24),
            str(one.pid),
            "-" if one.cpu_share is None else percent(one.cpu_share),
            *(f"{size / 2**20:,.1f}" for size in (one.rss_first_bytes, one.rss_last_bytes, one.rss_max_bytes)),
            f"{one.threads_max:,}",
            f"{one.fds_max:,}",
        )
        for one in summary.processes[:_ROWS]
    ]
    head = ("process", "pid", "CPU of a core", "MiB at first", "at last", "at most", "threads", "files")
    return lines + table(head, rows)


def _beyond(number: int, shown: int = _ROWS) -> list[str]:
    return [f"  and {number - shown:,} more in summary.json"] if number > shown else []


def _value(value: float | None) -> str:
    return "-" if value is None else f"{value:,.4g}"
