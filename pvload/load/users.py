"""The user classes: one for each kind of population, and those that Locust runs, made from a profile.

A locustfile may bring classes of its own: each is used for the population that it names, and made ready in place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pvload.errors import ConfigError
from pvload.load.changer import ParameterChanger
from pvload.load.gui import GuiViewer
from pvload.load.operator import CameraOperator
from pvload.load.stop_probe import StopProbe
from pvload.load.subscriber import StreamSubscriber
from pvload.load.user import Placeholder, PvloadUser
from pvload.load.watchers import HealthProbe, ObservableWatcher, ParameterWatcher, StateWatcher
from pvload.plan.share import is_fixed
from pvload.profiles.schema import Profile
from pvload.profiles.users import Users

__all__ = [
    "CameraOperator",
    "GuiViewer",
    "HealthProbe",
    "ObservableWatcher",
    "ParameterChanger",
    "ParameterWatcher",
    "Placeholder",
    "PvloadUser",
    "StateWatcher",
    "StopProbe",
    "StreamSubscriber",
    "Users",
    "population_of",
    "user_classes",
    "users_override",
]

KINDS: Final[Mapping[str, type[PvloadUser]]] = {
    one.kind: one
    for one in (
        StreamSubscriber,
        CameraOperator,
        ParameterChanger,
        ParameterWatcher,
        StateWatcher,
        ObservableWatcher,
        HealthProbe,
        StopProbe,
        GuiViewer,
    )
}
"""Kind of a population -> its class."""


def user_classes(
    profile: Profile, place: Placeholder, own: Sequence[type[PvloadUser]] = ()
) -> dict[str, type[PvloadUser]]:
    """A class for each population that has users, by the class's name; counts are weights, the operator is one.

    own: classes of a locustfile; each is made ready for the population that it is for, and is not there if that has no
    users.
    """
    mine = {population_of(one).name: one for one in own}
    for one in own:
        one.abstract = True
    made: dict[str, type[PvloadUser]] = {}
    for population in profile.users:
        if not population.count:
            continue
        fields: dict[str, Any] = {"abstract": False, "population": population, "place": place}
        fields["host"] = profile.target.address
        fields |= {"fixed_count": population.count} if is_fixed(population) else {"weight": population.count}
        known = mine.get(population.name)
        if known is not None:
            for name, value in fields.items():
                setattr(known, name, value)
            made[known.__name__] = known
            continue
        parent = KINDS[population.kind]
        name = "".join(part.capitalize() for part in population.name.replace("-", "_").split("_")) + parent.__name__
        made[name] = type(name, (parent,), {**fields, "__module__": __name__})
    return made


def population_of(one: type[PvloadUser]) -> Users:
    """The population that a class of one's own is for: as it states it, else one user by the class's own name.

    ConfigError if it states the population of another kind.
    """
    stated = getattr(one, "population", None)
    if stated is None:
        words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", one.__name__).lower().replace("_", "-")
        return Users(name=words, kind=one.kind)
    if not isinstance(stated, Users):
        raise ConfigError(f"{one.__name__}.population: expected Users(...), got {stated!r}")
    if stated.kind != one.kind:
        text = f"{one.__name__}.population: expected kind={one.kind!r}, got {stated.kind!r}"
        raise ConfigError(text, hint=f"a {one.__mro__[1].__name__} is for populations of kind {one.kind}")
    return stated


def users_override(profile: Profile, own: Sequence[type[PvloadUser]]) -> str:
    """What makes the own classes' populations those of the profile, as an override of it.

    Own classes take the place of the profile's populations of their kinds; populations of other kinds stay. A class
    that states no population and bears the name of one of the profile's is for that one as it is.
    """
    kinds = {one.kind for one in own}
    known = {one.name: one for one in profile.users}
    populations = {one.name: one for one in profile.users if one.kind not in kinds}
    for one in own:
        population = population_of(one)
        as_it_is = getattr(one, "population", None) is None and known.get(population.name)
        populations[population.name] = as_it_is or population
    tables = [one.model_dump(mode="json", exclude_unset=True) for one in populations.values()]
    return f"users={_toml(tables)}"


def _toml(value: Any) -> str:
    """An inline value of TOML; None is left out of tables."""
    if isinstance(value, dict):
        pairs = (f"{json.dumps(str(key))} = {_toml(one)}" for key, one in value.items() if one is not None)
        return "{" + ", ".join(pairs) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_toml(one) for one in value) + "]"
    return json.dumps(value)
