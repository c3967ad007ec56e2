"""What a fold must know before the first record: thresholds in nanoseconds and what the plan expects."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from pvload.profiles.schema import Profile
from pvload.profiles.users import Change, Users

NS_PER_S: Final = 1_000_000_000
DEFAULT_EFFECT_S: Final = 2.0
WINDOW_NS: Final = 60 * NS_PER_S


@dataclass(frozen=True, slots=True)
class Plan:
    """What full-quality frames must show where the WANTED records leave it open; 0: not planned."""

    width: int = 0
    height: int = 0
    binning_x: int = 0
    binning_y: int = 0
    exposure_ms: float = 0.0


@dataclass(frozen=True, slots=True)
class PopulationPlan:
    """What the plan says of a population of subscribers, as far as comings, goings and slow reading ask for it."""

    kind: str = "subscriber"
    reads_hz: float = 0.0
    """Most frames a second that it reads; 0: as fast as they come."""
    window_bytes: int = 0
    churns: bool = False
    half_open_ns: int = 0
    """How long a client that hangs keeps its connection."""


@dataclass(frozen=True, slots=True)
class FoldConfig:
    """Constants of one run's fold."""

    stall_ns: int = 2 * NS_PER_S
    """A gap longer than this is a stall."""
    warm_up_ns: int = 0
    """From the sender's first frame, see `timeline`."""
    planned_ns: int = 0
    """The run's planned duration; 0: not known."""
    window_ns: int = WINDOW_NS
    plan: Plan = Plan()
    paced_by_exposure: bool = True
    name: str = ""
    run_id: str = ""
    kinds: Mapping[str, str] = field(default_factory=dict)
    """Population -> its kind."""
    effects_ns: Mapping[str, int] = field(default_factory=dict)
    """Population of changers -> how long the effect of a change may take; the timeline's under the empty name."""
    storms: Mapping[str, str] = field(default_factory=dict)
    """Population that offers calls on a schedule -> the parameter it sets. If there is one, the gaps between frames
    are kept by the tenth of a second."""
    writers: Mapping[str, int] = field(default_factory=dict)
    """Parameter that a storm sets -> how many users share its counters out: user k of n writes k, k + n, k + 2 n ..."""
    populations: Mapping[str, PopulationPlan] = field(default_factory=dict)
    """Populations by name."""
    streams_per_client: int = 0
    """How many streams the target admits; 0: not known."""

    def effect_ns(self, population: str) -> int:
        """How long the effect of this population's changes may take."""
        return self.effects_ns.get(population, round(DEFAULT_EFFECT_S * NS_PER_S))


def fold_config(profile: Profile, run_id: str = "") -> FoldConfig:
    """The constants that `profile` gives: stall threshold = its criterion, but at least two of the slowest periods.

    Warm-up is at most a quarter of the duration. Sizes are those of a full-quality frame after binning.
    """
    camera = profile.camera
    threshold_s = profile.criteria.stall_threshold_s
    period_s = 1.0 / camera.rate_hz if camera.rate_hz > 0 else camera.exposure_ms / 1000 * camera.paced_by_exposure
    if camera.paced_by_exposure:
        period_s = max([period_s, *(ms / 1000 for ms in _exposures_ms(profile))])
    slowest_s = max([period_s, *(1.0 / users.max_fps for users in profile.users if users.max_fps > 0)])
    width, height = _region(profile)
    binning_x, binning_y = camera.binning
    return FoldConfig(
        stall_ns=round(max(threshold_s, 2 * slowest_s) * NS_PER_S),
        warm_up_ns=round(min(profile.run.warm_up, profile.run.duration / 4) * NS_PER_S),
        planned_ns=round(profile.run.duration * NS_PER_S),
        plan=Plan(
            width=width // binning_x,
            height=height // binning_y,
            binning_x=binning_x,
            binning_y=binning_y,
            exposure_ms=camera.exposure_ms,
        )
        if camera.paced_by_exposure
        else Plan(),
        paced_by_exposure=camera.paced_by_exposure,
        name=profile.run.name,
        run_id=run_id,
        kinds={users.name: users.kind for users in profile.users},
        effects_ns=_effects_ns(profile),
        storms={
            users.name: users.changes.parameters[0] if users.changes.parameters else ""
            for users in profile.users
            if users.changes is not None and users.changes.mode == "storm"
        },
        writers={
            users.changes.parameters[0] if users.changes.parameters else "": max(1, users.count)
            for users in profile.users
            if users.changes is not None and users.changes.mode == "storm"
        },
        populations={users.name: _population(users) for users in profile.users},
        streams_per_client=profile.target.streams_per_client,
    )


def _population(users: Users) -> PopulationPlan:
    pause_s = users.pause_after_frame
    return PopulationPlan(
        kind=users.kind,
        reads_hz=1.0 / pause_s if pause_s > 0 else users.read_fps,
        window_bytes=users.window_bytes,
        churns=users.churn is not None,
        half_open_ns=round(users.churn.half_open_for * NS_PER_S) if users.churn is not None else 0,
    )


def _effects_ns(profile: Profile) -> dict[str, int]:
    found = {
        users.name: round(users.changes.effect_within * NS_PER_S)
        for users in profile.users
        if users.changes is not None
    }
    sets = [action.within for action in profile.timeline if action.action == "set"]
    return found | ({"": round(max(sets) * NS_PER_S)} if sets else {})


def _exposures_ms(profile: Profile) -> list[float]:
    """Every exposure that the plan may set later on."""
    planned: list[Change] = [action.change for action in profile.timeline if action.change is not None]
    walked: list[float] = []
    for users in profile.users:
        if users.changes is None or users.changes.mode == "storm":
            continue
        planned += users.changes.steps
        if users.changes.mode == "walk":
            walked += [high for name, (_, high) in users.changes.ranges.items() if name.endswith("exposure_ms")]
    return [change.exposure_ms for change in planned if change.exposure_ms is not None] + walked


def _region(profile: Profile) -> tuple[int, int]:
    camera = profile.camera
    if camera.roi == "full":
        return camera.sensor_width, camera.sensor_height
    if camera.roi == "quarter":
        return camera.sensor_width // 2, camera.sensor_height // 2
    return camera.roi.width, camera.roi.height
