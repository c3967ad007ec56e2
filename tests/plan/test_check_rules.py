"""`check` refuses what could only end in a useless run, one line a rule, and lets everything else pass with remarks."""

from __future__ import annotations

from pathlib import Path

import pytest

from pvload.errors import ConfigError
from pvload.plan.check import CRITERIA, HERE, Surroundings, check
from pvload.plan.explain import explain, spoken
from pvload.profiles.load import load

COMPANY = (
    "[{name='operator', kind='operator'}, {name='viewer'}, {name='health', kind='health-probe'}, "
    "{name='stop', kind='stop-probe'}, {name='watcher', kind='parameter-watcher'}, "
    "{name='storm', kind='changer', changes={mode='storm', parameters=['p']}}]"
)
ACTIONS = "[{action='cycle'}, {action='start'}, {action='set', change={exposure_ms=50}}]"
NOTHING = Surroundings(readable=lambda _: False, is_folder=lambda _: False, variable=lambda _: None)
EVERYTHING = Surroundings(readable=lambda _: True, is_folder=lambda _: True, variable=lambda _: "secret")


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["criteria.longest_stall_s=0.1"], "shorter than two frame periods at 10 frames/s, expected at least 0.2"),
        (["camera.exposure_ms=1500"], "shorter than two frame periods"),
        (["criteria.longest_stall_s=1", "users.viewer.max_fps=1"], "at 1 frames/s, expected at least 2"),
        (
            ["criteria.longest_silence_s=0.1"],
            "criteria.longest_silence_s = 0.1: expected at least two frame periods, 0.2",
        ),
        (["users.viewer.silence=2"], "expected more than the stall threshold of 2 s"),
        (["users.viewer.name=operator"], "2 populations are named 'operator'"),
        (["users.viewer.kind=operator"], "2 populations of kind operator, expected one at most"),
        (["users.operator.count=2"], "users.operator.count = 2: expected 1"),
        (["users.viewer.count=0"], "no subscriber is planned"),
        (["users.viewer.count=4"], "4 subscribers from one address, but target.streams_per_client = 3 and simulator"),
        (["users.viewer.count=4", "target.streams_per_client=0"], "but simulator.streams_per_client = 3"),
        (["camera.roi={x=1024,y=0,width=1025,height=8}"], "reaches beyond the sensor"),
        (["camera.roi={x=0,y=0,width=3,height=3}", "camera.binning=[4,4]"], "larger than the region of 3x3"),
        (
            ["simulator.faults=[{kind='connection_reset'}]"],
            "simulator.faults.0: connection_reset needs simulator.relay",
        ),
        (["simulator.faults=[{kind='crash'}]", "target.address=h:1"], "a real daemon cannot be told to fail"),
        (["target.address=localhost"], 'target.address = "localhost": expected host:port'),
        (["target.address=h:70000"], "expected host:port"),
        (["target.address=h:0"], "expected host:port"),
        (["target.token=env:NOT_THERE"], "the environment variable NOT_THERE is not set or empty"),
        (["target.tls.ca_file=gone.pem"], 'target.tls.ca_file = "gone.pem": expected a readable file'),
        (["target.tls.key_file=k.pem"], "certificate_file and key_file belong together"),
        (["target.address=h:1", "target.log=/no/where/log"], "the folder /no/where is not there"),
        (["criteria.waive=['driver_error']"], '"driver_error" is no criterion, expected some of fps_within'),
    ],
)
def test_a_broken_rule_is_refused_in_one_line(overrides: list[str], says: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check(load("scenario-a", overrides=overrides).profile, surroundings=NOTHING)
    assert [line for line in str(caught.value).splitlines() if says in line]
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    "overrides",
    [
        [],
        ["users.viewer.count=3"],
        ["users.viewer.silence=0"],
        ["users.viewer.count=9", "target.streams_per_client=9", "simulator.streams_per_client=0"],
        ["users.viewer.count=9", "target.streams_per_client=0", "target.address=h:1"],
        ["camera.exposure_ms=1500", "camera.paced_by_exposure=false"],
        ["simulator.faults=[{kind='connection_reset'}]", "simulator.relay=true"],
        ["target.address=[::1]:50051", "target.token=env:X", "target.tls.ca_file=ca.pem", "target.log=/a/b"],
    ],
)
def test_what_can_be_run_passes(overrides: list[str]) -> None:
    check(load("scenario-a", overrides=overrides).profile, surroundings=EVERYTHING)


def test_all_broken_rules_are_told_at_once() -> None:
    wishes = ["users.viewer.count=5", "criteria.longest_stall_s=0.1", "target.address=nowhere"]
    with pytest.raises(ConfigError) as caught:
        check(load("scenario-a", overrides=wishes).profile)
    assert len(str(caught.value).splitlines()) == 3


def test_a_fourth_subscriber_is_refused_unless_forced() -> None:
    profile = load("scenario-a", overrides=["users.viewer.count=4"]).profile
    with pytest.raises(ConfigError, match="--force"):
        check(profile)
    plan = check(profile, force=True)
    assert plan.subscribers == 4
    assert plan.remarks[-1].startswith("forced: users: 4 subscribers from one address")


def test_the_total_of_locust_counts_against_the_limit() -> None:
    profile = load("scenario-a").profile
    plan = check(profile, users=4)
    assert [(share.population, share.count) for share in plan.shares] == [("operator", 1), ("viewer", 3)]
    assert plan.has_operator
    with pytest.raises(ConfigError, match="4 subscribers from one address"):
        check(profile, users=5)
    assert check(profile, users=7, client_addresses=2).subscribers == 6


def test_the_rules_look_at_this_host_by_default(tmp_path: Path) -> None:
    file = tmp_path / "ca.pem"
    file.write_text("x")
    assert HERE.readable(str(file))
    assert not HERE.readable(str(tmp_path))
    assert HERE.is_folder(str(tmp_path))


@pytest.mark.parametrize(
    ("overrides", "says"),
    [
        (["run.duration=10"], "warm-up is cut to 2.5 s"),
        (["target.address=h:1"], "driver_errors needs the daemon's log"),
        (["monitor.log=false"], "driver_errors needs the daemon's log"),
        (["target.token=abc"], "the token stands in the profile"),
        (["users=[{name='a'}]"], "no operator"),
        (["camera.exposure_ms=10000", "criteria.longest_stall_s=25"], "gives up after 10 s"),
        (["users.viewer.max_fps=10"], "may then skip up to half"),
        (["criteria={}"], "no criterion is named"),
    ],
)
def test_what_a_person_should_know_is_remarked_and_not_refused(overrides: list[str], says: str) -> None:
    plan = check(load("scenario-a", overrides=overrides).profile)
    assert [remark for remark in plan.remarks if says in remark]
    assert says in explain(plan)


def test_scenario_a_has_nothing_to_remark() -> None:
    plan = check(load("scenario-a").profile)
    assert plan.remarks == ()
    assert (plan.rate_hz, plan.stall_threshold_s, plan.warm_up_s) == (10, 2, 5)


def test_the_explanation_says_who_subscribes_what_passes_and_what_it_costs() -> None:
    text = explain(check(load("scenario-a").profile))
    for says in (
        "30 min",
        "a simulator that pvload starts on this host",
        "2048x2048, binning 1x1, exposure 100 ms, trigger Timed",
        "viewer: 1 subscriber, quality full",
        "about 18,000 frames in all",
        "8.39 MB a frame, 83.9 MB/s",
        "8 to 12 frames/s",
        "at most 5 % of the frames",
        "no gRPC error",
    ):
        assert says in text, text


def test_every_criterion_can_be_explained() -> None:
    limits = [
        f"criteria.{name}={0.5 if name != 'longest_silence_s' else 3}"
        for name in CRITERIA
        if name not in ("grpc_errors", "unexpected_ends", "driver_errors", "unexplained_missing", "payload_errors")
    ]
    counts = [
        f"criteria.{name}=1"
        for name in CRITERIA
        if f"criteria.{name}=0.5" not in limits and name != "longest_silence_s"
    ]
    words = {"disconnect_policy": "zombie", "slow_reader_policy": "skip", "changes": "clear"}
    flags = ("restored", "expectations", "streams_return", "flat", "log_agrees")
    whole = ("call_errors", "change_events_lost", "isolation_missing", "failed_cycles", "consecutive_frames")
    given = [f"criteria.{name}={word}" for name, word in words.items()]
    given += [f"criteria.{name}=true" for name in flags] + [f"criteria.{name}=1" for name in whole]
    known = {one.partition("=")[0] for one in given}
    others = [one for one in [*limits, *counts] if one.partition("=")[0] not in known]
    more = ["users.viewer.count=3", "users.viewer.churn={}", "users.viewer.read_fps=5", f"users={COMPANY}"]
    profile = load("scenario-a", overrides=[more[-1], *more[:-1], f"timeline={ACTIONS}", *given, *others]).profile
    text = explain(check(profile, force=True))
    assert text.count("\n  - ") >= len(CRITERIA) + 1


def test_an_unstated_rate_is_not_invented() -> None:
    text = explain(check(load("scenario-a", overrides=["camera.paced_by_exposure=false"]).profile))
    assert "the rate is measured after warm-up" in text
    assert "frames in all" not in text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.25, "250 ms"), (20, "20 s"), (90, "90 s"), (1800, "30 min"), (86400, "24 h")]
)
def test_lengths_of_time_are_spoken_in_their_unit(seconds: float, text: str) -> None:
    assert spoken(seconds) == text


def test_a_broken_rule_names_the_file_where_it_is_known() -> None:
    profile = load("scenario-a", overrides=["users.viewer.kind=operator"]).profile
    with pytest.raises(ConfigError) as caught:
        check(profile, source="./own.toml")
    assert all(line.startswith("./own.toml: users: ") for line in str(caught.value).splitlines())
