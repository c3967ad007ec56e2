"""The subscriber: a viewer of the camera, one stream at a time."""

from __future__ import annotations

from typing import ClassVar

from pvload.load import messages
from pvload.load.station import StationRun
from pvload.load.user import SeatedUser
from pvload.load.viewing import Viewing
from pvload.profiles.users import Kind


class StreamSubscriber(SeatedUser):
    """Watches the camera as a viewer does: one stream, opened again when it ends unasked."""

    abstract = True
    kind: ClassVar[Kind] = "subscriber"

    def work(self, run: StationRun, seat: messages.Seat) -> None:
        """Call after call, until the run or the profile says enough."""
        Viewing(self.station, run, self.planned(run), seat).live()
