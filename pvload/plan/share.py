"""Who runs: how many users of each population, and which names (ordinals) and seeds they bear."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from pvload.profiles.schema import Profile
from pvload.profiles.users import Users


@dataclass(frozen=True, slots=True)
class Share:
    """One population of a run."""

    population: str
    kind: str
    """A profiles.users.Kind."""
    count: int

    @property
    def ordinals(self) -> range:
        """The users' numbers within the population, from 0; a subscriber keeps its number over every reconnect."""
        return range(self.count)


def counts(profile: Profile) -> dict[str, int]:
    """Users of each population as the profile states them."""
    return {one.name: one.count for one in profile.users}


def distribute(profile: Profile, users: int) -> dict[str, int]:
    """`users` shared out as Locust's -u wants it: operator and stop-probe stay, the other counts are weights.

    What does not divide evenly goes to the largest remainders, the earlier population first, so that the sum is `users`
    wherever the profile has a population with a weight. With too few users the operator comes first.
    """
    shared = {one.name: 0 for one in profile.users}
    left = users
    for one in sorted(filter(is_fixed, profile.users), key=lambda one: one.kind != "operator"):
        shared[one.name] = min(one.count, left)
        left -= shared[one.name]
    weights = {one.name: one.count for one in profile.users if not is_fixed(one)}
    total = sum(weights.values())
    if total == 0:
        return shared
    for name, weight in weights.items():
        shared[name] = left * weight // total
    rest = left - sum(shared[name] for name in weights)
    by_remainder = sorted(weights, key=lambda name: -(left * weights[name] % total))
    for name in by_remainder[:rest]:
        shared[name] += 1
    return shared


def is_fixed(users: Users) -> bool:
    """Does the population keep its count whatever -u says?"""
    return users.kind in ("operator", "stop-probe")


def shares(profile: Profile, by_population: Mapping[str, int]) -> tuple[Share, ...]:
    """The populations in the profile's order with their counts."""
    return tuple(Share(one.name, one.kind, by_population.get(one.name, 0)) for one in profile.users)


def seed_of(run_seed: int, population: str, ordinal: int) -> int:
    """The random seed of one user: the same for the same run seed, on whatever worker it lives. 64 bits."""
    text = f"{run_seed}/{population}/{ordinal}".encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:8], "little")
