"""Builds records for tests: one sender's stream in a few words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from pvload.stats.config import FoldConfig
from pvload.stats.fold import RunFold
from pvload.stats.summary import Summary
from pvload.wire.batch import Hello
from pvload.wire.codes import Abort, EndedBy, FrameFlag, Wish
from pvload.wire.event import Kind, Records, decode, encode, encode_text

MS = 1_000_000
S = 1_000_000_000
T0 = 1_000 * S
DATA = Path(__file__).parents[1] / "data"


class Stream:
    """Records of one sender, appended in order; times in seconds after T0."""

    def __init__(self, sender: int = 1, *, incarnation: int = 0, role: str = "engine", worker: str = "w1") -> None:
        self.sender = sender.to_bytes(16, "big")
        self.hello = Hello(role=role, worker=worker, incarnation=incarnation, host="h", boot="b", pid=1)
        self.begin_ns = T0
        """When its texts were recorded."""
        self._records: list[bytes] = []
        self._texts: dict[str, int] = {}

    def text(self, text: str) -> int:
        if text not in self._texts:
            self._texts[text] = len(self._texts) + 1
            self._records += encode_text(self._texts[text], text, t_ns=self.begin_ns)
        return self._texts[text]

    def put(self, kind: Kind, at: float | int, **fields: Any) -> Stream:
        t_ns = at if isinstance(at, int) else T0 + round(at * S)
        self._records.append(encode(kind, t_ns=t_ns, **fields))
        return self

    def wanted(
        self,
        at: float | int,
        *,
        on: bool = True,
        away: bool = False,
        rate: float = 0.0,
        device: str = "cam",
        **plan: Any,
    ) -> Stream:
        ref = self.text(device)
        return self.put(Kind.WANTED, at, code=Wish.AWAY if away else int(on), device=ref, rate_hz=rate, **plan)

    def open(
        self,
        at: float | int,
        call: int = 1,
        *,
        ordinal: int = 0,
        number: int = 1,
        max_fps: int = 0,
        device: str = "cam",
        headers: bool = True,
        quality: int = 0,
        population: str = "viewer",
        **fields: Any,
    ) -> Stream:
        group, ref = self.text(population), self.text(device)
        self.put(
            Kind.OPENED,
            at,
            ref=call,
            population=group,
            ordinal=ordinal,
            number=number,
            device=ref,
            max_fps=max_fps,
            code=quality,
            **fields,
        )
        return self.put(Kind.HEADERS, at, ref=call) if headers else self

    def frame(
        self,
        at: float | int,
        number: int,
        call: int = 1,
        *,
        sent: int | None = None,
        dropped: int = 0,
        source: int | None = None,
        metrics: bool = True,
        **fields: Any,
    ) -> Stream:
        t_ns = at if isinstance(at, int) else T0 + round(at * S)
        flags = int(FrameFlag.METRICS) if metrics else 0
        return self.put(
            Kind.FRAME,
            t_ns,
            ref=call,
            flags=fields.pop("flags", 0) | flags,
            frame_number=number,
            source_ns=t_ns if source is None else source,
            frames_sent=(number + 1 if sent is None else sent) if metrics else 0,
            frames_dropped=dropped if metrics else 0,
            message_bytes=fields.pop("message_bytes", 100),
            uncompressed_bytes=fields.pop("uncompressed_bytes", 200),
            **fields,
        )

    def frames(
        self, begin: float, period: float, count: int, call: int = 1, *, first: int = 0, **fields: Any
    ) -> Stream:
        for at in range(count):
            self.frame(begin + at * period, first + at, call, **fields)
        return self

    def ended(
        self,
        at: float | int,
        call: int = 1,
        *,
        frames: int = 0,
        by: EndedBy = EndedBy.ORDER,
        status: int = 1,
        details: str = "",
    ) -> Stream:
        ref = self.text(details) if details else 0
        return self.put(Kind.ENDED, at, ref=call, code=by, status=status, details=ref, frames=frames)

    def left(
        self, at: float | int, style: Abort, *, ordinal: int = 0, number: int = 1, population: str = "viewer"
    ) -> Stream:
        ref, device = self.text(population), self.text("cam")
        return self.put(Kind.LEFT, at, code=int(style), population=ref, ordinal=ordinal, number=number, device=device)

    def end(self, at: float | int) -> Stream:
        return self.put(Kind.END, at)

    @property
    def records(self) -> Records:
        return decode(b"".join(self._records))


def fold(*streams: Stream, config: FoldConfig | None = None) -> RunFold:
    """All records of each stream at once."""
    run = RunFold(config or FoldConfig())
    for stream in streams:
        run.hello(stream.sender, stream.hello)
        run.add(stream.sender, stream.records)
        run.finished(stream.sender, stream.records.size)
    return run


def summary(*streams: Stream, config: FoldConfig | None = None) -> Summary:
    return fold(*streams, config=config).summary()


def capture(name: str, *, max_fps: int = 0) -> Stream:
    """A recorded call as one sender's stream; its clock is the daemon's."""
    document = json.loads((DATA / f"{name}.json").read_text())
    messages = document["messages"]
    stream = Stream()
    begin = messages[0]["arrival_ns"]
    stream.begin_ns = begin - 50 * MS
    stream.open(begin - 50 * MS, max_fps=max_fps, device=messages[0]["device_id"])
    for message in messages:
        metrics = message["metrics"]
        stream.frame(
            message["arrival_ns"],
            message["frame_number"],
            sent=metrics["frames_sent"],
            dropped=metrics["frames_dropped"],
            source=message["timestamp_ns"],
            flags=int(FrameFlag.EXPOSURE),
            exposure_ms=message["exposure_ms"],
            width=message["width"],
            height=message["height"],
            message_bytes=message["message_bytes"],
            uncompressed_bytes=message["uncompressed_size"],
        )
    return stream.end(messages[-1]["arrival_ns"] + 1 * MS)


def cut(stream: Stream, places: list[int]) -> list[Records]:
    """The stream's records cut at `places`."""
    return [part for part in np.split(stream.records, sorted(places)) if part.size]
