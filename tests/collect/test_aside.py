"""Work aside: what it says, what it must not disturb, and that it leaves no process behind."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import psutil
import pytest

from pvload.collect.aside import Aside

PATIENCE_S = 20.0


def said(aside: Aside) -> str | None:
    """Waits for the end of the work."""
    until = time.monotonic() + PATIENCE_S
    while aside.is_busy() and time.monotonic() < until:
        text = aside.text()
        if text is not None:
            return text
        time.sleep(0.01)
    assert not aside.is_busy()
    return None


def children() -> set[int]:
    """Processes that this one made and did not wait for."""
    return {child.pid for child in psutil.Process().children()}


def test_it_says_what_the_work_came_to_and_can_work_again() -> None:
    """The text comes once; what the work changes is changed in the copy alone."""
    seen: list[int] = []

    def work() -> str:
        seen.append(1)
        return f"PASS {len(seen)}"

    aside, before = Aside(work), children()
    assert aside.text() is None
    for _ in range(2):
        aside.begin()
        assert aside.is_busy()
        assert said(aside) == "PASS 1"
        assert aside.text() is None
    assert seen == []
    assert children() <= before


def test_what_fails_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """A failure in the copy is no failure here."""

    def work() -> str:
        raise ValueError("no")

    aside = Aside(work)
    aside.begin()
    assert said(aside) is None
    assert not aside.is_busy()


@pytest.mark.parametrize("seconds", [0.0, 0.2])
def test_close_ends_work_that_goes_on(seconds: float) -> None:
    """However long the work would take."""
    sleep: Callable[[float], None] = time.sleep

    def work() -> str:
        sleep(PATIENCE_S * 10)
        return "never"

    before = children()
    aside = Aside(work)
    aside.begin()
    time.sleep(seconds)
    assert aside.text() is None
    began = time.monotonic()
    aside.close()
    aside.close()
    assert time.monotonic() - began < PATIENCE_S
    assert not aside.is_busy()
    assert children() <= before


def test_the_copy_holds_no_file_of_the_process() -> None:
    """Of what was open here, the copy keeps the standard three and its own pipe; counting opens one more."""
    reading, writing = os.pipe()

    def work() -> str:
        return str(psutil.Process().num_fds())

    aside = Aside(work)
    aside.begin()
    try:
        assert int(said(aside) or 0) in (4, 5)
    finally:
        os.close(reading)
        os.close(writing)
