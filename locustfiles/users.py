"""Every kind of user as a class of one's own, under Locust as you know it; docs/users.md explains each.

    locust -f locustfiles/users.py --headless -t 20s             what the classes below state
    locust -f locustfiles/users.py --headless -t 20s -u 12 \\
        --pvload-set simulator.streams_per_client=0 --pvload-set target.streams_per_client=0
                                                                 more of them: counts are weights; the two keys since
                                                                 5 streams are more than the daemon admits by itself

The classes take the place of the profile's populations of their kinds: copy this file, and keep those that you want.
Target, camera and criteria are the profile's: --pvload-profile and the other options of locustfiles/soak.py.
"""

from pvload.load.plugin import install
from pvload.load.users import (
    CameraOperator,
    GuiViewer,
    HealthProbe,
    ObservableWatcher,
    ParameterChanger,
    ParameterWatcher,
    StateWatcher,
    StopProbe,
    StreamSubscriber,
    Users,
)


class Operator(CameraOperator):
    """Sets and starts the camera."""


class Viewer(StreamSubscriber):
    """Stays for the whole run and checks the pixels of every 10th frame."""

    population = Users(name="viewer", payload="decoded", payload_every=10)


class Guest(StreamSubscriber):
    """Comes and goes, and leaves in three ways."""

    population = Users(
        name="guest",
        start_after="10%",
        churn={
            "lifetime": "exponential 3s",
            "pause": "uniform 200ms 1s",
            "abort": {"clean": 2, "dropped": 1, "killed": 1},
        },
    )


class Screen(GuiViewer):
    """The project's own client: preview quality, 30 frames/s at most."""


class Changer(ParameterChanger):
    """Walks two harmless parameters."""

    population = Users(
        name="changer",
        kind="changer",
        start_after="2s",
        changes={
            "mode": "walk",
            "every": "uniform 1s 3s",
            "parameters": ["thermal.setpoint", "thermal.fan_speed"],
            "ranges": {"thermal.setpoint": (-20, 0)},
        },
    )


class Parameters(ParameterWatcher):
    """Reads every change."""


class State(StateWatcher):
    """Subscribes and asks twice a second."""

    population = Users(name="state", kind="state-watcher", watch={"rate_hz": 2})


class Observables(ObservableWatcher):
    """Reads what the camera lets observe."""

    population = Users(name="observables", kind="observable-watcher", watch={"observables": ["thermal.temperature"]})


class Health(HealthProbe):
    """Asks both health services once a second."""


class Stop(StopProbe):
    """Times a stop and a start every five seconds."""

    population = Users(name="stop", kind="stop-probe", start_after="5s", watch={"rate_hz": 0.2})


globals().update(
    install(Operator, Viewer, Guest, Screen, Changer, Parameters, State, Observables, Health, Stop),
)
