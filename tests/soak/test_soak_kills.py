"""Two hundred kills of collector and sender: nothing is lost, nothing is doubled."""

from __future__ import annotations

from pathlib import Path

import pytest

from killing import Scene


@pytest.mark.soak
@pytest.mark.parametrize("seed", [11, 12, 13, 14])
def test_fifty_kills_lose_and_double_nothing(tmp_path: Path, seed: int) -> None:
    """As in the short test, for longer."""
    scene = Scene(tmp_path, seed=seed)
    try:
        scene.wreak(50)
        scene.end()
    finally:
        scene.close()
    balance = scene.balance()
    assert balance.committed > 0
    assert (balance.lost, balance.doubled) == (0, 0), balance
    assert balance.delivered >= balance.committed
