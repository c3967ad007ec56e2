"""report.txt answers in its first ten lines, stays legible, and says how a run ended whatever became of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from pvload.profiles.load import load
from pvload.report.document import document_text
from pvload.report.render import render_text
from pvload.report.table import cut
from pvload.report.worst import fitness, worst_thing
from pvload.report.write import manifest_of, write
from pvload.stats.summary import (
    HostWitness,
    Interval,
    LogLine,
    LogWitness,
    Missing,
    ProcessWitness,
    Summary,
    TargetClock,
)
from pvload.verdict.judge import judge
from pvload.wire.run_directory import Manifest, write_manifest
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
    summary_of,
    unary,
)

A = load("scenario-a").profile.criteria
MANIFEST = Manifest(
    run="019a0000000070008000000000000001",
    name="scenario-a",
    created_wall_ns=1,
    command=["pvload", "run", "scenario-a", "--label", "room=B 3"],
    profile_sha256="ab" * 32,
    profile_source="scenario-a",
    labels={"room": "B 3"},
    versions={"pvload": "0.1.0"},
    host={"name": "lab", "cores": 2, "details": {"not": "shown"}},
    target={"address": "sim"},
)
BAD = summary(
    subscriber(
        stalls=stalls(stall(), stall(40, 7, 0.2, censored=True)),
        errors={"UNAVAILABLE": 1},
        unexpected_ends=1,
        fps=7.0,
        judged_frames=385,
        missing=Missing(backpressure=3, unseen=2, decimated=4),
        duplicates=1,
        restarts=2,
    ),
    subscriber(1, opened=0, figures=silent(0.0)),
    calls=(call(ended_at_s=30.1, ended_by="server", status="UNAVAILABLE", details="Socket closed " * 20),),
    unary=(unary("SetParameter", errors={"NOT_FOUND": 1}, examples=("at 3.2 s: NOT_FOUND Device x",)),),
    log=LogWitness(True, {"driver_error": 2}, 2, ("at 12.3 s [driver_error] PVCAM 185 " + "x" * 300,)),
    hosts=(HostWitness("lab", 60, 0.3, 2**31, 2**33, 1.2, 0.0, 0.01),),
    processes=(ProcessWitness("target", 12, 60, 0.5, 2**27, 2**27, 2**28, 12, 33),),
    notes=tuple(f"info: note {i}" for i in range(25)),
    generator=generator(late_intervals=2, blind=(Interval(3.0, 0.3, "late"),), blind_s=0.3),
    target_clock=TargetClock(15, 1.0, 0.1, 3.0, (Interval(9.0, 0.0, "stepped by 2 s"),)),
    facts=facts(ended="unknown", length_s=33.0),
    accounting=accounting(sender(recorded=None, finished=False, last_seen_s=31.0), recorded=None),
)


def report(of: Summary, manifest: Manifest | None = MANIFEST) -> str:
    return render_text(of, judge(of, A), manifest)


def head(of: Summary) -> list[str]:
    """The lines before the first section."""
    return report(of).split("\n\n")[0].splitlines()


@pytest.mark.parametrize("of", [summary(), BAD, summary_of(()), summary(subscriber(figures=silent()))])
def test_the_first_ten_lines_are_the_answer(of: Summary) -> None:
    lines = head(of)
    assert len(lines) <= 10
    labels = ["why", "frames", "worst", "tool", "length"]
    answered = ["answer"] if of.run.frames else []
    assert [line.split()[0] for line in lines if not line.startswith(" ")][1:] == [*answered, *labels]
    assert lines[0].startswith(judge(of, A).result.value)


@pytest.mark.parametrize("of", [summary(), BAD, summary_of(())])
def test_no_line_is_wider_than_a_hundred_columns(of: Summary) -> None:
    assert [line for line in report(of).splitlines() if len(line) > 100] == []
    assert "None" not in report(of)


def test_a_failure_is_told_with_its_moment_and_what_it_was() -> None:
    text = report(BAD)
    assert "no frame for 7.00 s at 40.0 s, after 300 frames" in text
    assert "worst     at 30.1 s: the daemon died or was shut down: viewer/0, the only stream" in text
    assert "viewer/0 call 1 ended at 30.1 s, which nobody here ordered: UNAVAILABLE" in text
    assert "ended: it was killed: no end was recorded" in text
    assert "NOT FIT: its account is not closed, blind for 0.30 s of 33.0 s; at most 4.0 ms late" in text
    assert "2 stalls over 2.00 s, 12.0 s in all" in text
    assert "and 5 more in summary.json" in text
    assert "clock step at 9.00 s: stepped by 2 s" in text


def test_a_blind_stretch_is_listed_once() -> None:
    """It stands in `late` and in `blind`, as two views of the same; the report has one line for it."""
    assert report(BAD).count("blind for 0.30 s: late") == 1
    blind = generator(late=(Interval(3.0, 0.3, "late by 300 ms"),), blind=(Interval(3.0, 0.3, "late"),), blind_s=0.3)
    body = report(summary(generator=blind)).partition("What happened")[2]
    assert body.count("at 3.00 s") == 1


def test_what_happened_is_told_in_order_with_the_log_around_it() -> None:
    """After the first block: each finding with its moment and the daemon's lines within two seconds of it."""
    lines = (LogLine(30.4, "stall_tick", "Timeouts: 1"), LogLine(50.0, "error", "elsewhere"))
    log = LogWitness(True, {"stall_tick": 1}, 0, (), timeline=lines)
    of = summary(subscriber(stalls=stalls(stall(), stall(10, 3))), log=log)
    body = report(of).split("\n\n")[1]
    assert body.startswith("What happened")
    assert body.index("at 10.0 s") < body.index("at 30.0 s") < body.index("log at 30.40 s: Timeouts: 1")
    assert "elsewhere" not in body
    assert "What happened" not in report(summary())


def test_many_findings_are_cut_to_the_gravest() -> None:
    of = summary(subscriber(stalls=stalls(*(stall(10.0 * i, 2.1 + i / 10) for i in range(1, 31)))))
    assert "and 18 lesser ones" in report(of)
    assert worst_thing(of).endswith("; 29 more under What happened")


def test_how_to_repeat_it_is_a_line_for_the_shell() -> None:
    text = report(summary())
    assert "command   pvload run scenario-a --label 'room=B 3'" in text
    assert "scenario-a (sha256 abababababababab), seed 1" in text
    assert "not shown" not in text
    assert "how this run was started is not known" in report(summary(), None)


@pytest.mark.parametrize(
    ("word", "of", "says"),
    [
        ("nothing", summary(), "nothing worse than 0.21 s without a frame"),
        ("a stall", summary(subscriber(stalls=stalls(stall()))), "at 30.0 s: no frame for 5.00 s on viewer/0, the"),
        ("a loss", summary(subscriber(missing=Missing(unseen=6))), "6 frames missing (0.99 %)"),
        ("silence", summary(subscriber(figures=silent())), "viewer/0 was open and never got a frame"),
        ("nobody", summary_of(()), "no stream was ever opened"),
        ("never accepted", summary(subscriber(opened=0, figures=silent(0.0))), "no frame came"),
        ("a call", summary(unary=(unary("Arm", errors={"X": 1}),)), "a call failed: Arm X"),
        ("an end", BAD, "at 30.1 s: the daemon died or was shut down: viewer/0, the only stream"),
    ],
)
def test_the_worst_thing_is_named(word: str, of: Summary, says: str) -> None:
    assert says in worst_thing(of), word


@pytest.mark.parametrize(
    ("of", "says"),
    [
        (summary(), "fit: at most 4.0 ms late (at 12.0 s), 5.0 % of a core, 700 of 700 records came"),
        (summary(accounting=accounting(sender(recorded=705, missing=5))), "NOT FIT: 5 records missing"),
        (summary(accounting=accounting(frames_checked=False)), "NOT FIT: frame totals differ"),
        (summary(generator=generator(blind_s=0.2)), "fit, though blind for 0.20 s of 60.0 s; at most"),
        (summary(generator=generator(blind_s=12.0)), "NOT FIT: blind for 12.0 s of 60.0 s; at most"),
        (summary(generator=generator(longest_lag_ms=None)), "NOT FIT: it never told how late it was"),
    ],
)
def test_the_tool_says_whether_it_was_fit(of: Summary, says: str) -> None:
    assert says in fitness(of)


def test_blind_time_that_could_break_no_criterion_leaves_the_tool_fit_for_these() -> None:
    """A PASS holds whatever happened meanwhile; what else is wrong with the account is no matter of time."""
    blind = summary(generator=generator(blind_s=12.0))
    assert fitness(blind, passed=True).startswith("fit for these criteria, though blind for 12.0 s of 60.0 s")
    unsound = summary(generator=generator(blind_s=12.0), accounting=accounting(frames_checked=False))
    assert fitness(unsound, passed=True).startswith("NOT FIT: frame totals differ, blind for 12.0 s")


def test_the_first_line_says_when_it_was_no_real_daemon() -> None:
    simulated = replace(
        MANIFEST, target={"address": "127.0.0.1:5", "daemon": {"features": "['networking', 'simulator']"}}
    )
    first = render_text(summary(), judge(summary(), A), simulated).splitlines()[0]
    assert "scenario-a against pvload's simulator   run " in first
    far = replace(MANIFEST, target={"address": "camera-host-" + "x" * 200})
    assert len(render_text(summary(), judge(summary(), A), far).splitlines()[0]) <= 100


def test_many_subscribers_are_cut_and_said_to_be() -> None:
    of = summary(*(subscriber(i) for i in range(25)))
    assert "and 5 more in summary.json" in report(of)


def test_ages_without_a_clock_are_marked_as_changes() -> None:
    of = summary(subscriber(age=replace(summary().run.age, offset_known=False)))
    assert "+5.0 ms" in report(of)
    assert "never read" in report(summary(target_clock=TargetClock(0, None, None, None, ())))
    assert "none of use" in report(summary(target_clock=TargetClock(3, None, None, None, ())))


def test_summary_json_is_the_same_for_the_same_run_and_holds_everything(tmp_path: Path) -> None:
    verdict = judge(BAD, A)
    first, second = document_text(BAD, verdict), document_text(BAD, judge(BAD, A))
    assert first == second
    values = json.loads(first)
    assert values["schema"] == "pvload.summary/1"
    assert values["verdict"]["result"] == "FAIL"
    assert values["verdict"]["exit_code"] == 1
    assert values["verdict"]["criteria"][0]["name"] == "duration"
    assert values["run"]["missing"]["total"] == 5
    assert values["run"]["missing"]["unexplained"] == 2
    assert values["subscribers"][0]["name"] == "viewer/0"
    assert str(tmp_path.parent) not in first


def test_a_figure_that_is_no_number_is_written_as_not_known() -> None:
    broken = summary(subscriber(jitter_ms=float("nan")))
    assert json.loads(document_text(broken, judge(broken, A)))["run"]["jitter_ms"] is None


def test_both_files_are_written_with_or_without_a_manifest(tmp_path: Path) -> None:
    verdict = judge(summary(), A)
    written = write(tmp_path, summary(), verdict)
    assert json.loads(written.summary.read_text())["verdict"]["result"] == "PASS"
    assert "how this run was started is not known" in written.report.read_text()
    write_manifest(tmp_path, MANIFEST)
    write(tmp_path, summary(), verdict)
    assert "pvload run scenario-a" in written.report.read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["manifest.json", "report.txt", "summary.json"]
    (tmp_path / "manifest.json").write_text("{")
    assert manifest_of(tmp_path) is None


def test_an_interrupted_run_says_so_with_what_it_saw() -> None:
    of = summary(
        subscriber(frames=29, judged_s=0.0, judged_frames=0, fps=None, frames_due=None, coverage=None),
        facts=facts(ended="interrupted", length_s=3.0),
    )
    text = report(of)
    assert text.startswith("INCONCLUSIVE")
    assert "3.00 s of 60.0 s planned, ended: it was interrupted" in text
    assert "29 frames on 1 subscriber" in text


def test_first_frames_that_never_came_are_dashes() -> None:
    of = summary(subscriber(first_frame_ms=quantiles(None)))
    row = next(line for line in report(of).splitlines() if line.startswith("  viewer/0"))
    assert row.endswith("-")


def test_three_broken_criteria_are_told_by_name_however_long_they_are() -> None:
    """Each at least with its beginning, cut at a word; the rest is counted."""
    broken = judge(BAD, A)
    told = [line for line in head(BAD)[1:] if line.startswith(("why", " "))]
    for reason in broken.why[:3]:
        assert any(reason.split(": ")[0] in line for line in told), told
    assert any("more" in line for line in told) == (len(broken.why) > 3)
    short = replace(broken, why=tuple(f"criterion_{i}: broken" for i in range(9)))
    lines = render_text(BAD, short, MANIFEST).split("\n\n")[0].splitlines()
    assert sum("broken" in line for line in lines) >= 3
    assert len(lines) <= 10
    long = replace(broken, why=tuple(f"criterion_{i}: " + "evidence " * 40 for i in range(5)))
    lines = render_text(BAD, long, MANIFEST).split("\n\n")[0].splitlines()
    assert len(lines) <= 10
    assert all(any(f"criterion_{i}" in line for line in lines) for i in range(3))
    cut_off = [line for line in lines if "evidence" in line and "..." in line]
    assert cut_off
    assert all(line.partition(" ...")[0].endswith("evidence") for line in cut_off)


def test_words_are_never_cut_in_two() -> None:
    assert cut("the daemon died or was shut down", 20) == "the daemon died ..."
    assert cut("short", 20) == "short"
    assert cut("x" * 30, 20) == "x" * 17 + "..."


def test_the_head_names_where_most_of_the_missing_frames_went() -> None:
    one = subscriber(missing=Missing(unseen=20))
    assert "; 20 missing (all lost unseen), 0 dropped by the server's count" in frames_of(summary(one))
    two = subscriber(missing=Missing(unseen=20, backpressure=1))
    assert "; 21 missing (20 lost unseen, 1 dropped), 0 dropped by the server's count" in frames_of(summary(two))
    assert frames_of(summary()).endswith("; 0 missing, 0 dropped by the server's count")
    assert "none: no stream was opened" in frames_of(summary_of(()))


def frames_of(of: Summary) -> str:
    """The head's line of frames, both of its lines where it has two."""
    text = " ".join(" ".join(head(of)).split())
    return text[text.index("frames ") :].partition(" worst ")[0].replace("frames ", "frames    ", 1)


def test_what_the_server_says_is_told_as_its_word() -> None:
    text = " ".join(report(summary(subscriber(missing=Missing(backpressure=3)))).split())
    assert "3 dropped by the server (its own count; for a slow client, it says)" in text
    assert "its own figures as of the last frame" in text


def test_a_camera_that_ran_already_is_the_one_reason() -> None:
    note = "prime_bsi was running before this run started it (camera.if_running = join or restart measures it anyway)"
    lines = head(summary_of((), notes=(f"camera_was_running: {note}",), note_counts={"camera_was_running": 1}))
    assert lines[1].startswith("why       prime_bsi was running before this run started it")
    assert not [line for line in lines if " more" in line]
