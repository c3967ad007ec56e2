"""Random records beside the frames, for the property tests: changes, calls, storms, watchers, states, actions."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from pvload.wire.codes import ChangeFlag, EndedBy, StateFlag
from pvload.wire.event import Kind
from tests.stats.stream import MS, T0, S, Stream


def around(draw: Any, stream: Stream, now: int) -> None:
    """A few of them at about `now` milliseconds, in an order in which a sender could have recorded them."""
    for _ in range(draw(st.integers(0, 3))):
        at = now + draw(st.integers(-1500, 200))
        match draw(st.sampled_from(["change", "change", "answer", "storm", "told", "state", "camera", "rest"])):
            case "change":
                _change(draw, stream, at)
            case "answer":
                _unary(draw, stream, at, "SetParameter", change=draw(st.integers(0, 3)))
            case "camera":
                _unary(draw, stream, at, draw(st.sampled_from(["StartStream", "StopStream"])), change=0)
            case "storm":
                _storm(draw, stream, at)
            case "told":
                _told(draw, stream, at)
            case "state":
                flags = draw(st.sampled_from([0, StateFlag.STREAMING, StateFlag.PUSHED, StateFlag.ONLINE]))
                flags |= draw(st.sampled_from([0, StateFlag.STREAMING_KNOWN]))
                stream.put(Kind.STATE, T0 + at * MS, ref=5, flags=int(flags), device=stream.text("cam"))
            case _:
                _rest(draw, stream, at)


def _change(draw: Any, stream: Stream, at: int) -> None:
    words, device = stream.text("exposure"), stream.text("cam")
    stream.put(
        Kind.CHANGE,
        T0 + at * MS,
        ref=draw(st.integers(1, 3)),
        code=draw(st.integers(0, 3)),
        flags=draw(st.sampled_from([0, 0, int(ChangeFlag.AGAIN)])),
        device=device,
        text=words,
        exposure_ms=draw(st.sampled_from([0.0, 50.0, 100.0])),
        width=draw(st.sampled_from([0, 0, 64])),
        height=64,
        rate_hz=draw(st.sampled_from([0.0, 20.0])),
    )


def _unary(draw: Any, stream: Stream, at: int, method: str, *, change: int) -> None:
    request = f'{{"device_id":"cam","parameter_name":"p","value":"v{draw(st.integers(0, 9))}"}}'
    texts = {"method": stream.text(method), "device": stream.text("cam"), "request": stream.text(request)}
    texts["population"] = stream.text("probe") if draw(st.booleans()) else 0
    took = draw(st.integers(0, 900))
    stream.put(
        Kind.UNARY,
        T0 + (at + took) * MS,
        sent_ns=T0 + at * MS,
        due_ns=T0 + at * MS,
        status=draw(st.sampled_from([0, 0, 3, 4])),
        details=stream.text("Cannot change exposure while streaming"),
        number=draw(st.integers(-1, 50)),
        change=change,
        **texts,
    )


def _storm(draw: Any, stream: Stream, at: int) -> None:
    texts = {"population": stream.text("storm"), "ordinal": draw(st.integers(0, 1))}
    more = {"method": stream.text("SetParameter"), "device": stream.text("cam")}
    for _ in range(draw(st.integers(0, 6))):
        due = at - draw(st.integers(0, 1500))
        stream.put(
            Kind.CALLED,
            T0 + (at + draw(st.integers(0, 300))) * MS,
            ref=9,
            due_ns=T0 + due * MS,
            sent_ns=T0 + due * MS,
            counter=draw(st.integers(-1, 20)),
            status=draw(st.sampled_from([0, 0, 0, 3, 14])),
            flags=draw(st.sampled_from([0, 0, 1])),
            **texts,
            **more,
        )
    if draw(st.booleans()):
        rate, due = draw(st.sampled_from([10.0, 20.0, 40.0])), draw(st.integers(0, 9))
        stream.put(
            Kind.OFFERED,
            T0 + at * MS,
            ref=9,
            interval_ns=S,
            rate_hz=rate,
            due=due,
            sent=due,
            answered=draw(st.integers(0, due)),
            ok=draw(st.integers(0, due)),
            held_ns=draw(st.integers(0, S)),
            lateness_ns=draw(st.integers(0, 2 * S)),
            **texts,
        )


def _told(draw: Any, stream: Stream, at: int) -> None:
    ref, device = draw(st.integers(50, 52)), stream.text("cam")
    name, watcher = stream.text(draw(st.sampled_from(["p", "q"]))), stream.text("watcher")
    if draw(st.booleans()):
        stream.put(Kind.WATCHING, T0 + at * MS, ref=ref, device=device, population=watcher, ordinal=ref)
    for _ in range(draw(st.integers(0, 4))):
        counter, source = draw(st.integers(-1, 20)), draw(st.integers(0, 2))
        stream.put(Kind.PARAMETER, T0 + at * MS, ref=ref, device=device, name=name, counter=counter, code=source)
        value = float(draw(st.integers(-5, 5)))
        stream.put(Kind.OBSERVABLE, T0 + at * MS, ref=ref, device=device, name=name, value=value)
    if draw(st.booleans()):
        stream.put(Kind.WATCHED, T0 + at * MS, ref=ref, code=EndedBy.SERVER, status=14)


def _rest(draw: Any, stream: Stream, at: int) -> None:
    stream.put(Kind.HEALTH, T0 + at * MS, code=draw(st.integers(0, 3)), heartbeat_age_ns=draw(st.integers(-1, S)))
    stream.put(Kind.ACTION, T0 + at * MS, number=draw(st.integers(0, 3)), code=draw(st.integers(0, 3)))
    stream.put(Kind.DAEMON, T0 + at * MS, code=draw(st.integers(0, 1)))
