"""What a code says of a call: a daemon that is away, or does not answer, has refused nothing."""

from __future__ import annotations

import pytest

from pvload.wire.admission import is_turned_away
from pvload.wire.answers import word_of


@pytest.mark.parametrize(
    ("status", "word"),
    [
        ("OK", "refused"),
        ("INVALID_ARGUMENT", "refused"),
        ("NOT_FOUND", "refused"),
        ("DEADLINE_EXCEEDED", "not answered"),
        ("CANCELLED", "not answered"),
        ("UNAVAILABLE", "failed"),
        ("UNKNOWN", "failed"),
    ],
)
def test_only_who_answers_can_refuse(status: str, word: str) -> None:
    assert word_of(status) == word


def test_the_stream_limit_is_known_by_code_and_text() -> None:
    text = "Maximum concurrent streams (3) exceeded for client 127.0.0.1"
    assert is_turned_away(8, text)
    assert not is_turned_away(14, text)
    assert not is_turned_away(8, "Received message larger than max (5 vs. 4)")
