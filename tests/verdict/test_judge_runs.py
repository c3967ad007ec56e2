"""What a run comes to: one row a situation, with the criterion it is about and the word for it."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

import around_values
from pvload.profiles.criteria import Criteria
from pvload.profiles.load import load
from pvload.stats.summary import Age, Device, Interval, LogWitness, Missing, Summary
from pvload.verdict.judge import judge, judge_run
from pvload.verdict.judgement import Judged, Result, exit_code
from pvload.verdict.so_far import judge_so_far, said_so_far
from summaries import (
    accounting,
    call,
    facts,
    figures,
    generator,
    quantiles,
    sender,
    silent,
    stall,
    stalls,
    subscriber,
    summary,
    summary_of,
    unary,
)

A = load("scenario-a").profile.criteria
ALL = Criteria(
    fps_within=0.2,
    drop_rate_below=0.05,
    longest_stall_s=2,
    longest_silence_s=5,
    grpc_errors=0,
    unexpected_ends=0,
    driver_errors=0,
    coverage_at_least=0.9,
    age_p99_ms=50,
    jitter_ms=10,
    connect_ms=100,
    first_frame_ms=500,
    unexplained_missing=0,
    payload_errors=0,
    generator_lag_ms=100,
)
WAS_BLIND = generator(blind=(Interval(20.0, 5.0, "the engine was dead"),), blind_s=5.0)


def lost(records: int) -> Any:
    return accounting(sender(recorded=700 + records, missing=records))


def judged(of: Summary, name: str, criteria: Criteria = ALL) -> Judged:
    (found,) = [one for one in judge(of, criteria).criteria if one.name == name]
    return found


def test_a_healthy_run_passes_every_criterion() -> None:
    verdict = judge(summary(), ALL)
    assert (verdict.result, verdict.exit_code) == (Result.PASS, 0)
    assert {one.result for one in verdict.criteria} == {Result.PASS}
    assert all(one.reason and "None" not in one.reason for one in verdict.criteria)
    assert verdict.why == ("all 20 criteria are kept",)


ROWS = [
    # word, criterion, spoiled summary, result
    ("too slow", "fps_within", summary(subscriber(fps=7.5, judged_frames=412)), "FAIL"),
    ("too fast is wrong too", "fps_within", summary(subscriber(fps=19.0, judged_frames=1045)), "FAIL"),
    ("at the edge within a frame", "fps_within", summary(subscriber(fps=8.01, judged_frames=440)), "INCONCLUSIVE"),
    ("slow, but blind long enough", "fps_within",
     summary(subscriber(fps=7.5, judged_frames=412, blind_s=10.0)), "INVALID"),
    ("dead slow, blind or not", "fps_within", summary(subscriber(fps=1.0, judged_frames=55, blind_s=2.0)), "FAIL"),
    ("slow, but records are missing", "fps_within",
     summary(subscriber(fps=7.5, judged_frames=412), accounting=lost(100)), "INVALID"),
    ("no rate after warm-up", "fps_within", summary(subscriber(fps=None, judged_s=0.0)), "INCONCLUSIVE"),
    ("all of it blind", "fps_within", summary(subscriber(fps=None, judged_s=0.0, blind_s=55.0)), "INVALID"),
    ("nothing to compare with", "fps_within", summary(subscriber(expected_hz=None)), "INCONCLUSIVE"),
    ("the slow one of two", "fps_within", summary(subscriber(0), subscriber(1, fps=5.0, judged_frames=275)), "FAIL"),
    ("dropped by the server's count", "drop_rate_below", summary(subscriber(frames_dropped=40)), "FAIL"),
    ("just within", "drop_rate_below", summary(subscriber(frames_dropped=30)), "PASS"),
    ("missing though nothing is counted", "drop_rate_below", summary(subscriber(missing=Missing(unseen=60))), "FAIL"),
    ("the generator's own backpressure", "drop_rate_below",
     summary(subscriber(frames_dropped=40, lag_losses=20, missing=Missing(backpressure=40))), "INVALID"),
    ("more than the generator's own", "drop_rate_below",
     summary(subscriber(frames_dropped=100, lag_losses=20, missing=Missing(backpressure=100))), "FAIL"),
    ("asked for by max_fps", "drop_rate_below",
     summary(subscriber(max_fps=5, frames_dropped=300, missing=Missing(decimated=300))), "PASS"),
    ("records that could be drops", "drop_rate_below", summary(accounting=lost(40)), "INVALID"),
    ("a stall", "longest_stall_s", summary(subscriber(stalls=stalls(stall()))), "FAIL"),
    ("a stall the generator slept through", "longest_stall_s",
     summary(subscriber(stalls=stalls(stall(uncertainty_s=4.0)))), "INVALID"),
    ("a doubtful one and a certain one", "longest_stall_s",
     summary(subscriber(stalls=stalls(stall(10, 9, 9), stall(40, 3, 0.1)))), "FAIL"),
    ("blind for longer than the limit", "longest_stall_s", summary(generator=WAS_BLIND), "INVALID"),
    ("a stall and blind elsewhere", "longest_stall_s",
     summary(subscriber(stalls=stalls(stall())), generator=WAS_BLIND), "FAIL"),
    ("stalls counted, none listed", "longest_stall_s",
     summary(subscriber(stalls=replace(stalls(stall()), listed=()))), "FAIL"),
    ("missing records could have cut it", "longest_stall_s",
     summary(subscriber(stalls=stalls(stall())), accounting=lost(5000)), "INVALID"),
    ("one missing record leaves half of it", "longest_stall_s",
     summary(subscriber(stalls=stalls(stall())), accounting=lost(1)), "FAIL"),
    ("two missing records leave a third", "longest_stall_s",
     summary(subscriber(stalls=stalls(stall())), accounting=lost(2)), "INVALID"),
    ("none listed, but records are missing", "longest_stall_s",
     summary(subscriber(stalls=replace(stalls(stall()), listed=())), accounting=lost(5000)), "INVALID"),
    ("missing records could have cut it", "longest_silence_s",
     summary(subscriber(longest_silence_s=9.0, longest_silence_at_s=40.0), accounting=lost(5000)), "INVALID"),
    ("one missing record does not suffice", "longest_silence_s",
     summary(subscriber(longest_silence_s=11.0, longest_silence_at_s=40.0), accounting=lost(1)), "FAIL"),
    ("silence over outages", "longest_silence_s",
     summary(subscriber(longest_silence_s=6.0, longest_silence_at_s=40.0)), "FAIL"),
    ("silence while blind", "longest_silence_s",
     summary(subscriber(longest_silence_s=6.0, longest_silence_at_s=19.5), generator=WAS_BLIND), "INVALID"),
    ("silence elsewhere", "longest_silence_s",
     summary(subscriber(longest_silence_s=6.0, longest_silence_at_s=40.0), generator=WAS_BLIND), "FAIL"),
    ("silence at an unknown time", "longest_silence_s",
     summary(subscriber(longest_silence_s=6.0, longest_silence_at_s=None, blind_s=3.0)), "INVALID"),
    ("a stream ended with an error", "grpc_errors",
     summary(subscriber(errors={"UNAVAILABLE": 1}), calls=(call(ended_by="server", status="UNAVAILABLE"),)), "FAIL"),
    ("a call failed", "grpc_errors", summary(unary=(unary("SetParameter", errors={"NOT_FOUND": 1}),)), "FAIL"),
    ("an error stands whatever is missing", "grpc_errors",
     summary(subscriber(errors={"INTERNAL": 1}), accounting=lost(50)), "FAIL"),
    ("a missing record could be an error", "grpc_errors", summary(accounting=lost(1)), "INVALID"),
    ("a clean end nobody ordered", "unexpected_ends",
     summary(subscriber(unexpected_ends=1), calls=(call(ended_by="server", status="OK"),)), "FAIL"),
    ("a driver error", "driver_errors",
     summary(log=LogWitness(True, {"driver_error": 1}, 1, ("at 12.3 s [driver_error] PVCAM 185",))), "FAIL"),
    ("no log", "driver_errors", summary(log=LogWitness(False, {}, 0, ())), "NOT CHECKED"),
    ("witness records missing", "driver_errors",
     summary(accounting=accounting(sender(), sender(role="monitor", recorded=701, missing=1))), "INVALID"),
    ("engine records are not the witness's", "driver_errors", summary(accounting=lost(1)), "PASS"),
    ("half of it came", "coverage_at_least", summary(subscriber(coverage=0.5)), "FAIL"),
    ("half of it was blind", "coverage_at_least", summary(subscriber(coverage=0.5, blind_s=30.0)), "INVALID"),
    ("not known", "coverage_at_least", summary(subscriber(coverage=None)), "INCONCLUSIVE"),
    ("old frames", "age_p99_ms", summary(subscriber(age=Age(True, 0.1, quantiles(80.0), 0))), "FAIL"),
    ("within the clock's error", "age_p99_ms",
     summary(subscriber(age=Age(True, 5.0, quantiles(48.0), 0))), "INCONCLUSIVE"),
    ("clock not known", "age_p99_ms", summary(subscriber(age=Age(False, None, quantiles(5.0), 0))), "NOT CHECKED"),
    ("old because we were late", "age_p99_ms",
     summary(subscriber(age=Age(True, 0.1, quantiles(80.0), 0)), generator=generator(longest_lag_ms=60.0)), "INVALID"),
    ("too many known as counts only", "age_p99_ms", summary(subscriber(folded_frames=20)), "INVALID"),
    ("no age at all", "age_p99_ms", summary(subscriber(age=Age(True, 0.1, quantiles(None), 0))), "INCONCLUSIVE"),
    ("jittery", "jitter_ms", summary(subscriber(jitter_ms=30.0)), "FAIL"),
    ("not known", "jitter_ms", summary(subscriber(jitter_ms=None)), "INCONCLUSIVE"),
    ("slow to connect", "connect_ms", summary(subscriber(connect_ms=quantiles(300.0, 1))), "FAIL"),
    ("not known", "connect_ms", summary(subscriber(connect_ms=quantiles(None))), "INCONCLUSIVE"),
    ("a missing record could be a slower one", "connect_ms", summary(accounting=lost(1)), "INVALID"),
    ("slow whatever is missing", "connect_ms",
     summary(subscriber(connect_ms=quantiles(300.0, 1)), accounting=lost(1)), "FAIL"),
    ("connected in time and silent", "connect_ms", summary(subscriber(figures=silent())), "PASS"),
    ("silent, its connect not known", "connect_ms",
     summary(subscriber(figures=silent(connect_ms=quantiles(None)))), "FAIL"),
    ("a missing record could be a slower one", "first_frame_ms", summary(accounting=lost(1)), "INVALID"),
    ("slow whatever is missing", "first_frame_ms",
     summary(subscriber(first_frame_ms=quantiles(900.0, 1)), accounting=lost(1)), "FAIL"),
    ("slow to begin", "first_frame_ms", summary(subscriber(first_frame_ms=quantiles(900.0, 1))), "FAIL"),
    ("not known", "first_frame_ms", summary(subscriber(first_frame_ms=quantiles(None))), "INCONCLUSIVE"),
    ("lost unseen", "unexplained_missing", summary(subscriber(missing=Missing(unseen=3))), "FAIL"),
    ("could be our missing records", "unexplained_missing",
     summary(subscriber(missing=Missing(transport=3)), accounting=lost(3)), "INVALID"),
    ("stated drops are explained", "unexplained_missing",
     summary(subscriber(missing=Missing(backpressure=3), frames_dropped=3)), "PASS"),
    ("black pictures", "payload_errors", summary(subscriber(payload_errors={"all_zero": 2})), "FAIL"),
    ("not looked at", "payload_errors", summary(subscriber(payload_checked=0)), "NOT CHECKED"),
    ("late ourselves", "generator_lag_ms", summary(generator=generator(longest_lag_ms=250.0)), "INVALID"),
    ("nobody told", "generator_lag_ms", summary(generator=generator(longest_lag_ms=None)), "INVALID"),
    ("Ctrl-C", "duration", summary(facts=facts(ended="interrupted", length_s=3.0)), "INCONCLUSIVE"),
    ("could not go on", "duration", summary(facts=facts(ended="failed", length_s=3.0)), "INCONCLUSIVE"),
    ("killed", "duration", summary(facts=facts(ended="unknown", length_s=3.0)), "INCONCLUSIVE"),
    ("in order and empty", "duration", summary(facts=facts(length_s=0.0)), "INCONCLUSIVE"),
    ("refused for the limit", "admission",
     summary(subscriber(), subscriber(1, opened=0, admission_refused=4)), "INVALID"),
    ("its refusals are no frames due", "frames",
     summary(subscriber(), subscriber(1, calls=3, figures=silent(9.0, admission_refused=3))), "INVALID"),
    ("its refusals are no silence", "longest_silence_s",
     summary(subscriber(), subscriber(1, calls=3, figures=silent(9.0, admission_refused=3))), "INVALID"),
    ("another size", "camera_as_planned",
     summary(devices=(Device("prime_bsi", 1, figures(), 60.0, 7, "1024x1024 at 5.0 s", 600),)), "INVALID"),
    ("it was running", "camera_as_planned",
     summary(notes=("camera_was_running: since 5 min",), note_counts={"camera_was_running": 1}), "INVALID"),
    ("read back otherwise", "camera_as_planned", summary(note_counts={"camera_not_as_planned": 1}), "INVALID"),
    ("no frame to see it by", "camera_as_planned", summary(subscriber(figures=silent())), "INCONCLUSIVE"),
    ("records vanished", "accounting", summary(accounting=accounting(undelivered=3)), "INVALID"),
    ("a sender without an end", "accounting",
     summary(accounting=accounting(sender(), sender(recorded=None, finished=False))), "INVALID"),
    ("totals differ", "accounting", summary(accounting=accounting(frames_checked=False)), "INVALID"),
    ("stated missing is accounted for", "accounting", summary(accounting=lost(5)), "PASS"),
    ("succeeded by another", "accounting", summary(accounting=accounting(sender(finished=False), sender())), "PASS"),
    ("never accepted", "frames", summary(subscriber(opened=0, figures=silent(0.0))), "INVALID"),
    ("a user could not start", "frames", summary(users_failed=2), "INVALID"),
    ("opened and silent", "frames", summary(subscriber(figures=silent())), "FAIL"),
    ("silent, but records are missing", "frames",
     summary(subscriber(figures=silent()), accounting=lost(5000)), "INVALID"),
    ("opened a moment before the end", "frames", summary(subscriber(figures=silent(1.0))), "INCONCLUSIVE"),
    ("opened while blind", "frames", summary(subscriber(figures=silent(1.0, blind_s=50.0))), "INVALID"),
    ("nobody came", "frames", summary_of(()), "INVALID"),
    ("the operator failed", "frames",
     summary_of((), notes=("operator_failed: StartStream INTERNAL",), note_counts={"operator_failed": 1}), "INVALID"),
]  # fmt: skip


@pytest.mark.parametrize(("word", "name", "of", "result"), ROWS, ids=[f"{name}: {word}" for word, name, _, _ in ROWS])
def test_one_thing_wrong(word: str, name: str, of: Summary, result: str) -> None:
    found = judged(of, name)
    assert found.result.value == result, found.reason
    assert found.judged
    assert "None" not in found.reason
    assert found.reason
    assert not found.reason.endswith(".")


@pytest.mark.parametrize(("word", "name", "of", "result"), ROWS, ids=[f"{name}: {word}" for word, name, _, _ in ROWS])
def test_a_criterion_that_is_not_named_is_shown_and_not_judged(word: str, name: str, of: Summary, result: str) -> None:
    if name in Criteria.model_fields:
        found = judged(of, name, Criteria())
        assert (found.judged, found.result) == (False, Result.NOT_CHECKED)


SILENT_FAILS = [
    "frames", "fps_within", "drop_rate_below", "longest_stall_s", "longest_silence_s", "coverage_at_least",
    "age_p99_ms", "jitter_ms", "first_frame_ms",
]  # fmt: skip


@pytest.mark.parametrize("name", SILENT_FAILS)
def test_opened_and_silent_when_due_is_fail_for_whatever_is_asked_of_frames(name: str) -> None:
    assert judged(summary(subscriber(figures=silent())), name).result is Result.FAIL


@pytest.mark.parametrize("name", SILENT_FAILS)
def test_without_a_frame_and_with_records_missing_nothing_asked_of_frames_is_known(name: str) -> None:
    found = judged(summary(subscriber(figures=silent()), accounting=lost(5000)), name)
    assert found.result is Result.INVALID
    assert "5,000 records missing" in found.reason


@pytest.mark.parametrize("name", ["coverage_at_least", "jitter_ms"])
def test_frames_of_the_warm_up_are_no_samples_of_what_leaves_it_out(name: str) -> None:
    assert judged(summary(), name).n == 550


def test_a_target_that_was_never_reached_is_invalid_and_not_failed() -> None:
    """Connection refused: every criterion is INVALID, and no error is held against the service."""
    refused = summary(
        subscriber(opened=0, figures=silent(0.0, errors={"UNAVAILABLE": 3}, unexpected_ends=3)),
        calls=(call(ended_by="server", status="UNAVAILABLE", details="connection refused", first_frame_number=None),),
        unary=(unary("StartStream", errors={"UNAVAILABLE": 1}, examples=("at 0.0 s: UNAVAILABLE refused",)),),
    )
    verdict = judge(refused, A)
    assert (verdict.result, verdict.exit_code) == (Result.INVALID, 4)
    assert not [one for one in verdict.criteria if one.result is Result.FAIL]
    assert any("connection refused" in line for line in verdict.why)


def test_a_target_that_was_never_reached_by_the_operator_says_why() -> None:
    calls = (unary("StartStream", errors={"UNAVAILABLE": 1}, examples=("at 0.0 s: UNAVAILABLE refused",)),)
    verdict = judge(summary_of((), unary=calls), A)
    assert verdict.result is Result.INVALID
    assert any("UNAVAILABLE refused" in line for line in verdict.why)


def test_a_daemon_that_dies_in_the_middle_fails_with_the_moment() -> None:
    died = summary(
        subscriber(
            errors={"UNAVAILABLE": 1}, unexpected_ends=1, longest_silence_s=30.0, longest_silence_at_s=30.0, fps=5.0,
            judged_frames=275,
        ),
        calls=(call(ended_at_s=30.1, ended_by="server", status="UNAVAILABLE", details="Socket closed"),),
    )  # fmt: skip
    verdict = judge(died, A)
    assert (verdict.result, verdict.exit_code) == (Result.FAIL, 1)
    assert any("30.1 s" in line and "Socket closed" in line for line in verdict.why)


def test_a_missing_witness_makes_the_run_inconclusive_unless_it_is_waived() -> None:
    unseen = summary(log=LogWitness(False, {}, 0, ()))
    verdict = judge(unseen, A)
    assert (verdict.result, verdict.exit_code) == (Result.INCONCLUSIVE, 3)
    waived = judge(unseen, A.model_copy(update={"waive": ["driver_errors"]}))
    assert waived.result is Result.PASS
    assert "accepts that" in next(one.reason for one in waived.criteria if one.name == "driver_errors")


def test_a_waiver_does_not_excuse_what_the_witness_saw() -> None:
    seen = summary(log=LogWitness(True, {"driver_error": 1}, 1, ()))
    assert judge(seen, A.model_copy(update={"waive": ["driver_errors"]})).result is Result.FAIL


def test_a_camera_found_running_is_accepted_where_the_profile_says_so() -> None:
    running = summary(note_counts={"camera_was_running": 1})
    refusing = load("scenario-a").profile
    joining = load("scenario-a", overrides=["camera.if_running=join"]).profile
    assert judge_run(running, refusing).result is Result.INVALID
    assert judge_run(running, joining).result is Result.PASS


def test_a_run_that_goes_on_is_judged_as_if_it_ended_now() -> None:
    """Neither the end that is still to come nor an account that is still open is held against it; a stall is."""
    profile = load("scenario-a").profile
    going_on = {
        "facts": facts(ended="unknown", length_s=20.0),
        "accounting": accounting(sender(recorded=None, finished=False), recorded=None),
    }
    assert judge_run(summary(**going_on), profile).result is Result.INVALID
    assert said_so_far(judge_so_far(summary(**going_on), profile)) == "PASS"
    stalled = summary(subscriber(stalls=stalls(stall())), **going_on)
    assert said_so_far(judge_so_far(stalled, profile)) == "FAIL longest_stall_s"


@pytest.mark.parametrize("name", ["scenario-a", "scenario-c", "scenario-d", "slow-readers", "soak-24h", "stall-500"])
def test_what_only_the_end_decides_is_open_while_the_run_goes_on(name: str) -> None:
    """Before a first stream, before anybody came, left, read slowly or changed anything: not FAIL, not INVALID."""
    profile = load(name).profile
    begun = judge_so_far(summary_of((), facts=facts(ended="unknown", length_s=1.0)), profile)
    assert begun.result is not Result.PASS
    assert said_so_far(begun) == "open"
    steady = judge_so_far(summary(facts=facts(ended="unknown", length_s=20.0)), profile)
    assert said_so_far(steady) in ("open", "PASS")


def test_no_data_is_never_a_pass_even_if_nothing_is_asked() -> None:
    for empty in (summary_of(()), summary(subscriber(opened=0)), summary(subscriber(figures=silent(1.0)))):
        assert judge(empty, Criteria()).result is not Result.PASS


def test_the_run_takes_the_worst_and_tells_everything_that_was_against_it() -> None:
    bad = summary(
        subscriber(stalls=stalls(stall()), fps=8.01),
        facts=facts(ended="interrupted", length_s=40.0),
        accounting=accounting(frames_checked=False),
    )
    verdict = judge(bad, ALL)
    assert verdict.result is Result.FAIL
    assert verdict.why[0].startswith("longest_stall_s: viewer/0: no frame for 5.00 s at 30.0 s, after 300 frames")
    assert [line.split(":")[0] for line in verdict.why[1:]] == ["accounting", "duration", "fps_within"]


@pytest.mark.parametrize(("records", "result"), [(1, Result.FAIL), (28, Result.FAIL), (30, Result.INVALID)])
def test_few_missing_records_cannot_hide_that_a_stream_was_dead(records: int, result: Result) -> None:
    """60 s without a frame: one record parts it into 30 s, thirty may part it into less than the 2 s allowed."""
    dead = stalls(replace(stall(), length_s=60.0, at_s=0.0, uncertainty_s=0.0))
    of = summary(subscriber(figures=replace(silent(60.0), stalls=dead)), accounting=lost(records))
    assert judged(of, "longest_stall_s").result is result


def test_a_run_stopped_by_hand_before_its_first_stream_says_nothing() -> None:
    """Unless something had gone wrong by then, which stays INVALID."""
    stopped = summary_of((), facts=facts(ended="interrupted", length_s=0.0))
    assert judge(stopped, A).result is Result.INCONCLUSIVE
    for kind in ("not_connected", "unknown_device", "camera_was_running"):
        assert judge(replace(stopped, note_counts={kind: 1}), A).result is Result.INVALID
    assert judge(replace(stopped, facts=facts(ended="failed", length_s=0.0)), A).result is Result.INVALID
    nobody = replace(stopped.accounting, senders=())
    assert judge(replace(stopped, accounting=nobody), A).result is Result.INCONCLUSIVE, "nor before an engine was there"


def test_a_run_that_did_not_begin_says_why_once_and_nothing_of_what_follows() -> None:
    """Its daemon could not be started: no stream, no sender, no end in the records."""
    lacking = facts(ended="failed", length_s=0.0, failure="the daemon (x) ended by itself: exit status 3")
    of = summary_of((), facts=lacking)
    of = replace(of, accounting=replace(of.accounting, senders=()))
    verdict = judge(of, A)
    assert verdict.result is Result.INVALID
    assert verdict.why == ("the run did not begin: the daemon (x) ended by itself: exit status 3",)


def test_a_run_that_could_not_go_on_says_why() -> None:
    reason = judged(summary(facts=facts(ended="failed", length_s=3.0, failure="the daemon ended")), "duration").reason
    assert reason == "the run could not go on after 3.00 s of 60.0 s planned: the daemon ended"


def test_criteria_that_are_judged_come_first() -> None:
    kinds = [one.judged for one in judge(summary(), A).criteria]
    assert kinds == sorted(kinds, reverse=True)


def test_limits_values_and_doubt_are_given_as_numbers() -> None:
    found = judged(summary(), "fps_within")
    assert (found.value, found.lower_limit, found.upper_limit, found.limit) == (10.0, 8.0, 12.0, 8.0)
    assert found.uncertainty == pytest.approx(1 / 55)
    assert (found.unit, found.n) == ("frames/s", 550)
    assert judged(summary(), "longest_stall_s").limit == 2
    open_ended = judged(summary(subscriber(folded_frames=20)), "age_p99_ms")
    assert (open_ended.high, open_ended.uncertainty) == (None, None)


def test_several_runs_in_one_process_end_with_the_worst_exit_code() -> None:
    assert exit_code([Result.PASS, Result.INVALID, Result.INCONCLUSIVE]) == 4
    assert exit_code([Result.PASS]) == 0
    assert exit_code([]) == 3


def test_a_sender_that_recorded_more_than_came_leaves_doubt() -> None:
    """What a closed account lacks could have been anything."""
    short = summary(accounting=accounting(sender(recorded=710), undelivered=10))
    assert judged(short, "grpc_errors").result is Result.INVALID
    assert judged(short, "grpc_errors").high == 10
    assert not math.isinf(judged(short, "fps_within").high or math.inf)


@pytest.mark.parametrize("ended", ["failed", "duration"])
@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("camera_was_running", "prime_bsi was running before this run started it"),
        ("not_connected", "the target lab:50051 does not answer: UNAVAILABLE refused"),
        ("unknown_device", "the target has no device 'x', it offers: prime_bsi"),
        ("operator_failed", "prime_bsi could not be started: OK busy"),
    ],
)
def test_why_no_stream_came_is_told_once_and_not_with_its_consequences(kind: str, text: str, ended: str) -> None:
    of = summary_of(
        (),
        notes=("info: begun", f"{kind}: {text}"),
        note_counts={kind: 1},
        facts=facts(ended=ended, length_s=0.2),
        log=LogWitness(False, {}, 0, ()),
    )
    assert judge(of, ALL).why == (text,)


def test_without_a_note_what_is_known_of_the_streams_is_told_once() -> None:
    refused = summary(
        subscriber(opened=0, figures=silent(0.0)),
        subscriber(1, opened=0, figures=silent(0.0)),
        calls=(call(ended_by="server", status="UNAVAILABLE", details="connection refused", first_frame_number=None),),
    )
    (only,) = judge(refused, A).why
    assert only.startswith("frames: viewer/0 was never accepted by the target: UNAVAILABLE connection refused")


def test_a_failure_stands_before_the_cause_of_what_else_could_not_be_judged() -> None:
    of = summary_of(
        (),
        notes=("operator_failed: prime_bsi could not be started: INTERNAL x",),
        note_counts={"operator_failed": 1},
        unary=(unary("StartStream", errors={"INTERNAL": 1}),),
    )
    verdict = judge(of, A)
    assert verdict.result is Result.FAIL
    assert [line.split(":")[0] for line in verdict.why[:2]] == ["grpc_errors", "prime_bsi could not be started"]


def test_a_note_does_not_excuse_streams_that_came() -> None:
    """The camera could not be stopped at the end: one criterion among others, for frames were measured."""
    of = summary(notes=("operator_failed: it could not be stopped",), note_counts={"operator_failed": 1})
    assert judge(of, A).why == ("camera_as_planned: it could not be stopped",)


def test_many_criteria_with_one_reason_are_counted() -> None:
    lines = judge(summary(subscriber(figures=silent())), ALL).why
    assert any("and 7 more criteria: viewer/0 was accepted and got no frame" in line for line in lines), lines


def test_missing_frames_are_told_with_their_number_and_their_class() -> None:
    reason = judged(summary(subscriber(missing=Missing(unseen=60))), "drop_rate_below").reason
    assert reason.startswith("viewer/0: 60 frames missing of 660 due")
    assert reason.endswith(": lost in the server unseen")


def test_a_daemon_that_died_before_any_stream_is_the_cause() -> None:
    of = around_values.run(
        daemon=(around_values.life("gone", -9),), subscribers=(subscriber(opened=0, figures=silent(0.0)),)
    )
    assert judge(of, Criteria(longest_stall_s=2)).why[0].startswith("the daemon (pid 77) died: killed by signal 9")
