"""The daemon as a child: started, waited for, stopped, started again; what is said where it does not do its part."""

from __future__ import annotations

import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest

from drive import free_port, until
from pvload.clock import SystemClock
from pvload.load.children import ChildError
from pvload.load.daemon import ANSWERS, ASKED_TO_STOP, GONE, STARTED, Daemon, Happened, environment, is_its_own_peer
from pvload.profiles.schema import Target
from pvload.wire.log_level import RUST_LOG

LISTENS = """
import os, signal, socket, sys, time
print("listening", os.environ["RUST_LOG"], os.environ.get("MINE"), flush=True)
print("warnings go here", file=sys.stderr, flush=True)
def end(*_):
    print("ends", flush=True)
    sys.exit(0)
signal.signal(signal.SIGINT, end if sys.argv[2] == "tame" else signal.SIG_IGN)
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    listener.accept()
"""


class _Case:
    """A daemon of a few lines, and what was told of it."""

    def __init__(self, folder: Path, start: str, port: int, **fields: Any) -> None:
        self.folder = folder
        self.told: list[Happened] = []
        self.gone: list[ChildError] = []
        target = Target(address=f"127.0.0.1:{port}", start=start, **fields)
        self.is_over: Callable[[], bool] = lambda: False
        self.daemon = Daemon(
            target,
            folder,
            SystemClock(),
            on_event=self.told.append,
            on_gone=self.gone.append,
            is_over=lambda: self.is_over(),
        )

    @property
    def codes(self) -> list[int]:
        return [one.code for one in self.told]


def _listening(folder: Path, manner: str = "tame", **fields: Any) -> _Case:
    script, port = folder / "listens.py", free_port()
    script.write_text(LISTENS)
    return _Case(folder, f"{sys.executable} {script} {port} {manner}", port, **fields)


def test_a_connection_to_itself_is_no_daemon() -> None:
    """Our own end may be given the very port that is tried: then nobody listens there."""
    with socket.socket() as own:
        own.bind(("127.0.0.1", 0))
        own.connect(own.getsockname())
        assert is_its_own_peer(own)
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()) as own:
        assert not is_its_own_peer(own)


def test_a_daemon_is_started_restarted_and_stopped(tmp_path: Path) -> None:
    case = _listening(tmp_path, env={"MINE": "yes"})
    case.daemon.start()
    first = case.daemon.pid
    assert case.daemon.restart() == 0
    assert case.daemon.pid not in (0, first)
    assert case.daemon.stop() == 0
    assert case.daemon.pid == 0
    assert case.codes == [STARTED, ANSWERS, ASKED_TO_STOP, GONE] * 2
    assert [one.pid for one in case.told[:4]] == [first] * 4
    assert (tmp_path / "daemon.log").read_text() == f"listening {RUST_LOG} yes\nends\n" * 2
    assert (tmp_path / "daemon-stderr.log").read_text() == "warnings go here\n" * 2
    assert not case.gone, "nobody wonders about an end that was ordered"


def test_one_that_does_not_stop_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pvload.load.daemon.STOP_TIMEOUT_S", 0.3)
    case = _listening(tmp_path, "deaf")
    case.daemon.start()
    assert case.daemon.stop() == -signal.SIGKILL
    assert [one.details for one in case.told if one.code == ASKED_TO_STOP][1].startswith("SIGKILL")
    assert case.told[-1].exit_status == -signal.SIGKILL


def test_one_that_dies_is_told_with_its_last_lines(tmp_path: Path) -> None:
    case = _listening(tmp_path)
    case.daemon.start()
    gevent.sleep(0)  # its watch begins
    os.kill(case.daemon.pid, signal.SIGKILL)
    until(lambda: gevent.sleep(0.01) or case.gone, 10.0, "its end was told")
    assert "ended by itself: signal SIGKILL" in case.gone[0].message
    assert "daemon-stderr.log: warnings go here" in case.gone[0].hint
    assert case.codes[-1] == GONE


@pytest.mark.parametrize(
    ("start", "says"),
    [
        ("/bin/sh -c 'echo no camera >&2; exit 7'", ["ended by itself: exit status 7", "daemon-stderr.log: no camera"]),
        ("/no/such/daemon --now", ["cannot be started", "/no/such/daemon"]),
        ("/bin/sh -c 'sleep 60 & wait'", ["does not listen", "0.5 s after its start", "it printed nothing"]),
    ],
)
def test_one_that_never_answers_says_why(tmp_path: Path, start: str, says: list[str]) -> None:
    case = _Case(tmp_path, start, free_port(), start_within=0.5)
    with pytest.raises(ChildError) as caught:
        case.daemon.start()
    assert all(words in str(caught.value) for words in says), str(caught.value)
    assert case.daemon.pid == 0


@pytest.fixture(params=["as usual", "deaf"])
def sigint(request: pytest.FixtureRequest) -> Iterator[str]:
    """As a person starts pvload, and as a shell's background command: SIGINT does not reach it, nor what it starts."""
    before = signal.getsignal(signal.SIGINT)
    signal.signal(signal.SIGINT, signal.SIG_IGN if request.param == "deaf" else signal.default_int_handler)
    yield request.param
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("sigint")
def test_one_that_nobody_waits_for_any_more_is_stopped_at_once(tmp_path: Path) -> None:
    """The end of the run was asked for while it was starting: it is not waited for until its time is over."""
    case = _Case(tmp_path, "/bin/sh -c 'echo up; sleep 60 & wait'", free_port(), start_within=60)
    case.is_over = lambda: "up" in (tmp_path / "daemon.log").read_text()
    began = time.monotonic()
    with pytest.raises(ChildError, match="not waited for any longer"):
        case.daemon.start()
    assert time.monotonic() - began < 20
    assert case.daemon.pid == 0
    assert case.codes == [STARTED, ASKED_TO_STOP, GONE]


def test_a_taken_address_is_not_taken_for_the_daemons(tmp_path: Path) -> None:
    there = _listening(tmp_path)
    there.daemon.start()
    try:
        port = int(there.daemon._target.address.rpartition(":")[2])
        with pytest.raises(ChildError, match=r"listens on .* already"):
            _Case(tmp_path, "never-started", port).daemon.start()
    finally:
        there.daemon.stop()


def test_the_profile_has_the_last_word_on_the_environment() -> None:
    given = environment({"PATH": "/bin", "RUST_LOG": "off"}, Target(env={"RUST_LOG": "trace", "X": "1"}))
    assert given == {"PATH": "/bin", "RUST_LOG": "trace", "NO_COLOR": "1", "X": "1"}
