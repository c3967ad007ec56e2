"""A class that floods the log is bounded in the records and exact in the counts."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from pvload.clock import NS_PER_MS, NS_PER_S
from pvload.monitor.allowance import LINES_PER_S, Admitted, Allowance, Seen
from pvload.monitor.tokens import Classified
from pvload.wire.codes import LogClass

_CLASSES = [LogClass.OTHER, LogClass.DROP, LogClass.DRIVER_ERROR, LogClass.SLOW_OBSERVER]


def seen(log_class: LogClass, number: int, t_ns: int) -> Seen:
    return Seen(Classified(log_class, "", None, f"line {number}"), number, t_ns)


@given(st.lists(st.tuples(st.sampled_from(_CLASSES), st.integers(0, 200)), max_size=400))
def test_recorded_and_suppressed_lines_add_up(steps: list[tuple[LogClass, int]]) -> None:
    """Whatever comes when: 1 + suppressed summed over a class's records is the number of its lines; OTHER has none."""
    allowance, now_ns, admitted, offered = Allowance(), 0, [], Counter[LogClass]()
    for number, (log_class, pause_ms) in enumerate(steps):
        now_ns += pause_ms * NS_PER_MS
        offered[log_class] += 1
        admitted += allowance.over(now_ns)
        admitted += allowance.offer(seen(log_class, number, now_ns))
    admitted += allowance.rest()
    counted = Counter[LogClass]()
    for each in admitted:
        counted[each.seen.line.log_class] += 1 + each.suppressed
    offered.pop(LogClass.OTHER, None)
    assert counted == offered
    assert allowance.suppressed.total() == sum(each.suppressed for each in admitted)


def test_a_second_passes_its_rate_and_holds_the_rest_back() -> None:
    """50 refusals in one second: the first ones are recorded, the last one stands for the others."""
    allowance = Allowance()
    passed: list[Admitted] = []
    for number in range(50):
        passed += allowance.offer(seen(LogClass.LIMIT, number, NS_PER_S + number))
    assert [each.seen.number for each in passed] == list(range(LINES_PER_S))
    assert list(allowance.over(NS_PER_S + 50)) == []
    (held,) = allowance.over(2 * NS_PER_S)
    assert (held.seen.number, held.suppressed) == (49, 50 - LINES_PER_S - 1)
    assert list(allowance.rest()) == []


def test_a_new_second_has_its_full_rate_again() -> None:
    """What was held back goes out before the new second's first line."""
    allowance = Allowance()
    for number in range(LINES_PER_S + 2):
        list(allowance.offer(seen(LogClass.LIMIT, number, 0)))
    out = list(allowance.offer(seen(LogClass.LIMIT, 99, NS_PER_S)))
    assert [(each.seen.number, each.suppressed) for each in out] == [(LINES_PER_S + 1, 1), (99, 0)]
