"""From options and form fields to the profile of a run."""

from __future__ import annotations

import argparse
from typing import Any

import pytest

from drive import LOCUSTFILE
from pvload.errors import ConfigError
from pvload.load.options import LOOPBACK, add_options, early_source, form_overrides
from pvload.load.settling import canonical_of, settle
from pvload.profiles.load import from_canonical

NOTHING = early_source([])


def _settled(
    options: dict[str, Any], *, users: int = 2, run_time_s: float | None = None, more: list[str] | None = None
):  # type: ignore[no-untyped-def] # its type is the tested one's
    source = early_source(["--pvload-profile", "quick", *(more or [])])
    return settle(source, options, users=users, hosts=1, run_time_s=run_time_s)


def test_the_profile_of_the_command_line_is_read_before_locust_parses_it() -> None:
    """Locust's own options are left alone; without any, it is scenario A."""
    source = early_source(["--headless", "-u", "4", "--pvload-profile", "quick", "--pvload-set", "camera.roi=quarter"])
    assert (source.profile, source.overrides) == ("quick", ("camera.roi=quarter",))
    assert NOTHING.profile == "scenario-a"


def test_the_environment_may_name_the_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    """PVLOAD_PROFILE, for command lines that cannot be changed."""
    monkeypatch.setenv("PVLOAD_PROFILE", "quick")
    assert early_source([]).profile == "quick"


@pytest.mark.parametrize(
    ("options", "run_time_s", "seconds"),
    [
        pytest.param({}, None, 10.0, id="the profile's"),
        pytest.param({}, 20.0, 20.0, id="Locust's run time"),
        pytest.param({"pvload_duration": "30s"}, 20.0, 30.0, id="the form field wins"),
        pytest.param({"pvload_frames": 100}, None, 5.0, id="as long as the frames take"),
    ],
)
def test_the_planned_duration(options: dict[str, Any], run_time_s: float | None, seconds: float) -> None:
    """One of four says how long a run is."""
    loaded, plan = _settled(options, run_time_s=run_time_s)
    assert loaded.profile.run.duration == seconds
    assert plan.warm_up_s <= seconds / 4


def test_form_fields_change_the_camera_and_every_subscriber() -> None:
    """Empty fields change nothing."""
    options = {"pvload_exposure_ms": "40", "pvload_roi": "0,0,128,64", "pvload_quality": "fast", "pvload_duration": ""}
    profile = _settled(options)[0].profile
    assert profile.camera.exposure_ms == 40
    assert profile.camera.roi.model_dump() == {"x": 0, "y": 0, "width": 128, "height": 64}  # type: ignore[union-attr] # a region, not a name
    assert [one.quality for one in profile.users if one.kind == "subscriber"] == ["fast"]
    assert form_overrides({}, profile) == []


@pytest.mark.parametrize("host", ["lab:50051", "http://lab:50051", "https://lab:50051/"])
def test_locusts_host_is_the_targets_address(host: str) -> None:
    """As with any other locustfile: -H, or the host field of the form."""
    assert _settled({"host": host})[0].profile.target.address == "lab:50051"
    assert _settled({"host": None})[0].profile.target.address == "sim"


def test_a_region_that_is_none_is_refused() -> None:
    """With what was expected."""
    with pytest.raises(ConfigError, match="x,y,width,height"):
        _settled({"pvload_roi": "big"})


def test_users_are_shared_out_and_stand_in_the_canonical_profile() -> None:
    """-u 4: the operator and three subscribers; the hash is that of the text that travels."""
    loaded, plan = _settled({}, users=4)
    assert {one.name: one.count for one in loaded.profile.users} == {"operator": 1, "viewer": 3}
    assert plan.subscribers == 3
    text, sha256 = canonical_of(loaded.profile)
    assert (text.encode(), sha256) == (loaded.canonical_json, loaded.sha256)
    assert from_canonical(text.encode()) == loaded.profile


def test_the_rules_of_check_hold_at_every_start() -> None:
    """More subscribers than the target admits are refused, unless they are forced."""
    with pytest.raises(ConfigError, match="streams_per_client"):
        _settled({}, users=5)
    assert _settled({"pvload_force": True}, users=5)[1].subscribers == 4


def test_locust_listens_on_loopback_unless_told_otherwise() -> None:
    """Neither its web UI nor its master has any security of its own."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--web-host", default="")
    parser.add_argument("--master-bind-host", default="*")
    add_options(parser)
    assert vars(parser.parse_args([]))["web_host"] == LOOPBACK
    assert vars(parser.parse_args(["--master-bind-host", "*"]))["master_bind_host"] == "*"
    shown = {action.dest for action in parser._actions if getattr(action, "include_in_web_ui", False)}
    assert shown == {"pvload_exposure_ms", "pvload_roi", "pvload_quality", "pvload_duration"}


def test_the_locustfile_names_every_option() -> None:
    """Locust prints its --help before it reads the file, so the file says them itself."""
    parser = argparse.ArgumentParser()
    add_options(parser)
    shown = [one for one in parser._actions if one.help != argparse.SUPPRESS]
    options = [name for one in shown for name in one.option_strings if name.startswith("--pvload-")]
    text = LOCUSTFILE.read_text()
    assert [name for name in options if f"    {name} " not in text] == []
