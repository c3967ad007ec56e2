"""Random runs for property tests: everything a sender may record, in an order it could have recorded it in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from pvload.wire.codes import Abort, EndedBy, FrameFlag, LogClass, NoteClass, StateFlag, UserChange
from pvload.wire.event import Kind
from tests.stats.around_schedules import around
from tests.stats.stream import MS, T0, Stream

PERIOD_MS = 100
END_LINE = "Tap-based frame stream forwarding task ended"
_EXPOSED = int(FrameFlag.EXPOSURE)
SHOWN: list[dict[str, Any]] = [
    {},
    {"flags": _EXPOSED, "exposure_ms": 100.0},
    {"flags": _EXPOSED, "exposure_ms": 50.0, "width": 64, "height": 64},
]
"""What frames may show."""


@dataclass
class _Camera:
    """One call's counters."""

    number: int
    sent: int = 0
    dropped: int = 0


def _frames(draw: Any, stream: Stream, call: int, begin_ms: int, count: int) -> tuple[int, int]:
    """Frames of one call with the odd things that can befall them; returns its end and how many frames it had."""
    camera, now, made = _Camera(draw(st.integers(0, 3))), begin_ms, 0
    metrics = draw(st.sampled_from([True, True, True, False]))
    last = None
    shown = draw(st.sampled_from(SHOWN))
    for _ in range(count):
        what = draw(st.sampled_from("........sdutTrRwWf"))
        now += PERIOD_MS + draw(st.integers(-20, 20))
        camera.number += 1
        camera.sent += 1
        source = T0 + (now - 5) * MS
        if what == "s":
            now += draw(st.sampled_from([300, 2500, 7000]))
        elif what == "d":
            lost = draw(st.integers(1, 4))
            camera.number, camera.dropped = camera.number + lost, camera.dropped + lost
        elif what == "u":
            camera.number += draw(st.integers(1, 3))
        elif what == "t":
            camera.number, camera.sent = camera.number + 1, camera.sent + 1
        elif what == "T":
            camera.sent, camera.dropped = camera.sent + 1, camera.dropped + 1
            camera.number += draw(st.integers(0, 2))
        elif what == "r":
            camera.number = draw(st.integers(0, 1))
        elif what == "R" and last is not None:
            stream.frame(T0 + (now - 1) * MS, *last[:1], call, **last[1])
            made += 1
        elif what == "w":
            stream.frame(
                T0 + (now - 1) * MS,
                camera.number + 1,
                call,
                sent=camera.sent + 1,
                dropped=camera.dropped,
                source=source + PERIOD_MS * MS,
                metrics=metrics,
            )
            stream.frame(
                T0 + now * MS,
                camera.number,
                call,
                sent=camera.sent,
                dropped=camera.dropped,
                source=source,
                metrics=metrics,
            )
            camera.number, camera.sent, made = camera.number + 1, camera.sent + 1, made + 2
            continue
        elif what == "W":
            late = draw(st.integers(1, 3000))
            stream.put(Kind.LAG, T0 + now * MS, lateness_ns=late * MS, latest_ns=T0 + now * MS, interval_ns=1000 * MS)
        elif what == "f":
            n = draw(st.integers(1, 5))
            stream.put(
                Kind.FOLDED,
                T0 + (now + 90) * MS,
                ref=call,
                first_ns=T0 + now * MS,
                frames=n,
                message_bytes=n,
                frames_sent=camera.sent + n - 1 if metrics else 0,
                frames_dropped=camera.dropped,
                frame_number=camera.number + n - 1,
                longest_ns=30 * MS,
                source_ns=source,
            )
            camera.number, camera.sent, now, made = camera.number + n - 1, camera.sent + n - 1, now + 90, made + n
            continue
        fields = {"sent": camera.sent, "dropped": camera.dropped, "source": source, "metrics": metrics}
        fields |= shown
        if not draw(st.integers(0, 9)):
            shown = draw(st.sampled_from(SHOWN))
        last = (camera.number, fields)
        stream.frame(T0 + now * MS, camera.number, call, **fields)
        made += 1
    return now, made


@st.composite
def streams(draw: Any, *, senders: int = 2) -> list[Stream]:
    """A few senders, one a successor of another, that share subscribers."""
    found = []
    for sender in range(1, draw(st.integers(1, senders)) + 1):
        stream = Stream(
            sender, incarnation=sender - 1, role=draw(st.sampled_from(["engine", "engine", "viewer", "monitor"]))
        )
        now = (sender - 1) * draw(st.integers(0, 20_000))
        _preamble(draw, stream, now)
        for call in range(1, draw(st.integers(1, 4)) + 1):
            ordinal = draw(st.integers(0, 1))
            now += draw(st.integers(1, 3000))
            stream.open(
                T0 + now * MS,
                call,
                ordinal=ordinal,
                number=call,
                max_fps=draw(st.sampled_from([0, 0, 4])),
                headers=draw(st.booleans()),
            )
            now, made = _frames(draw, stream, call, now, draw(st.integers(0, 25)))
            _aside(draw, stream, now, ordinal)
            around(draw, stream, now)
            if draw(st.integers(0, 4)):
                now += draw(st.integers(0, 4000))
                by = draw(st.sampled_from(list(EndedBy)))
                style = draw(st.sampled_from([None, None, *Abort]))
                if style is not None:
                    stream.left(T0 + now * MS, style, ordinal=ordinal, number=call)
                    now += draw(st.sampled_from([0, 1, 900]))
                stream.ended(
                    T0 + now * MS,
                    call,
                    frames=made,
                    by=by,
                    status=draw(st.sampled_from([0, 8, 14])),
                    details=draw(st.sampled_from(["", "gone", "Maximum concurrent streams (3) exceeded"])),
                )
        if draw(st.booleans()):
            stream.end(T0 + (now - draw(st.integers(0, 1500))) * MS)
            stream.frames((now + 10) / 1000, 0.1, draw(st.integers(0, 3)), call=1)
        found.append(stream)
    return found


def _preamble(draw: Any, stream: Stream, now: int) -> None:
    for _ in range(draw(st.integers(0, 2))):
        sent = T0 + now * MS
        stream.put(Kind.PROBE, sent + MS, sent_ns=sent, target_ns=sent + draw(st.integers(0, 9)) * MS, wall_ns=sent)
    if draw(st.booleans()):
        stream.wanted(T0 + now * MS, rate=draw(st.sampled_from([0.0, 10.0])))
    stream.put(Kind.CLOCK, T0 + now * MS, offset_ns=draw(st.sampled_from([0, 0, 7 * MS])), round_trip_ns=1000)


def _aside(draw: Any, stream: Stream, now: int, ordinal: int) -> None:
    """Records that belong to no frame."""
    match draw(st.sampled_from(["", "", "off", "user", "probe", "note", "heartbeat", "host", "state", "log"])):
        case "off":
            at = now - draw(st.integers(0, 3000))
            stream.wanted(T0 + at * MS, on=False)
            stream.wanted(T0 + (at + draw(st.integers(0, 2000))) * MS, rate=draw(st.sampled_from([0.0, 5.0])))
        case "user":
            stream.put(
                Kind.USER, T0 + now * MS, code=UserChange.STOPPED, population=stream.text("viewer"), ordinal=ordinal
            )
        case "probe":
            stream.put(Kind.PROBE, T0 + now * MS, sent_ns=T0 + (now - 1) * MS, target_ns=T0 + now * MS, wall_ns=T0)
        case "note":
            stream.put(Kind.NOTE, T0 + now * MS, code=NoteClass.WITNESS_PRESENT, text=stream.text("log"))
        case "heartbeat":
            stream.put(Kind.HEARTBEAT, T0 + now * MS, wall_ns=T0, frames=1)
        case "host":
            _readings(stream, now, draw(st.integers(0, 3)))
        case "state":
            flags = StateFlag.STREAMING_KNOWN | draw(st.sampled_from([StateFlag(0), StateFlag.STREAMING]))
            stream.put(Kind.STATE, T0 + now * MS, flags=int(flags), device=stream.text("cam"))
        case "log":
            sent, dropped = draw(st.integers(0, 30)), draw(st.integers(0, 3))
            line = f"INFO x: {END_LINE} device_id=cam frames_sent={sent} frames_dropped={dropped}"
            stream.put(Kind.LOG, T0 + now * MS, code=LogClass.STREAM_END, line=stream.text(line))
        case _:
            pass


def _readings(stream: Stream, now: int, more: int) -> None:
    """Host, machine and two processes, each second."""
    for second in range(more):
        at, name = T0 + (now - (more - second) * 700) * MS, stream.text("h")
        stream.put(Kind.HOST, at, cpu_ns=second * MS, cores=2, memory_used_bytes=1000 + second, name=name)
        stream.put(Kind.MACHINE, at, disk_busy_ns=second * MS, network_in_bytes=5, interrupts=second, name=name)
        for pid, role in ((1, "target"), (2, "engine")):
            ref = stream.text(role)
            stream.put(Kind.PROCESS, at, cpu_ns=MS, rss_bytes=10**6 + second, threads=3, fds=pid, pid=pid, name=ref)
