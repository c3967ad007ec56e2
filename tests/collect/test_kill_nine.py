"""kill -9 of collector and sender: nothing committed to a spool is lost, nothing is counted twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from killing import Scene


@pytest.mark.parametrize("seed", [1, 2])
def test_kills_of_collector_and_sender_lose_and_double_nothing(tmp_path: Path, seed: int) -> None:
    """Ten kills a seed at random moments, restarts, an end in order: the journal holds what was committed, once."""
    scene = Scene(tmp_path, seed=seed)
    try:
        scene.wreak(10)
        scene.end()
    finally:
        scene.close()
    balance = scene.balance()
    print(balance)
    assert balance.committed > 0
    assert (balance.lost, balance.doubled) == (0, 0), balance


def test_the_count_of_doubles_notices_a_missing_dedupe_rule(tmp_path: Path) -> None:
    """With an intake that takes old records again, a kill of the sender leaves doubles: the check above can fail."""
    scene = Scene(tmp_path, seed=3, options=("keep-old",))
    try:
        scene.wait_for_delivery()
        scene.replace_sender(collector_hangs=False)
        scene.end()
    finally:
        scene.close()
    assert scene.balance().doubled > 0
