"""Criteria about what happened around the streams: one row a situation, with the word for it."""

from __future__ import annotations

from typing import Any

import pytest

from around_values import (
    action,
    change,
    changes,
    churn,
    cycle,
    disturbance,
    disturbances,
    growth,
    health,
    log_account,
    method_calls,
    run,
    slow_reader,
    step,
    stop_probe,
    storm,
    undisturbed,
    watcher,
)
from pvload.profiles.criteria import Criteria
from pvload.profiles.load import load
from pvload.profiles.schema import Profile
from pvload.stats.summary import Call, Interval, LogWitness, Missing, Summary
from pvload.verdict.judge import judge, judge_run
from pvload.verdict.judgement import Judged, Result
from summaries import (
    accounting,
    call,
    facts,
    generator,
    quantiles,
    sender,
    silent,
    stall,
    stalls,
    subscriber,
    summary,
    unary,
)

TWO = (subscriber(0), subscriber(1))


def lost(records: int) -> dict[str, Any]:
    return {"accounting": accounting(sender(recorded=700 + records, missing=records))}


def blind(at_s: float, length_s: float) -> dict[str, Any]:
    return {"generator": generator(blind=(Interval(at_s, length_s, "dead"),), blind_s=length_s)}


def left(*seen: Any, kind: str = "clean", **fields: Any) -> Any:
    return disturbances(disturbance(kind, 7.5, *(seen or (undisturbed(),)), **fields))


SILENCED = undisturbed(silent=True, longest_gap_s=50.0, periods=500.0)
CONTRADICTS = disturbances(
    disturbance("clean", 7.5, undisturbed()), disturbance("clean", 20.0, SILENCED, streaming_after=False)
)
AGAIN = call(2, subscriber="a/0", opened_at_s=40.0, ended_at_s=60.0)
AGAIN_SILENT = call(2, subscriber="a/0", opened_at_s=40.0, ended_at_s=60.0, figures=silent(20.0))
LAST = disturbances(disturbance("clean", 30.0))
NOTED = {"note_counts": {"restored": 1}, "notes": ("restored: as at the start",)}
NOT_PUT_BACK = {"note_counts": {"not_restored": 1}, "notes": ("not_restored: exposure 50, was 100",)}


def storm_of(achieved: float, limited_by: str, **fields: Any) -> dict[str, Any]:
    top = step(10_000.0, answered=round(50_000 * achieved), **fields)
    return {"storms": (storm(step(), top, limited_by=limited_by),)}


ROWS: list[tuple[str, str, Any, Summary, str]] = [
    # word, criterion, its limit, what happened, result
    ("none made", "changes", "clear", summary(), "INVALID"),
    ("all effective", "changes", "effective", run(change(), change(2)), "PASS"),
    ("refused, then effective", "changes", "clear", run(change(1, "refused_then_effective")), "PASS"),
    ("but effective is required", "changes", "effective", run(change(1, "refused_then_effective")), "FAIL"),
    ("refused and not tried again", "changes", "clear", run(change(1, "refused")), "INCONCLUSIVE"),
    ("refused and without effect", "changes", "clear", run(change(1, "refused", restarted_at_s=12.0)), "FAIL"),
    ("refused without a reason", "changes", "clear", run(change(1, "refused_unclear")), "FAIL"),
    ("ignored", "changes", "clear", run(change(), change(2, "ignored")), "FAIL"),
    ("ignored until the restart", "changes", "clear", run(change(1, "ignored_until_restart")), "FAIL"),
    ("killed", "changes", "clear", run(change(1, "killed")), "FAIL"),
    ("hung", "changes", "clear", run(change(1, "hung", answered_after_ms=None, status="")), "FAIL"),
    ("failed: the daemon was away", "changes", "clear", run(change(1, "failed", status="UNAVAILABLE")), "FAIL"),
    ("hung, or its answer is a missing record", "changes", "clear", run(change(1, "hung"), summary=lost(1)), "INVALID"),
    ("ignored for 20 frames, 3 missing", "changes", "clear", run(change(1, "ignored"), summary=lost(3)), "FAIL"),
    ("ignored for 20 frames, 30 missing", "changes", "clear", run(change(1, "ignored"), summary=lost(30)), "INVALID"),
    ("ignored while blind", "changes", "clear", run(change(1, "ignored"), summary=blind(10, 2)), "INVALID"),
    ("ignored, blind elsewhere", "changes", "clear", run(change(1, "ignored"), summary=blind(40, 2)), "FAIL"),
    ("frames cannot show it", "changes", "clear", run(change(), change(2, "answered")), "INCONCLUSIVE"),
    ("too late to be judged", "changes", "clear", run(change(1, "not_judged")), "INCONCLUSIVE"),
    ("put back", "restored", True, run(summary=NOTED), "PASS"),
    ("not put back", "restored", True, run(summary=NOT_PUT_BACK), "FAIL"),
    ("nobody compared", "restored", True, summary(), "NOT CHECKED"),
    ("no timeline", "expectations", True, summary(), "INVALID"),
    ("all met", "expectations", True, run(actions=(action(), action(2))), "PASS"),
    ("unmet", "expectations", True, run(actions=(action(), action(2, "unmet"))), "FAIL"),
    ("could not be done", "expectations", True, run(actions=(action(1, "failed"),)), "INVALID"),
    ("never reached", "expectations", True, run(actions=(action(), action(2, "not_reached"))), "INCONCLUSIVE"),
    ("nobody left", "disconnect_policy", "per-client", summary(), "INVALID"),
    ("others went on", "disconnect_policy", "per-client", run(disturbances=left()), "PASS"),
    ("others stopped", "disconnect_policy", "per-client",
     run(disturbances=left(SILENCED, streaming_after=False)), "FAIL"),
    ("as documented", "disconnect_policy", "stops-all",
     run(disturbances=left(SILENCED, streaming_after=False)), "PASS"),
    ("it contradicts itself", "disconnect_policy", "per-client", run(disturbances=CONTRADICTS), "FAIL"),
    ("blind when it should have seen it", "disconnect_policy", "per-client",
     run(disturbances=left(SILENCED, streaming_after=False), summary=blind(7.0, 2.5)), "INVALID"),
    ("one of two was silenced", "disconnect_policy", "per-client",
     run(disturbances=left(undisturbed(), SILENCED)), "FAIL"),
    ("the next client gets frames", "disconnect_policy", "per-client",
     run(disturbances=LAST, summary={"calls": (AGAIN,)}), "PASS"),
    ("the next client gets none of a camera that streams", "disconnect_policy", "zombie",
     run(disturbances=LAST, summary={"calls": (AGAIN_SILENT,)}), "PASS"),
    ("and that is no per-client", "disconnect_policy", "per-client",
     run(disturbances=LAST, summary={"calls": (AGAIN_SILENT,)}), "FAIL"),
    ("nothing could be seen", "disconnect_policy", "per-client", run(disturbances=LAST), "INCONCLUSIVE"),
    ("nobody reads slowly", "slow_reader_policy", "skip", summary(), "INVALID"),
    ("skips", "slow_reader_policy", "skip", run(slow_readers=(slow_reader(),)), "PASS"),
    ("blocks", "slow_reader_policy", "skip", run(slow_readers=(slow_reader("block"),)), "FAIL"),
    ("one each", "slow_reader_policy", "skip", run(slow_readers=(slow_reader(), slow_reader("disconnect"))), "FAIL"),
    ("fast enough", "slow_reader_policy", "skip", run(slow_readers=(slow_reader("not_felt"),)), "INCONCLUSIVE"),
    ("nobody disturbed anybody", "isolation_periods", 2, summary(), "INVALID"),
    ("nobody to feel it", "isolation_periods", 2, run(disturbances=LAST), "INVALID"),
    ("not felt", "isolation_periods", 2, run(disturbances=left()), "PASS"),
    ("felt", "isolation_periods", 2, run(disturbances=left(undisturbed(longest_gap_s=0.5, periods=5.0))), "FAIL"),
    ("felt, while we were blind", "isolation_periods", 2,
     run(disturbances=left(undisturbed(longest_gap_s=0.5, periods=5.0)), summary=blind(7.4, 0.6)), "INVALID"),
    ("could be missing records", "isolation_periods", 2,
     run(disturbances=left(undisturbed(longest_gap_s=0.5, periods=5.0)), summary=lost(9)), "INVALID"),
    ("period not known", "isolation_periods", 2, run(disturbances=left(undisturbed(periods=None))), "INCONCLUSIVE"),
    ("none missing", "isolation_missing", 0, run(disturbances=left()), "PASS"),
    ("some missing", "isolation_missing", 0, run(disturbances=left(undisturbed(missing=3))), "FAIL"),
    ("missing records", "isolation_missing", 0,
     run(disturbances=left(undisturbed(missing=3)), summary=lost(5)), "INVALID"),
    ("nobody left", "streams_return", True, summary(), "INVALID"),
    ("all given back", "streams_return", True, run(churn=(churn(),)), "PASS"),
    ("a slot was kept", "streams_return", True, run(churn=(churn(refused_after_leaving=2),)), "FAIL"),
    ("too few left to tell", "streams_return", True, run(churn=(churn(left={"clean": 1}),)), "INCONCLUSIVE"),
    ("but the log tells", "streams_return", True,
     run(churn=(churn(left={"clean": 1}),), log_accounts=(log_account(),)), "PASS"),
    ("or the server's count is back at base", "streams_return", True,
     run(churn=(churn(left={"clean": 1}, server_streams_after=0),)), "PASS"),
    ("its count is not", "streams_return", True, run(churn=(churn(server_streams_after=2),)), "FAIL"),
    ("its log does not add up", "streams_return", True, run(churn=(churn(server_streams_after=-5),)), "PASS"),
    ("it cannot know of those that hang", "streams_return", True,
     run(churn=(churn(left={"half_open": 3}, server_streams_after=2),)), "INCONCLUSIVE"),
    ("a line of its log may be missing", "streams_return", True,
     run(churn=(churn(server_streams_after=2),), summary={"accounting": accounting(
         sender(), sender(role="monitor", recorded=701, missing=1))}), "INVALID"),
    ("a missing record could be a refusal", "streams_return", True, run(churn=(churn(),), summary=lost(1)), "INVALID"),
    ("nobody called", "call_errors", 0, summary(), "INVALID"),
    ("all well", "call_errors", 0, run(calls=(method_calls(),)), "PASS"),
    ("clear refusals are no errors", "call_errors", 0, run(calls=(method_calls(refused=5, ok=195),)), "PASS"),
    ("failed", "call_errors", 0, run(calls=(method_calls(failed={"UNAVAILABLE": 2}),)), "FAIL"),
    ("a missing record", "call_errors", 0, run(calls=(method_calls(),), summary=lost(1)), "INVALID"),
    ("nobody called", "call_p99_ms", 50, summary(), "INVALID"),
    ("quick", "call_p99_ms", 50, run(calls=(method_calls(),)), "PASS"),
    ("slow", "call_p99_ms", 50, run(calls=(method_calls(latency_ms=quantiles(90.0)),)), "FAIL"),
    ("slow because we were", "call_p99_ms", 50,
     run(calls=(method_calls(latency_ms=quantiles(90.0)),), summary={"generator": generator(longest_lag_ms=80.0)}),
     "INVALID"),
    ("never answered", "call_p99_ms", 50, run(calls=(method_calls(latency_ms=quantiles(None)),)), "INVALID"),
    ("nobody probed", "stop_ms", 500, summary(), "INVALID"),
    ("pre-empts", "stop_ms", 500, run(stop_probes=(stop_probe(),)), "PASS"),
    ("does not", "stop_ms", 500, run(stop_probes=(stop_probe(), stop_probe(900.0))), "FAIL"),
    ("was never done", "stop_ms", 500, run(stop_probes=(stop_probe(None, status="INTERNAL"),)), "FAIL"),
    ("nobody watched", "change_events_lost", 0, summary(), "INVALID"),
    ("no counter", "change_events_lost", 0, run(watchers=(watcher(None),)), "NOT CHECKED"),
    ("all told", "change_events_lost", 0, run(watchers=(watcher(),)), "PASS"),
    ("lost", "change_events_lost", 0, run(watchers=(watcher(), watcher(7))), "FAIL"),
    ("lost, or our own", "change_events_lost", 0, run(watchers=(watcher(7),), summary=lost(7)), "INVALID"),
    ("no storm", "rate_achieved_at_least", 0.9, summary(), "INVALID"),
    ("kept", "rate_achieved_at_least", 0.9, run(**storm_of(0.99, "nothing")), "PASS"),
    ("the server's limit", "rate_achieved_at_least", 0.9, run(**storm_of(0.6, "server")), "FAIL"),
    ("the server's, though pvload was late", "rate_achieved_at_least", 0.9,
     run(**storm_of(0.6, "server", lateness_ms=900.0)), "INVALID"),
    ("the server's, though pvload was blind", "rate_achieved_at_least", 0.9,
     run(**storm_of(0.6, "server"), summary=blind(6, 1)), "INVALID"),
    ("the generator's limit", "rate_achieved_at_least", 0.9, run(**storm_of(0.6, "generator")), "INVALID"),
    ("nobody knows whose", "rate_achieved_at_least", 0.9, run(**storm_of(0.6, "undecided")), "INCONCLUSIVE"),
    ("a storm without a call", "rate_achieved_at_least", 0.9, run(storms=(storm(step(due=0)),)), "INVALID"),
    ("fresh", "heartbeat_age_s", 10, run(health=(health(),)), "PASS"),
    ("starved", "heartbeat_age_s", 10, run(health=(health(30.0),)), "FAIL"),
    ("told in whole seconds", "heartbeat_age_s", 10, run(health=(health(9.5),)), "INCONCLUSIVE"),
    ("no heartbeat told", "heartbeat_age_s", 10, run(health=(health(None),)), "NOT CHECKED"),
    ("nobody asked", "heartbeat_age_s", 10, summary(), "INVALID"),
    ("nobody watched", "flat", True, summary(), "NOT CHECKED"),
    ("flat", "flat", True, run(growth=(growth(), growth(process="engine"))), "PASS"),
    ("only our own watched", "flat", True, run(growth=(growth(process="engine"),)), "NOT CHECKED"),
    ("the target grows", "flat", True, run(growth=(growth("grows"), growth("grows", process="engine"))), "FAIL"),
    ("we grow", "flat", True, run(growth=(growth(), growth("grows", process="engine"))), "INVALID"),
    ("too short", "flat", True, run(growth=(growth(), growth("too_short", figure="fds"))), "INCONCLUSIVE"),
    ("no cycle", "failed_cycles", 0, summary(), "INVALID"),
    ("all well", "failed_cycles", 0, run(cycles=(cycle(), cycle(2))), "PASS"),
    ("the first failed", "failed_cycles", 0, run(cycles=(cycle(1, "stalled", frames=5), cycle(2))), "FAIL"),
    ("or records are missing", "failed_cycles", 0,
     run(cycles=(cycle(1, "stalled", frames=5), cycle(2)), summary=lost(1)), "INVALID"),
    ("no frame", "consecutive_frames", 500, run(longest_runs={}), "INVALID"),
    ("enough", "consecutive_frames", 500, run(longest_runs={"viewer/0": 600}), "PASS"),
    ("broken by a stall", "consecutive_frames", 500,
     run(longest_runs={"viewer/0": 85}, subscribers=(subscriber(stalls=stalls(stall())),)), "FAIL"),
    ("broken by a loss", "consecutive_frames", 500,
     run(longest_runs={"viewer/0": 85}, subscribers=(subscriber(missing=Missing(unseen=1)),)), "FAIL"),
    ("broken, or a record is missing", "consecutive_frames", 500,
     run(longest_runs={"viewer/0": 85}, subscribers=(subscriber(stalls=stalls(stall())),), summary=lost(1)),
     "INVALID"),
    ("the run was too short", "consecutive_frames", 500,
     run(longest_runs={"viewer/0": 300}, subscribers=(subscriber(frames=300),)), "INCONCLUSIVE"),
    ("the worse of two", "consecutive_frames", 500,
     run(longest_runs={"viewer/0": 600, "viewer/1": 90}, subscribers=TWO), "FAIL"),
    ("slow readers skip by plan", "consecutive_frames", 500,
     run(longest_runs={"viewer/0": 600, "slow/0": 3}, slow_readers=(slow_reader(),)), "PASS"),
    ("agrees", "log_agrees", True, run(log_accounts=(log_account(),)), "PASS"),
    ("does not", "log_agrees", True, run(log_accounts=(log_account(), log_account(agrees=False))), "FAIL"),
    ("another's line", "log_agrees", True, run(log_accounts=(log_account(agrees=False, subscriber=""),)),
     "NOT CHECKED"),
    ("no log", "log_agrees", True, run(summary={"log": LogWitness(False, {}, 0, ())}), "NOT CHECKED"),
    ("or frames are missing records", "log_agrees", True,
     run(log_accounts=(log_account(agrees=False),), summary=lost(3)), "INVALID"),
]  # fmt: skip


def judged(of: Summary, name: str, criteria: Criteria) -> Judged:
    (found,) = [one for one in judge(of, criteria).criteria if one.name == name]
    return found


@pytest.mark.parametrize(
    ("word", "name", "limit", "of", "result"), ROWS, ids=[f"{name}: {word}" for word, name, *_ in ROWS]
)
def test_one_thing_around(word: str, name: str, limit: Any, of: Summary, result: str) -> None:
    found = judged(of, name, Criteria(**{name: limit}))
    assert found.result.value == result, found.reason
    assert found.judged
    assert found.reason
    assert "None" not in found.reason
    assert not found.reason.endswith(".")


@pytest.mark.parametrize(
    ("word", "name", "limit", "of", "result"), ROWS, ids=[f"{name}: {word}" for word, name, *_ in ROWS]
)
def test_what_is_not_named_is_shown_only_if_there_is_something(
    word: str, name: str, limit: Any, of: Summary, result: str
) -> None:
    found = [one for one in judge(of, Criteria()).criteria if one.name == name]
    contradicts = "contradicts" in word or word in ("one of two was silenced", "one each")
    assert [one.judged for one in found] in ([], [contradicts])
    assert [one.result for one in found if not one.judged] in ([], [Result.NOT_CHECKED])


def test_every_criterion_of_a_profile_is_judged_when_it_is_named() -> None:
    """None of them may be read from a profile and forgotten; the set's own are judged over repeats."""
    others = {"waive", "success_rate"}
    known = {one.name for one in judge(summary(), Criteria()).criteria} | {name for _, name, *_ in ROWS}
    assert set(Criteria.model_fields) - others <= known


def test_a_timeline_that_taught_nothing_about_leavings_is_not_a_pass() -> None:
    """Scenario C names no policy: its question is which one there is."""
    unseen = run(disturbances=LAST, actions=(action(),))
    assert judge(unseen, Criteria()).result is Result.INCONCLUSIVE
    seen = run(disturbances=left(), actions=(action(),))
    assert judge(seen, Criteria()).result is Result.PASS


def test_a_camera_that_stops_with_its_last_client_disturbs_nobody() -> None:
    of = run(disturbances=disturbances(disturbance("clean", 7.5, undisturbed()), disturbance("clean", 30.0,
             streaming_after=False)))  # fmt: skip
    assert judged(of, "disconnect_policy", Criteria(disconnect_policy="per-client")).result is Result.PASS


def test_a_synthetic_camera_is_invalid_where_hardware_is_required() -> None:
    profile = load("scenario-a", overrides=["target.require=hardware"]).profile
    synthetic = run(synthetic_camera="pvcam_sdk feature enabled: false, using mock mode")
    assert judge_run(synthetic, profile).result is Result.INVALID
    assert any("using mock mode" in line for line in judge_run(synthetic, profile).why)
    assert judge_run(synthetic, load("scenario-a").profile).result is Result.PASS
    assert judge_run(summary(), profile).result is Result.PASS
    for unseen in (
        summary(log=LogWitness(True, {}, 0, ())),
        run(hidden_log_classes=("synthetic",)),
    ):
        assert judge_run(unseen, profile).result is Result.INCONCLUSIVE


def test_a_refusal_although_there_was_room_is_no_fault_of_the_plan() -> None:
    refused = (subscriber(0, calls=4, admission_refused=2),)
    kept = run(churn=(churn(refused_after_leaving=2),), subscribers=refused)
    assert judged(kept, "admission", Criteria()).result is Result.PASS
    assert judged(run(churn=(churn(),), subscribers=refused), "admission", Criteria()).result is Result.INVALID


def test_what_a_reader_that_is_slow_by_plan_misses_is_not_held_against_the_server() -> None:
    crawling = subscriber(1, fps=4.0, coverage=0.4, judged_frames=220, stalls=stalls(stall(subscriber="viewer/1")))
    limits = Criteria(fps_within=0.2, coverage_at_least=0.9, longest_stall_s=2)
    of = run(slow_readers=(slow_reader(subscriber="viewer/1"),), subscribers=(subscriber(), crawling))
    assert judge(of, limits).result is Result.PASS
    assert judge(run(subscribers=(subscriber(), crawling)), limits).result is Result.FAIL
    fast = run(slow_readers=(slow_reader("not_felt", subscriber="viewer/1"),), subscribers=(subscriber(), crawling))
    assert judge(fast, limits).result is Result.FAIL
    alone = run(slow_readers=(slow_reader(subscriber="viewer/1"),), subscribers=(crawling,))
    assert judge(alone, limits).result is Result.INVALID


def test_outcomes_beyond_the_list_still_count() -> None:
    """A thousand are listed; the thousand-and-first was ignored."""
    of = run(changes=changes(change(), count=2, outcomes={"effective": 1, "ignored": 1}))
    assert judged(of, "changes", Criteria(changes="clear")).result is Result.FAIL


def test_a_change_that_is_refused_with_a_reason_is_answered_and_no_error() -> None:
    """However many of them there were: the fold counts them, the judge leaves them out of the errors."""
    limit = Criteria(grpc_errors=0)
    refused = unary("SetParameter", 5000, errors={"INVALID_ARGUMENT": 4000}, refused={"INVALID_ARGUMENT": 4000})
    assert judged(summary(unary=(refused,)), "grpc_errors", limit).result is Result.PASS
    one_more = unary("SetParameter", 5000, errors={"INVALID_ARGUMENT": 4001}, refused={"INVALID_ARGUMENT": 4000})
    found = judged(summary(unary=(one_more,)), "grpc_errors", limit)
    assert (found.result, found.value) == (Result.FAIL, 1)


GONE = sender(role="monitor", recorded=None, finished=False, last_seen_s=31.0, host="lab")


def test_a_monitor_that_never_closed_its_account_is_a_witness_missing_and_no_broken_account() -> None:
    of = summary(accounting=accounting(sender(), GONE, recorded=None))
    limits = Criteria(driver_errors=0, longest_stall_s=2)
    verdict = judge(of, limits)
    assert judged(of, "accounting", limits).result is Result.PASS
    assert judged(of, "longest_stall_s", limits).result is Result.PASS
    found = judged(of, "driver_errors", limits)
    assert found.result is Result.NOT_CHECKED
    assert "the monitor on lab saw after 31.0 s is not known" in found.reason
    assert verdict.result is Result.INCONCLUSIVE
    assert judge(of, Criteria(longest_stall_s=2)).result is Result.PASS
    seen = summary(accounting=of.accounting, log=LogWitness(True, {"driver_error": 1}, 1, ()))
    assert judged(seen, "driver_errors", limits).result is Result.FAIL
    engine = summary(accounting=accounting(sender(recorded=None, finished=False), recorded=None))
    assert judge(engine, limits).result is Result.INVALID


def soak(length_s: float, *calls: Call, **fields: Any) -> Summary:
    return run(**fields, summary={"facts": facts(length_s=length_s), "calls": calls})


@pytest.mark.parametrize(
    ("word", "of", "result"),
    [
        ("the guest was to come later", soak(30.0), "INCONCLUSIVE"),
        ("the guest came and stayed a while", soak(100.0, call(1, subscriber="guest/0", opened_at_s=60.0)),
         "INCONCLUSIVE"),
        ("the guest stayed seven times as long as it should",
         soak(900.0, call(1, subscriber="guest/0", opened_at_s=60.0, ended_at_s=900.0)), "INVALID"),
        ("the guest never came", soak(900.0), "INVALID"),
    ],
)  # fmt: skip
def test_a_run_too_short_for_anybody_to_leave_is_no_fault_of_the_tool(word: str, of: Summary, result: str) -> None:
    profile = load("soak-24h").profile
    found = {one.name: one for one in judge_run(of, profile).criteria}
    for name in ("isolation_periods", "streams_return"):
        assert found[name].result.value == result, word
        assert found[name].reason.startswith("run too short: ") == (result == "INCONCLUSIVE")


def test_an_action_that_the_run_did_not_reach_leaves_its_question_open() -> None:
    profile = load("start-stop-cycles").profile
    late = tuple(action(at, "not_reached") for at in range(len(profile.timeline)))
    assert judged_of(run(actions=late), profile, "failed_cycles") is Result.INCONCLUSIVE
    done = tuple(action(at) for at in range(len(profile.timeline)))
    assert judged_of(run(actions=done), profile, "failed_cycles") is Result.INVALID


def judged_of(of: Summary, profile: Profile, name: str) -> Result:
    return next(one.result for one in judge_run(of, profile).criteria if one.name == name)


def test_a_slow_reader_that_slows_all_down_fails_where_isolation_is_asked() -> None:
    """Each gap may be short enough; the policy is named or not."""
    of = run(slow_readers=(slow_reader("block"),), disturbances=left())
    limits = Criteria(isolation_periods=40)
    assert judged(of, "slow_reader_policy", limits).result is Result.FAIL
    assert judge(of, Criteria()).result is Result.PASS
    assert judge(run(slow_readers=(slow_reader(),), disturbances=left()), limits).result is Result.PASS
