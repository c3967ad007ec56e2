"""What Locust is told sums up exactly, error texts do not multiply, and the pipes keep their order and their bounds."""

from __future__ import annotations

import os
import threading

import pytest

from pvload.engine import outbox
from pvload.engine.outbox import Outbox, read_lines
from pvload.engine.tally import ERRORS_LIMIT, OTHER, Tally, normalised, rounded_ms
from pvload.wire import command

MS = 1_000_000


@pytest.mark.parametrize(
    ("interval_ns", "ms"),
    [(0, 0), (99 * MS + 400_000, 99), (147 * MS, 150), (3432 * MS, 3400), (58_760 * MS, 59_000)],
    ids=["zero", "ms", "tens", "hundreds", "seconds"],
)
def test_intervals_are_rounded_as_locust_rounds(interval_ns: int, ms: int) -> None:
    assert rounded_ms(interval_ns) == ms


@pytest.mark.parametrize(
    ("details", "text"),
    [
        ("", "INTERNAL"),
        ("ipv4:127.0.0.1:4711: Failed to connect: Connection refused (111)", "INTERNAL: Connection refused"),
        ("call 17 at 0xdeadBEEF took 3.5 s\nmore", "INTERNAL: call # at # took # s"),
        ("x" * 300, "INTERNAL: " + "x" * 80),
    ],
    ids=["none", "known", "numbers", "long"],
)
def test_error_texts_lose_what_differs_between_streams(details: str, text: str) -> None:
    assert normalised("INTERNAL", details) == text


def test_a_tally_sums_up_and_begins_anew() -> None:
    tally = Tally("viewer")
    tally.open_streams = 2
    tally.frame(10, -1)
    for interval_ms in (100, 90, 104):
        tally.frame(10, interval_ms * MS)
    tally.error("INTERNAL", "a")
    taken = tally.take()
    assert (taken.frames, taken.message_bytes, taken.open_streams) == (4, 40, 2)
    assert (taken.interval_ns_total, taken.interval_ns_min, taken.interval_ns_max) == (294 * MS, 90 * MS, 104 * MS)
    assert taken.interval_ms_histogram == {"100": 2, "90": 1}
    assert taken.errors == {"INTERNAL: a": 1}
    again = tally.take()
    assert (again.frames, again.interval_ns_min, again.errors, again.open_streams) == (0, 0, {}, 2)


def test_kinds_of_error_are_bounded() -> None:
    tally = Tally("viewer")
    for kind in range(ERRORS_LIMIT + 5):
        tally.error("INTERNAL", "e" * (kind + 1))
    errors = tally.take().errors
    assert len(errors) == ERRORS_LIMIT + 1
    assert errors[OTHER] == 5


def test_lines_come_whole_and_in_order_until_the_end() -> None:
    reading, writing = os.pipe()
    lines: list[bytes] = []
    ended = threading.Event()
    thread = threading.Thread(target=read_lines, args=(reading, lines.append, ended.set))
    thread.start()
    for piece in (b'{"a"', b":1}\n\n{", b'"b":2}\n{"c', b'":3}\nrest'):
        os.write(writing, piece)
    os.close(writing)
    thread.join(10)
    os.close(reading)
    assert ended.is_set()
    assert lines == [b'{"a":1}', b'{"b":2}', b'{"c":3}']


def test_a_line_without_end_ends_the_talk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "LINE_LIMIT_BYTES", 100)
    reading, writing = os.pipe()
    os.write(writing, b"x" * 200)
    ended = threading.Event()
    read_lines(reading, lambda _: None, ended.set)
    os.close(writing)
    os.close(reading)
    assert ended.is_set()


def test_answers_are_written_in_order_and_a_full_line_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "ANSWERS_LIMIT", 8)
    reading, writing = os.pipe()
    box = Outbox(writing)
    for number in range(10):
        box.send(command.Failed(id=number, reason=""))
    box.send(Tally("viewer").take())
    assert box.dropped == 3
    box.start()
    box.close(10)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        ids = [getattr(command.answer_from_line(line), "id", None) for line in pipe]
    assert ids == list(range(8))


def test_a_worker_that_is_gone_does_not_hold_the_engine_up() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    box = Outbox(writing)
    box.start()
    box.send(command.Failed(id=1, reason=""))
    box.close(10)
    box.send(command.Failed(id=2, reason=""))
    os.close(writing)
