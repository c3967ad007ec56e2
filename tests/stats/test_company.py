"""Comings and goings: churn, leaving, killed viewers, disturbances, slow readers, the log's accounts."""

from __future__ import annotations

import time
from collections.abc import Sequence

import pytest

from pvload.stats.config import FoldConfig, PopulationPlan
from pvload.stats.fold import RunFold
from pvload.stats.summary import Summary
from pvload.wire.codes import Abort, EndedBy, LogClass, NoteClass, StateFlag
from pvload.wire.event import Kind
from tests.stats.stream import MS, T0, S, Stream, fold, summary

LIMIT = "Maximum concurrent streams (3) exceeded"
CHURNING = FoldConfig(populations={"viewer": PopulationPlan(churns=True)}, streams_per_client=3)
GROWING = list(range(0, 25_000, 500))
"""Ages in milliseconds of 50 frames, each as much older than the one before as it came later."""


def _two_calls(style: Abort | None) -> Stream:
    """Frames at 10 Hz: 0.1 s to 1 s, away for 2 s, 3.1 s to 4 s."""
    stream = Stream().wanted(0.0, rate=10.0).open(0.0, 1, number=1, ordered_ns=T0).frames(0.1, 0.1, 10, 1)
    if style is not None:
        stream.left(1.0, style, number=1)
    stream.ended(1.0, 1, frames=10)
    stream.open(3.0, 2, number=2, ordered_ns=T0 + 3 * S).frames(3.1, 0.1, 10, 2, first=30)
    return stream.end(4.0)


@pytest.mark.parametrize("style", [None, *Abort])
def test_time_between_leaving_and_coming_again_is_not_due(style: Abort | None) -> None:
    """However the call was left: no silence, no outage, no error."""
    run = summary(_two_calls(style), config=CHURNING)
    figures = run.subscribers[0].figures
    assert figures.due_s == pytest.approx(2.0)
    assert figures.outages == 0
    assert figures.unexpected_ends == 0
    assert figures.longest_silence_s == pytest.approx(0.1)
    (churn,) = run.around.churn
    assert (churn.opened, churn.accepted, churn.with_frames, churn.attempts_max) == (2, 2, 2, 1)
    assert churn.left == {("clean" if style is None else style.name.lower()): 1}
    # The camera's own 100 ms between the last frame and leaving: 0; opened to first frame: 100 ms.
    assert churn.resubscribe_hole_ms.max == pytest.approx(100.0, rel=0.01)


@pytest.mark.parametrize("by", list(EndedBy))
def test_a_call_that_hangs_after_it_was_left_ends_where_it_was_left(by: EndedBy) -> None:
    """A half-open client: its end is recorded half a minute later, by whomever, beside the next call's frames."""
    stream = Stream().wanted(0.0, rate=10.0).open(0.0, 1, number=1).frames(0.1, 0.1, 10, 1)
    stream.left(1.0, Abort.HALF_OPEN, number=1)
    stream.open(2.0, 2, number=2).frames(2.1, 0.1, 50, 2, first=20)
    stream.ended(5.0, 1, frames=10, by=by, status=14)
    stream.frames(7.1, 0.1, 30, 2, first=70).end(10.0)
    run = summary(stream, config=CHURNING)
    figures = run.subscribers[0].figures
    assert figures.due_s == pytest.approx(9.0)
    assert figures.longest_silence_s == pytest.approx(0.1)
    assert (figures.unexpected_ends, figures.outages, figures.errors) == (0, 0, {})
    assert run.accounting.frames_checked
    assert [(call.number, call.ended_by, call.details) for call in run.calls] == [
        (1, "order", "left: half_open"),
        (2, "open", ""),
    ]


def test_what_is_wrong_in_the_account_of_a_left_call_is_seen() -> None:
    """Its end tells of a frame that never came here."""
    stream = _two_calls(None)
    stream = Stream().open(0.0, 1).frames(0.1, 0.1, 10, 1).left(1.0, Abort.CLEAN).ended(1.1, 1, frames=11).end(2.0)
    assert not summary(stream).accounting.frames_checked


def _killed(*, told: bool, offset_ms: int = 0) -> Summary:
    """A viewer process streams at 10 Hz from 0 to 2 s, then is killed; the main engine goes on to 6 s."""
    viewer = Stream(2, role="viewer", worker="w1", incarnation=1).put(Kind.CLOCK, 0.0, offset_ns=offset_ms * MS)
    viewer.wanted(0.0, rate=10.0).open(0.0, 1, number=1, population="victim").frames(0.1, 0.1, 20, 1)
    main = Stream(1, worker="w1").wanted(0.0, rate=10.0).open(0.0, 1).frames(0.1, 0.1, 22, 1)
    if told:
        main.left(2.05 + offset_ms / 1000, Abort.KILLED, number=1, population="victim")
    return summary(main.frames(2.3, 0.1, 37, 1, first=22).end(6.0), viewer, config=CHURNING)


def test_the_end_of_a_killed_viewer_is_its_calls_end_by_order() -> None:
    """No blind time, no loss, no silence; open until it was killed."""
    run = _killed(told=True)
    victim = next(one for one in run.subscribers if one.name == "victim/0")
    assert victim.figures.due_s == pytest.approx(2.05)
    assert victim.figures.blind_s == 0.0
    assert (victim.figures.unexpected_ends, victim.figures.missing.total, victim.figures.outages) == (0, 0, 0)
    assert run.generator.blind == ()
    (call,) = [call for call in run.calls if call.subscriber == "victim/0"]
    assert (call.ended_by, call.details) == ("order", "left: killed")
    assert call.ended_at_s == pytest.approx(2.05)


def test_viewers_without_the_targets_clock_have_no_ages_and_spoil_nobodys() -> None:
    """The run's ages are those of the probed engine's frames."""
    viewer = Stream(2, role="viewer", worker="w1", incarnation=1).wanted(0.0, rate=10.0)
    viewer.open(0.0, 1, number=1, population="victim").frames(0.1, 0.1, 20, 1)
    main = Stream(1, worker="w1").put(Kind.PROBE, 0.0, sent_ns=T0, target_ns=T0).wanted(0.0, rate=10.0).open(0.0, 2)
    for at in range(1, 40):
        main.frame(at / 10, at, 2, source=T0 + at * 100 * MS - 30 * MS)
    run = summary(main.left(2.05, Abort.KILLED, number=1, population="victim").end(4.0), viewer)
    assert run.run.age.offset_known
    assert run.run.age.quantiles.n == 39
    assert run.run.age.quantiles.max == pytest.approx(30.0, rel=0.01)
    ages = {one.name: one.figures.age for one in run.subscribers}
    assert not ages["victim/0"].offset_known
    assert ages["victim/0"].quantiles.n == 0
    assert run.run_windows[0].age_p99_ms == pytest.approx(30.0, rel=0.01)


def test_a_killed_viewer_is_no_open_stream_while_the_run_goes_on() -> None:
    """As soon as its killing is folded; the ages of probed engines are still shown."""
    viewer = Stream(2, role="viewer", worker="w1").wanted(0.0, rate=10.0).open(0.0, 1, population="victim")
    viewer.frames(0.1, 0.1, 20, 1).put(Kind.HEARTBEAT, 9.0)
    main = Stream(1, worker="w1").put(Kind.PROBE, 0.0, sent_ns=T0, target_ns=T0).wanted(0.0, rate=10.0)
    main.open(0.0, 1).frames(0.1, 0.1, 20, 1).left(2.05, Abort.KILLED, population="victim").frames(2.1, 0.1, 80, 1)
    live = fold(main, viewer).live()
    assert (live.open_streams, live.stalled_now, live.age_p99_ms is not None) == (1, 0, True)
    assert {one.name: one.streams_open for one in live.populations} == {"viewer": 1, "victim": 0}


def test_a_viewer_that_died_by_itself_is_not_taken_for_killed() -> None:
    """Its call's end was never recorded."""
    (call,) = [call for call in _killed(told=False).calls if call.subscriber == "victim/0"]
    assert call.ended_by == "open"


@pytest.mark.parametrize("offset_ms", [0, 7])
def test_a_killed_viewer_is_a_disturbance_to_the_other(offset_ms: int) -> None:
    """The other one's gap of 200 ms at 10 Hz is two periods; it is known in another sender than the kill."""
    found = _killed(told=True, offset_ms=offset_ms).around.disturbances
    assert found is not None
    kinds = [(one.kind, one.subscriber, one.last) for one in found.listed]
    assert kinds[-1] == ("killed", "victim/0", False)
    (other,) = found.listed[-1].others
    assert other.subscriber == "viewer/0"
    assert other.longest_gap_s == pytest.approx(0.1)
    assert other.periods == pytest.approx(1.0)
    assert not other.silent


def _company(gap_s: float, *, missing: int = 0, then_silent: bool = False) -> Summary:
    """B joins at 10 s and leaves at 20 s; A, at 10 Hz, has a gap around the leaving."""
    stream = Stream().wanted(0.0, rate=10.0)
    stream.open(0.0, 1, ordinal=0).frames(0.1, 0.1, 199, 1)
    stream.open(10.0, 2, ordinal=1).frames(10.1, 0.1, 99, 2)
    stream.left(20.0, Abort.DROPPED, ordinal=1).ended(20.0, 2, frames=99)
    stream.put(Kind.STATE, 20.5, flags=int(StateFlag.STREAMING_KNOWN | StateFlag.STREAMING), device=stream.text("cam"))
    if not then_silent:
        stream.frames(19.9 + gap_s, 0.1, 100, 1, first=199 + missing)
    return summary(stream.end(40.0), config=CHURNING)


def test_what_the_undisturbed_felt() -> None:
    """A gap of 1.5 s that begins 100 ms before B leaves, and 7 frames missing in it."""
    found = _company(1.5, missing=7).around.disturbances
    assert found is not None
    assert [(one.kind, one.at_s, one.last) for one in found.listed] == [
        ("joined", 0.0, True),
        ("joined", 10.0, False),
        ("dropped", 20.0, False),
    ]
    joined, left = found.listed[1:]
    assert joined.others[0].longest_gap_s == pytest.approx(0.1)
    assert (joined.others[0].missing, joined.streaming_after) == (0, None)
    assert left.others[0].longest_gap_s == pytest.approx(1.5)
    assert left.others[0].periods == pytest.approx(15.0)
    assert (left.others[0].missing, left.streaming_after) == (7, True)
    assert (found.count, found.looked_at, found.silenced) == (3, 2, 0)
    assert found.worst_gap_s == pytest.approx(1.5)
    assert found.worst_gap_at_s == pytest.approx(20.0)
    assert found.worst_subscriber == "viewer/0"


@pytest.mark.parametrize(
    ("what", "states", "then", "expected"),
    [
        ("the server had not noticed yet", [(0.05, True), (1.0, False)], None, (False, 1.0)),
        ("the latest of them", [(0.6, True), (2.0, True), (9.0, True), (11.0, False)], None, (True, 9.0)),
        ("only one, at once", [(0.05, True)], None, (True, 0.05)),
        ("after the next opening", [(0.6, False), (4.0, True)], "open", (False, 0.6)),
        ("one waits in vain", [(0.6, True), (4.0, True)], "wait", (True, 4.0)),
        ("after another leaving", [(0.6, True), (4.0, False)], "leave", (True, 0.6)),
        ("after a change of the plan", [(0.6, True), (4.0, False)], "stop", (True, 0.6)),
        ("unseen", [(-0.5, True), (12.0, False)], None, (None, None)),
    ],
)
def test_the_flag_that_counts_after_a_leaving(
    what: str, states: list[tuple[float, bool]], then: str | None, expected: tuple[bool | None, float | None]
) -> None:
    """B leaves at 20 s; three seconds later something else happens."""
    stream = Stream().wanted(0.0, rate=10.0).open(0.0, 1, ordinal=0).frames(0.1, 0.1, 199, 1)
    stream.open(10.0, 2, ordinal=1).frames(10.1, 0.1, 99, 2)
    stream.left(20.0, Abort.DROPPED, ordinal=1).ended(20.0, 2, frames=99)
    cam, known = stream.text("cam"), int(StateFlag.STREAMING_KNOWN)
    happened = False
    for after, streaming in [*states, (13.0, False)]:
        if after > 3.0 and not happened:
            happened = True
            if then in ("open", "wait"):
                stream.open(23.0, 3, ordinal=2)
            if then == "open":
                stream.frame(23.1, 300, 3)
            if then == "leave":
                stream.left(23.0, Abort.CLEAN, ordinal=0).ended(23.0, 1, frames=199)
            if then == "stop":
                stream.wanted(23.0, on=False)
        stream.put(Kind.STATE, 20.0 + after, flags=known | (int(StateFlag.STREAMING) if streaming else 0), device=cam)
    found = summary(stream.end(40.0), config=CHURNING).around.disturbances
    assert found is not None
    (left,) = [one for one in found.listed if one.kind == "dropped"]
    assert (left.streaming_after, left.streaming_after_s) == (expected[0], pytest.approx(expected[1])), what


@pytest.mark.parametrize(("quiet_s", "looked"), [(0.5, True), (3.0, False)])
def test_who_was_silent_already_shows_nothing_of_a_leaving(quiet_s: float, looked: bool) -> None:
    """A's frames end for good so long before B leaves: three seconds before, another thing had ended them."""
    stream = Stream().wanted(0.0, rate=10.0)
    stream.open(0.0, 1, ordinal=0).frames(0.1, 0.1, round((20.0 - quiet_s) * 10), 1)
    stream.open(10.0, 2, ordinal=1).frames(10.1, 0.1, 99, 2)
    stream.left(20.0, Abort.CLEAN, ordinal=1).ended(20.0, 2, frames=99)
    found = summary(stream.end(40.0), config=CHURNING).around.disturbances
    assert found is not None
    (left,) = (one for one in found.listed if one.kind == "clean")
    assert [one.silent for one in left.others] == ([True] if looked else [])
    assert found.silenced == int(looked)


def test_a_disturbance_that_silences_the_others() -> None:
    """No frame came any more: silent, and the gap lasts to the end of the run."""
    found = _company(0.0, then_silent=True).around.disturbances
    assert found is not None
    assert found.listed[-1].others[0].silent
    assert found.silenced == 1
    assert found.worst_gap_s == pytest.approx(40.0 - 19.9)


def test_a_long_gap_that_comes_later_is_not_laid_to_the_disturbance() -> None:
    """A stall of 5 s that begins three seconds after B left."""
    stream = Stream().wanted(0.0, rate=10.0).open(0.0, 1, ordinal=0).open(0.0, 2, ordinal=1).frames(0.1, 0.1, 130, 1)
    stream.left(10.0, Abort.CLEAN, ordinal=1).ended(10.0, 2).frames(18.0, 0.1, 10, 1, first=130)
    found = summary(stream.end(19.0)).around.disturbances
    assert found is not None
    assert found.worst_gap_s == pytest.approx(0.1)


def test_turned_away_again_and_again() -> None:
    """Attempts in a row, refusals as a class of their own, and those that came although a place should be free."""
    stream = Stream().wanted(0.0, rate=10.0)
    stream.open(0.0, 1, number=1).frames(0.1, 0.1, 10, 1).left(1.0, Abort.DROPPED, number=1).ended(1.0, 1, frames=10)
    for at in range(3):
        call = at + 2
        stream.open(1.5 + at, call, number=call, headers=False)
        stream.ended(1.6 + at, call, by=EndedBy.SERVER, status=8, details=LIMIT)
    stream.open(5.0, 5, number=5).frames(5.1, 0.1, 10, 5, first=50).end(6.0)
    (churn,) = summary(stream, config=CHURNING).around.churn
    assert (churn.opened, churn.accepted, churn.with_frames) == (5, 2, 2)
    assert (churn.admission_refused, churn.attempts_max, churn.ended_by_server) == (3, 4, 0)
    # Half a second after leaving the daemon may not have noticed; later it should have.
    assert churn.refused_after_leaving == 3
    assert summary(stream, config=FoldConfig()).around.churn[0].refused_after_leaving == 0, "no limit is known"


def _end_line(sent: int, dropped: int = 0, device: str = "cam") -> str:
    return (
        "INFO server::grpc::hardware_service: Tap-based frame stream forwarding task ended "
        f'device_id={device} exit_reason="client_disconnected" frames_sent={sent} frames_dropped={dropped} '
        "client_ip=127.0.0.1"
    )


def test_the_logs_accounts_are_joined_by_counters_and_time() -> None:
    """Three calls end together; one line is nobody's; one says more than can be on its way."""
    stream = Stream().wanted(0.0, rate=10.0)
    for ordinal, frames in enumerate((10, 20, 15)):
        stream.open(0.0, ordinal + 1, ordinal=ordinal, window_bytes=1000).frames(0.05, 0.05, frames, ordinal + 1)
        stream.ended(1.2, ordinal + 1, frames=frames)
    log = Stream(2, role="monitor")
    for sent, device in ((15, "cam"), (10, "other"), (22, "cam"), (60, "cam")):
        log.put(Kind.LOG, 1.3, code=LogClass.STREAM_END, line=log.text(_end_line(sent, device=device)))
    log.put(Kind.LOG, 200.0, code=LogClass.STREAM_END, line=log.text(_end_line(10)))
    accounts = summary(stream, log).around.log_accounts
    assert [(one.subscriber, one.sent_by_log, one.received, one.on_the_way, one.agrees) for one in accounts] == [
        ("viewer/2", 15, 15, 0, True),
        ("viewer/1", 22, 20, 2, True),
        ("viewer/0", 60, 10, 50, False),
        ("", 10, 0, 0, False),
        ("", 10, 0, 0, False),
    ]


def test_the_servers_count_of_streams_comes_back_to_base_or_not() -> None:
    """By its log: two begun, one ended, none open."""
    for ended, left_over in ((2, 0), (1, 1)):
        log, begun = Stream(2, role="monitor"), "INFO x: Starting tap-based frame stream forwarding task device_id=cam"
        for at in range(2):
            log.put(Kind.LOG, at * 3.0, code=LogClass.SUBSCRIBE, line=log.text(begun))
        for at in range(ended):
            log.put(Kind.LOG, 1.1 + at * 2, code=LogClass.STREAM_END, line=log.text(_end_line(10)))
        stream = _two_calls(Abort.CLEAN)
        stream.ended(3.9, 2, frames=10)
        late = Stream(3).wanted(0.0).end(9.0)
        assert summary(stream, late, log, config=CHURNING).around.churn[0].server_streams_after is not None
        run = Stream().wanted(0.0, rate=10.0).open(0.0, 1, number=1).frames(0.1, 0.1, 10, 1).left(1.0, Abort.CLEAN)
        run.ended(1.0, 1, frames=10).open(3.0, 2, number=2).left(3.05, Abort.CLEAN, number=2).ended(3.05, 2).end(9.0)
        assert summary(run, log, config=CHURNING).around.churn[0].server_streams_after == left_over


@pytest.mark.parametrize("left_over", [0, 3])
def test_streams_in_the_log_are_counted_though_lines_were_held_back_and_calls_ended_with_the_run(
    left_over: int,
) -> None:
    """30 clients come in a second and leave half a second before the run's end; one record stands for many lines."""
    begun = ("INFO x: Registered gRPC stream observer", "INFO x: Starting tap-based frame stream forwarding task")
    log, run = Stream(2, role="monitor"), Stream().wanted(0.0, rate=10.0)
    for at in range(30):
        run.open(1.0 + at / 100, at, ordinal=at)
    for at in range(20):
        log.put(Kind.LOG, 1.0 + at / 200, code=LogClass.SUBSCRIBE, line=log.text(begun[at % 2]))
    log.put(Kind.LOG, 1.3, code=LogClass.SUBSCRIBE, line=log.text(begun[1]), suppressed=39)
    for at in range(30):
        run.ended(9.5, at)
    for _ in range(20):
        log.put(Kind.LOG, 9.51, code=LogClass.STREAM_END, line=log.text(_end_line(0)))
    log.put(Kind.LOG, 9.52, code=LogClass.STREAM_END, line=log.text(_end_line(0)), suppressed=9 - left_over)
    for at in range(30, 32):  # two that stay beyond the run
        run.open(9.6, at, ordinal=at)
        for line in begun:
            log.put(Kind.LOG, 9.6, code=LogClass.SUBSCRIBE, line=log.text(line))
    run.open(9.9, 50, ordinal=0, number=2, headers=False).end(12.0 if left_over else 10.0)
    (churn,) = summary(run, log, config=CHURNING).around.churn
    assert churn.server_streams_after == left_over


def test_streams_of_a_daemon_that_was_restarted_are_gone() -> None:
    """It printed no end of them."""
    log = Stream(2, role="monitor")
    for at in (0.0, 3.0):
        log.put(Kind.LOG, at, code=LogClass.READY, line=log.text("DAQ gRPC server (with hardware) listening on x"))
        log.put(
            Kind.LOG,
            at + 0.1,
            code=LogClass.SUBSCRIBE,
            line=log.text("Starting tap-based frame stream forwarding task"),
        )
    assert summary(_two_calls(None), log, config=CHURNING).around.churn[0].server_streams_after == 0


@pytest.mark.parametrize(
    ("what", "age_ms", "left_out", "ended", "others_hz", "policy"),
    [
        ("frames are left out", [500] * 50, range(0, 200, 4), False, 10.0, "skip"),
        (
            "a long queue fills first",
            [*GROWING[:40], *[20_000] * 10],
            [*[0] * 40, *range(0, 40, 4)],
            False,
            10.0,
            "skip",
        ),
        ("the age grows", GROWING, [0] * 50, False, 10.0, "buffer"),
        ("the age grows although one was left out", GROWING, [*[0] * 30, *[1] * 20], False, 10.0, "buffer"),
        ("the age grows although some were left out", GROWING, [*[0] * 10, *[16] * 40], False, 10.0, "buffer"),
        ("it is thrown out", [500] * 50, [0] * 50, True, 10.0, "disconnect"),
        ("the others wait for it", [500] * 50, [0] * 50, False, 2.0, "block"),
        ("the others wait for it although one was left out", [500] * 50, [*[0] * 30, *[1] * 20], False, 2.0, "block"),
        ("frames are left out by a camera that stalls", [500] * 50, range(0, 100, 2), False, 6.0, "skip"),
    ],
)
def test_policies_towards_a_slow_reader(
    what: str, age_ms: list[int], left_out: Sequence[int], ended: bool, others_hz: float, policy: str
) -> None:
    """A camera of 10 Hz, a reader of 2 Hz; left_out: by the server's count with each frame."""
    config = FoldConfig(populations={"slow": PopulationPlan(reads_hz=2.0, window_bytes=65_536)})
    stream = Stream().put(Kind.PROBE, 0.0, sent_ns=T0, target_ns=T0).wanted(0.0, rate=10.0)
    stream.open(0.0, 1, population="slow", window_bytes=65_536).open(0.0, 2, population="fast")
    for at, age in enumerate(age_ms):
        moment = T0 + at * 500 * MS
        dropped = left_out[at]
        stream.frame(moment, at + dropped, 1, sent=at + 1, dropped=dropped, source=moment - age * MS)
        for extra in range(round(others_hz / 2)):
            stream.frame(moment + extra * 100 * MS, at * 5 + extra, 2, sent=at * 5 + extra + 1)
    if ended:
        stream.ended(25.0, 1, frames=50, by=EndedBy.SERVER, status=14)
    (reader,) = summary(stream.end(25.1), config=config).around.slow_readers
    assert (reader.subscriber, reader.policy) == ("slow/0", policy)
    assert reader.reads_hz == 2.0
    assert reader.received_hz == pytest.approx(2.0, rel=0.05)
    assert reader.skipped == left_out[-1]
    assert reader.age_last_ms == pytest.approx(age_ms[-1], abs=1)
    assert reader.buffered_frames_max == pytest.approx(max(age_ms) / 1000 * 2.0, rel=0.05)


@pytest.mark.parametrize(("left_out", "policy"), [(0, "buffer"), (1, "skip")])
def test_a_slow_reader_of_a_camera_without_a_stated_rate(left_out: int, policy: str) -> None:
    """What it missed is not known, so any frame that was left out decides."""
    config = FoldConfig(populations={"slow": PopulationPlan(reads_hz=2.0)})
    stream = Stream().wanted(0.0).open(0.0, 1, population="slow")
    for at in range(20):
        stream.frame(at * 0.5, at + left_out * (at > 9), 1, sent=at + 1, dropped=left_out * (at > 9))
    (reader,) = summary(stream.end(10.0), config=config).around.slow_readers
    assert (reader.skipped, reader.policy) == (left_out, policy)


def test_the_longest_run_of_frames() -> None:
    """Cut by a stall, by a missing frame and by the call's end; not by what decimation leaves out."""
    stream = Stream().wanted(0.0, rate=10.0).open(0.0, 1).frames(0.1, 0.1, 30, 1)
    stream.frames(8.0, 0.1, 40, 1, first=30).frames(12.1, 0.1, 35, 1, first=71).ended(15.7, 1, frames=105)
    stream.open(16.0, 2, ordinal=1, max_fps=5)
    for at in range(20):
        stream.frame(16.1 + at * 0.2, at * 2, 2, sent=at + 1, dropped=at)
    run = summary(stream.end(21.0))
    assert run.around.longest_runs == {"viewer/0": 40, "viewer/1": 20}


def test_resources_of_every_second_and_of_the_eventful_ones_in_a_long_run() -> None:
    """Ten minutes: all; an hour: one in ten, and all within five seconds of the stall."""
    for length, expected in ((600, 600), (3600, None)):
        stream = Stream().wanted(0.0, rate=1.0).open(0.0).frames(0.5, 1.0, min(length, 1000))
        if length > 1000:
            stream.frames(1020.5, 1.0, 2570, first=1000)
        monitor = Stream(2, role="monitor")
        host, target = monitor.text("h"), monitor.text("target")
        for second in range(length):
            monitor.put(Kind.HOST, second + 0.1, cpu_ns=S, cores=2, pressure_ns=S // 10, memory_used_bytes=9, name=host)
            monitor.put(Kind.MACHINE, second + 0.1, disk_busy_ns=S // 4, network_in_bytes=10**6, name=host)
            monitor.put(
                Kind.PROCESS, second + 0.1, cpu_ns=S // 2, rss_bytes=second, threads=3, fds=4, pid=1, name=target
            )
        run = summary(stream.end(float(length)), monitor, config=FoldConfig(stall_ns=2 * S))
        rows = run.around.resources
        seconds = {round(row.at_s - 0.1) for row in rows}
        assert len(rows) == expected if expected else 360 <= len(rows) < 420, len(rows)
        assert rows[10].cpu_share == pytest.approx(0.5)
        assert rows[10].target_cpu_share == pytest.approx(0.5)
        assert rows[10].disk_busy_share == pytest.approx(0.25)
        assert rows[0].cpu_share is None
        if length == 3600:
            assert {995, 1004, 1016, 1025} <= seconds
        (machine,) = run.around.machines
        assert machine.network_in_mb_s == pytest.approx(1.0)


def test_daemon_synthetic_camera_and_hidden_classes() -> None:
    """As the monitor told them."""
    monitor = Stream(2, role="monitor").put(Kind.DAEMON, 0.0, code=0, pid=5)
    monitor.put(Kind.DAEMON, 1.0, code=1, pid=5)
    monitor.put(Kind.DAEMON, 9.0, code=3, pid=5, exit_status=-2, details=monitor.text("by SIGINT"))
    monitor.put(Kind.LOG, 0.5, code=LogClass.SYNTHETIC, line=monitor.text("WARN x: using mock mode"))
    monitor.put(Kind.NOTE, 0.6, code=NoteClass.LOG_LEVEL, text=monitor.text("drop, subscribe"), value=3)
    monitor.put(Kind.NOTE, 0.9, code=NoteClass.LOG_LEVEL, text=monitor.text("drop"), value=9)
    around = summary(Stream().wanted(0.0).end(9.5), monitor).around
    assert [(one.change, one.at_s, one.exit_status) for one in around.daemon] == [
        ("started", 0.0, None),
        ("answers", 1.0, None),
        ("gone", 9.0, -2),
    ]
    assert around.synthetic_camera == "WARN x: using mock mode"
    assert around.hidden_log_classes == ("drop",)


def test_thousands_of_short_calls_stay_cheap_and_bounded() -> None:
    """All counted; at most 5 ms of a slow core a call, all in all."""
    calls, stream = 2000, Stream().wanted(0.0, rate=100.0)
    for call in range(calls):
        at, ordinal, number = 1.0 + call * 0.02, call % 8, call // 8 + 1
        stream.open(at, call + 1, ordinal=ordinal, number=number).frame(at + 0.01, call, call + 1)
        stream.left(at + 0.015, Abort(call % 3), ordinal=ordinal, number=number)
        stream.ended(at + 0.015, call + 1, frames=1)
    run, records = RunFold(CHURNING), stream.records
    run.hello(stream.sender, stream.hello)
    begun = time.process_time()
    for first in range(0, records.size, 500):
        run.add(stream.sender, records[first : first + 500])
    found = run.summary()
    took = time.process_time() - begun
    (churn,) = found.around.churn
    assert (churn.opened, churn.with_frames, sum(churn.left.values())) == (calls, calls, calls)
    assert churn.left == {"clean": 667, "dropped": 667, "half_open": 666}
    assert found.around.disturbances is not None
    assert found.around.disturbances.count == 2 * calls
    assert len(found.around.disturbances.listed) <= 120
    assert took < calls * 0.005
