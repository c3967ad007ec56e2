"""Changes of the camera: effect, loss across it and outcome, of runs whose truth is known by construction."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pvload.stats.around import Change
from pvload.stats.config import FoldConfig, Plan, PopulationPlan
from pvload.stats.refusal import counter_in, names_a_reason
from pvload.wire.codes import Abort, ChangeKind, EndedBy
from tests.stats.around_stream import AroundStream
from tests.stats.stream import S, Stream, summary

CONFIG = FoldConfig(plan=Plan(exposure_ms=100.0), kinds={"changer": "changer"})
REASON = "Failed to set parameter: Cannot change exposure while streaming"


def _begun(*, frames: int = 50) -> AroundStream:
    """Ten frames a second of 100 ms from 0.1 s on, and a change to 50 ms sent at 5.05 s."""
    stream = AroundStream()
    stream.wanted(0.0, rate=10.0, exposure_ms=100.0).open(0.0)
    stream.shot(0.1, 0.1, frames, 100.0)
    stream.change(5.05, exposure_ms=50.0, rate_hz=20.0)
    return stream


def _one(*streams: Stream, config: FoldConfig = CONFIG) -> Change:
    changes = summary(*streams, config=config).around.changes
    assert changes.count == len(changes.listed) == 1
    assert changes.outcomes == {changes.listed[0].outcome: 1}
    return changes.listed[0]


def test_an_effective_change_with_what_was_lost_across_it() -> None:
    """Two frames of the old exposure after it, then 50 ms; one frame missing; the longest gap is stated."""
    stream = _begun()
    stream.unary(5.05, 5.06, by="changer", change=1)
    stream.shot(5.1, 0.1, 2, 100.0)
    stream.shot(5.5, 0.05, 100, 50.0, first=53)
    stream.wanted(5.5, rate=20.0, exposure_ms=50.0).end(10.5)
    found = summary(stream, config=CONFIG)
    change = found.around.changes.listed[0]
    assert (change.outcome, change.by, change.kind, change.device) == ("effective", "changer/0", "exposure", "cam")
    assert change.answered_after_ms == pytest.approx(10.0)
    assert change.effect_after_ms == pytest.approx(450.0)
    effect = change.effects[0]
    assert effect.subscriber == "viewer/0"
    assert (effect.frames_before_effect, effect.missing, effect.not_as_either) == (2, 1, 0)
    assert effect.longest_gap_s == pytest.approx(0.3)
    assert found.around.changes.effect_ms.n == 1
    assert found.around.changes.missing == 1
    assert found.devices[0].not_as_planned == 0


def test_times_count_from_the_calls_and_not_from_when_engines_were_told() -> None:
    """Set 20 ms after the engines knew of the change, started 30 ms after they knew of the start."""
    stream = _begun()
    stream.unary(5.07, 5.08, by="changer", change=1)
    stream.shot(5.1, 0.1, 20, 100.0)
    stream.wanted(7.1, on=False).wanted(8.0, rate=20.0, exposure_ms=50.0)
    stream.change(8.01, again=True, exposure_ms=50.0)
    stream.unary(8.03, 8.04, "StartStream", by="changer")
    stream.shot(8.25, 0.05, 100, 50.0, first=0)
    change = _one(stream.end(13.3))
    assert (change.at_s, change.answered_after_ms) == (pytest.approx(5.07), pytest.approx(10.0))
    assert (change.restarted_at_s, change.effect_after_restart_ms) == (pytest.approx(8.03), pytest.approx(220.0))


def test_loss_far_from_the_change_is_not_the_changes() -> None:
    """A frame lost 1.2 s before it and one lost 1.5 s after its effect."""
    stream = AroundStream()
    stream.wanted(0.0, rate=10.0, exposure_ms=100.0).open(0.0)
    stream.shot(0.1, 0.1, 38, 100.0)
    stream.shot(4.0, 0.1, 11, 100.0, first=39)
    stream.change(5.05, exposure_ms=50.0).unary(5.05, 5.06, change=1, by="changer")
    stream.shot(5.1, 0.1, 15, 50.0, first=50)
    stream.shot(6.7, 0.1, 20, 50.0, first=66)
    change = _one(stream.end(9.0))
    assert change.effects[0].missing == 0
    assert change.effects[0].longest_gap_s == pytest.approx(0.1)


def test_frames_of_neither_plan_are_counted() -> None:
    stream = _begun()
    stream.unary(5.05, 5.06, change=1, by="changer")
    stream.shot(5.1, 0.1, 3, 77.0)
    stream.shot(5.4, 0.05, 100, 50.0)
    change = _one(stream.end(10.5))
    assert change.effects[0].not_as_either == 3
    assert change.effects[0].frames_before_effect == 3


def test_a_change_that_is_still_to_come_excuses_no_frame() -> None:
    """77 ms before the change to 77 ms was sent is neither, and with it is not."""
    stream = _begun()
    stream.unary(5.05, 5.06, change=1, by="changer")
    stream.shot(5.1, 0.1, 3, 77.0)
    stream.shot(5.4, 0.05, 20, 50.0)
    stream.change(6.4, 2, exposure_ms=77.0).unary(6.4, 6.41, change=2, by="changer")
    stream.shot(6.45, 0.1, 50, 77.0)
    first, second = summary(stream.end(12.0), config=CONFIG).around.changes.listed
    assert first.effects[0].not_as_either == 3
    assert second.effects[0].not_as_either == 0


@pytest.mark.parametrize(("shown", "outcome", "wrong"), [(50.2, "effective", 0), (50.3, "ignored", 100)])
def test_cameras_round_exposures_by_half_a_percent(shown: float, outcome: str, wrong: int) -> None:
    """Within that a frame shows the change and is as planned; beyond it neither."""
    stream = _begun()
    stream.unary(5.05, 5.06, change=1, by="changer")
    stream.wanted(5.06, rate=20.0, exposure_ms=50.0)
    stream.shot(9.5, 0.05, 100, shown)
    found = summary(stream.end(14.6), config=CONFIG)
    assert found.around.changes.listed[0].outcome == outcome
    assert found.devices[0].not_as_planned == wrong


def test_answered_ok_and_nothing_changed_is_ignored() -> None:
    stream = _begun()
    stream.unary(5.05, 5.06, change=1, by="changer")
    stream.shot(5.1, 0.1, 100, 100.0)
    change = _one(stream.end(15.2))
    assert (change.outcome, change.effect_after_ms, change.restarted_at_s) == ("ignored", None, None)
    assert change.effects[0].missing == 0


def test_ignored_until_the_camera_was_stopped_and_started() -> None:
    stream = _begun()
    stream.unary(5.05, 5.06, change=1, by="changer")
    stream.shot(5.1, 0.1, 20, 100.0)
    stream.wanted(7.1, on=False)
    stream.wanted(8.0, rate=20.0, exposure_ms=50.0)
    stream.change(8.0, again=True, exposure_ms=50.0)
    stream.shot(8.25, 0.05, 100, 50.0, first=0)
    change = _one(stream.end(13.3))
    assert change.outcome == "ignored_until_restart"
    assert change.effect_after_ms is None
    assert change.restarted_at_s == pytest.approx(8.0)
    assert change.effect_after_restart_ms == pytest.approx(250.0)


@pytest.mark.parametrize(
    ("status", "failed", "details", "again", "outcome"),
    [
        (3, False, REASON, False, "refused"),
        (3, False, REASON, True, "refused_then_effective"),
        (0, True, "", True, "refused_unclear"),
        (3, False, "INVALID_ARGUMENT", False, "refused_unclear"),
        (3, False, "", True, "refused_unclear"),
        (4, False, "Deadline Exceeded", False, "hung"),
        (14, False, "failed to connect to all addresses; connection refused", False, "failed"),
        (2, False, "Stream removed by the other side", False, "failed"),
    ],
)
def test_a_refusal_names_its_reason_or_not(status: int, failed: bool, details: str, again: bool, outcome: str) -> None:
    stream = _begun()
    stream.unary(5.05, 5.06, change=1, by="changer", status=status, failed=failed, details=details)
    stream.shot(5.1, 0.1, 20, 100.0)
    if again:
        stream.wanted(7.1, on=False)
        stream.wanted(8.0, rate=20.0, exposure_ms=50.0)
        stream.unary(8.0, 8.01, change=1, by="changer")
        stream.change(8.0, again=True, exposure_ms=50.0)
        stream.shot(8.25, 0.05, 100, 50.0, first=0)
    else:
        stream.shot(7.1, 0.1, 60, 100.0)
    change = _one(stream.end(13.3))
    assert change.outcome == outcome
    assert change.details == details
    assert (change.answered_after_ms is None) == (outcome == "hung")


def test_a_change_made_while_the_daemon_is_restarted_by_plan_is_not_judged() -> None:
    """Its call fails, and that is nobody's failure: it neither hung nor was refused."""
    stream = _begun()
    stream.wanted(5.1, on=False, away=True)
    stream.unary(5.2, 5.3, change=1, by="changer", status=14, details="Socket closed at once")
    stream.wanted(8.0, rate=10.0, exposure_ms=100.0)
    stream.shot(8.1, 0.1, 150, 100.0, first=0)
    assert _one(stream.end(23.2)).outcome == "not_judged"


def test_success_false_is_refused_with_the_answers_own_text() -> None:
    stream = _begun()
    stream.unary(5.05, 5.06, change=1, failed=True, answer='{"error_message":"Cannot change ROI while streaming"}')
    stream.shot(5.1, 0.1, 60, 100.0)
    change = _one(stream.end(11.2))
    assert (change.outcome, change.status) == ("refused", "OK")
    assert change.details == "Cannot change ROI while streaming"


@pytest.mark.parametrize(
    ("change", "status", "details", "refused"),
    [(1, 3, REASON, 1), (1, 3, "", 0), (1, 14, "Socket closed at once", 0), (0, 3, REASON, 0)],
    ids=["with a reason", "without one", "never reached", "no change"],
)
def test_refusals_of_the_timelines_changes_are_counted_among_the_errors(
    change: int, status: int, details: str, refused: int
) -> None:
    stream = _begun()
    stream.unary(5.05, 5.06, change=change, status=status, details=details)
    stream.shot(5.1, 0.1, 60, 100.0)
    (calls,) = summary(stream.end(11.2), config=CONFIG).unary
    assert (sum(calls.errors.values()), sum(calls.refused.values())) == (1, refused)
    assert len(calls.examples) == 1 - refused


@pytest.mark.parametrize(("frames", "outcome"), [(200, "hung"), (100, "not_judged")])
def test_never_answered_is_hung_even_if_it_showed(frames: int, outcome: str) -> None:
    """Not if the run ended within the ten seconds that a call is given."""
    stream = _begun()
    stream.shot(5.1, 0.05, frames, 50.0)
    assert _one(stream.end(5.2 + frames * 0.05)).outcome == outcome


def test_a_change_to_what_frames_show_already_is_answered() -> None:
    """An ignored change and its taking back: the second is no proof of anything."""
    stream = _begun()
    stream.unary(5.05, 5.06, change=1, by="changer")
    stream.shot(5.1, 0.1, 100, 100.0)
    stream.change(15.05, 2, exposure_ms=100.0).unary(15.05, 15.06, change=2, by="changer")
    stream.shot(15.1, 0.1, 100, 100.0)
    found = summary(stream.end(25.2), config=CONFIG).around.changes
    assert [change.outcome for change in found.listed] == ["ignored", "answered"]
    assert found.effect_ms.n == 0
    assert [change.effect_after_ms for change in found.listed] == [None, None]


@pytest.mark.parametrize(("silence", "outcome"), [(2.5, "killed"), (1.5, "not_judged")])
def test_frames_that_end_with_a_change(silence: float, outcome: str) -> None:
    """Silent until the stop that follows: longer than the stall threshold of 2 s, or not."""
    stream = _begun()
    stream.unary(5.05, 5.06, change=1, by="changer")
    stream.wanted(5.05 + silence, on=False)
    change = _one(stream.end(9.0))
    assert change.outcome == outcome
    assert change.effects[0].longest_gap_s == pytest.approx(silence + 0.05, abs=0.001)


def test_a_stream_that_the_server_ends_is_killed() -> None:
    stream = _begun()
    stream.unary(5.05, 5.06, change=1, by="changer")
    stream.shot(5.1, 0.1, 3, 100.0)
    stream.ended(5.4, by=EndedBy.SERVER, status=13, frames=53)
    assert _one(stream.end(15.0)).outcome == "killed"


def _guest(until: float, *, population: str = "guest", period: float = 0.1) -> AroundStream:
    """A second engine's stream of the same camera from 1 s to `until`, told of the same change."""
    stream = AroundStream(2, worker="w2")
    stream.wanted(0.0, rate=10.0, exposure_ms=100.0).open(1.0, population=population)
    stream.shot(1.1, period, round((until - 1.1) / period) + 1, 100.0)
    stream.change(5.05, exposure_ms=50.0, rate_hz=20.0)
    return stream


@pytest.mark.parametrize(
    ("goes_on", "outcome"), [(0, "killed"), (1, "killed"), (90, "effective")], ids=["none", "for a moment", "on"]
)
def test_one_stream_that_falls_silent_is_killed_only_if_no_other_goes_on(goes_on: int, outcome: str) -> None:
    """A guest's frames end at 5 s; it leaves at 9 s. The viewer beside it gets all its frames, or none any more."""
    stream = _begun()
    stream.unary(5.05, 5.06, change=1, by="changer")
    stream.shot(5.1, 0.05, goes_on, 50.0)
    guest = _guest(5.0).left(9.0, Abort.CLEAN, population="guest")
    change = _one(stream.end(9.6), guest.ended(9.0, frames=40).end(9.6))
    assert change.outcome == outcome
    assert [effect.subscriber for effect in change.effects] == ["guest/0", "viewer/0"]


def test_a_client_that_left_before_the_silence_does_not_speak_against_it() -> None:
    """The guest leaves at 5.3 s, still fed; the viewer gets nothing from 5.5 s on."""
    stream = _begun()
    stream.unary(5.05, 5.06, change=1, by="changer")
    stream.shot(5.1, 0.1, 5, 100.0)
    guest = _guest(5.2).left(5.3, Abort.CLEAN, population="guest")
    assert _one(stream.end(12.0), guest.ended(5.3, frames=42).end(12.0)).outcome == "killed"


def test_a_stream_that_the_server_ends_is_killed_though_others_go_on() -> None:
    stream = _begun()
    stream.unary(5.05, 5.06, change=1, by="changer")
    stream.shot(5.1, 0.05, 90, 50.0)
    guest = _guest(5.2).ended(5.4, by=EndedBy.SERVER, status=13, frames=42)
    assert _one(stream.end(9.6), guest.end(9.6)).outcome == "killed"


@pytest.mark.parametrize("how", ["thrown out", "between two frames", "fed from what was buffered"])
def test_a_slow_reader_is_not_asked_whether_frames_ended(how: str) -> None:
    """What it gets and until when is its own doing; alone with a change it is asked nevertheless."""
    config = replace(CONFIG, populations={"slow": PopulationPlan(reads_hz=0.3)})
    stream = _begun()
    stream.unary(5.05, 5.06, change=1, by="changer")
    slow = _guest(14.0 if how == "fed from what was buffered" else 5.0, population="slow", period=1.3)
    if how != "fed from what was buffered":
        stream.shot(5.1, 0.05, 180, 50.0)
    if how == "thrown out":
        slow.ended(5.4, by=EndedBy.SERVER, status=8, frames=4)
    else:
        slow.left(14.0, Abort.CLEAN, population="slow")
    outcome = _one(stream.end(14.1), slow.end(14.1), config=config).outcome
    assert outcome == ("killed" if how == "fed from what was buffered" else "effective")


def test_a_slow_reader_that_is_alone_is_asked() -> None:
    config = replace(CONFIG, populations={"slow": PopulationPlan(reads_hz=5.0)})
    slow = _guest(5.0, population="slow")
    slow.unary(5.05, 5.06, change=1, by="changer")
    assert _one(slow.end(14.1), config=config).outcome == "killed"


@pytest.mark.parametrize(("frames", "outcome"), [(10, "killed"), (50, "effective")])
@pytest.mark.parametrize("how", ["ended", "silent"])
def test_a_stream_that_showed_the_change_and_went_on_lived_through_it(frames: int, outcome: str, how: str) -> None:
    """What ends it half a second after the effect may be the change; what ends it after two and a half is not."""
    stream = _begun()
    stream.unary(5.05, 5.06, change=1, by="changer")
    stream.shot(5.1, 0.05, frames, 50.0)
    if how == "ended":
        stream.ended(5.1 + frames * 0.05, by=EndedBy.SERVER, status=14, frames=50 + frames)
    assert _one(stream.end(20.0)).outcome == outcome


def test_a_silence_that_a_frame_ends_is_no_kill() -> None:
    stream = _begun()
    stream.unary(5.05, 5.06, change=1, by="changer")
    stream.shot(9.0, 0.05, 100, 50.0)
    change = _one(stream.end(14.1))
    assert (change.outcome, change.effect_after_ms) == ("effective", pytest.approx(3950.0))


def test_a_stream_that_was_dead_before_is_not_killed_by_the_change() -> None:
    stream = _begun(frames=10)
    stream.unary(5.05, 5.06, change=1, by="changer")
    assert _one(stream.end(20.0)).outcome == "not_judged"


def test_a_second_sender_sees_the_effect_that_the_changers_does_not() -> None:
    """The answer is in one sender's records, frames in another's, whose clock is 3 s behind."""
    viewer = _begun()
    viewer.shot(5.1, 0.05, 100, 50.0)
    viewer.end(10.2)
    changer = AroundStream(2, worker="w2")
    changer.put(11, 2.0, offset_ns=3 * S, round_trip_ns=1000)
    changer.change(2.05, exposure_ms=50.0).unary(2.05, 2.10, by="changer", change=1)
    change = _one(viewer, changer)
    assert (change.outcome, change.effect_after_ms, change.answered_after_ms) == (
        "effective",
        pytest.approx(50.0),
        pytest.approx(50.0),
    )
    assert [effect.subscriber for effect in change.effects] == ["viewer/0"]


def test_what_frames_cannot_show_is_answered() -> None:
    stream = AroundStream()
    stream.wanted(0.0, rate=10.0).open(0.0)
    stream.shot(0.1, 0.1, 50, 100.0)
    stream.change(5.05, kind=ChangeKind.OTHER, text="gain 2", by="").unary(5.05, 5.06, change=1)
    stream.shot(5.1, 0.1, 50, 100.0)
    change = _one(stream.end(10.2))
    assert (change.outcome, change.by, change.kind, change.text) == ("answered", "timeline", "other", "gain 2")


def test_nobody_was_there_to_see_it() -> None:
    stream = AroundStream()
    stream.wanted(0.0, rate=10.0).change(5.0, exposure_ms=50.0).unary(5.0, 5.1, change=1)
    change = _one(stream.end(20.0))
    assert (change.outcome, change.effects) == ("not_judged", ())


def test_a_region_at_half_scale_and_a_decimating_stream() -> None:
    """A preview shows half the sides; what decimation leaves out is not missing."""
    stream = AroundStream()
    stream.wanted(0.0, rate=10.0, width=64, height=64).open(0.0, quality=1, max_fps=5)
    for at in range(25):
        stream.frame(0.2 + at * 0.2, 2 * at, sent=at + 1, dropped=at, width=32, height=32)
    stream.change(5.1, kind=ChangeKind.ROI, width=32, height=32).unary(5.1, 5.11, change=1)
    for at in range(25, 50):
        stream.frame(0.2 + at * 0.2, 2 * at, sent=at + 1, dropped=at, width=16, height=16)
    change = _one(stream.end(10.3))
    assert (change.outcome, change.effect_after_ms) == ("effective", pytest.approx(100.0))
    assert change.effects[0].missing == 0


def test_between_change_and_effect_both_settings_are_planned_and_no_third() -> None:
    """Old, new and old again before the plan says so; 77 ms is neither; after the time limit old alone is planned."""
    stream = _begun()
    stream.unary(5.05, 5.06, change=1, by="changer")
    stream.shot(5.1, 0.1, 5, 50.0)
    stream.shot(5.6, 0.1, 5, 100.0)
    stream.shot(6.1, 0.1, 2, 77.0)
    stream.shot(6.3, 0.1, 60, 100.0)
    stream.shot(12.3, 0.1, 4, 50.0)
    device = summary(stream.end(13.0), config=CONFIG).devices[0]
    assert device.not_as_planned == 6
    assert "exposure 77 ms" in device.not_as_planned_example


def test_after_a_start_old_and_new_are_planned_until_the_limit() -> None:
    """The change shows late after the restart: its frames before that are no violation; those of its limit are."""
    stream = _begun()
    stream.unary(5.05, 5.06, change=1, by="changer")
    stream.shot(5.1, 0.1, 20, 100.0)
    stream.wanted(7.1, on=False)
    stream.wanted(8.0, rate=20.0, exposure_ms=50.0)
    stream.change(8.0, again=True, exposure_ms=50.0)
    stream.shot(8.1, 0.1, 70, 100.0, first=0)
    device = summary(stream.end(15.2), config=CONFIG).devices[0]
    assert device.not_as_planned == 10


def test_a_change_of_period_is_neither_loss_nor_stall_nor_freeze() -> None:
    """10, 20 and 10 frames a second by plan: full coverage, nothing lost before numbering, two rates expected."""
    stream = AroundStream()
    stream.wanted(0.0, rate=10.0, exposure_ms=100.0).open(0.0)
    stream.shot(0.1, 0.1, 300, 100.0)
    stream.change(30.05, 1, exposure_ms=50.0, rate_hz=20.0).unary(30.05, 30.06, change=1)
    stream.wanted(30.1, rate=20.0, exposure_ms=50.0)
    stream.shot(30.1, 0.05, 600, 50.0)
    stream.change(60.02, 2, exposure_ms=100.0, rate_hz=10.0).unary(60.02, 60.03, change=2)
    stream.wanted(60.1, rate=10.0, exposure_ms=100.0)
    stream.shot(60.1, 0.1, 300, 100.0)
    found = summary(stream.end(90.1), config=CONFIG)
    run = found.run
    assert found.around.changes.outcomes == {"effective": 2}
    assert run.missing.total == 0
    assert run.missing.before_numbering == 0
    assert run.coverage == pytest.approx(1.0, abs=0.005)
    assert run.expected_is_stated
    assert run.expected_hz == pytest.approx(1200 / 90, rel=0.01)
    assert run.stalls.count == run.freezes.count == 0
    assert found.devices[0].not_as_planned == 0


def test_two_changes_of_one_figure_the_second_ends_the_first() -> None:
    """The first never had its time: not judged, though its value never showed."""
    stream = _begun()
    stream.unary(5.05, 5.06, change=1, by="changer")
    stream.shot(5.1, 0.1, 5, 100.0)
    stream.change(5.65, 2, exposure_ms=25.0, rate_hz=40.0).unary(5.65, 5.66, change=2, by="changer")
    stream.shot(5.7, 0.025, 200, 25.0)
    found = summary(stream.end(10.8), config=CONFIG).around.changes
    assert [change.outcome for change in found.listed] == ["not_judged", "effective"]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (REASON, True),
        ("Failed to set parameter: out of range", True),
        ("Failed to set parameter: is read-only", True),
        ("OUT_OF_RANGE", False),
        ("value 5000 above the highest, 1000", True),
        ("INVALID_ARGUMENT", False),
        ("", False),
        ("error 42", False),
        ("Failed to set parameter:", False),
    ],
)
def test_a_reason_is_more_than_a_code(text: str, named: bool) -> None:
    assert names_a_reason(text) is named


@pytest.mark.parametrize(
    ("value", "counter"), [('"v17"', 17), ("sweep 17", 17), ("17", None), ("10.5", None), ('{\\"x\\":1}', None)]
)
def test_a_counter_is_read_from_texts_alone(value: str, counter: int | None) -> None:
    escaped = value if "\\" in value else value.replace('"', '\\"')
    found = counter_in('{"parameter_name":"p","value":"' + escaped + '"}')
    assert found == (None if counter is None else ("p", counter))
