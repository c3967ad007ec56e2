"""Which policy a service follows when a client leaves, or reads too slowly: found out from what it did, and named.

Two questions are asked of every leaving, and they have different answers in different services: what became of the
other streams, and, where nobody else was left, what became of the camera. A camera that says it is streaming and gives
a returning client no frame is a zombie, whatever it did to the others.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final, Literal

from pvload.stats.around import Disturbance, SlowReader, Undisturbed
from pvload.stats.summary import Call, Summary

Word = Literal["per_client", "stops_all", "zombie", "inconsistent", "not_seen"]
SlowWord = Literal["skip", "block", "disconnect", "buffer", "inconsistent", "not_seen"]
LEAVINGS: Final = frozenset({"clean", "dropped", "half_open", "killed"})
WAYS: Final = {
    "clean": "left in order",
    "dropped": "dropped its connection",
    "half_open": "hung with its connection half open",
    "killed": "was killed",
}
MEANS: Final[dict[str, str]] = {
    "per_client": "a client that leaves ends only its own stream",
    "stops_all": "a client that leaves stops the camera for all",
    "zombie": "after a client left, the camera says that it is streaming and gives no frames",
    "inconsistent": "clients that left in like situations had different effects",
    "not_seen": "no client left so that its effect could be told",
}
SLOW_MEANS: Final[dict[str, str]] = {
    "skip": "frames are left out for a slow reader, nobody waits for it",
    "block": "the other streams slow down with a slow reader",
    "disconnect": "the stream of a slow reader is ended",
    "buffer": "frames wait for a slow reader, older and older, and few or none are left out",
    "inconsistent": "slow readers were treated differently",
    "not_seen": "no reader was slow enough to be felt",
}
EVIDENCE: Final = 6
"""Sentences of evidence, at most: the first of each answer come first."""
_ANSWERED_WITHIN_S: Final = 2.0
"""A returning client must have been without a frame for so long before its silence says anything."""
_NOTICED_S: Final = 0.5
_NOTICED_PERIODS: Final = 2.0
"""A server learns of a leaving when it next sends: a flag told sooner than so long after frames ended says nothing."""
_LONGEST_PERIOD_S: Final = 1.0
"""Taken for the period of a stream whose rate nobody knows."""
_ABANDONED_S: Final = 5.0
"""A camera may wait so long for somebody to come before it stops for lack of clients."""


@dataclass(frozen=True, slots=True)
class Policy:
    """What was found out about leavings."""

    word: Word
    looked_at: int
    """Leavings whose effect could be told."""
    unclear: int
    """Leavings whose effect could not."""
    evidence: tuple[str, ...]
    at_s: float | None
    """Of the first leaving that shows the policy; of the first that differs, where it is inconsistent."""
    decisive: str
    """What that leaving showed; empty: nothing was seen."""


@dataclass(frozen=True, slots=True)
class SlowPolicy:
    """What was found out about slow readers."""

    word: SlowWord
    looked_at: int
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Told:
    """What one leaving says."""

    question: Literal["others", "camera"]
    answer: Literal["went on", "stopped", "zombie"]
    at_s: float
    sentence: str
    sure: bool = True
    """Whether the camera's flag was seen when it counted: else a stop may have been a zombie."""
    late: bool = False
    """Frames went on for longer than a server takes to notice a leaving: another thing may have ended them."""


def disconnect_policy(summary: Summary) -> Policy:
    """The policy that all leavings of the run agree on."""
    listed = summary.around.disturbances.listed if summary.around.disturbances is not None else ()
    leavings = [one for one in listed if one.kind in LEAVINGS]
    each = _without_late([_others(summary, one) or _camera(summary, one) for one in leavings])
    told = _agreeing([found for answers in each for found in answers])
    word = _word(told)
    decisive = _decisive(told, word)
    return Policy(
        word=word,
        looked_at=sum(bool(answers) for answers in each),
        unclear=sum(not answers for answers in each),
        evidence=_evidence(told),
        at_s=None if decisive is None else decisive.at_s,
        decisive="" if decisive is None else decisive.sentence,
    )


def slow_reader_policy(readers: Iterable[SlowReader]) -> SlowPolicy:
    """The policy that all slow readers agree on; those that are fast enough say nothing."""
    slow = [one for one in readers if one.policy != "not_felt"]
    words = {one.policy for one in slow}
    word: SlowWord = "not_seen"
    if slow:
        word = slow[0].policy if len(words) == 1 and slow[0].policy != "not_felt" else "inconsistent"
    return SlowPolicy(word=word, looked_at=len(slow), evidence=tuple(_slow(one) for one in slow[:EVIDENCE]))


def client(summary: Summary, name: str) -> str:
    """`b` for `b/0` where the population has no other number, else the whole name."""
    population, _, ordinal = name.partition("/")
    like = {one.name for one in summary.subscribers if one.name.partition("/")[0] == population}
    return population if ordinal == "0" and like <= {name} else name


def _without_late(each: list[list[_Told]]) -> list[list[_Told]]:
    """The answers to every leaving but stops that came late, where others went on: another thing may have been it."""
    went_on = {one.question for answers in each for one in answers if one.answer == "went on"}
    return [[one for one in answers if not one.late or one.question not in went_on] for answers in each]


def _agreeing(told: list[_Told]) -> list[_Told]:
    """A stop without a flag is what the others of its kind are known to be."""
    zombies = {one.question for one in told if one.answer == "zombie"}
    return [
        replace(one, answer="zombie") if not one.sure and one.question in zombies and one.answer == "stopped" else one
        for one in told
    ]


def _word(told: list[_Told]) -> Word:
    answers = {question: {one.answer for one in told if one.question == question} for question in ("others", "camera")}
    if not told:
        return "not_seen"
    if any(len(one) > 1 for one in answers.values()):
        return "inconsistent"
    if "zombie" in answers["others"] | answers["camera"]:
        return "zombie"
    decisive = answers["others"] or answers["camera"]
    return "stops_all" if "stopped" in decisive else "per_client"


def _decisive(told: list[_Told], word: Word) -> _Told | None:
    """The first answer that makes the policy what it is."""
    if word == "inconsistent":
        first: dict[str, str] = {}
        for one in told:
            if first.setdefault(one.question, one.answer) != one.answer:
                return one
    wanted = {"zombie": "zombie", "stops_all": "stopped", "per_client": "went on"}.get(word)
    return next((one for one in told if one.answer == wanted), None)


def _evidence(told: list[_Told]) -> tuple[str, ...]:
    """The first leaving of each answer, then the others, at most EVIDENCE, in order of time."""
    firsts = list({(one.question, one.answer): one for one in reversed(told)}.values())
    chosen = [*firsts, *(one for one in told if one not in firsts)][:EVIDENCE]
    return tuple(one.sentence for one in sorted(chosen, key=lambda one: one.at_s))


def _others(summary: Summary, leaving: Disturbance) -> list[_Told]:
    """What became of the streams that had no part in it: two answers where some went on and some did not."""
    if leaving.last or not leaving.others:
        return []
    who = _who(summary, leaving)
    found = []
    going = [one for one in leaving.others if not one.silent]
    if going:
        found.append(_Told("others", "went on", leaving.at_s, f"{who}, {_went_on(summary, going)}"))
    silent = [one for one in leaving.others if one.silent]
    if silent:
        names = ", ".join(client(summary, one.subscriber) for one in silent[:3])
        names += f" and {len(silent) - 3} more" if len(silent) > 3 else ""
        enough_s = max(_NOTICED_S + _NOTICED_PERIODS * _period_s(one) for one in silent)
        # A hanging client may hold the others up only once its buffers are full.
        late = leaving.kind != "half_open" and all(one.frames_after * _period_s(one) > enough_s for one in silent)
        more = f"{min(one.frames_after for one in silent):,} frames more and then none" if late else "no frame any more"
        sentence = f"{who}, {names} got {more}{_flag(leaving, enough_s)}"
        found.append(replace(_stopped("others", leaving, enough_s, sentence), late=late))
    return found


def _stopped(question: Literal["others", "camera"], leaving: Disturbance, enough_s: float, sentence: str) -> _Told:
    """No frames came: a zombie if the camera still said that it was streaming `enough_s` after the leaving."""
    flag = _flag_at(leaving, enough_s)
    return _Told(question, "zombie" if flag else "stopped", leaving.at_s, sentence, sure=flag is not None)


def _flag_at(leaving: Disturbance, enough_s: float) -> bool | None:
    """The camera's flag, None where it was not seen or only so soon that it still told of the time before."""
    if leaving.streaming_after and (leaving.streaming_after_s or 0.0) < enough_s:
        return None
    return leaving.streaming_after


def _period_s(one: Undisturbed) -> float:
    """The frame period that its gap was measured in."""
    return one.longest_gap_s / one.periods if one.periods else _LONGEST_PERIOD_S


def _camera(summary: Summary, leaving: Disturbance) -> list[_Told]:
    """What became of the camera when nobody was left: its flag, and what the next client got."""
    if not leaving.last:
        return []
    who = f"{_who(summary, leaving)} as the last one"
    back = _next_call(summary, leaving)
    if back is not None and back.figures.frames:
        sentence = f"{who}, {client(summary, back.subscriber)} came at {back.opened_at_s:.2f} s and got frames"
        return [_Told("camera", "went on", leaving.at_s, sentence + _flag(leaving))]
    if back is not None and back.figures.due_s >= _ANSWERED_WITHIN_S:
        sentence = (
            f"{who}, {client(summary, back.subscriber)} came at {back.opened_at_s:.2f} s and got no frame in "
            f"{back.figures.due_s:.1f} s"
        )
        # Either longer than a camera waits for somebody, or while somebody waited for it.
        enough_s = min(
            _ABANDONED_S, back.opened_at_s - leaving.at_s + _NOTICED_S + _NOTICED_PERIODS * _LONGEST_PERIOD_S
        )
        return [_stopped("camera", leaving, enough_s, sentence + _flag(leaving, enough_s))]
    if leaving.streaming_after is False:
        return [_Told("camera", "stopped", leaving.at_s, f"{who}, the camera said that it stood")]
    return []


def _next_call(summary: Summary, leaving: Disturbance) -> Call | None:
    """The first stream of the device that was opened after it, unless the camera was started again in between."""
    calls = [one for one in summary.calls if one.device == leaving.device and one.opened_at_s > leaving.at_s]
    found = min(calls, key=lambda one: one.opened_at_s, default=None)
    if found is None:
        return None
    until_s = found.ended_at_s if found.ended_at_s is not None else summary.facts.length_s
    starts = [one.started_at_s for one in summary.around.cycles]
    return None if any(leaving.at_s < at_s < until_s for at_s in starts) else found


def _who(summary: Summary, leaving: Disturbance) -> str:
    return f"when {client(summary, leaving.subscriber)} {WAYS[leaving.kind]} at {leaving.at_s:.2f} s"


def _went_on(summary: Summary, going: list[Undisturbed]) -> str:
    worst = max(going, key=lambda one: (one.periods or 0.0, one.longest_gap_s))
    who = client(summary, worst.subscriber) if len(going) == 1 else f"{len(going)} others"
    gap = f"{worst.longest_gap_s * 1000:,.0f} ms" if worst.periods is None else f"{worst.periods:.1f} periods"
    missing = sum(one.missing for one in going)
    lost = f"{missing:,} frame{'s' * (missing != 1)} missing" if missing else "no frame missing"
    return f"{who} went on (longest gap {gap}, {lost})"


def _flag(leaving: Disturbance, enough_s: float = 0.0) -> str:
    flag = _flag_at(leaving, enough_s)
    if flag is None:
        return ""
    return "; the camera said that it was streaming" if flag else "; the camera said that it stood"


def _slow(one: SlowReader) -> str:
    reads = "" if one.reads_hz is None else f" {one.reads_hz:.3g} frames/s"
    got = "" if one.received_hz is None else f", got {one.received_hz:.3g}"
    left = f"{one.skipped:,} frames left out by its last one" if one.skipped else "no frame left out"
    age = "" if one.age_last_ms is None else f", the last {one.age_last_ms / 1000:.1f} s old"
    number = one.ended_by_server
    ended = f", its stream ended {number:,} time{'s' * (number != 1)} by the server" if number else ""
    return f"{one.subscriber} reads{reads}{got}: {one.policy}, {left}{age}{ended}"
