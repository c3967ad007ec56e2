"""The command line that `pvload run` makes, and what it shows while it waits."""

from __future__ import annotations

import io
from pathlib import Path

from pvload.run.command import LOCUSTFILE, Wish, arguments, environment
from pvload.run.progress import LineDisplay, Stillness, TerminalDisplay, display_on, line, rows
from pvload.wire.live import Live, LiveAccounting, LiveFigures


def _live(**more: object) -> Live:
    figures = LiveFigures(
        elapsed_s=75.0, streams_open=3, frames=2250, fps=29.7, missing=4, stalls=1, longest_stall_s=2.5, age_p99_ms=3.21
    )
    values = {"run": "0" * 32, "state": "running", "wall_ns": 0, "verdict": "FAIL", **more}
    return Live(figures=figures, accounting=LiveAccounting(), **values)  # type: ignore[arg-type] # a table of test values


def test_every_wish_stands_on_locusts_command_line() -> None:
    """And the locustfile is there."""
    wish = Wish(
        profile="quick",
        duration="20s",
        frames=9,
        target="h:1",
        overrides=("a.b=c",),
        labels=("k=v",),
        workers=2,
        force=True,
        runs=Path("out"),
        said=("pvload", "run", "a b"),
    )
    words = " ".join(arguments(wish, port=4711)[1:])
    assert LOCUSTFILE.is_file()
    for part in (
        "--headless",
        "--pvload-profile quick",
        "--pvload-duration 20s",
        "--pvload-frames 9",
        "--pvload-target h:1",
        "--pvload-set=a.b=c",
        "--pvload-label=k=v",
        "--processes 2",
        "--master-port 4711",
        "--pvload-force",
        "--pvload-runs out",
        "--pvload-command=pvload run 'a b'",
    ):
        assert part in words
    plain = arguments(Wish(profile="quick"), port=0)
    assert not {"--processes", "--pvload-force", "--pvload-target", "--pvload-duration"} & set(plain)


def test_locusts_variables_do_not_reach_the_child() -> None:
    """What is run is what the command line says."""
    assert environment({"LOCUST_RUN_TIME": "1s", "HOME": "/h"}) == {"HOME": "/h"}


def test_progress_says_what_a_person_wants_to_know() -> None:
    """Also before anything was recorded, and when the collector is in trouble."""
    shown = dict(rows(_live(trouble="disk full"), 80, 1800))
    assert shown["elapsed"] == "1:15 of 30:00"
    assert (shown["streams"], shown["frames"], shown["fps"]) == ("3", "2,250", "29.7 in all")
    assert shown["stalls"] == "1, longest 2.5 s"
    assert (shown["age p99"], shown["own lag"], shown["so far"]) == ("3.2 ms", "-", "FAIL")
    assert shown["trouble"] == "disk full"
    assert line(None, 7325, 0) == "elapsed 2:02:05, nothing recorded yet"


def test_what_stands_still_is_said() -> None:
    """A stall that is still going on, and figures that the collector does not write any more."""
    still = Stillness(1.5)
    assert still.rows(None, 0.0) == []
    assert still.rows(_live(wall_ns=1), 10.0) == []
    assert still.rows(_live(wall_ns=2), 11.9) == []
    assert still.rows(_live(wall_ns=3), 12.2) == [("silent for", "2.2 s")]
    assert still.rows(_live(wall_ns=3), 24.2) == [("these figures are", "12 s old")]
    assert "silent for 2.2 s" in line(_live(), 80, 1800, [("silent for", "2.2 s")])
    assert Stillness(30.0).rows(_live(wall_ns=1), 40.0) == []


def test_lines_where_there_is_no_terminal_and_a_table_where_there_is_one() -> None:
    """Both take the same figures; a line stays for each call."""
    pipe = io.StringIO()
    with display_on(pipe) as display:
        assert isinstance(display, LineDisplay)
        display.show(_live(), 75, 1800)
        display.say("note: something")
    assert pipe.getvalue().splitlines()[0].startswith("elapsed 1:15 of 30:00  streams 3")
    terminal = _Terminal()
    with display_on(terminal) as display:
        assert isinstance(display, TerminalDisplay)
        display.show(_live(), 75, 1800)
        display.say("note: something")
    assert "2,250" in terminal.getvalue()
    assert "note: something" in terminal.getvalue()


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True
