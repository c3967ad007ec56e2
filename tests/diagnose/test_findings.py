"""What a summary says probably happened."""

from __future__ import annotations

import pytest

import around_values
import summaries
from pvload.diagnose.finding import Severity, log_around
from pvload.diagnose.findings import findings
from pvload.stats.config import FoldConfig
from pvload.stats.summary import Hole, Missing
from pvload.wire.codes import EndedBy, LogClass, NoteClass, Outcome
from pvload.wire.event import Kind
from tests.stats.stream import MS, T0, Stream, summary


def _two(stalled: tuple[int, ...]) -> Stream:
    """Two subscribers at 10 frames/s for 10 s; the ones in `stalled` get nothing from 3 s to 6 s."""
    stream = Stream().wanted(0.0, rate=10.0)
    for call in (1, 2):
        stream.open(0.1, call, ordinal=call)
    for tick in range(2, 100):
        for call in (1, 2):
            if call not in stalled or not 30 < tick < 60:
                stream.frame(tick / 10, tick, call)
    return stream.end(10.0)


def test_all_streams_silent_at_once_is_the_producer() -> None:
    worst = findings(summary(_two((1, 2))))[0]
    assert worst.severity is Severity.FAULT
    assert "producer stood still" in worst.text
    assert worst.at_s == 3.0


@pytest.mark.parametrize(
    ("back", "severity", "words"),
    [
        (True, Severity.NOTICE, "1 stream ended with it, open again 1.0 s after that"),
        (False, Severity.FAULT, "viewer/0 not open again before the run's end"),
    ],
)
def test_a_restart_by_the_timeline_is_told_as_one(back: bool, severity: Severity, words: str) -> None:
    stream = Stream().wanted(0.0, rate=10.0).open(0.0).frames(0.1, 0.1, 20)
    stream.wanted(2.05, on=False, away=True).ended(2.2, by=EndedBy.SERVER, status=14, frames=20)
    stream.wanted(4.0, rate=10.0)
    stream.put(Kind.ACTION, 4.2, due_ns=T0 + 2000 * MS, text=stream.text("restart the daemon"), code=Outcome.DONE)
    if back:
        stream.open(5.2, 2, number=2).frames(5.3, 0.1, 10, 2)
    found = findings(summary(stream.end(6.35)))
    assert [(one.severity, one.at_s) for one in found] == [(severity, pytest.approx(2.2))]
    assert found[0].text == f"the timeline restarted the daemon, which was back after 2.0 s; {words}" or not back
    assert words in found[0].text


def test_one_silent_stream_is_that_stream() -> None:
    texts = [finding.text for finding in findings(summary(_two((2,))))]
    assert any("viewer/2" in text and "went on" in text for text in texts)


def test_twice_the_rate_without_a_loss_is_two_producers() -> None:
    stream = Stream().wanted(0.0, rate=10.0).open(0.1).frames(0.2, 0.05, 190).end(10.0)
    found = findings(summary(stream))
    assert "2 producers" in found[0].text


def test_a_stall_in_the_generators_own_lag_is_a_doubt() -> None:
    stream = Stream().wanted(0.0, rate=10.0).open(0.1).frames(0.2, 0.1, 20)
    stream.put(Kind.LAG, 5.1, lateness_ns=2900 * MS, latest_ns=T0 + 5000 * MS, interval_ns=1000 * MS)
    stream.frames(5.2, 0.1, 20, first=40).end(8.0)
    found = findings(summary(stream))
    assert not [one for one in found if one.severity is Severity.FAULT and "no frame" in one.text]
    assert any("generator itself was late" in one.text for one in found)
    assert not any("blind" in one.text for one in found), "the same stretch once more"


def test_a_blind_stretch_that_no_silence_tells_is_told_by_itself() -> None:
    """Late for 0.4 s, far below a stall."""
    stream = Stream().wanted(0.0, rate=10.0).open(0.1).frames(0.2, 0.1, 20).frames(2.6, 0.1, 20, first=20)
    stream.put(Kind.LAG, 2.7, lateness_ns=400 * MS, latest_ns=T0 + 2600 * MS, interval_ns=1000 * MS)
    found = findings(summary(stream.end(5.0)))
    assert [(one.text, one.at_s) for one in found] == [("blind for 0.40 s: engine late", pytest.approx(2.2))]


def test_all_streams_unavailable_at_once_is_the_daemon() -> None:
    stream = _two(())
    died = Stream().wanted(0.0, rate=10.0).open(0.1, 1, ordinal=1).open(0.1, 2, ordinal=2)
    died.frames(0.2, 0.1, 20, 1).frames(0.2, 0.1, 20, 2)
    for call in (1, 2):
        died.ended(2.2, call, frames=20, by=EndedBy.SERVER, status=14, details="Socket closed")
    found = findings(summary(died.end(8.0)))
    assert found[0].severity is Severity.DEATH
    assert "did not come back" in found[0].text
    assert not [one for one in findings(summary(stream)) if one.severity > Severity.NOTICE]


def test_silence_to_the_end_without_an_error_names_another_client() -> None:
    stream = Stream().wanted(0.0, rate=10.0).open(0.1).frames(0.2, 0.1, 30).end(9.0)
    found = findings(summary(stream, config=FoldConfig(stall_ns=2000 * MS)))
    assert "another client stopped it" in found[0].text


def _monitor(*lines: tuple[float, LogClass, str]) -> Stream:
    """The daemon's log, watched."""
    monitor = Stream(9, role="monitor", worker="monitor")
    monitor.put(Kind.NOTE, 0.0, code=NoteClass.WITNESS_PRESENT, text=monitor.text("log"))
    for at, log_class, text in lines:
        monitor.put(Kind.LOG, at, code=log_class, line=monitor.text(text))
    return monitor


def test_a_stall_that_is_over_says_when_after_how_many_frames_and_that_it_recovered() -> None:
    stream = Stream().wanted(0.0, rate=10.0).open(0.1).frames(0.2, 0.1, 30).frames(6.5, 0.1, 20, first=30).end(8.5)
    worst = findings(summary(stream))[0]
    assert worst.at_s == pytest.approx(3.1)
    assert "no frame for 3.40 s on viewer/0" in worst.text
    assert "after 30 frames (last frame_number 29), until frames came again at 6.5 s" in worst.text


def test_a_stop_in_the_daemons_log_that_nobody_here_ordered_is_the_cause() -> None:
    """The scientist's question: why did my stream go silent after frame 85?"""
    stream = Stream().wanted(0.0, rate=10.0).open(0.1).frames(0.2, 0.1, 85).end(14.0)
    lines = (
        (0.0, LogClass.ACQUISITION_STARTED, "start_stream: roi"),
        (8.65, LogClass.ACQUISITION_STOPPED, "stop_stream completed successfully"),
        (12.0, LogClass.ERROR, "something later"),
        (14.2, LogClass.ACQUISITION_STOPPED, "our own stop after the run's end"),
    )
    found = summary(stream, _monitor(*lines))
    worst = findings(found)[0]
    assert "after 85 frames (last frame_number 84), none to the end of the run" in worst.text
    assert "another client stopped the camera, nobody here ordered it" in worst.text
    assert "(a stop in the daemon's log at 8.65 s)" in worst.text
    assert [line.text for line in log_around(found, worst)] == ["stop_stream completed successfully", "something later"]


def test_the_plans_own_stop_is_not_blamed_on_another_client() -> None:
    """Stopped and started by the plan at 3 s and 4.5 s; the camera did not come back: the stop in the log was ours."""
    stream = Stream().wanted(0.0, rate=10.0).open(0.1).frames(0.2, 0.1, 28).wanted(3.0, on=False)
    stream.wanted(4.5, rate=10.0).end(12.0)
    worst = findings(summary(stream, _monitor((3.0, LogClass.ACQUISITION_STOPPED, "stop_stream completed"))))[0]
    assert worst.at_s == pytest.approx(4.5)
    assert "stop in the daemon's log" not in worst.text


def test_the_drivers_own_words_are_the_cause_of_a_stall() -> None:
    stream = Stream().wanted(0.0, rate=10.0).open(0.1).frames(0.2, 0.1, 30).end(14.0)
    texts = [one.text for one in findings(summary(stream, _monitor((8.0, LogClass.STALL_END, "max consecutive"))))]
    assert "the camera's driver, by the daemon's log at 8.00 s (stall end)" in texts[0]
    assert any("1 driver error in the daemon's log, the first: max consecutive" in text for text in texts)


def test_a_daemon_that_died_is_told_with_its_frames_its_log_and_its_return() -> None:
    stream = Stream().wanted(0.0, rate=10.0).open(0.1).frames(0.2, 0.1, 20)
    stream.ended(2.2, frames=20, by=EndedBy.SERVER, status=14, details="Socket closed")
    stream.open(3.0, 2, number=2, headers=False).ended(3.0, 2, by=EndedBy.SERVER, status=14)
    stream.open(6.0, 3, number=3).frames(6.1, 0.1, 20, 3).end(8.0)
    worst = findings(summary(stream, _monitor((2.1, LogClass.PANIC, "thread panicked at"))))[0]
    assert (worst.severity, worst.at_s) == (Severity.DEATH, pytest.approx(2.2))
    assert worst.length_s == pytest.approx(3.8)
    assert "after 20 frames; its log at 2.10 s tells of a panic; a stream was open again at 6.0 s" in worst.text


def test_a_stream_ended_with_ok_is_told_with_its_return() -> None:
    stream = Stream().wanted(0.0, rate=10.0).open(0.1, 1, ordinal=1).open(0.1, 2, ordinal=2)
    stream.frames(0.2, 0.1, 20, 1).frames(0.2, 0.1, 40, 2)
    stream.ended(2.2, 1, frames=20, by=EndedBy.SERVER, status=0)
    stream.open(3.2, 3, ordinal=1, number=2).frames(3.3, 0.1, 10, 3).end(4.25)
    worst = findings(summary(stream))[0]
    assert worst.text == "viewer/1's stream ended, which nobody here ordered: OK, after 20 frames; open again at 3.2 s"


def test_two_producers_for_a_part_of_the_time_are_too_fast() -> None:
    stream = Stream().wanted(0.0, rate=10.0).open(0.1).frames(0.2, 0.1, 50).frames(5.2, 0.05, 95, first=50).end(10.0)
    assert "with two producers for a part of the time" in findings(summary(stream))[0].text


def test_two_producers_are_worse_than_a_failed_call_and_last_as_long_as_they_ran() -> None:
    """Every loss figure is clean: without this finding nobody would know."""
    stream = Stream().wanted(0.0, rate=10.0).open(0.1).frames(0.2, 0.05, 190)
    stream.put(Kind.UNARY, 3.0, sent_ns=T0 + 3000 * MS, status=5, method=stream.text("SetParameter"))
    first, *rest = findings(summary(stream.end(10.0)))
    assert "2 producers at once" in first.text
    assert "no counter shows a loss" in first.text
    assert first.length_s > 9
    assert any("a call failed: SetParameter" in one.text for one in rest)


def test_two_producers_are_told_with_the_restart_in_the_daemons_log() -> None:
    stream = Stream().wanted(0.0, rate=10.0).open(0.1).frames(0.2, 0.1, 8).frames(1.05, 0.05, 370, first=8).end(20.0)
    lines = (
        (0.9, LogClass.ACQUISITION_STOPPED, "stop_stream completed successfully"),
        (0.92, LogClass.ACQUISITION_STARTED, "start_stream: roi"),
    )
    worst = findings(summary(stream, _monitor(*lines)))[0]
    assert worst.at_s == pytest.approx(0.9)
    assert "2 producers at once" in worst.text
    assert "(a stop and a start are in the daemon's log at 0.90 s)" in worst.text


def test_a_healthy_run_has_no_finding() -> None:
    assert findings(summary(Stream().wanted(0.0, rate=10.0).open(0.0).frames(0.1, 0.1, 98).end(9.9))) == ()


def test_missing_frames_are_told_with_the_moment_of_the_worst_hole_and_the_log_beside_it() -> None:
    """One frame at 2.2 s dropped by the server's own count, three at 7.3 s without a word."""
    stream = Stream().wanted(0.0, rate=10.0).open(0.0).frames(0.1, 0.1, 20)
    stream.frame(2.2, 21, sent=21, dropped=1)
    for tick in range(23, 70):
        stream.frame(tick / 10, tick - 1, sent=tick - 1, dropped=1)
    for tick in range(73, 100):
        stream.frame(tick / 10, tick - 1, sent=tick - 4, dropped=1)
    found = summary(stream.end(10.0), _monitor((7.2, LogClass.ERROR, "pool exhausted")))
    (loss,) = [one for one in findings(found) if "missing" in one.text]
    assert (loss.severity, loss.at_s) == (Severity.FAULT, pytest.approx(7.3))
    assert loss.text == (
        "3 frames missing in one go on viewer/0, lost in the server without a word (between frame_number 68 and 72); "
        "4 in all (4 %), 3 of them so, the first at 2.2 s"
    )
    assert [line.text for line in log_around(found, loss)] == ["pool exhausted"]


def test_frames_of_one_hole_are_all_there_is_to_say() -> None:
    stream = Stream().wanted(0.0, rate=10.0).open(0.0).frames(0.1, 0.1, 20).frame(2.2, 21, sent=21, dropped=1)
    (loss,) = findings(summary(stream.end(2.3)))
    assert loss.text == (
        "1 frame missing on viewer/0, dropped for a slow client by the server's own count "
        "(between frame_number 19 and 21); "
        "1 in all (4.5 %)"
    )


def test_who_gave_up_is_told_with_the_number_of_its_tries() -> None:
    text = "viewer/0 gave up after 5 calls in a row without a frame"
    of = summaries.summary(notes=(f"gave_up: {text}",), note_counts={"gave_up": 1})
    assert [one.text for one in findings(of)] == [text]
    many = summaries.summary(notes=(f"gave_up: {text}",) * 5, note_counts={"gave_up": 5})
    assert findings(many)[0].text.endswith("; 2 more users gave up")


def test_a_process_that_died_with_its_streams_died_once() -> None:
    """The log of the daemon's life knows how it exited, the streams know what it meant: one finding tells both."""
    lost = summaries.call(ended_at_s=30.0, ended_by="server", status="UNAVAILABLE")
    of = around_values.run(daemon=(around_values.life("gone", -11),), summary={"calls": (lost,)})
    deaths = [one.text for one in findings(of) if one.severity is Severity.DEATH]
    assert len(deaths) == 1
    assert deaths[0].startswith("the daemon (pid 77) died: killed by signal 11; ")
    assert "ended UNAVAILABLE at once" in deaths[0]


def test_of_many_holes_the_large_ones_are_told_with_their_moment() -> None:
    """The worst is told with the sum; those of fewer than five frames, and those beside a larger one, are not."""
    holes = tuple(
        Hole("viewer/0", 1, at_s, count, "unseen", 10, 11 + count)
        for at_s, count in ((5.0, 2), (10.0, 20), (10.5, 9), (20.0, 7), (30.0, 40))
    )
    one = summaries.subscriber(missing=Missing(unseen=78), holes=holes)
    told = [found.at_s for found in findings(summaries.summary(one)) if "in one go" in found.text]
    assert told == [30.0, 10.0, 20.0]


def test_a_failed_call_is_told_with_its_moment() -> None:
    failed = summaries.unary("Arm", errors={"INTERNAL": 1}, examples=("at 1,203.5 s: INTERNAL no camera",))
    (found,) = findings(summaries.summary(unary=(failed,)))
    assert (found.at_s, found.text) == (1203.5, "a call failed: Arm INTERNAL no camera")
