"""Messages between senders and collector: what is packed comes back, what is not whole is refused with the reason."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvload.errors import FormatError
from pvload.wire.batch import HEADER, MAX_BATCH_RECORDS, Envelope, Hello, Message, pack, unpack
from pvload.wire.event import RECORD_BYTES

IDS = st.binary(min_size=16, max_size=16)
NUMBERS = st.integers(0, 2**62)
HELLO = Hello(role="engine", worker="w", incarnation=1, host="h", boot="b", pid=7)


@given(kind=st.sampled_from(Message), run=IDS, sender=IDS, first=NUMBERS, count=st.integers(1, 9), a=NUMBERS)
def test_a_message_comes_back_as_it_was(
    kind: Message, run: bytes, sender: bytes, first: int, count: int, a: int
) -> None:
    """Every type, with a payload of its kind."""
    payload = bytes(range(96)) * count if kind is Message.BATCH else b'{"reason": "x"}'
    envelope = Envelope(kind, run, sender, first=first, count=count, a=a, b=-a, payload=payload)
    assert unpack(pack(envelope)) == envelope


@given(at=st.integers(0, HEADER.size + 2 * RECORD_BYTES - 1), flip=st.integers(1, 255))
def test_any_changed_byte_is_noticed(at: int, flip: int) -> None:
    """Magic, version, type, CRC, identity, numbers or records: a damaged message is never taken, nor a changed type."""
    whole = pack(Envelope(Message.BATCH, b"r" * 16, b"s" * 16, first=3, count=2, payload=b"p" * 2 * RECORD_BYTES))
    damaged = whole[:at] + bytes([whole[at] ^ flip]) + whole[at + 1 :]
    try:
        taken = unpack(damaged)
    except FormatError:
        return
    assert at in (6, 7), "only the type lies outside the CRC"
    assert taken.message is not Message.BATCH


@pytest.mark.parametrize(
    ("what", "data", "reason"),
    [
        ("nothing", b"", "shorter than the header"),
        ("junk", b"GET / HTTP/1.1\r\n" * 8, "begins with"),
        ("cut", pack(Envelope(Message.BATCH, b"r" * 16, b"s" * 16, count=1, payload=b"p" * 96))[:-1], "CRC"),
        ("count of none", pack(Envelope(Message.BATCH, b"r" * 16, b"s" * 16)), "states 0 records"),
        ("count too large", pack(Envelope(Message.BATCH, b"r" * 16, b"s" * 16, count=2, payload=b"p" * 96)), "carries"),
        (
            "too many",
            pack(
                Envelope(
                    Message.BATCH,
                    b"r" * 16,
                    b"s" * 16,
                    count=MAX_BATCH_RECORDS + 1,
                    payload=bytes(96 * (MAX_BATCH_RECORDS + 1)),
                )
            ),
            "states 4097",
        ),
        ("negative number", pack(Envelope(Message.MISSING, b"r" * 16, b"s" * 16, first=-1)), "negative"),
    ],
)
def test_what_is_no_message_is_refused_with_the_reason(what: str, data: bytes, reason: str) -> None:
    """Each check names itself."""
    with pytest.raises(FormatError, match=reason):
        unpack(data)


def test_another_version_is_refused() -> None:
    """A sender of another pvload hears nothing but its own silence; the collector knows why."""
    data = bytearray(pack(Envelope(Message.PING, b"r" * 16, b"s" * 16)))
    data[4] = 2
    with pytest.raises(FormatError, match="version 2"):
        unpack(bytes(data))


def test_hello_comes_back_and_refuses_what_it_does_not_know() -> None:
    """Missing, unknown and mistyped fields are refused."""
    assert Hello.from_json(HELLO.to_json()) == HELLO
    for text in (
        b"",
        b"[]",
        b"{}",
        HELLO.to_json()[:-1] + b', "more": 1}',
        HELLO.to_json().replace(b": 1,", b': "1",'),
    ):
        with pytest.raises(FormatError, match="HELLO"):
            Hello.from_json(text)
