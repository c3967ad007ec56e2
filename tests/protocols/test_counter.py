"""The counter that a written value carries is the one found in what a service tells of it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvload.errors import FormatError
from pvload.protocols.counter import Template, change_counter

FOUND = [
    ("17", 17),
    ("0", 0),
    ("17.0", 17_000_000),
    ("10.000123", 10_000_123),
    ("1e-05", 10),
    ('"v000123"', 123),
    ("sweep 7 of 9 (x)", 9),
    ('"Timed"', -1),
    ("-3", -1),
    ("true", -1),
    ("", -1),
    ('{"x":1,"y":2}', -1),
    ("[2,2]", -1),
    ("9" * 30, 999_999_999_999_999_999),
]


@pytest.mark.parametrize(("value", "counter"), FOUND, ids=[value or "empty" for value, _ in FOUND])
def test_a_counter_is_found(value: str, counter: int) -> None:
    assert change_counter(value) == counter


@given(n=st.integers(0, 10**9), text=st.sampled_from(["{n}", "{10+n}", "{0.5+n}", '"v{n}"', "{9999.999999+n}"]))
def test_what_is_written_is_found_again_as_a_64_bit_float_tells_it(n: int, text: str) -> None:
    value, counter = Template(text).value(n)
    assert change_counter(value) == counter
    assert change_counter(json.dumps(json.loads(value))) == counter
    if "+" in text:
        assert change_counter(json.dumps(float(value) / 1000 * 1000)) == counter, "by way of seconds"


def test_counters_rise_with_n() -> None:
    assert Template("{10+n}").value(123) == ("10.000123", 10_000_123)
    assert Template("{0.5+n}").value(600_000) == ("1.100000", 1_100_000)
    assert Template("v{n}").value(4) == ("v4", 4)
    assert Template("Timed").value(4) == ("Timed", -1)
    with pytest.raises(FormatError):
        Template("{n} {n}")
