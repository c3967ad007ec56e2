"""From finished senders to the summary."""

from __future__ import annotations

from pvload.stats.concluding_around import around_of
from pvload.stats.config import FoldConfig
from pvload.stats.figures import NS_PER_S, Scope, figures, seconds
from pvload.stats.merge import Whole, on_axis, shifted, wholes
from pvload.stats.minutes import grid_ns, together
from pvload.stats.sender import SenderFold
from pvload.stats.sender_calls import CallNote
from pvload.stats.summary import (
    LIST_LIMIT,
    Accounting,
    Call,
    Device,
    Figures,
    RunFacts,
    Subscriber,
    Summary,
    Window,
)
from pvload.stats.tally import Tally, WindowTally
from pvload.stats.together import with_company
from pvload.stats.witnesses import (
    clock_of,
    generator_of,
    hosts_of,
    log_of,
    notes_of,
    processes_of,
    senders_of,
    unary_of,
)
from pvload.wire.codes import EndReason, Quality


def conclude(senders: list[SenderFold], config: FoldConfig, rejected: int) -> Summary:
    """Puts finished senders together; their order is that of their identities."""
    facts = _facts(senders, config)
    start_ns = facts.start_ns
    subscribers = wholes(senders)
    notes, note_counts = notes_of(senders)
    return Summary(
        facts=facts,
        accounting=_accounting(senders, rejected, start_ns),
        target_clock=clock_of(senders, start_ns),
        generator=generator_of(senders, start_ns, facts.end_ns),
        run=_together(subscribers, start_ns, config),
        devices=_devices(senders, subscribers, facts, config),
        subscribers=tuple(_subscriber(whole, facts, config) for whole in subscribers),
        calls=_calls(senders, facts, config),
        calls_total=sum(sender.calls.total for sender in senders),
        unary=unary_of(senders, start_ns),
        log=log_of(senders, start_ns),
        hosts=hosts_of(senders),
        processes=processes_of(senders),
        users_spawned=sum(sender.account.users_spawned for sender in senders),
        users_failed=sum(sender.account.users_failed for sender in senders),
        notes=notes,
        note_counts=note_counts,
        run_windows=together(subscribers, facts, grid_ns(subscribers, facts)),
        around=with_company(around_of(senders, facts, config), senders, subscribers, facts, config),
    )


def _facts(senders: list[SenderFold], config: FoldConfig) -> RunFacts:
    offsets = [(sender, sender.account.clock.axis_offset_ns) for sender in senders]
    begins = [s.begins_ns + offset for s, offset in offsets if s.begins_ns is not None]
    oldest = [s.hold.oldest_ns + offset for s, offset in offsets if s.hold.oldest_ns is not None]
    start_ns = min(begins or oldest, default=0)
    ends = sorted(
        (s.basis.timeline.end_ns + offset, s.basis.timeline.end_code)
        for s, offset in offsets
        if s.basis.timeline.end_ns is not None
    )
    newest = max((s.hold.newest_ns + offset for s, offset in offsets if s.hold.newest_ns is not None), default=start_ns)
    end_ns = ends[0][0] if ends else newest
    first = [s.basis.timeline.first_frame_ns + o for s, o in offsets if s.basis.timeline.first_frame_ns is not None]
    return RunFacts(
        run_id=config.run_id,
        name=config.name,
        start_ns=start_ns,
        end_ns=end_ns,
        length_s=max(0, end_ns - start_ns) / NS_PER_S if begins else 0.0,
        planned_s=config.planned_ns / NS_PER_S,
        warm_up_s=config.warm_up_ns / NS_PER_S,
        ended=_ended(ends[0][1]) if ends else "unknown",
        first_frame_at_s=seconds(min(first), start_ns) if first else None,
    )


def _ended(code: int) -> str:
    names = {reason.value: reason.name.lower() for reason in EndReason}
    return names.get(code, "unknown")


def _accounting(senders: list[SenderFold], rejected: int, start_ns: int) -> Accounting:
    known = [sender for sender in senders if sender.recorded is not None]
    recorded = sum(sender.recorded or 0 for sender in known)
    return Accounting(
        recorded=recorded if len(known) == len(senders) else None,
        delivered=sum(sender.delivered for sender in senders),
        missing=sum(sender.missing for sender in senders),
        undelivered=recorded - sum(sender.delivered + sender.missing for sender in known),
        frames_checked=all(sender.calls.frames_checked for sender in senders),
        rejected_batches=rejected,
        senders=senders_of(senders, start_ns),
    )


def _scope(whole: Whole, start_ns: int, config: FoldConfig) -> Scope:
    return Scope(
        start_ns=start_ns,
        threshold_ns=config.stall_ns,
        offset_known=whole.offset_known,
        age_uncertainty_ns=whole.age_uncertainty_ns if whole.offset_known else None,
        silence_ns=whole.silence_ns,
        silence_at_ns=whole.silence_at_ns,
    )


def _together(subscribers: list[Whole], start_ns: int, config: FoldConfig) -> Figures:
    """The figures of several subscribers; silence is the longest of any."""
    tally = Tally()
    for whole in subscribers:
        tally.merge(whole.tally)
    longest = max(subscribers, key=lambda whole: (whole.silence_ns, -(whole.silence_at_ns or 0)), default=None)
    framed = [whole for whole in subscribers if whole.tally.frames and not whole.unaged]
    scope = Scope(
        start_ns=start_ns,
        threshold_ns=config.stall_ns,
        offset_known=bool(framed) and all(whole.offset_known for whole in framed),
        age_uncertainty_ns=max((whole.age_uncertainty_ns for whole in framed), default=None),
        silence_ns=0 if longest is None else longest.silence_ns,
        silence_at_ns=None if longest is None else longest.silence_at_ns,
    )
    return figures(tally, scope)


def _devices(
    senders: list[SenderFold], subscribers: list[Whole], facts: RunFacts, config: FoldConfig
) -> tuple[Device, ...]:
    names = {whole.device for whole in subscribers}
    for sender in senders:
        names.update(name for name, edges in sender.basis.timeline.devices.items() if edges.edges)
    found, grid = [], grid_ns(subscribers, facts)
    for name in sorted(names):
        own = [whole for whole in subscribers if whole.device == name]
        tally = Tally()
        for whole in own:
            tally.merge(whole.tally)
        captured = [s.account.captured[name] for s in senders if name in s.account.captured]
        example = tally.not_as_planned_first
        found.append(
            Device(
                name=name,
                subscribers=len(own),
                figures=_together(own, facts.start_ns, config),
                wanted_s=_wanted(senders, name, facts),
                not_as_planned=tally.not_as_planned,
                not_as_planned_example=""
                if example is None
                else f"at {seconds(example[0], facts.start_ns):.1f} s: {example[1]}",
                captured=max(captured)[1] if captured else None,
                windows=together(own, facts, grid),
            )
        )
    return tuple(found)


def _wanted(senders: list[SenderFold], device: str, facts: RunFacts) -> float:
    """How long the plan wanted the device, by the sender that was told most; from the first call if none was told."""
    longest = 0
    for sender in senders:
        edges = sender.basis.timeline.devices.get(device)
        end_ns = facts.end_ns - sender.account.clock.axis_offset_ns
        if edges is None:
            continue
        if edges.edges:
            spans = edges.spans(edges.edges[0].at_ns, end_ns, operated=True)
        elif sender.first_opened_ns is not None:
            spans = edges.spans(sender.first_opened_ns, end_ns, operated=False)
        else:
            continue
        longest = max(longest, sum(span.end_ns - span.begin_ns for span in spans if span.wanted))
    return longest / NS_PER_S


def _subscriber(whole: Whole, facts: RunFacts, config: FoldConfig) -> Subscriber:
    return Subscriber(
        name=whole.name,
        device=whole.device,
        calls=whole.calls,
        opened=whole.opened,
        max_fps=whole.max_fps,
        quality=_quality(whole.quality),
        figures=figures(whole.tally, _scope(whole, facts.start_ns, config)),
        windows=tuple(
            _window(begin, length, tally, whole.offset_known, facts)
            for (begin, length), tally in sorted(whole.windows.items())
        ),
    )


def _quality(code: int) -> str:
    names = {quality.value: quality.name.lower() for quality in Quality}
    return names.get(code, f"quality_{code}")


def _window(begin_ns: int, length_ns: int, tally: WindowTally, offset_known: bool, facts: RunFacts) -> Window:
    end_ns = min(begin_ns + length_ns, max(facts.end_ns, begin_ns))
    age, server = tally.age_p99_ns if offset_known else None, tally.server
    return Window(
        at_s=seconds(begin_ns, facts.start_ns),
        length_s=(end_ns - begin_ns) / NS_PER_S,
        frames=tally.frames,
        due_s=tally.due_ns / NS_PER_S,
        missing=tally.missing,
        stalled_s=tally.stalled_ns / NS_PER_S,
        longest_gap_s=tally.longest_gap_ns / NS_PER_S,
        age_p99_ms=None if age is None else age / 1e6,
        message_bytes=tally.message_bytes,
        server_fps=None if server is None else server.current_fps,
        server_latency_ms=None if server is None else server.avg_latency_ms,
        server_frames_sent=None if server is None else server.frames_sent,
        server_frames_dropped=None if server is None else server.frames_dropped,
    )


def _calls(senders: list[SenderFold], facts: RunFacts, config: FoldConfig) -> tuple[Call, ...]:
    """The first thousand calls by opening."""
    found = sorted(
        (note.opened_ns + sender.account.clock.axis_offset_ns, note.subscriber, note.number, sender.sender, at)
        for sender in senders
        for at, note in enumerate(sender.calls.notes)
    )
    by_sender = {sender.sender: sender for sender in senders}
    return tuple(
        _call(by_sender[sender].calls.notes[at], by_sender[sender], facts, config)
        for _, _, _, sender, at in found[:LIST_LIMIT]
    )


def _call(note: CallNote, sender: SenderFold, facts: RunFacts, config: FoldConfig) -> Call:
    start_ns = facts.start_ns
    clock = sender.account.clock
    offset, gaps = clock.axis_offset_ns, note.tally.gaps
    doubt = clock.best.round_trip_ns // 2 + clock.worst_change_ns if clock.best is not None else None
    scope = Scope(
        start_ns=start_ns,
        threshold_ns=config.stall_ns,
        offset_known=sender.basis.offset_known,
        age_uncertainty_ns=doubt,
        silence_ns=gaps.longest_ns,
        silence_at_ns=gaps.longest_at_ns + offset if gaps.longest_ns else None,
    )
    return Call(
        subscriber=note.subscriber,
        number=note.number,
        device=note.device,
        opened_at_s=seconds(note.opened_ns + offset, start_ns),
        ended_at_s=None if note.ended_ns is None else seconds(note.ended_ns + offset, start_ns),
        ended_by=note.ended_by,
        status=note.status,
        details=note.details,
        first_frame_number=note.first_number,
        last_frame_number=note.last_number,
        figures=figures(shifted(note.tally, offset) if offset else note.tally, scope),
        windows=tuple(
            _window(begin, length, tally, sender.basis.offset_known, facts)
            for (begin, length), tally in sorted(on_axis(note.windows, sender.basis, offset))
        ),
    )
