"""Commands and answers survive their line, and a bad line says what is wrong with it."""

from __future__ import annotations

import pytest

from pvload.errors import FormatError
from pvload.wire import command

COMMANDS = [
    command.Start(
        run="ab", worker="w", incarnation=1, collector="tcp://127.0.0.1:1", spool="s", target={"device": "x"}
    ),
    command.Open(id=7, population="viewer", ordinal=1, number=2, device="prime_bsi", max_fps=30),
    command.Close(id=7),
    command.Call(id=8, method="SetParameter", arguments={"value": '{"x":0}\n'}, due_ns=5),
    command.Wanted(device="prime_bsi", at_ns=1, wanted=True, rate_hz=10.0),
    command.User(population="viewer", ordinal=0, change="spawned"),
    command.Note(note="info", text="ü\n"),
    command.Probe(id=9, device="d", parameter="p"),
    command.RunEnd(at_ns=3, reason="duration", warm_up_ns=1, planned_ns=2),
    command.Finish(),
]


@pytest.mark.parametrize("message", COMMANDS, ids=lambda message: message.NAME)
def test_a_command_comes_back_equal_from_its_one_line(message: command.Command) -> None:
    line = command.to_line(message)
    assert line.count(b"\n") == 1
    assert command.command_from_line(line) == message


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        (b"not json", "not a JSON object"),
        (b"[1]", "says what it is"),
        (b'{"is":"fly"}', "unknown command 'fly', expected one of start"),
        (b'{"is":"close"}', "id"),
        (b'{"is":"close","id":1,"colour":2}', "colour"),
    ],
    ids=["no json", "no object", "unknown name", "missing field", "unknown field"],
)
def test_a_bad_line_is_refused_with_what_was_expected(line: bytes, complaint: str) -> None:
    with pytest.raises(FormatError, match=complaint):
        command.command_from_line(line)


def test_an_answer_comes_back_equal_and_a_command_is_no_answer() -> None:
    ended = command.Ended(id=1, by="server", status="UNAVAILABLE", details="Socket closed", frames=85)
    assert command.answer_from_line(command.to_line(ended)) == ended
    with pytest.raises(FormatError, match="unknown answer"):
        command.answer_from_line(command.to_line(command.Finish()))
