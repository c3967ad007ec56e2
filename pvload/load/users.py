"""The user classes: one for each kind of population, and those that Locust runs, made from a profile."""

from __future__ import annotations

from typing import Any

from pvload.load.churn import BackOff
from pvload.load.operator import CameraOperator
from pvload.load.subscriber import StreamSubscriber
from pvload.load.user import Placeholder, PvloadUser
from pvload.plan.share import is_fixed
from pvload.profiles.schema import Profile

__all__ = ["BackOff", "CameraOperator", "Placeholder", "PvloadUser", "StreamSubscriber", "user_classes"]


def user_classes(profile: Profile, place: Placeholder) -> dict[str, type[PvloadUser]]:
    """A class for each population that has users, by the class's name; counts are weights, the operator is one."""
    made: dict[str, type[PvloadUser]] = {}
    for one in profile.users:
        if not one.count:
            continue
        parent = CameraOperator if one.kind == "operator" else StreamSubscriber
        name = "".join(part.capitalize() for part in one.name.replace("-", "_").split("_")) + parent.__name__
        fields: dict[str, Any] = {"abstract": False, "population": one, "place": place, "__module__": __name__}
        fields["host"] = profile.target.address
        fields |= {"fixed_count": 1} if is_fixed(one) else {"weight": one.count}
        made[name] = type(name, (parent,), fields)
    return made
