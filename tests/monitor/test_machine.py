"""Disk, network and interrupts as increments, and what a platform does not tell."""

from __future__ import annotations

from pathlib import Path

from pvload.monitor.machine import MachineSampler, Reading, busiest_ns, cards, lacking
from pvload.wire.event import Kind
from recorded import Recorded, SetClock


def test_the_machine_is_sampled_with_increments(tmp_path: Path) -> None:
    """The first sample has none; written bytes and context switches of the next are seen."""
    recorded = Recorded(tmp_path / "spool", SetClock())
    sampler = MachineSampler(recorded.recorder, SetClock())
    sampler.sample()
    sampler.sample()
    first, second = recorded.rows(Kind.MACHINE)
    assert [int(first[name]) for name in ("interrupts", "context_switches", "disk_read_bytes")] == [0, 0, 0]
    assert second["context_switches"] > 0
    assert recorded.texts()[int(second["name"])]


def test_the_busiest_disk_counts_and_a_new_one_counts_from_now() -> None:
    """Two disks that are busy half the time each are no busy disk; a counter that went back is 0."""
    last = Reading(0, 0, 0, 0, 0, 0, 0, {"a": 100, "b": 100})
    assert busiest_ns(last, Reading(0, 0, 0, 0, 0, 0, 0, {"a": 130, "b": 170, "c": 999})) == 70
    assert busiest_ns(last, Reading(0, 0, 0, 0, 0, 0, 0, {"a": 30})) == 0
    assert busiest_ns(last, Reading(0, 0, 0, 0, 0, 0, 0, {})) == 0


def test_cards_are_told_from_bridges(tmp_path: Path) -> None:
    """Bytes that pass a bridge pass a card, too; without any card, everything but loopback is taken."""
    for name in ("lo", "br0", "veth1", "eth0"):
        (tmp_path / name).mkdir()
    assert cards(tmp_path) == ("br0", "eth0", "veth1")
    (tmp_path / "eth0" / "device").mkdir()
    assert cards(tmp_path) == ("eth0",)


def test_what_is_lacking_is_a_list_of_words() -> None:
    """Empty on a host that tells everything."""
    assert all(isinstance(one, str) and one for one in lacking())
