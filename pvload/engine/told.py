"""What the worker tells of the run, written into this engine's own account: plans, users, changes, actions, its end."""

from __future__ import annotations

from enum import IntEnum

from pvload.engine.context import Context, Wanting
from pvload.errors import FormatError
from pvload.wire import command
from pvload.wire.codes import Abort, ChangeFlag, ChangeKind, EndReason, NoteClass, Outcome, UserChange, Wish
from pvload.wire.event import Kind


class Told:
    """One method a command; each makes one record."""

    def __init__(self, context: Context) -> None:
        self.run_ended = False
        self._context = context
        self._recorder = context.recorder

    def wanted(self, order: command.Wanted) -> None:
        """From a moment on the plan wants the device to run, or not."""
        self._recorder.append(
            Kind.WANTED,
            t_ns=order.at_ns,
            code=Wish.RUNS if order.wanted else Wish.AWAY if order.away else Wish.STANDS,
            device=self._recorder.text_id(order.device),
            width=order.width,
            height=order.height,
            binning_x=order.binning_x,
            binning_y=order.binning_y,
            rate_hz=order.rate_hz,
            exposure_ms=order.exposure_ms,
            known_ns=self._context.clock.monotonic_ns(),
        )
        self._context.wanting[order.device] = Wanting(order.wanted, order.at_ns)

    def change(self, order: command.Change) -> None:
        """The device is about to be changed; frames are held against it from now on."""
        self._recorder.append(
            Kind.CHANGE,
            ref=order.number,
            t_ns=order.at_ns,
            code=member(ChangeKind, order.kind),
            flags=ChangeFlag.AGAIN if order.again else 0,
            device=self._recorder.text_id(order.device),
            text=self._recorder.text_id(order.text),
            width=order.width,
            height=order.height,
            binning_x=order.binning_x,
            binning_y=order.binning_y,
            exposure_ms=order.exposure_ms,
            rate_hz=order.rate_hz,
            known_ns=self._context.clock.monotonic_ns(),
            population=self._recorder.text_id(order.population),
            ordinal=order.ordinal,
        )
        self._context.changes.add(order)

    def left(self, order: command.Left) -> None:
        """A call was left in a way that its own engine could not record."""
        self._recorder.append(
            Kind.LEFT,
            t_ns=order.at_ns,
            code=member(Abort, order.style),
            population=self._recorder.text_id(order.population),
            ordinal=order.ordinal,
            number=order.number,
            device=self._recorder.text_id(order.device),
        )

    def action(self, order: command.Action) -> None:
        """An action of the timeline was done, or not."""
        self._recorder.append(
            Kind.ACTION,
            t_ns=order.at_ns,
            code=member(Outcome, order.outcome),
            due_ns=order.due_ns,
            number=order.number,
            text=self._recorder.text_id(order.text),
            details=self._recorder.text_id(order.details),
            client=self._recorder.text_id(order.client),
            change=order.change,
        )

    def daemon(self, order: command.Daemon) -> None:
        """The daemon that pvload started: started, answering, asked to stop, gone."""
        self._recorder.append(
            Kind.DAEMON,
            t_ns=order.at_ns,
            code=order.code,
            pid=order.pid,
            details=self._recorder.text_id(order.details),
            exit_status=order.exit_status,
        )

    def user(self, order: command.User) -> None:
        """A load user changed state."""
        self._recorder.append(
            Kind.USER,
            code=member(UserChange, order.change),
            population=self._recorder.text_id(order.population),
            ordinal=order.ordinal,
            details=self._recorder.text_id(order.details),
        )

    def note(self, order: command.Note) -> None:
        """Something that a reader of the report must know."""
        text = self._recorder.text_id(order.text)
        self._recorder.append(Kind.NOTE, code=member(NoteClass, order.note), text=text, value=order.value)

    def run_end(self, order: command.RunEnd) -> None:
        """The run's T_end; only the first counts."""
        if self.run_ended:
            return
        self._recorder.append(
            Kind.END,
            t_ns=order.at_ns,
            code=member(EndReason, order.reason),
            warm_up_ns=order.warm_up_ns,
            planned_ns=order.planned_ns,
        )
        self.run_ended = True


def member(kind: type[IntEnum], name: str) -> int:
    """The number of the member that `name` names in lower case; FormatError lists the known ones."""
    try:
        return int(kind[name.upper()])
    except KeyError as exc:
        known = ", ".join(one.name.lower() for one in kind)
        raise FormatError(f"{kind.__name__} {name!r} is unknown, expected one of {known}") from exc
