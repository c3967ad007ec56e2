"""From the options of a start to the profile and plan of its run. Pure but for reading the profile."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pvload.load.options import Source, form_overrides
from pvload.plan.check import Plan, check
from pvload.plan.expected import expected_rate
from pvload.profiles.load import LoadedProfile, canonical_json
from pvload.profiles.schema import Profile


def settle(
    source: Source, options: Mapping[str, Any], *, users: int, hosts: int, run_time_s: float | None
) -> tuple[LoadedProfile, Plan]:
    """The profile exactly as a run will use it, and its plan; ConfigError if it breaks a rule of `check`.

    users: Locust's user count. hosts: from how many addresses the subscribers come. run_time_s: Locust's run time;
    None: the profile's duration stands. A run by frames is as long as its frames take.
    """
    more = [] if run_time_s is None else [f"run.duration={run_time_s:g}s"]
    more += form_overrides(options, source.load().profile)
    as_wished = source.load(more).profile
    frames = int(options.get("pvload_frames") or 0) or as_wished.run.frames
    if frames and (rate_hz := expected_rate(as_wished.camera)):
        more.append(f"run.duration={frames / rate_hz:g}s")
    loaded = source.load(more)
    plan = check(
        loaded.profile,
        users=users,
        force=bool(options.get("pvload_force")),
        client_addresses=max(1, hosts),
        source=str(loaded.source),
    )
    counts = {share.population: share.count for share in plan.shares}
    populations = [one.model_copy(update={"count": counts[one.name]}) for one in loaded.profile.users]
    profile = loaded.profile.model_copy(update={"users": populations})
    canonical = canonical_json(profile)
    settled = replace(loaded, profile=profile, canonical_json=canonical, sha256=digest(canonical))
    return settled, replace(plan, profile=profile)


def digest(canonical: bytes) -> str:
    """The profile's hash."""
    return hashlib.sha256(canonical).hexdigest()


def canonical_of(profile: Profile) -> tuple[str, str]:
    """(text, hash) as they travel to a worker."""
    canonical = canonical_json(profile)
    return canonical.decode(), digest(canonical)
