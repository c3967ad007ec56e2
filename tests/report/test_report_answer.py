"""The first ten lines of a report answer what its run asked, whatever it asked; the sections hold the evidence."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from around_values import (
    action,
    change,
    churn,
    cycle,
    disturbance,
    disturbances,
    growth,
    health,
    life,
    log_account,
    machine,
    method_calls,
    observed,
    resource,
    run,
    slow_reader,
    states,
    step,
    stop_probe,
    storm,
    undisturbed,
    watcher,
)
from pvload.profiles.criteria import Criteria
from pvload.profiles.load import load
from pvload.report.document import document_text
from pvload.report.followup import FOLLOWUP, followup
from pvload.report.render import render_text
from pvload.report.write import texts_of, write
from pvload.stats.summary import LogLine, LogWitness, Summary
from pvload.verdict.judge import judge
from pvload.wire.run_directory import Manifest, write_manifest
from summaries import call, facts, quantiles, silent, stall, stalls, subscriber, summary

MANIFEST = Manifest(
    run="019a0000000070008000000000000001",
    name="scenario-c",
    created_wall_ns=1,
    command=["pvload", "run", "scenario-c", "--target", "lab:50051"],
    profile_sha256="ab" * 32,
    profile_source="scenario-c",
    versions={"pvload": "0.1.0", "grpcio": "1.76"},
    host={"name": "lab"},
    target={"address": "lab:50051", "version": "0.1.0", "features": ["pvcam", "grpc"]},
)
BACK_SILENT = call(2, subscriber="a/0", opened_at_s=40.0, figures=silent(20.0))
REFUSAL = "Failed to set parameter: Cannot change ROI while streaming"
CHURNED = disturbances(
    *(disturbance(way, float(at), undisturbed("viewer/0"), subscriber=f"gui/{at % 3}")
      for at, way in enumerate(["clean", "dropped", "killed"] * 12))
)  # fmt: skip
LEFT = disturbances(
    disturbance("joined", 3.0, undisturbed()), disturbance("clean", 7.5, undisturbed()), disturbance("clean", 30.0)
)
RAN: dict[str, tuple[str, Summary, tuple[str, ...]]] = {
    "a zombie": (
        "scenario-c",
        run(disturbances=LEFT, actions=(action(1), action(2)), summary={"calls": (BACK_SILENT,)}),
        ("zombie: after a client left, the camera says", "when b left in order at 7.50 s, a went on (longest gap 1.1",
         "and got no frame in 20.0 s"),
    ),
    "changes": (
        "scenario-d",
        run(
            change(1),
            change(2, "refused_then_effective", text="roi 1024x1024+512+512", status="INVALID_ARGUMENT",
                   details=REFUSAL, effect_after_restart_ms=220.0),
            change(3, "ignored", text="binning 2x2"),
            change(4), change(5), change(6, "killed"),
            summary={"note_counts": {"restored": 1}},
        ),
        ("6 changes while streaming; put back at the end",
         "10.0 s  exposure 50 ms: effective (OK in 3.0 ms, on the frames after 160.0 ms)",
         "20.0 s  roi 1024x1024+512+512: refused clearly", "30.0 s  binning 2x2: IGNORED", "40.0 s", "50.0 s",
         "60.0 s  exposure 50 ms: KILLED the stream"),
    ),
    "changes put back afterwards": (
        "scenario-d",
        run(change(1), summary={"note_counts": {"not_restored": 1, "put_back": 1}}),
        ("1 change while streaming: effective; put back after the end",),
    ),
    "changes not put back": (
        "scenario-d",
        run(change(1), summary={"note_counts": {"not_restored": 1, "not_put_back": 1}}),
        ("1 change while streaming: effective; NOT put back",),
    ),
    "changes of a run that was killed": (
        "scenario-d",
        run(change(1), summary={"note_counts": {"not_restored": 1}}),
        ("1 change while streaming: effective; NOT put back",),
    ),
    "cycles": (
        "start-stop-cycles",
        run(cycles=(cycle(1, "stalled", frames=5), *(cycle(at) for at in range(2, 51))),
            actions=(action(1, text="start, 100 frames, stop"),)),
        ("49 of 50 start-stop cycles gave frames", "the first differs", "attempt 1 at 10.0 s: stalled (5 frames"),
    ),
    "cycles that the run's end cut off": (
        "start-stop-cycles",
        run(cycles=tuple(cycle(at) for at in range(1, 10)),
            actions=tuple(action(1, outcome, text="start, 100 frames, stop", details=details) for outcome, details in
                          (("done", ""), ("not_reached", "41 of 50 left when the run ended")))),
        ("9 of 9 start-stop cycles gave frames", "41 of 50 left when the run ended"),
    ),
    "frames in a row": (
        "stall-500",
        run(longest_runs={"viewer/0": 600}),
        ("viewer/0: 500 of 500 consecutive frames without a stall and without one missing",),
    ),
    "churn": (
        "viewer-churn",
        run(disturbances=CHURNED, churn=(churn(),)),
        ("40 streams opened", "none refused, all with frames, first frame after 90.0 ms",
         "clients came or left 36 times (12 killed): the others' worst gap 1.1 periods", "per-client: a client that"),
    ),
    "a killed viewer": (
        "gui-crash",
        run(disturbances=disturbances(disturbance("killed", 9.0, undisturbed("viewer/0"), subscriber="gui/0"))),
        ("1.1 periods (0.11 s) on viewer at 9.00 s", "when gui was killed at 9.00 s, viewer went on"),
    ),
    "slow readers": (
        "slow-readers",
        run(slow_readers=(slow_reader(),), disturbances=CHURNED),
        ("slow readers: skip: frames are left out for a slow reader", "the others' worst gap"),
    ),
    "a storm": (
        "parameter-storm",
        run(
            storms=(storm(step(100.0), step(1000.0), step(10_000.0, answered=30_000, latency_ms=quantiles(812.0)),
                          limited_by="server", knee_hz=1000.0),),
            watchers=(watcher(7),),
            stop_probes=(stop_probe(12.0),),
        ),
        ("10,000/s offered, 6,000/s answered (60.0 %)", "limit: the server's; knee: 1,000/s",
         "p99: 812.0 ms at 10,000/s",
         "change events lost: 7 of 1,000", "worst frame gap meanwhile: ", "stops and starts meanwhile: 1"),
    ),
    "a storm after a restart": (
        "reconnect-storm",
        run(churn=(churn(admission_refused=9, refused_after_leaving=4),), disturbances=CHURNED),
        ("first frame after 90.0 ms (median)", "9 refused, 4 of them although there was room, all with"),
    ),
    "a soak": (
        "soak-24h",
        run(growth=(growth(), growth("grows", figure="fds"))),
        ("growth: 1 of 2 figures of 1 process grow", "0 stalls in 60 s: fewer than 180 an hour at",
         "fds of target (pid 12) grows by"),
    ),
    "a daemon that died": (
        "soak-24h",
        run(growth=(growth(),), daemon=(life("started", at_s=0.0), life("gone", -11))),
        ("at 30.0 s: the daemon (pid 77) died: killed by signal 11", "growth: none in 1 figure"),
    ),
}  # fmt: skip


def report(of: Summary, profile: str = "scenario-a") -> str:
    return render_text(of, judge(of, load(profile).profile.criteria), MANIFEST)


@pytest.mark.parametrize(("word"), RAN)
def test_the_first_ten_lines_answer_the_question(word: str) -> None:
    profile, of, says = RAN[word]
    lines = report(of, profile).splitlines()
    first = lines[:10]
    assert first[1].startswith("answer    ")
    assert any(line.startswith("why ") for line in first), first
    told = " ".join(" ".join(first).split())
    assert [one for one in says if " ".join(one.split()) not in told] == []
    head = report(of, profile).split("\n\n")[0].splitlines()
    assert [line.split()[0] for line in head if line.startswith(("worst", "tool", "length", "frames"))] == [
        "frames",
        "worst",
        "tool",
        "length",
    ]
    assert any(line.startswith("frames ") for line in first), first  # fmt: skip


def everything() -> Summary:
    """Each list full, each name as long as it may be, nothing as it should be."""
    long = "a" * 32
    text = "acquisition.roi " + "x" * 80
    many = range(60)
    return run(
        *(change(at, ("ignored", "refused_then_effective", "hung", "killed")[at % 4], text=text, by=f"{long}/123",
                 status="FAILED_PRECONDITION", details="y" * 300, effect_after_restart_ms=123_456.0)
          for at in range(1, 60)),
        calls=tuple(method_calls(population=long, method="GetDeviceState", failed={"DEADLINE_EXCEEDED": 12_345},
                                 examples=("z" * 200,)) for _ in many),
        storms=(storm(*(step(10_000.0 * (at + 1), answered=at) for at in many), population=long, knee_hz=None,
                      limited_by="undecided", parameter=text),),
        watchers=tuple(watcher(at, name=f"{long}/{at}", ended="UNAVAILABLE " * 9) for at in many),
        states=tuple(states() for _ in range(3)),
        observed=tuple(observed(watcher=f"{long}/1", name=text, ended="UNAVAILABLE " * 9) for _ in many),
        health=tuple(health(99.0, name=text) for _ in many),
        stop_probes=tuple(stop_probe(None if at else 12_345.6, status="DEADLINE_EXCEEDED") for at in many),
        churn=tuple(churn(population=long, opened=1_234_567, accepted=1_234_567, admission_refused=1_234_567,
                          refused_after_leaving=99_999, first_frame_ms=quantiles(12_345.0)) for _ in many),
        disturbances=disturbances(*(
            disturbance("half_open", 86_000.0 + at, *(undisturbed(f"{long}/{i}", silent=True) for i in range(30)),
                        subscriber=f"{long}/{at}") for at in many)),
        slow_readers=tuple(slow_reader("block", subscriber=f"{long}/1", skipped=1_234_567, buffered_frames_max=1e5,
                                       age_p50_ms=123_456.0, age_last_ms=123_456.0) for _ in many),
        cycles=tuple(cycle(at + 1, "refused: " + "w" * 90, started_at_s=86_400.0, start_ms=12_345.0) for at in many),
        log_accounts=tuple(log_account(agrees=False, subscriber=f"{long}/1") for _ in many),
        growth=tuple(growth(("grows", "too_short")[at % 2], process=long, pid=4_194_304, reason="v" * 200)
                     for at in many),
        actions=tuple(action(at + 1, "not_reached" if at % 2 else "unmet", text=text, details="u" * 300)
                      for at in many),
        machines=tuple(machine(name=long, interrupts_per_s=1_234_567.0) for _ in many),
        resources=tuple(resource(float(at)) for at in many),
        daemon=(life("gone", 101, details="t" * 300),),
        hidden_log_classes=("drop", "stall_tick", "callback"),
        synthetic_camera="s" * 300,
        longest_runs={f"{long}/{at}": at for at in many},
        subscribers=(subscriber(stalls=stalls(stall())),),
    )  # fmt: skip


@pytest.mark.parametrize("of", [everything(), *(of for _, of, _ in RAN.values())], ids=["everything", *RAN])
def test_whatever_happened_lines_stay_narrow_and_tables_bounded(of: Summary) -> None:
    text = report(of, "smoke")
    assert [line for line in text.splitlines() if len(line) > 100] == []
    assert "None" not in text
    assert len(text.splitlines()) < 800


def test_the_same_run_gives_the_same_report_and_page() -> None:
    assert report(everything()) == report(everything())
    verdict = judge(everything(), Criteria())
    assert followup(everything(), verdict, MANIFEST) == followup(everything(), verdict, MANIFEST)


def test_beside_a_finding_stands_what_host_and_daemon_used_within_two_seconds() -> None:
    near = tuple(resource(float(at), cpu_share=0.97 if at in (29, 31) else 0.1) for at in range(60))
    far = (resource(50.0, cpu_share=0.01),)
    log = LogWitness(True, {"stall_tick": 1}, 0, (), timeline=(LogLine(30.4, "stall_tick", "Timeouts: 1"),))
    of = run(resources=near + far, subscribers=(subscriber(stalls=stalls(stall())),), summary={"log": log})
    body = report(of).partition("What happened")[2]
    assert "log at 30.40 s: Timeouts: 1" in body
    assert "host: CPU 10.0 % .. 97.0 %, pressure 2.0 %" in body
    assert "daemon: CPU 50.0 %, memory 128 MiB, threads 12, files 33" in body
    quiet = run(subscribers=(subscriber(stalls=stalls(stall())),))
    assert "log: nothing that matters within 2 s" in report(quiet)


def test_a_synthetic_camera_is_told_and_is_not_the_worst_that_happened() -> None:
    of = run(synthetic_camera="using mock mode", hidden_log_classes=("drop",))
    assert "the camera is synthetic, by the daemon's log: using mock mode" in report(of)
    assert "the daemon's log is at a level that hides: drop" in " ".join(report(of).split())
    assert "worst     nothing worse than " in report(of)


def test_every_verdict_stands_apart_from_the_name() -> None:
    interrupted = run(summary={"facts": facts(ended="interrupted", length_s=20.0)})
    assert report(interrupted).startswith("INCONCLUSIVE scenario-a against lab:50051   run ")
    assert report(summary()).startswith("PASS      scenario-a against lab:50051   run ")


def test_restarts_of_our_own_are_not_the_worst_that_happened() -> None:
    restarted = (subscriber(restarts=1),)
    assert "worst     1 restart of the acquisition" in report(run(subscribers=restarted))
    ours = run(subscribers=restarted, cycles=(cycle(1), cycle(2)))
    assert "worst     nothing worse" in report(ours, "start-stop-cycles")


def test_what_was_not_seen_is_told_with_what_that_rules_out() -> None:
    assert "  - 0 stalls in 60 s: fewer than 180 an hour at 95 %" in report(summary())
    assert "0 stalls" not in report(run(subscribers=(subscriber(stalls=stalls(stall())),)))


def test_a_page_for_a_tracker_has_the_evidence_and_how_to_get_it_again() -> None:
    profile, of, _ = RAN["a zombie"]
    page = followup(of, judge(of, load(profile).profile.criteria), MANIFEST)
    assert page.startswith(
        "# prime_bsi: after a client left, the camera says that it is streaming and gives no frames\n"
    )
    for title in ("What was done", "What happened", "Expected and found", "Environment", "To reproduce", "Attachments"):
        assert f"\n## {title}\n" in page
    assert "| 5.00 s | close b (done) |" in page
    assert "| 7.50 s | b left in order | 1 | 0.11 s | 1.1 | 0 | - | yes |" in page
    assert "say that one client's disconnect stops the device for all" in page
    assert "```sh\npvload run scenario-c --target lab:50051\n```" in page
    assert "run: 019a0000000070008000000000000001" in page
    assert "target: address lab:50051, features pvcam grpc, version 0.1.0" in page


def test_a_page_about_changes_tells_each_with_its_text() -> None:
    profile, of, _ = RAN["changes"]
    page = followup(of, judge(of, load(profile).profile.criteria), None)
    assert f"| INVALID_ARGUMENT after 3.0 ms | {REFUSAL} | - | after 220.0 ms |" in page
    assert "(changes: FAIL)" in page
    assert "How this run was started is not known" in page
    cut_in_cells = followup(run(change(1, "refused", details="a | b\nc")), judge(of, Criteria()), None)
    assert "a \\| b c" in cut_in_cells


def test_a_page_is_written_only_where_such_a_question_was_examined(tmp_path: Path) -> None:
    write_manifest(tmp_path, MANIFEST)
    plain = summary()
    assert followup(plain, judge(plain, Criteria()), MANIFEST) == ""
    assert FOLLOWUP not in texts_of(tmp_path, plain, judge(plain, Criteria()))
    _, of, _ = RAN["a zombie"]
    write(tmp_path, of, judge(of, Criteria()))
    assert (tmp_path / FOLLOWUP).read_text() == texts_of(tmp_path, of, judge(of, Criteria()))[FOLLOWUP]


def test_summary_json_carries_all_that_happened_around() -> None:
    of = everything()
    values: dict[str, Any] = json.loads(document_text(of, judge(of, Criteria())))["around"]
    assert values["changes"]["outcomes"]["ignored"] == 14
    assert values["disturbances"]["listed"][0]["others"][0]["silent"] is True
    assert values["longest_runs"]
