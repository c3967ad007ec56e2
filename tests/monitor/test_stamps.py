"""Stamps and levels behind a journal's prefix and in foreign time zones."""

from __future__ import annotations

import pytest

from pvload.monitor.stamps import Stamped, stamped

AT_NS = 1795260185_511150000
OWN = "2026-11-21T11:23:05.511150Z  WARN daq_driver_pvcam: using mock mode"
TEXT = "WARN daq_driver_pvcam: using mock mode"


@pytest.mark.parametrize(
    ("word", "line", "expected"),
    [
        ("as the daemon prints it", OWN, Stamped(AT_NS, "WARN", TEXT)),
        ("journal, short", f"Nov 21 12:23:06 lab rust-daq[417]: {OWN}", Stamped(AT_NS, "WARN", TEXT)),
        ("journal, ISO", f"2026-11-21T12:23:06+0100 lab rust-daq[417]: {OWN}", Stamped(AT_NS, "WARN", TEXT)),
        ("journal of one unit, no host", f"Nov 21 12:23:06 rust-daq[417]: {OWN}", Stamped(AT_NS, "WARN", TEXT)),
        ("docker compose", f"daemon-1  | {OWN}", Stamped(AT_NS, "WARN", TEXT)),
        (
            "another time zone in the daemon's own stamp",
            OWN.replace("11:23:05.511150Z", "06:53:05.511150-04:30"),
            Stamped(AT_NS, "WARN", TEXT),
        ),
        (
            "stderr through the journal, ISO: the journal's stamp",
            "2026-11-21T12:23:05.511150+01:00 lab rust-daq[417]: [PVCAM DEBUG] Timeouts: 1",
            Stamped(AT_NS, "", "[PVCAM DEBUG] Timeouts: 1"),
        ),
        (
            "stderr through the journal, short: no year and no zone, so no time",
            "Nov 21 12:23:05 lab rust-daq[417]: [PVCAM DEBUG] Timeouts: 1",
            Stamped(None, "", "[PVCAM DEBUG] Timeouts: 1"),
        ),
        ("a stamp in the middle of a text is none", "x" * 200 + OWN, Stamped(None, "", "x" * 200 + OWN)),
        ("no time at all", "2026-13-41T11:23:05Z  INFO a: b", Stamped(None, "INFO", "INFO a: b")),
        ("plain", "Daemon running", Stamped(None, "", "Daemon running")),
    ],
)
def test_the_daemons_own_stamp_counts(word: str, line: str, expected: Stamped) -> None:
    """Whatever stands before it; a journal's counts where the daemon has none."""
    assert stamped(line) == expected, word
