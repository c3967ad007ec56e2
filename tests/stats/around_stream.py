"""Builds the records that stand beside frames: changes, calls, storms, watchers, states, health, actions."""

from __future__ import annotations

from typing import Any

from pvload.wire.codes import ChangeFlag, ChangeKind, FrameFlag, StateFlag, UnaryFlag
from pvload.wire.event import Kind
from tests.stats.stream import MS, T0, S, Stream


def ns(at: float | int) -> int:
    """A time in seconds after T0, or an int of nanoseconds as it is."""
    return at if isinstance(at, int) else T0 + round(at * S)


class AroundStream(Stream):
    """A sender that records more than frames."""

    def shot(self, begin: float, period: float, count: int, exposure: float, call: int = 1, **fields: Any) -> None:
        """Frames with an exposure in milliseconds; numbers go on unless `first` is given."""
        flags = int(FrameFlag.EXPOSURE) | (int(FrameFlag.BINNING) if "binning_x" in fields else 0)
        first = fields.pop("first", getattr(self, "_number", 0))
        self.frames(begin, period, count, call, first=first, flags=flags, exposure_ms=exposure, **fields)
        self._number = first + count

    def change(
        self,
        at: float | int,
        number: int = 1,
        *,
        kind: ChangeKind = ChangeKind.EXPOSURE,
        text: str = "exposure 50 ms",
        again: bool = False,
        by: str = "changer",
        **shows: Any,
    ) -> Stream:
        population = self.text(by) if by else 0
        device, words = self.text("cam"), self.text(text)
        return self.put(
            Kind.CHANGE,
            at,
            ref=number,
            code=kind,
            flags=int(ChangeFlag.AGAIN) if again else 0,
            device=device,
            text=words,
            population=population,
            **shows,
        )

    def unary(
        self,
        sent: float | int,
        answered: float | int,
        method: str = "SetParameter",
        *,
        by: str = "",
        ordinal: int = 0,
        status: int = 0,
        details: str = "",
        change: int = 0,
        failed: bool = False,
        request: str = "",
        answer: str = "",
        due: float | int | None = None,
        number: int = -1,
    ) -> Stream:
        texts = {
            "method": self.text(method),
            "details": self.text(details) if details else 0,
            "request": self.text(request) if request else 0,
            "answer": self.text(answer) if answer else 0,
            "population": self.text(by) if by else 0,
            "device": self.text("cam"),
        }
        return self.put(
            Kind.UNARY,
            answered,
            flags=int(UnaryFlag.APPLICATION_FAILED) if failed else 0,
            sent_ns=ns(sent),
            due_ns=ns(sent if due is None else due),
            status=status,
            change=change,
            ordinal=ordinal,
            number=number,
            **texts,
        )

    def called(
        self, due: float | int, took_ms: float, counter: int = -1, *, ref: int = 9, ordinal: int = 0, status: int = 0
    ) -> Stream:
        population, method, device = self.text("storm"), self.text("SetParameter"), self.text("cam")
        return self.put(
            Kind.CALLED,
            ns(due) + round(took_ms * MS),
            ref=ref,
            due_ns=ns(due),
            sent_ns=ns(due),
            counter=counter,
            status=status,
            population=population,
            ordinal=ordinal,
            method=method,
            device=device,
        )

    def offered(self, at: float, rate: float, *, ref: int = 9, ordinal: int = 0, **fields: Any) -> Stream:
        population = self.text("storm")
        due = fields.pop("due", round(rate))
        return self.put(
            Kind.OFFERED,
            at,
            ref=ref,
            interval_ns=fields.pop("interval_ns", S),
            rate_hz=rate,
            due=due,
            sent=fields.pop("sent", due),
            answered=(answered := fields.pop("answered", due)),
            ok=fields.pop("ok", answered),
            population=population,
            ordinal=ordinal,
            **fields,
        )

    def watching(self, at: float, ref: int = 50, method: str = "StreamParameterChanges", ordinal: int = 0) -> Stream:
        texts = {"method": self.text(method), "device": self.text("cam"), "population": self.text("watcher")}
        return self.put(Kind.WATCHING, at, ref=ref, ordinal=ordinal, number=1, **texts)

    def parameter(self, at: float, counter: int, *, ref: int = 50, name: str = "p", source: int = 1) -> Stream:
        texts = {"device": self.text("cam"), "name": self.text(name)}
        return self.put(Kind.PARAMETER, at, ref=ref, code=source, counter=counter, value=float(counter), **texts)

    def state(self, at: float, *, streaming: bool, pushed: bool = False, online: bool = True) -> Stream:
        flags = StateFlag.STREAMING_KNOWN
        flags |= StateFlag.STREAMING if streaming else StateFlag(0)
        flags |= StateFlag.ONLINE if online else StateFlag(0)
        flags |= StateFlag.PUSHED if pushed else StateFlag(0)
        return self.put(Kind.STATE, at, ref=77, flags=int(flags), device=self.text("cam"))
