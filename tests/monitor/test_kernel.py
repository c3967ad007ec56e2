"""The kernel's USB lines: which they are, when they were written, and what is said where they may not be read."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path

import pytest

from pvload.clock import NS_PER_MS, NS_PER_S
from pvload.monitor.kernel import KernelAxis, KernelLog, usb_record, usb_text
from pvload.monitor.witness import KernelWitness
from pvload.wire.codes import LogClass, NoteClass
from pvload.wire.event import Kind
from recorded import Recorded, SetClock


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (b"6,339,5140900,-;usb 2-1: USB disconnect, device number 3\n", "usb 2-1: USB disconnect, device number 3"),
        (b"3,340,5140900,-;xhci_hcd 0000:00:14.0: HC died; cleaning up", "xhci_hcd 0000:00:14.0: HC died; cleaning up"),
        (b"4,341,5140900,-,caller=T7;reset done\n SUBSYSTEM=usb\n DEVICE=c189:1\n", "reset done"),
        (b"6,342,5140900,-;eth0: link becomes ready\n", None),
        (b"6,342,5140900,-;a busbar is no bus\n", None),
        (b"no record", None),
    ],
)
def test_usb_lines_are_told_from_others(record: bytes, expected: str | None) -> None:
    """By their words or by the subsystem that the kernel names; the stamp is in microseconds."""
    assert usb_record(record) == (None if expected is None else (5140900 * 1000, expected))


def test_a_journals_lines_too() -> None:
    """As `journalctl -k` prints them."""
    assert usb_text("2026-11-21T11:23:05.5+0000 lab kernel: usb 1-1: reset high-speed USB device") != ""
    assert usb_text("2026-11-21T11:23:05.5+0000 lab kernel: eth0: link down") == ""
    assert usb_text("-- Journal begins --") == ""


def test_stamps_of_a_drifting_clock_fall_where_they_were_written() -> None:
    """The smallest distance seen between reading and stamp is the two clocks' own."""
    axis, drift = KernelAxis(), -7 * NS_PER_S
    assert axis.at_ns(10 * NS_PER_S + drift, 10 * NS_PER_S + 80 * NS_PER_MS) == 10 * NS_PER_S + 80 * NS_PER_MS
    assert axis.at_ns(20 * NS_PER_S + drift, 20 * NS_PER_S + 5 * NS_PER_MS) == 20 * NS_PER_S + 5 * NS_PER_MS
    assert axis.at_ns(30 * NS_PER_S + drift, 30 * NS_PER_S + 90 * NS_PER_MS) == 30 * NS_PER_S + 5 * NS_PER_MS


def test_usb_lines_become_records_at_the_time_they_were_written(tmp_path: Path) -> None:
    """Others do not; one message of the device is one line."""
    ours, kernels = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    clock = SetClock(50 * NS_PER_S)
    recorded = Recorded(tmp_path, clock)
    witness = KernelWitness(KernelLog(clock, opened=lambda: os.dup(ours.fileno())), recorded.recorder, clock)
    witness.start()
    kernels.send(b"6,1,40000000,-;usb 2-1: reset SuperSpeed USB device\n")
    kernels.send(b"6,2,40000000,-;eth0: link down\n")
    witness.poll()
    kernels.send(b"6,3,41000000,-;usb 2-1: device descriptor read/64, error -110\n")
    clock.now_ns = 52 * NS_PER_S
    witness.finish()
    first, second = recorded.rows(Kind.LOG)
    assert (first["code"], second["code"]) == (LogClass.USB, LogClass.USB)
    assert second["logged_wall_ns"] - first["logged_wall_ns"] == NS_PER_S
    assert recorded.texts()[int(second["line"])] == "usb 2-1: device descriptor read/64, error -110"
    assert recorded.notes() == []
    ours.close()
    kernels.close()


def refused() -> int:
    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def test_a_kernel_log_that_may_not_be_read_is_said_once(tmp_path: Path) -> None:
    """No failure, one note."""
    clock = SetClock()
    recorded = Recorded(tmp_path, clock)
    witness = KernelWitness(KernelLog(clock, opened=refused, journal=lambda: False), recorded.recorder, clock)
    witness.start()
    for _ in range(3):
        witness.poll()
    witness.finish()
    ((code, text, _),) = recorded.notes()
    assert code == NoteClass.INFO
    assert "Permission denied" in text
    assert "USB trouble is not seen" in text
