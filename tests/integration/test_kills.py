"""Kill -9 of the engine and the collector during a run loses nothing and doubles nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from kills import run_with_kills


def test_twenty_kills_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    """Every record that an engine committed is in the journal exactly once, whichever process was killed when."""
    account = run_with_kills(tmp_path, seed=1, kills=20)
    assert account.counted > 1000
    assert account.faults() == []
    assert replace(account, delivered=account.delivered - 1 - 8 * account.engine_kills).faults()
