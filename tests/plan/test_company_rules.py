"""`check` on timelines, populations and what criteria need; and how a profile with all of them reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from pvload.errors import ConfigError
from pvload.plan.admission import most_streams
from pvload.plan.check import check
from pvload.plan.explain import explain
from pvload.plan.share import counts
from pvload.profiles.load import load
from pvload.profiles.schema import Profile

HEAD = """
[run]
name = "company"
duration = "100s"
[[users]]
name = "operator"
kind = "operator"
[[users]]
name = "viewer"
"""
B = '[[users]]\nname = "b"\nopens = "timeline"\n'
OPEN_B = '[[timeline]]\naction = "open"\nclient = "b"\n'


def _profile(folder: Path, text: str, *, head: str = HEAD) -> Profile:
    path = folder / "company.toml"
    path.write_text(head + text)
    return load(str(path)).profile


def _action(action: str, **keys: str) -> str:
    return f'[[timeline]]\naction = "{action}"\n' + "".join(f"{key} = {value}\n" for key, value in keys.items())


REFUSED = {
    "beyond the end": (_action("stop", at='"101s"'), "after the run's end, expected at most 100 s"),
    "out of order": (_action("stop", at='"50%"') + _action("start", at='"49s"'), "before the action above it"),
    "no such client": (_action("open", client='"c"'), "no client is named 'c', expected one of viewer"),
    "not the timeline's": (_action("close", client='"viewer"'), "viewer opens its stream itself"),
    "not open": (B + OPEN_B + _action("close", client='"b"') + _action("abort", client='"b"'), "b is not open at"),
    "open twice": (B + OPEN_B + OPEN_B, "b is open already"),
    "never opened": (B, "no action of the timeline opens it"),
    "waits for nobody": (B + _action("wait", when='"b has 5 frames"') + OPEN_B, "b, which is not open at that point"),
    "waits for a stranger": (_action("wait", when='"c has 5 frames"'), "no client is named 'c'"),
    "waits while stopped": (_action("stop") + _action("start", after='"5 frames"'), "while the camera is stopped"),
    "starts twice": (_action("wait") + _action("start"), "the camera runs already"),
    "stops twice": (_action("stop") + _action("stop"), "the camera does not run"),
    "a start that waits": (_action("start", at='"1s"'), "it starts the run, so it cannot wait"),
    "a cycle of a running camera": (_action("wait") + _action("cycle"), "the camera runs already"),
    "a daemon of somebody else": (_action("restart_daemon"), "only a daemon that it started"),
    "nothing was set": (_action("expect", effect="true"), "nothing was set before it"),
    "an effect nobody sees": (
        _action("set", change='{ parameter = "fan", value = "low" }') + _action("expect", effect="true"),
        "frames do not show fan = low",
    ),
    "beyond the sensor": (
        _action("set", change="{ roi = { x = 2000, y = 0, width = 100, height = 8 } }"),
        "reaches beyond the sensor of 2048x2048",
    ),
    "a watcher of the timeline": (
        '[[users]]\nname = "s"\nkind = "state-watcher"\nopens = "timeline"\n',
        "a state-watcher has no stream of frames",
    ),
    "a sequence of nothing": ('[[users]]\nname = "c"\nkind = "changer"\nchanges = {}\n', "a sequence without steps"),
    "a storm of nothing": (
        '[[users]]\nname = "c"\nkind = "changer"\nchanges = { mode = "storm" }\n',
        "a storm sets one parameter",
    ),
    "an effect too soon": (
        '[[users]]\nname = "c"\nkind = "changer"\n'
        'changes = { steps = [{ exposure_ms = 1000 }], effect_within = "2s" }\n',
        "expected at least 4 s",
    ),
    "a range nobody walks": (
        '[[users]]\nname = "c"\nkind = "changer"\n'
        'changes = { mode = "walk", parameters = ["a"], ranges = { b = [0, 1] } }\n',
        "b is not among parameters",
    ),
    "nothing to observe": ('[[users]]\nname = "o"\nkind = "observable-watcher"\n', "nothing to watch"),
    "a policy of one": ('[criteria]\ndisconnect_policy = "per-client"\n', "two subscribers at least"),
    "nobody is slow": ('[criteria]\nslow_reader_policy = "skip"\n', "read_fps or pause_after_frame"),
    "no storm": ("[criteria]\nrate_achieved_at_least = 0.9\n", 'a changer with mode = "storm"'),
    "no heartbeat": ("[criteria]\nheartbeat_age_s = 3\n", "a population of kind health-probe"),
    "nothing expected": ("[criteria]\nexpectations = true\n", "expected a [[timeline]]"),
    "nothing changed": ("[criteria]\nrestored = true\n", "a changer, or `set` in the timeline"),
    "a started simulator": ('[target]\nstart = "daemon"\n', "pvload starts its simulator"),
    "a log through a shell": ('[target]\naddress = "h:1"\nlog_command = "tail -F x | grep y"\n', "expected sh -c"),
    "a log command cut off": ('[target]\naddress = "h:1"\nlog_command = "ssh \'h"\n', "no command line"),
    "two logs": ('[target]\naddress = "h:1"\nstart = "d"\nlog = "/tmp/log"\n', "expected one of them"),
    "hanging clients count twice": (
        '[[users]]\nname = "c"\ncount = 2\nchurn = { abort = { half_open = 1 } }\n',
        "5 subscribers from one address",
    ),
    "clients of the timeline count": (
        '[[users]]\nname = "b"\ncount = 3\nopens = "timeline"\n' + OPEN_B,
        "4 subscribers from one address",
    ),
}


@pytest.mark.parametrize(("text", "says"), REFUSED.values(), ids=REFUSED.keys())
def test_what_cannot_happen_is_refused_in_one_line(text: str, says: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        check(_profile(tmp_path, text))
    assert [line for line in str(caught.value).splitlines() if says in line], str(caught.value)


def test_without_an_operator_nobody_carries_out_a_timeline(tmp_path: Path) -> None:
    head = '[run]\nname = "x"\nduration = "9s"\nends = "timeline"\n[[users]]\nname = "viewer"\n'
    with pytest.raises(ConfigError, match="nobody carries it out"):
        check(_profile(tmp_path, _action("wait"), head=head))
    with pytest.raises(ConfigError, match="there is no \\[\\[timeline\\]\\]"):
        check(_profile(tmp_path, "", head=head))


def test_only_clients_that_are_open_together_count_together(tmp_path: Path) -> None:
    """b and c take turns, so the most at one time is the viewer and one of them."""
    c, leave_b = B.replace('"b"', '"c"'), _action("close", client='"b"')
    profile = _profile(tmp_path, B + c + OPEN_B + leave_b + OPEN_B.replace('"b"', '"c"'))
    assert most_streams(profile, counts(profile)) == 2
    assert check(profile).subscribers == 2


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (_action("wait", after='"2000 frames"'), "2000 frames take 200 s at 10 frames/s, and the run lasts 100 s"),
        (_action("cycle", count="50"), "50 cycles take about 550 s"),
        (
            '[[users]]\nname = "c"\nkind = "changer"\nchanges = { mode = "walk" }\n',
            "users.c walks only parameters that have choices",
        ),
        ('[[users]]\nname = "late"\nstart_after = "2min"\n', "users.late begins 2min after the start"),
    ],
)
def test_what_will_not_come_about_is_remarked(text: str, says: str, tmp_path: Path) -> None:
    assert [one for one in check(_profile(tmp_path, text)).remarks if says in one]


def test_the_company_and_its_timeline_are_told_in_words(tmp_path: Path) -> None:
    text = (
        '[[users]]\nname = "guest"\nchurn = { lifetime = "exponential 5s", abort = { clean = 3, killed = 1 } }\n'
        '[[users]]\nname = "walker"\nkind = "changer"\nchanges = { mode = "walk", ranges = { gain = [1, 3] } }\n'
        '[[users]]\nname = "stop"\nkind = "stop-probe"\nwatch = { rate_hz = 0.1 }\n'
        + B
        + _action("set", at='"10%"', change='{ roi = "quarter" }', restart="true")
        + OPEN_B
        + _action("abort", when='"b has 7 frames"', client='"b"', abort='"half_open"')
    )
    told = explain(check(_profile(tmp_path, text)))
    for words in (
        "guest: 1 subscriber",
        "stays 5 s on average, then cancels (75%), is killed (25%), and comes again after 200 ms to 2 s",
        "walker: 1 changer, a drawn value every 5 s of gain from 1 to 3, looking for each effect on the frames",
        "stop: 1 stop-probe, stopping and starting the camera, every 10 s",
        "opens and leaves its stream when the timeline says so",
        "timeline   at 10%: set region 1024x1024 at 512,512, restarts without an effect",
        "           then: open b",
        "           when b has 7 frames: abort b (half open)",
    ):
        assert words in told, told


def test_a_timeline_that_starts_the_camera_says_so(tmp_path: Path) -> None:
    told = explain(check(_profile(tmp_path, _action("cycle", count="3", frames="20"))))
    assert "sets the camera, reads it back, leaves its start to the timeline" in told
    assert "timeline   start: start, 20 frames, stop, 3 times" in told
