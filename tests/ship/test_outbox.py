"""The numbers of a sender."""

from __future__ import annotations

from pvload.ship.outbox import REPEATED_GAP_NS, WINDOW_BATCHES, Outbox


def test_the_window_fills_and_empties() -> None:
    """At most so many batches are in flight; acknowledgements make room."""
    outbox = Outbox()
    outbox.resume(100)
    for at in range(WINDOW_BATCHES):
        assert outbox.has_room()
        outbox.sent_upto(110 + 10 * at)
    assert not outbox.has_room()
    assert outbox.in_flight == 10 * WINDOW_BATCHES
    assert outbox.acknowledge(115)
    assert outbox.has_room()
    assert not outbox.acknowledge(115)
    assert not outbox.acknowledge(90)
    assert outbox.acknowledged == 115


def test_what_another_delivered_is_not_sent() -> None:
    """An acknowledgement beyond what we sent moves sending on."""
    outbox = Outbox()
    outbox.sent_upto(5)
    assert outbox.acknowledge(50)
    assert (outbox.sent, outbox.in_flight) == (50, 0)


def test_a_gap_goes_back_once() -> None:
    """Every batch behind a lost one is answered with the same GAP; only the first of them is news."""
    outbox = Outbox()
    for end in (10, 20, 30):
        outbox.sent_upto(end)
    assert outbox.go_back(10, now_ns=0)
    assert (outbox.sent, outbox.acknowledged) == (10, 10)
    outbox.sent_upto(20)
    assert not outbox.go_back(10, now_ns=1)
    assert outbox.sent == 20
    assert outbox.go_back(10, now_ns=REPEATED_GAP_NS)
    assert not outbox.go_back(5, now_ns=REPEATED_GAP_NS)
    assert not outbox.go_back(99, now_ns=REPEATED_GAP_NS)
