"""Changes of the camera: what was told of each, how it was answered, and what frames showed, joined by its number."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from pvload.stats.around import Change, ChangeEffect, ChangeOutcome, Changes
from pvload.stats.around_fold import Answer
from pvload.stats.changes_seen import ChangeSeen, have_ended
from pvload.stats.concluding_camera import NEAR_NS, calls_of_camera
from pvload.stats.concluding_watchers import offset_of
from pvload.stats.figures import NS_PER_S, TO_MS, seconds
from pvload.stats.histogram import Histogram
from pvload.stats.planned_changes import Planned
from pvload.stats.refusal import names_a_reason
from pvload.stats.sender import SenderFold
from pvload.stats.summary import LIST_LIMIT, RunFacts
from pvload.wire.answers import FAILURES, UNANSWERED
from pvload.wire.codes import ChangeKind

_KINDS: Final = {kind.value: kind.name.lower() for kind in ChangeKind}
HUNG_NS: Final = 10 * NS_PER_S
"""No answer in this time is hung; with less of the run left nobody can tell."""


@dataclass(slots=True)
class _Joined:
    """One change over all senders, times on the run's axis."""

    planned: Planned
    at_ns: int
    restarted_ns: int | None = None
    """The start after which it was looked for again."""
    seen: dict[str, ChangeSeen] = field(default_factory=dict)
    again: ChangeSeen | None = None
    answers: list[Answer] = field(default_factory=list)
    restarting: bool = False
    """Its call failed because the daemon was just being restarted by plan."""


def changes_of(senders: list[SenderFold], facts: RunFacts) -> Changes:
    """All changes in order of time."""
    joined = _join(senders)
    ordered = sorted(joined.values(), key=lambda one: (one.at_ns, one.planned.number))
    found = [_change(one, facts) for one in ordered]
    outcomes, effects = Counter(change.outcome for change in found), Histogram()
    for one, change in zip(ordered, found, strict=True):
        if change.outcome == "effective":
            effects.one(_earliest(one) - one.at_ns)
    more = max((_more(sender) for sender in senders), default=0)
    if more:
        outcomes["not_judged"] += more
    return Changes(
        count=len(found) + more,
        outcomes=dict(sorted(outcomes.items())),
        effect_ms=effects.quantiles(scale=TO_MS),
        missing=sum(seen.missing for one in ordered for seen in one.seen.values()),
        listed=tuple(found[:LIST_LIMIT]),
    )


def _more(sender: SenderFold) -> int:
    return sum(planned.more for planned in sender.basis.timeline.changes.values())


def _join(senders: list[SenderFold]) -> dict[int, _Joined]:
    """By number; each sender that was told of a change has its own time of it, of which the earliest counts."""
    joined: dict[int, _Joined] = {}
    for sender in senders:
        offset = offset_of(sender)
        for device, told in sorted(sender.basis.timeline.changes.items()):
            for place, planned in enumerate(told.changes):
                at_ns = planned.at_ns + offset
                one = joined.get(planned.number)
                if one is None:
                    one = joined[planned.number] = _Joined(planned, at_ns)
                views = sender.basis.seen.found.get((device, place), {})
                if planned.again:
                    _again(one, sender, planned, views)
                    continue
                if one.planned.again or at_ns < one.at_ns:
                    one.planned, one.at_ns = planned, at_ns
                for name, seen in views.items():
                    moved = seen.shifted(offset)
                    one.seen[name] = moved if name not in one.seen else one.seen[name].merged(moved)
    for sender in senders:
        for answer in sender.around.answers:
            if answer.change in joined:
                joined[answer.change].answers.append(answer.shifted(offset_of(sender)))
        for number in sender.around.restarting & joined.keys():
            joined[number].restarting = True
    starts = [call for call in calls_of_camera(senders) if call.method == "StartStream"]
    for one in joined.values():
        one.answers.sort()
        _as_sent(one, starts)
    return joined


def _as_sent(one: _Joined, starts: list[Answer]) -> None:
    """The change, and the start after it, as their calls were sent: a moment after the senders were told of them."""
    sent = next((answer.sent_ns for answer in one.answers if answer.sent_ns >= one.at_ns), None)
    if sent is not None and sent - one.at_ns <= NEAR_NS:
        one.at_ns = sent
    if one.restarted_ns is not None:
        begun = one.restarted_ns
        near = (call.sent_ns for call in starts if 0 <= call.sent_ns - begun <= NEAR_NS)
        one.restarted_ns = next((at_ns for at_ns in near if _is_before(one, at_ns)), begun)


def _is_before(one: _Joined, at_ns: int) -> bool:
    """Whether a start came before the effect that it is to explain."""
    return one.again is None or one.again.effect_ns is None or at_ns <= one.again.effect_ns


def _again(one: _Joined, sender: SenderFold, planned: Planned, views: dict[str, ChangeSeen]) -> None:
    offset = offset_of(sender)
    edge = sender.basis.timeline.edges(planned.device).at(planned.at_ns)
    begun = edge.run_ns if edge is not None and edge.wanted and edge.run > 0 else planned.at_ns
    at_ns = begun + offset
    one.restarted_ns = at_ns if one.restarted_ns is None else min(one.restarted_ns, at_ns)
    for seen in views.values():
        moved = seen.shifted(offset)
        one.again = moved if one.again is None else one.again.merged(moved)


def _earliest(one: _Joined) -> int:
    """The first frame that showed something new."""
    news = (seen.effect_ns for seen in one.seen.values() if seen.effect_ns is not None and not seen.already)
    return min(news, default=one.at_ns)


def _first_answer(one: _Joined) -> Answer | None:
    """The answer to the change itself: of several calls before a restart the first that failed, else the last."""
    own = [answer for answer in one.answers if one.restarted_ns is None or answer.sent_ns < one.restarted_ns]
    return next((answer for answer in own if answer.refused), own[-1] if own else None)


def _change(one: _Joined, facts: RunFacts) -> Change:
    planned, answer = one.planned, _first_answer(one)
    effects = [seen.effect_ns for seen in one.seen.values() if seen.effect_ns is not None and not seen.already]
    again = one.again.effect_ns if one.again is not None else None
    answered = answer is not None and answer.status not in UNANSWERED
    return Change(
        number=planned.number,
        by=planned.by or "timeline",
        device=planned.device,
        kind=_KINDS.get(planned.kind, "other"),
        text=planned.text,
        at_s=seconds(one.at_ns, facts.start_ns),
        answered_after_ms=(answer.answered_ns - one.at_ns) * TO_MS if answer is not None and answered else None,
        status=answer.status if answer is not None else "",
        details=answer.details if answer is not None else "",
        effect_after_ms=(min(effects) - one.at_ns) * TO_MS if effects else None,
        effect_after_restart_ms=None
        if again is None or one.restarted_ns is None
        else (again - one.restarted_ns) * TO_MS,
        restarted_at_s=None if one.restarted_ns is None else seconds(one.restarted_ns, facts.start_ns),
        outcome=_outcome(one, answer, facts.end_ns),
        effects=tuple(_effect(name, one.seen[name], one.at_ns) for name in sorted(one.seen))[:LIST_LIMIT],
    )


def _effect(name: str, seen: ChangeSeen, at_ns: int) -> ChangeEffect:
    return ChangeEffect(
        subscriber=name,
        effect_after_ms=None if seen.effect_ns is None or seen.already else (seen.effect_ns - at_ns) * TO_MS,
        frames_before_effect=seen.before,
        missing=seen.missing,
        longest_gap_s=seen.longest_ns / NS_PER_S,
        not_as_either=seen.neither,
    )


def _outcome(one: _Joined, answer: Answer | None, end_ns: int) -> ChangeOutcome:
    views = list(one.seen.values())
    shown_again = one.again is not None and one.again.effect_ns is not None
    if have_ended(views):
        return "killed"
    if answer is None and one.restarting:
        return "not_judged"
    if answer is None or answer.status in UNANSWERED:
        waited = answer is not None and answer.status == "DEADLINE_EXCEEDED"
        return "hung" if waited or end_ns - one.at_ns >= HUNG_NS else "not_judged"
    if answer.status in FAILURES:
        return "failed"
    if answer.refused:
        if not names_a_reason(answer.details):
            return "refused_unclear"
        return "refused_then_effective" if shown_again else "refused"
    if not one.planned.shows.visible:
        return "answered"
    shown = [seen for seen in views if seen.effect_ns is not None]
    if shown:
        return "answered" if all(seen.already for seen in shown) else "effective"
    if not any(seen.looked for seen in views):
        return "not_judged"
    if not any(seen.told for seen in views):
        return "answered"
    return "ignored_until_restart" if shown_again else "ignored"
