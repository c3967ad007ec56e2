"""Two hundred kills of the real engine and collector during real runs: nothing is lost, nothing is doubled."""

from __future__ import annotations

from pathlib import Path

import pytest

from kills import run_with_kills


@pytest.mark.soak
@pytest.mark.parametrize("seed", [21, 22, 23, 24])
def test_fifty_kills_of_a_run_lose_and_double_nothing(tmp_path: Path, seed: int) -> None:
    """As in the short test, for longer."""
    account = run_with_kills(tmp_path, seed=seed, kills=50)
    assert account.counted > 1000
    assert account.faults() == []
