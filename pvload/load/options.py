"""Locust's command line and web form, as far as they are pvload's.

The profile must be known before Locust parses its command line (the user classes are made from it), so its options
are read once at import, and once more by Locust's own parser, which refuses what it does not know and shows the form
fields. All values are plain texts and numbers: they travel to the workers as msgpack.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pvload.errors import ConfigError
from pvload.profiles import load as profiles
from pvload.profiles.load import LoadedProfile
from pvload.profiles.schema import Profile

DEFAULT_PROFILE: Final = "scenario-a"
LOOPBACK: Final = "127.0.0.1"
_FORM: Final = (
    ("--pvload-exposure-ms", "Exposure of the camera in milliseconds; empty: as the profile says."),
    ("--pvload-roi", "Region: full, quarter, or x,y,width,height in unbinned pixels; empty: as the profile says."),
    ("--pvload-quality", "Quality of every subscriber: full, preview or fast; empty: as the profile says."),
    ("--pvload-duration", "Length of the run, such as 20s or 30min; empty: Locust's run time, else the profile's."),
)
"""Fields of the web form, and options too."""


@dataclass(frozen=True, slots=True)
class Source:
    """Which profile, and what of it is overridden, as given at the start of the process."""

    profile: str
    overrides: tuple[str, ...]
    labels: tuple[str, ...]
    target: str | None

    def load(self, more: Sequence[str] = ()) -> LoadedProfile:
        """The profile with its overrides and then `more` of them; ConfigError if it cannot be run."""
        return profiles.load(
            self.profile,
            overrides=[*self.overrides, *more],
            target=self.target,
            labels=self.labels,
        )


def early_source(arguments: Sequence[str] | None = None) -> Source:
    """The profile's options, read before Locust's parser runs; unknown ones are left to that."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    _add_source(parser)
    known, _ = parser.parse_known_args(sys.argv[1:] if arguments is None else arguments)
    return Source(
        profile=known.pvload_profile,
        overrides=tuple(known.pvload_set),
        labels=tuple(known.pvload_label),
        target=known.pvload_target or None,
    )


def add_options(parser: Any) -> None:
    """Adds pvload's options to Locust's parser; called again for every page of the web UI.

    Web UI and master listen on loopback unless told otherwise: neither has any security of its own. Users of a worker
    that is lost come again on the others.
    """
    group = parser.add_argument_group("pvload", "What is run, and where it is recorded.")
    actions = _add_source(group)
    actions += [
        group.add_argument("--pvload-runs", default="runs", metavar="<folder>", help="Where run directories are made."),
        group.add_argument("--pvload-command", default="", help=argparse.SUPPRESS),
        group.add_argument("--pvload-frames", type=int, default=0, metavar="<n>", help="End after n frames a stream."),
        group.add_argument("--pvload-force", action="store_true", help="Run more subscribers than the target admits."),
        group.add_argument("--pvload-supervised", action="store_true", help=argparse.SUPPRESS),
    ]
    for action in actions:
        _show(action, in_web_ui=False)
    for name, text in _FORM:
        _show(group.add_argument(name, default="", metavar="<value>", help=text), in_web_ui=True)
    parser.set_defaults(web_host=LOOPBACK, master_bind_host=LOOPBACK, enable_rebalancing=True)


def _add_source(parser: Any) -> list[argparse.Action]:
    profile = os.environ.get("PVLOAD_PROFILE", DEFAULT_PROFILE)
    text = "A profile's name or file (also: the variable PVLOAD_PROFILE)."
    return [
        parser.add_argument("--pvload-profile", default=profile, metavar="<name>", help=text),
        parser.add_argument(
            "--pvload-set", action="append", default=[], metavar="<key=value>", help="Override a value."
        ),
        parser.add_argument(
            "--pvload-label", action="append", default=[], metavar="<key=value>", help="Label the run."
        ),
        parser.add_argument("--pvload-target", default="", metavar="<host:port>", help="The target's address."),
    ]


def _show(action: Any, *, in_web_ui: bool) -> None:
    """Locust's own parser sets these, but not for an argument that stands in a group."""
    action.include_in_web_ui = in_web_ui
    action.is_secret = action.is_required = action.is_multiple = False


def form_overrides(options: Mapping[str, Any], profile: Profile) -> list[str]:
    """What the form fields change in `profile`, as overrides; ConfigError for a region that is none.

    `host` is Locust's own (-H, or the form's field): the target's address, a scheme before it taken off.
    """
    wishes: list[str] = []
    if host := _field(options, "host"):
        wishes.append(f"target.address={host.removeprefix('http://').removeprefix('https://').rstrip('/')}")
    if exposure := _field(options, "pvload_exposure_ms"):
        wishes.append(f"camera.exposure_ms={exposure}")
    if roi := _field(options, "pvload_roi"):
        wishes.append(f"camera.roi={_roi(roi)}")
    if quality := _field(options, "pvload_quality"):
        wishes += [f"users.{one.name}.quality={quality}" for one in profile.users if one.kind == "subscriber"]
    if duration := _field(options, "pvload_duration"):
        wishes.append(f"run.duration={duration}")
    return wishes


def _field(options: Mapping[str, Any], name: str) -> str:
    return str(options.get(name) or "").strip()


def _roi(text: str) -> str:
    """A TOML value for camera.roi."""
    if text in ("full", "quarter"):
        return text
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 4 or not all(part.isdecimal() for part in parts):
        raise ConfigError(f"roi {text!r}: expected full, quarter, or x,y,width,height such as 768,768,512,512")
    x, y, width, height = parts
    return f"{{x={x}, y={y}, width={width}, height={height}}}"
