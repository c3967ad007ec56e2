"""How many streams a profile has open at the same time, at worst. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from pvload.profiles.schema import Profile
from pvload.profiles.users import Users

STREAMING = ("subscriber", "gui-viewer")
"""Kinds of users that open StreamFrames."""


def most_streams(profile: Profile, counts: Mapping[str, int]) -> int:
    """Streams at one time; counts: users of each population.

    A client of the timeline counts while the timeline has it open. One whose connection is left hanging counts twice:
    the server cannot know that nobody reads the old one.
    """
    streaming = {one.name: one for one in profile.users if one.kind in STREAMING}
    always = sum(_each(one) * counts.get(one.name, 0) for one in streaming.values() if one.opens == "start")
    return always + _most_by_timeline(profile, streaming, counts)


def _each(users: Users) -> int:
    return 2 if users.churn is not None and users.churn.abort.half_open else 1


def _most_by_timeline(profile: Profile, streaming: Mapping[str, Users], counts: Mapping[str, int]) -> int:
    """The most that actions have open after any of them."""
    most, is_open, hanging = 0, set[str](), 0
    for action in profile.timeline:
        if action.client not in streaming:
            continue
        if action.action == "open":
            is_open.add(action.client)
        elif action.action in ("close", "abort"):
            is_open.discard(action.client)
            hanging += counts.get(action.client, 0) if action.action == "abort" and action.abort == "half_open" else 0
        most = max(most, hanging + sum(counts.get(name, 0) for name in is_open))
    return most
