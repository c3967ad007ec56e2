"""A profile is read, overridden and named by its canonical text; each fault is one line a person can act on."""

from __future__ import annotations

from pathlib import Path

import pytest

from pvload.errors import ConfigError
from pvload.profiles.load import canonical_json, from_canonical, load, names

MINIMAL = '[run]\nname = "x"\nduration = "10s"\n[[users]]\nname = "viewer"\n'


def written(tmp_path: Path, text: str) -> str:
    path = tmp_path / "own.toml"
    path.write_text(text)
    return str(path)


def test_scenario_a_is_scenario_a_to_the_letter() -> None:
    profile = load("scenario-a").profile
    assert (profile.camera.sensor_width, profile.camera.sensor_height, profile.camera.roi) == (2048, 2048, "full")
    assert (profile.camera.binning, profile.camera.exposure_ms, profile.camera.trigger_mode) == ((1, 1), 100, "Timed")
    assert profile.run.duration == 1800
    assert [(one.kind, one.count) for one in profile.users] == [("operator", 1), ("subscriber", 1)]
    criteria = profile.criteria
    assert (criteria.fps_within, criteria.drop_rate_below, criteria.longest_stall_s) == (0.20, 0.05, 2)
    assert (criteria.grpc_errors, criteria.unexpected_ends, criteria.driver_errors, criteria.waive) == (0, 0, 0, [])


@pytest.mark.parametrize("name", names())
def test_every_shipped_profile_survives_its_canonical_text(name: str) -> None:
    loaded = load(name)
    assert from_canonical(loaded.canonical_json) == loaded.profile
    assert loaded.source == name
    assert len(loaded.sha256) == 64


def test_profiles_that_mean_the_same_have_the_same_hash(tmp_path: Path) -> None:
    one = load(written(tmp_path, MINIMAL))
    same = load(
        written(tmp_path, '# said otherwise\n[[users]]\nname="viewer"\ncount=1\n[run]\nduration=10\nname="x"\n')
    )
    other = load(written(tmp_path, MINIMAL), overrides=["run.seed=2"])
    assert one.sha256 == same.sha256 != other.sha256


@pytest.mark.parametrize(
    ("override", "read", "value"),
    [
        ("camera.exposure_ms=50", lambda p: p.camera.exposure_ms, 50),
        ("users.0.quality=preview", lambda p: p.users[0].quality, "preview"),
        ("users.viewer.count=2", lambda p: p.users[0].count, 2),
        ("camera.roi=quarter", lambda p: p.camera.roi, "quarter"),
        ("camera.roi={x=1,y=2,width=3,height=4}", lambda p: p.camera.roi.width, 3),
        ("camera.binning=[2,2]", lambda p: p.camera.binning, (2, 2)),
        ("camera.binning.1=4", lambda p: p.camera.binning, (1, 4)),
        ('camera.parameters."acquisition.gain"=2', lambda p: p.camera.parameters, {"acquisition.gain": "2"}),
        ("target.token=12345", lambda p: p.target.token, "12345"),
        ('target.token="quoted"', lambda p: p.target.token, "quoted"),
        ("target.tls.ca_file=ca.pem", lambda p: p.target.tls.ca_file, "ca.pem"),
        ("criteria.waive=['driver_errors']", lambda p: p.criteria.waive, ["driver_errors"]),
        ("target.log=a=b", lambda p: p.target.log, "a=b"),
    ],
)
def test_an_override_reaches_its_key(tmp_path: Path, override: str, read: object, value: object) -> None:
    """Values are TOML, or plain text where they are no TOML or text is wanted."""
    text = MINIMAL + "[camera]\nbinning = [1, 1]\n"
    assert read(load(written(tmp_path, text), overrides=[override]).profile) == value  # type: ignore[operator]


def test_options_of_the_command_line_win_over_the_file(tmp_path: Path) -> None:
    profile = load(
        written(tmp_path, MINIMAL), overrides=["run.duration=5"], duration="20s", target="h:1", labels=["lab.room=B 3"]
    ).profile
    assert (profile.run.duration, profile.target.address, profile.run.labels) == (20, "h:1", {"lab.room": "B 3"})


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[camera]\nexposur_ms = 5\n", "camera.exposur_ms = 5: unknown key, did you mean exposure_ms?"),
        ("[zebra]\n", "zebra = {}: unknown key, expected one of run, target, camera, users"),
        ("[camera]\nexposure_ms = -1\n", "camera.exposure_ms = -1: expected more than 0"),
        ("[camera]\nexposure_ms = 'long'\n", 'camera.exposure_ms = "long": expected a number'),
        ("[camera]\nroi = 'half'\n", 'camera.roi = "half": expected "full", "quarter" or {x = ..'),
        ("[camera.roi]\nx=1\ny=1\nwidht=4\nheight=4\n", "camera.roi.widht = 4: unknown key, did you mean width?"),
        ("[camera.roi]\nx=1\ny=1\nheight=4\n", "camera.roi.width: is missing and has no default"),
        ("[camera]\nbinning=[1,2,3]\n", "camera.binning = [1, 2, 3]: expected at most 2 of them, got 3"),
        ("[[users]]\nname='B'\n", 'users.1.name = "B": expected a name of lower-case letters'),
        (
            "[[users]]\nname='b'\nquality='prewiew'\n",
            "users.1.quality = \"prewiew\": expected one of 'full', 'preview', 'fast'",
        ),
        ("[monitor]\ninterval='soon'\n", "monitor.interval = \"soon\": expected a duration such as '250ms'"),
        ("[criteria]\ngrpc_errors=0.5\n", "criteria.grpc_errors = 0.5: expected a whole number"),
        ("[target]\nlog=5\n", "target.log = 5: expected text in quotes"),
        ("[monitor]\nhost='maybe'\n", 'monitor.host = "maybe": expected true or false'),
        ("[run.labels]\nx=1\n", "run"),
        ("[criteria]\ndrop_rate_below=true\n", "criteria.drop_rate_below = true: expected a number"),
        ("[criteria]\ngrpc_errors=false\n", "criteria.grpc_errors = false: expected a whole number"),
        ("[target]\npid=99999999999999999999\n", "target.pid = 99999999999999999999: expected at most 9.22337e+18"),
        ("[camera]\nexposure_ms=1e300\n", "camera.exposure_ms = 1e+300: expected at most 1e+15"),
        ("[monitor]\ninterval='99999999d'\n", 'monitor.interval = "99999999d": expected at most 3660d'),
        ("[monitor]\ninterval=0\n", "monitor.interval = 0.0: expected at least 0.1"),
        ("[[timeline]]\naction='wait'\nat=-1\n", "timeline.0.at = -1: expected a moment such as '10s'"),
        ("[[timeline]]\naction='wait'\nat=inf\n", "timeline.0.at = Infinity: expected a moment such as '10s'"),
        ("[[timeline]]\naction='wait'\nat=true\n", "timeline.0.at = true: expected a moment such as '10s'"),
        ("[[users]]\nname='b'\nstart_after=nan\n", "users.1.start_after = NaN: expected a moment such as '10s'"),
        ("[[timeline]]\naction='wait'\nwhen='b got 5'\n", 'timeline.0.when = "b got 5": expected "b has 100 frames"'),
        ("[[timeline]]\naction='wait'\nafter='0 frames'\n", 'timeline.0.after = "0 frames": expected "600 frames"'),
        (
            "[[timeline]]\naction='set'\nchange={roi='half'}\n",
            'timeline.0.change.roi = "half": expected "full", "quarter" or {x = ..',
        ),
        ("[[timeline]]\naction='set'\nchange={roi={x=1,y=1,width=9}}\n", "timeline.0.change.roi.height: is missing"),
        (
            "[[users]]\nname='c'\nkind='changer'\nchanges={steps=[{roi='half'}]}\n",
            'users.1.changes.steps.0.roi = "half": expected "full", "quarter" or {x = ..',
        ),
    ],
)
def test_a_fault_is_one_line_with_file_key_value_and_expectation(tmp_path: Path, text: str, says: str) -> None:
    path = written(tmp_path, MINIMAL + text)
    with pytest.raises(ConfigError) as caught:
        load(path)
    (line,) = [line for line in str(caught.value).splitlines() if says in line]
    assert line.startswith(f"{path}: ")
    assert "pydantic" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    path = written(tmp_path, MINIMAL + "[camera]\nexposur_ms=5\n[criteria]\ndrop_rate_below=2\n")
    with pytest.raises(ConfigError) as caught:
        load(path, overrides=["users.viewer.count=two"])
    assert str(caught.value).splitlines() == [
        f"{path}: camera.exposur_ms = 5: unknown key, did you mean exposure_ms?",
        '--set users.0.count = "two": expected a whole number',
        f"{path}: criteria.drop_rate_below = 2: expected at most 1",
    ]


@pytest.mark.parametrize(
    ("wish", "says"),
    [
        ("camera.exposure_ms", "expected key=value"),
        ("=5", "expected key=value"),
        ("a b=5", "not a key"),
        ("users.nobody.count=1", "expected one of viewer"),
        ("users.7=1", "expected one of viewer"),
        ("run.name.first=x", "has no keys of its own"),
    ],
)
def test_an_override_that_points_nowhere_is_refused(tmp_path: Path, wish: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        load(written(tmp_path, MINIMAL), overrides=[wish])


@pytest.mark.parametrize(
    ("wish", "says"),
    [
        (
            'simulator.faults=[{kind="stall", frame=85, duration=3s}]',
            "--set simulator.faults: no TOML: .* at 's}\\]' \\(character 37\\)",
        ),
        ("camera.roi={x=1", "--set camera.roi: no TOML: .* at its end"),
        ("camera.binning=[1,,1]", r"--set camera.binning: no TOML: .* at ',1\]' \(character 4\)"),
    ],
)
def test_a_list_or_table_with_a_fault_in_it_is_told_with_its_place(tmp_path: Path, wish: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        load(written(tmp_path, MINIMAL), overrides=[wish])


def test_text_that_begins_like_a_list_is_text_where_text_is_wanted(tmp_path: Path) -> None:
    profile = load(written(tmp_path, MINIMAL), overrides=["run.description=[draft] of a run"]).profile
    assert profile.run.description == "[draft] of a run"


def test_a_label_that_is_none_is_told_with_one_that_is(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="--label nonsense: expected key=value, such as who=me"):
        load(written(tmp_path, MINIMAL), labels=["nonsense"])


def test_a_directory_is_said_to_be_one(tmp_path: Path) -> None:
    written(tmp_path, MINIMAL)
    with pytest.raises(ConfigError, match=r"(?s)is a directory, expected a profile file.*own\.toml"):
        load(str(tmp_path))


def test_a_syntax_error_names_its_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"own\.toml: line 3, column \d+"):
        load(written(tmp_path, '[run]\nname = "x"\nduration = = 3\n'))


def test_an_unfinished_text_is_said_to_end_in_its_last_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"own\.toml: (line 2|last line)"):
        load(written(tmp_path, '[run]\nname = "x'))


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load(str(path))


def test_a_name_that_is_not_there_gets_a_guess_and_a_list() -> None:
    with pytest.raises(ConfigError, match=r"(?s)did you mean scenario-a\?.*profiles that ship: .*scenario-a"):
        load("scenario_a")
    with pytest.raises(ConfigError, match="no such profile file"):
        load("./nowhere.toml")


def test_a_canonical_text_of_another_version_is_refused() -> None:
    text = canonical_json(load("scenario-a").profile).replace(b'"seed"', b'"sead"')
    with pytest.raises(ConfigError, match=r"profile\.json: run\.sead = 1: unknown key, did you mean seed\?"):
        from_canonical(text)
