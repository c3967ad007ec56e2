"""Figures of small runs whose truth is known by construction."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvload.profiles.schema import Profile
from pvload.stats.config import FoldConfig, fold_config
from pvload.stats.histogram import Histogram
from pvload.stats.opening import decimated
from pvload.stats.summary_json import to_json
from pvload.wire.codes import EndedBy, LogClass, NoteClass, UserChange
from pvload.wire.event import Kind
from tests.stats.around_stream import AroundStream
from tests.stats.stream import MS, T0, S, Stream, fold, summary


@given(st.lists(st.integers(-(10**15), 10**15), min_size=1, max_size=200), st.integers(0, 200))
def test_histogram_is_exact_in_sums_and_within_its_error_in_quantiles(values: list[int], at: int) -> None:
    """Against exact numpy, in two parts merged."""
    first, second = Histogram(), Histogram()
    first.add(np.array(values[:at], np.int64))
    second.add(np.array(values[at:], np.int64))
    second.merge(first)
    exact = np.sort(np.array(values))
    assert (second.n, second.total) == (len(values), sum(values))
    assert (second.minimum, second.maximum) == (min(values), max(values))
    for share in (0.0, 0.5, 0.9, 0.999, 1.0):
        truth = int(exact[max(0, int(np.ceil(share * len(values))) - 1)])
        found = second.quantile(share)
        assert found is not None
        assert abs(found - truth) <= 0.005 * abs(truth)


def test_rate_and_coverage_are_over_due_time_after_warm_up() -> None:
    """10 frames/s stated, 8 given: fps 8, coverage 0.8."""
    stream = Stream().wanted(0.0, rate=10.0).open(0.0).frames(0.125, 0.125, 160).end(20.0)
    run = summary(stream, config=FoldConfig(warm_up_ns=5 * S)).run
    assert run.expected_hz == 10.0
    assert run.expected_is_stated
    assert run.judged_s == pytest.approx(20.0 - 5.125)
    assert run.fps == pytest.approx(8.0, abs=0.1)
    assert run.coverage == pytest.approx(0.8, abs=0.01)


def test_without_a_stated_rate_it_is_measured() -> None:
    run = summary(Stream().open(0.0).frames(0.05, 0.05, 200).end(10.1)).run
    assert run.expected_hz == pytest.approx(20.0)
    assert not run.expected_is_stated


@pytest.mark.parametrize(("rate", "limit", "kept"), [(100.0, 30, 25.0), (30.0, 20, 15.0), (9.5, 10, 9.5), (50, 0, 50)])
def test_decimation_keeps_every_kth_frame(rate: float, limit: int, kept: float) -> None:
    assert decimated(rate, limit) == kept


def test_a_stream_that_never_gave_a_frame_is_one_stall_of_its_whole_life() -> None:
    figures = summary(Stream().wanted(0.0, rate=10.0).open(1.0).end(20.0)).run
    assert [(s.length_s, s.censored, s.frame_index) for s in figures.stalls.listed] == [(19.0, True, 0)]
    assert figures.coverage == 0.0
    assert figures.longest_silence_s == 19.0


def test_a_stream_never_accepted_has_no_due_time() -> None:
    """Refused before a first open: neither error nor stall nor silence."""
    stream = Stream().open(0.0, headers=False)
    stream.ended(0.5, by=EndedBy.SERVER, status=16, details="missing authorization token").end(10.0)
    found = summary(stream)
    assert found.subscribers[0].opened == 0
    assert found.run.due_s == found.run.longest_silence_s == 0.0
    assert found.run.errors == {}
    assert found.run.refused == {"UNAUTHENTICATED": 1}
    assert found.run.unexpected_ends == 0


def test_a_refusal_for_the_stream_limit_is_admission() -> None:
    stream = Stream().open(0.0, headers=False)
    stream.ended(0.1, by=EndedBy.SERVER, status=8, details="Maximum concurrent streams (3) exceeded for client x")
    run = summary(stream.end(5.0)).run
    assert (run.admission_refused, run.errors, run.unexpected_ends, run.stalls.count) == (1, {}, 0, 0)


def test_a_lost_connection_is_an_error_and_its_outage_is_silence() -> None:
    """Killed at 2.0 s, open again at 4.5 s with a frame at 4.6 s; a clean OK that nobody ordered counts too."""
    stream = Stream().open(0.0).frames(0.1, 0.1, 20).ended(2.0, by=EndedBy.SERVER, status=14, frames=20)
    stream.open(4.5, 2, number=2).frames(4.6, 0.1, 10, 2).ended(6.0, 2, by=EndedBy.SERVER, status=0, frames=10)
    found = summary(stream.end(7.0))
    run = found.run
    assert (run.errors, run.unexpected_ends) == ({"UNAVAILABLE": 1}, 2)
    assert (run.outages, run.longest_outage_s) == (2, 2.5)
    assert run.longest_silence_s == pytest.approx(2.6)
    assert run.stalls.count == 0
    assert found.accounting.frames_checked


def test_outages_that_nobody_ordered_are_due_to_the_subscriber_and_to_no_call() -> None:
    """10 frames/s for 2 s, killed, back at 8 s for 2 s: 40 frames of 99 after the first, no stall on an open stream."""
    stream = Stream().wanted(0.0, rate=10.0).open(0.0).frames(0.1, 0.1, 20)
    stream.ended(2.0, by=EndedBy.SERVER, status=14, frames=20)
    stream.open(3.0, 2, number=2, headers=False).ended(3.1, 2, by=EndedBy.SERVER, status=14)
    stream.open(8.0, 3, number=3).frames(8.1, 0.1, 20, 3)
    found = summary(stream.end(10.0))
    for figures in (found.run, found.devices[0].figures, found.subscribers[0].figures):
        assert (figures.due_s, figures.judged_s, figures.frames_due) == pytest.approx((10.0, 9.9, 99.0))
        assert (figures.fps, figures.coverage) == pytest.approx((40 / 9.9, 40 / 99))
        assert (figures.open_s, figures.outages_s, figures.stalls.count) == (4.0, 6.0, 0)
    assert sum(window.due_s for window in found.subscribers[0].windows) == pytest.approx(10.0)
    assert [call.figures.due_s for call in found.calls] == pytest.approx([2.0, 0.0, 2.0])


def test_a_call_lost_while_the_camera_stood_is_silent_from_its_start_on() -> None:
    """Stopped at 2 s, lost at 3 s, wanted again from 4 to 5 s and from 6 s on, open again at 9 s, a frame at 9.5 s."""
    stream = Stream().wanted(0.0, rate=10.0).open(0.0).frames(0.1, 0.1, 19).wanted(2.0, on=False)
    stream.ended(3.0, by=EndedBy.SERVER, status=14, frames=19).wanted(4.0, rate=10.0)
    stream.wanted(5.0, on=False).wanted(6.0, rate=10.0).open(9.0, 2, number=2).frames(9.5, 0.1, 10, 2)
    found = summary(stream.end(10.45))
    assert (found.run.longest_silence_s, found.run.stalls.count) == (pytest.approx(3.5), 0)
    assert (found.run.unexpected_ends, found.run.due_s) == (1, pytest.approx(2 + 1 + 4.45))


def test_what_ends_while_the_daemon_is_restarted_by_plan_is_nobodys_failure() -> None:
    """Away from 2 to 4 s: streams and calls fail; it counts again from 4 s on, as do the frames that do not come."""
    stream = AroundStream()
    stream.wanted(0.0, rate=10.0).open(0.0).frames(0.1, 0.1, 20).watching(1.0)
    stream.wanted(2.05, on=False, away=True).ended(2.2, by=EndedBy.SERVER, status=14, frames=20)
    stream.put(Kind.WATCHED, 2.2, ref=50, code=EndedBy.SERVER, status=14)
    stream.unary(2.5, 2.6, "GetDaemonInfo", status=14).unary(2.7, 2.8, "Check", by="health", status=14)
    stream.open(3.0, 2, number=2, headers=False).ended(3.1, 2, by=EndedBy.SERVER, status=14)
    stream.wanted(4.0, rate=10.0).open(5.0, 3, number=3).frames(5.1, 0.1, 10, 3)
    stream.unary(8.0, 8.1, "Check", by="health", status=14)
    stream.ended(8.2, 3, by=EndedBy.SERVER, status=14, frames=10)
    found = summary(stream.end(9.0))
    assert (found.run.errors, found.run.unexpected_ends) == ({"UNAVAILABLE": 1}, 1)
    assert [call.ended_by for call in found.calls] == ["restart", "restart", "server"]
    assert (found.unary, [one.failed for one in found.around.calls]) == ((), [{"UNAVAILABLE": 1}])
    assert found.around.watchers[0].ended == ""
    assert found.run.longest_silence_s == pytest.approx(3.0), "from the last frame to the end; 1.1 s after the restart"


@pytest.mark.parametrize(
    ("word", "by", "wanted_to", "due"),
    [
        ("never back", EndedBy.SERVER, 30.0, 10.0),
        ("closed by the watchdog", EndedBy.WATCHDOG, 30.0, 10.0),
        ("the user left", EndedBy.ORDER, 30.0, 2.0),
        ("the camera was stopped", EndedBy.SERVER, 4.0, 4.0),
    ],
)
def test_an_outage_is_due_until_the_end_unless_it_was_ordered(
    word: str, by: EndedBy, wanted_to: float, due: float
) -> None:
    stream = Stream().wanted(0.0, rate=10.0).open(0.0).frames(0.1, 0.1, 20).ended(2.0, by=by, frames=20, status=14)
    if wanted_to < 10:
        stream.wanted(wanted_to, on=False)
    assert summary(stream.end(10.0)).run.due_s == pytest.approx(due), word


def test_an_outage_without_a_stated_rate_is_due_at_the_subscribers_own() -> None:
    """20 frames/s measured for 5 s, then nothing for 5 s: half of what was due."""
    stream = Stream().open(0.0).frames(0.05, 0.05, 100).ended(5.0, by=EndedBy.SERVER, status=14, frames=100)
    run = summary(stream.end(10.0)).run
    assert (run.expected_hz, run.coverage) == pytest.approx((20.0, 0.5), abs=0.005)
    assert not run.expected_is_stated


@pytest.mark.parametrize("headers", [True, False])
def test_a_refusal_for_the_stream_limit_after_a_good_call_is_no_outage(headers: bool) -> None:
    """Killed at 2 s, tried again at 3 s and refused, in again at 9 s: silent and out for one second, due for four."""
    stream = Stream().wanted(0.0, rate=10.0).open(0.0).frames(0.1, 0.1, 20)
    stream.ended(2.0, by=EndedBy.SERVER, status=14, frames=20)
    stream.open(3.0, 2, number=2, headers=headers)
    stream.ended(3.1, 2, by=EndedBy.SERVER, status=8, details="Maximum concurrent streams (3) exceeded for client x")
    stream.open(9.0, 3, number=3).frames(9.1, 0.1, 10, 3)
    found = summary(stream.end(10.0))
    run = found.run
    assert (run.due_s, run.outages, run.outages_s, run.longest_silence_s) == pytest.approx((4.0, 1, 1.0, 1.0))
    assert (run.admission_refused, run.errors, run.stalls.count) == (1, {"UNAVAILABLE": 1}, 0)
    assert (found.subscribers[0].calls, found.subscribers[0].opened) == (3, 2)


def test_a_subscriber_only_refused_was_never_opened() -> None:
    """Headers came before the refusal, as the real daemon sends them: no due time, no silence, no connect time."""
    stream = Stream().wanted(0.0, rate=10.0).open(0.0)
    stream.ended(0.1, by=EndedBy.SERVER, status=8, details="Maximum concurrent streams (3) exceeded for client x")
    found = summary(stream.end(60.0))
    run = found.run
    assert (run.due_s, run.open_s, run.longest_silence_s, run.outages_s) == (0.0, 0.0, 0.0, 0.0)
    assert (run.stalls.count, run.connect_ms.n, run.coverage) == (0, 0, None)
    assert found.subscribers[0].opened == 0


def test_a_user_that_stops_ends_its_silence() -> None:
    stream = Stream().open(0.0).frames(0.1, 0.1, 20).ended(2.0, by=EndedBy.SERVER, status=14)
    stream.put(Kind.USER, 3.0, code=UserChange.STOPPED, population=stream.text("viewer"), ordinal=0)
    assert summary(stream.end(30.0)).run.longest_silence_s == pytest.approx(1.0)


def test_silence_goes_on_over_a_dead_engine_without_its_blind_time() -> None:
    """Last arrival 2.0, account closed 3.0, successor opens 5.0, first frame 5.5: silent 1.5 s, blind 2 s."""
    dead = Stream(1).wanted(0.0, rate=10.0).open(0.0).frames(0.1, 0.1, 20).put(Kind.HEARTBEAT, 3.0, frames=20)
    heir = Stream(2, incarnation=1).wanted(0.0, rate=10.0).open(5.0, number=2).frames(5.5, 0.1, 20, first=30).end(7.6)
    found = summary(heir, dead)
    assert found.run.longest_silence_s == pytest.approx(1.5)
    assert found.run.blind_s == pytest.approx(2.0)
    assert found.generator.blind[0].reason == "engine of worker w1 was dead"
    assert found.subscribers[0].calls == 2


def test_age_takes_the_best_probe_and_is_never_clamped() -> None:
    """The target's clock is 100 ms ahead by the better probe; a frame stamped later than it came has a negative age."""
    stream = Stream()
    stream.put(Kind.PROBE, 0.05, sent_ns=T0, target_ns=T0 + 400 * MS, wall_ns=T0)
    stream.put(Kind.PROBE, 0.102, sent_ns=T0 + 100 * MS, target_ns=T0 + 201 * MS, wall_ns=T0 + 102 * MS)
    stream.open(0.2)
    for number, age in enumerate([5, 10, -3, 5]):
        at = T0 + (300 + 100 * number) * MS
        stream.frame(at, number, source=at + 100 * MS - age * MS)
    age = summary(stream.end(1.0)).run.age
    assert age.offset_known
    assert age.uncertainty_ms == pytest.approx(1.0)
    assert age.negative == 1
    assert age.quantiles.min == pytest.approx(-3.0)
    assert age.quantiles.max == pytest.approx(10.0)


def test_without_a_probe_age_is_change_only() -> None:
    stream = Stream().open(0.0)
    for number, age in enumerate([5, 10, 3, 5]):
        at = T0 + (300 + 100 * number) * MS
        stream.frame(at, number, source=at + 77 * S - age * MS)
    run = summary(stream.end(1.0)).run
    assert not run.age.offset_known
    assert run.age.quantiles.min == 0.0
    assert run.age.quantiles.max == pytest.approx(7.0)
    assert run.jitter_ms == pytest.approx((5 + 7 + 2) / 3)


def _camera(*, grid: bool, lose: int = -1, late: int = -1, count: int = 600) -> Stream:
    """A camera of 10 ms: on a grid, or sleeping; `lose`: a frame lost before numbering, `late`: one stamped late."""
    chance = np.random.default_rng(7)
    stream, at = Stream().open(0.0), 1_000_000 * 1000
    for number in range(count):
        at += 10 * MS + (0 if grid else abs(int(chance.normal(0, 1.5 * MS))))
        if number == lose:
            at += 10 * MS if grid else 14 * MS
        source = T0 + at + int(chance.normal(0, 0.1 * MS)) + (8 * MS if number == late else 0)
        stream.frame(max(source, T0 + at) + 2 * MS, number, source=source)
    return stream.end(T0 + at + 20 * MS)


@pytest.mark.parametrize(
    ("grid", "lose", "late", "lost", "lates"),
    [
        (True, -1, -1, 0, 0),
        (True, 250, -1, 1, 0),
        (True, 395, -1, 1, 0),
        (True, -1, 300, 0, 1),
        (False, 250, -1, None, 0),
    ],
)
def test_loss_before_numbering_is_claimed_on_a_grid_only(
    grid: bool, lose: int, late: int, lost: int | None, lates: int
) -> None:
    run = summary(_camera(grid=grid, lose=lose, late=late)).run
    assert (run.missing.before_numbering, run.late) == (lost, lates)


@pytest.mark.parametrize(("periods", "lost"), [(30, 30), (30.5, 0), (30.3, 0), (30.1, 30), (1.5, 0)])
@pytest.mark.parametrize("at", [100, 250, 575])
def test_a_pause_that_is_no_whole_number_of_periods_lost_nothing(periods: float, lost: int, at: int) -> None:
    """A camera of 20 ms with so much jitter that one step off the grid does not hide the grid."""
    chance = np.random.default_rng(3)
    stream, due = Stream().open(0.0), T0 + S
    for number in range(600):
        due += 20 * MS + (round(periods * 20 * MS) if number == at else 0)
        source = due + int(chance.normal(0, 1.0 * MS))
        stream.frame(source + 2 * MS, number, source=source)
    missing = summary(stream.end(due + 50 * MS)).run.missing
    assert missing.before_numbering in ({None, 0} if lost == 0 else {lost})


def test_generator_lag_is_blind_time_and_doubt() -> None:
    """An engine that stood still for 3 s explains a gap of 3.1 s."""
    stream = Stream().wanted(0.0, rate=10.0).open(0.0).frames(0.1, 0.1, 20)
    stream.put(Kind.LAG, 5.1, lateness_ns=3000 * MS, latest_ns=T0 + 5100 * MS, interval_ns=S)
    found = summary(stream.frames(5.1, 0.1, 10, first=20).end(6.1))
    stall = found.run.stalls.listed[0]
    assert stall.uncertainty_s == pytest.approx(3.0)
    assert found.run.blind_s == pytest.approx(3.0)
    assert found.run.due_s == pytest.approx(3.1)
    assert found.generator.late_intervals == 1


def test_a_burst_after_lateness_is_no_coverage_above_all_that_was_due() -> None:
    """Late from 2.0 to 4.5 s, then the 25 frames of that time at once: 10 frames/s, all of them."""
    stream = Stream().wanted(0.0, rate=10.0).open(0.0).frames(0.1, 0.1, 20).frames(4.5, 0.0001, 25, first=20)
    stream.put(Kind.LAG, 4.51, lateness_ns=2500 * MS, latest_ns=T0 + 4500 * MS, interval_ns=S)
    found = summary(stream.frames(4.6, 0.1, 15, first=45).end(6.1))
    for figures in (found.run, found.calls[0].figures):
        assert (figures.judged_s, figures.blind_s, figures.due_s) == pytest.approx((6.0, 2.5, 3.6))
        assert figures.coverage == pytest.approx(1.0, abs=0.02)


def test_lag_before_the_run_is_not_the_runs() -> None:
    """2.6 s while processes started, told before and after the start; of 0.5 s across the start 0.2 s count."""
    stream = Stream()
    for told, until, lateness in ((-3.0, -3.5, 2600), (-1.0, -1.2, 2500)):
        stream.put(Kind.LAG, told, lateness_ns=lateness * MS, latest_ns=T0 + round(until * S), interval_ns=S, cpu_ns=MS)
    stream.wanted(0.0, rate=10.0).open(0.0)
    stream.put(Kind.LAG, 0.1, lateness_ns=900 * MS, latest_ns=T0 - 100 * MS, interval_ns=S, cpu_ns=MS)
    stream.put(Kind.LAG, 1.1, lateness_ns=500 * MS, latest_ns=T0 + 200 * MS, interval_ns=S, cpu_ns=MS)
    stream.frames(0.3, 0.1, 20).end(2.4)
    stream.put(Kind.LAG, 4.5, lateness_ns=900 * MS, latest_ns=T0 + 4400 * MS, interval_ns=S, cpu_ns=MS)
    generator = summary(stream).generator
    assert generator.longest_lag_ms == pytest.approx(200.0)
    assert generator.longest_lag_at_s == pytest.approx(0.2)
    assert [(one.at_s, one.length_s) for one in generator.late] == [(0.0, pytest.approx(0.2))]
    assert generator.lag_ms.n == generator.late_intervals == 1
    assert generator.cpu_share == pytest.approx(0.002 / 2.4)


def test_without_a_start_the_first_record_is_the_start() -> None:
    """No camera wanted, no stream opened: times are still seconds of the run, never a clock's own."""
    stream = Stream(role="engine").put(Kind.HEARTBEAT, 1.0)
    stream.put(Kind.LAG, 3.0, lateness_ns=300 * MS, latest_ns=T0 + 3 * S, interval_ns=S)
    stream.put(Kind.UNARY, 4.0, sent_ns=T0 + 4 * S, status=14, method=stream.text("StartStream"))
    found = summary(stream)
    assert found.facts.length_s == 0.0
    assert found.generator.longest_lag_at_s == pytest.approx(3.0)
    assert found.unary[0].examples[0].startswith("at 4.0 s")
    assert found.accounting.senders[0].last_seen_s == pytest.approx(4.0)


def test_frames_after_the_end_are_not_the_runs_but_are_checked() -> None:
    stream = Stream().open(0.0).frames(0.1, 0.1, 20).end(1.55).ended(2.2, by=EndedBy.RUN_END, frames=20)
    found = summary(stream)
    assert found.run.frames == 15
    assert found.accounting.frames_checked
    assert found.run.unexpected_ends == 0


def test_not_as_planned_frames_are_counted_with_an_example() -> None:
    stream = Stream().wanted(0.0, rate=10.0, width=64, height=64).open(0.1)
    stream.frames(0.2, 0.1, 5, width=64, height=64).frames(0.7, 0.1, 3, first=5, width=32, height=64)
    device = summary(stream.end(2.0)).devices[0]
    assert device.not_as_planned == 3
    assert "32x64" in device.not_as_planned_example


def test_log_and_notes_are_witnesses() -> None:
    stream = Stream(role="monitor")
    stream.put(Kind.NOTE, 0.0, code=NoteClass.WITNESS_PRESENT, text=stream.text("log"))
    stream.put(Kind.LOG, 1.0, code=LogClass.STALL_END, line=stream.text("gave up"), source=stream.text("log"))
    found = summary(stream)
    assert found.log.present
    assert found.log.driver_errors == 1
    assert found.log.lines == {"stall_end": 1}
    assert found.notes == ("witness_present: log",)


def test_log_lines_stand_on_the_axis_where_they_were_written() -> None:
    """Read half a second late; one without a stamp, or with one of another clock, stands where it was read."""
    monitor = Stream(2, role="monitor").put(Kind.HEARTBEAT, 0.5, wall_ns=7_000 * S + 500 * MS)
    wall = 7_000 * S
    for read, stamp in ((3.0, wall + 2500 * MS), (4.0, 0), (5.0, 99 * S)):
        line = monitor.text(f"stop_stream {read}")
        monitor.put(Kind.LOG, read, code=LogClass.ACQUISITION_STOPPED, line=line, logged_wall_ns=stamp)
    found = summary(Stream().open(0.0).end(9.0), monitor)
    assert [(one.at_s, one.log_class) for one in found.log.timeline] == [
        (2.5, "acquisition_stopped"),
        (4.0, "acquisition_stopped"),
        (5.0, "acquisition_stopped"),
    ]


def test_of_a_class_of_log_lines_the_first_and_the_last_are_kept() -> None:
    monitor = Stream(2, role="monitor")
    for at in range(200):
        monitor.put(Kind.LOG, float(at), code=LogClass.STALL_TICK, line=monitor.text(f"line {at}"))
    timeline = summary(Stream().open(0.0).end(300.0), monitor).log.timeline
    assert [round(one.at_s) for one in timeline] == [*range(40), *range(180, 200)]


def test_accounting_says_what_did_not_come() -> None:
    stream = Stream().open(0.0).frames(0.1, 0.1, 5).end(1.0)
    run = fold(stream)
    run.finished(stream.sender, stream.records.size + 10)
    run.missing(stream.sender, 3, 4, "segment unreadable")
    run.rejected(2)
    accounting = run.summary().accounting
    assert (accounting.undelivered, accounting.missing, accounting.rejected_batches) == (6, 4, 2)


def test_folded_frames_count_without_detail() -> None:
    stream = Stream().open(0.0).frames(0.1, 0.1, 5)
    stream.put(
        Kind.FOLDED,
        3.5,
        ref=1,
        first_ns=T0 + 600 * MS,
        frames=30,
        message_bytes=99,
        frames_sent=36,
        frames_dropped=2,
        frame_number=37,
        longest_ns=200 * MS,
        source_ns=T0,
    )
    run = summary(stream.frame(3.6, 38, sent=37, dropped=2).end(4.1)).run
    assert (run.frames, run.folded_frames) == (36, 30)
    assert (run.missing.backpressure, run.missing.unseen, run.missing.transport) == (2, 0, 1)


def test_live_figures_see_an_open_stall() -> None:
    stream = Stream().open(0.0).frames(0.1, 0.1, 20).put(Kind.HEARTBEAT, 5.0, frames=20)
    live = fold(stream).live()
    assert (live.frames, live.open_streams, live.stalls, live.stalled_now) == (20, 1, 1, 1)
    assert live.longest_stall_s == pytest.approx(3.0)


def test_live_figures_see_no_stall_of_a_call_that_is_over() -> None:
    """Its end waits to be folded; the silence after it is nobody's."""
    stream = Stream().open(0.0).frames(0.1, 0.1, 20).ended(2.1).put(Kind.HEARTBEAT, 3.5, frames=20)
    live = fold(stream, config=FoldConfig(stall_ns=S)).live()
    assert (live.frames, live.stalls, live.stalled_now) == (20, 0, 0)


def test_config_of_a_profile_keeps_two_periods_and_a_quarter() -> None:
    profile = Profile.model_validate(
        {
            "run": {"name": "x", "duration": "8s", "warm_up": "5s"},
            "camera": {"exposure_ms": 3000, "roi": "quarter", "binning": [2, 2]},
            "users": [{"name": "viewer"}],
        }
    )
    config = fold_config(profile)
    assert (config.stall_ns, config.warm_up_ns) == (6 * S, 2 * S)
    assert (config.plan.width, config.plan.binning_x) == (512, 2)


def test_json_is_the_same_for_the_same_run() -> None:
    stream = Stream().open(0.0).frames(0.1, 0.1, 5).end(1.0)
    assert to_json(summary(stream)) == to_json(summary(stream))
    assert b'"schema": "pvload.summary/1"' in to_json(summary(stream))
