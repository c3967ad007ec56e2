"""Ordinals: the lowest free one, kept over reconnect, freed with the worker."""

from __future__ import annotations

from pvload.load.seats import Seats


def test_the_lowest_free_ordinal_of_the_population_is_given() -> None:
    """Populations count apart, and a freed seat is the next one's."""
    seats = Seats()
    assert [seats.claim("viewer", "a")[0] for _ in range(3)] == [0, 1, 2]
    assert seats.claim("preview", "a") == (0, 0)
    seats.release("viewer", 1, "a")
    assert seats.claim("viewer", "b")[0] == 1
    assert seats.claim("viewer", "b")[0] == 3


def test_calls_are_counted_on_over_a_change_of_worker() -> None:
    """Whoever takes the seat next continues the subscriber's numbering."""
    seats = Seats()
    seats.claim("viewer", "a")
    seats.opened("viewer", 0, 1)
    seats.opened("viewer", 0, 2)
    seats.keep_only(["b"])
    assert seats.claim("viewer", "b") == (0, 2)


def test_a_late_release_does_not_free_what_another_node_has_taken() -> None:
    """The worker was thought lost, its seat was given away, and then it says goodbye."""
    seats = Seats()
    seats.claim("viewer", "a")
    seats.keep_only([])
    seats.claim("viewer", "b")
    seats.release("viewer", 0, "a")
    assert seats.taken() == {("viewer", 0)}
