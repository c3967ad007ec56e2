"""The header walker gives what protobuf's own parse gives, whatever the order of the fields, and never a pixel."""

from __future__ import annotations

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from pvload._pb import daq_pb2
from pvload.errors import FormatError
from pvload.protocols.frame_header import split

DATA = daq_pb2.FrameData.DATA_FIELD_NUMBER


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def tag(number: int, kind: int) -> bytes:
    return varint(number << 3 | kind)


def length_delimited(number: int, content: bytes) -> bytes:
    return tag(number, 2) + varint(len(content)) + content


def known(**fields: object) -> bytes:
    return daq_pb2.FrameData(**fields).SerializeToString()  # type: ignore[arg-type]


UNKNOWN = st.integers(60, 20_000)
PIECES = st.one_of(
    st.binary(max_size=300).map(lambda data: length_delimited(DATA, data)),
    st.integers(0, 2**64 - 1).map(lambda value: tag(6, 0) + varint(value)),
    st.integers(0, 2**32 - 1).map(lambda value: known(width=value)),
    st.floats(allow_nan=False).map(lambda value: known(exposure_ms=value)),
    st.integers(0, 2**63).map(lambda value: known(metrics=daq_pb2.StreamingMetrics(frames_sent=value))),
    st.text(max_size=20).map(lambda text: known(device_id=text, gain_mode=text)),
    st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3).map(lambda items: known(metadata=items)),
    st.tuples(UNKNOWN, st.integers(0, 2**64 - 1)).map(lambda it: tag(it[0], 0) + varint(it[1])),
    st.tuples(UNKNOWN, st.binary(min_size=8, max_size=8)).map(lambda it: tag(it[0], 1) + it[1]),
    st.tuples(UNKNOWN, st.binary(max_size=50)).map(lambda it: length_delimited(*it)),
    st.tuples(UNKNOWN, st.binary(min_size=4, max_size=4)).map(lambda it: tag(it[0], 5) + it[1]),
    # A group that holds what would be `data` at the top level, and a `data` of a wire type that is not its own.
    st.tuples(UNKNOWN, st.binary(max_size=9)).map(
        lambda it: tag(it[0], 3) + length_delimited(DATA, it[1]) + tag(70, 3) + tag(70, 4) + tag(it[0], 4)
    ),
    st.integers(0, 99).map(lambda value: tag(DATA, 0) + varint(value)),
)


def without_data(message: daq_pb2.FrameData) -> bytes:
    copy = daq_pb2.FrameData()
    copy.CopyFrom(message)
    copy.ClearField("data")
    return copy.SerializeToString(deterministic=True)


@given(st.lists(PIECES, max_size=12))
def test_any_order_of_fields_gives_what_a_full_parse_gives(pieces: list[bytes]) -> None:
    message = b"".join(pieces)
    full = daq_pb2.FrameData.FromString(message)
    parts = split(message, DATA)
    head = daq_pb2.FrameData.FromString(parts.head)
    assert head.data == b""
    assert without_data(head) == without_data(full)
    assert message[parts.offset : parts.offset + parts.size] == full.data


@given(st.lists(PIECES, min_size=1, max_size=5), st.data())
def test_a_damaged_message_is_refused_or_read_as_protobuf_reads_it(pieces: list[bytes], data: st.DataObject) -> None:
    message = bytearray(b"".join(pieces))
    for _ in range(data.draw(st.integers(0, 3)) if message else 0):
        message[data.draw(st.integers(0, len(message) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(message[: data.draw(st.integers(0, len(message)))])
    try:
        full = daq_pb2.FrameData.FromString(cut)
    except DecodeError:
        with pytest.raises((FormatError, DecodeError)):
            daq_pb2.FrameData.FromString(split(cut, DATA).head)
        return
    parts = split(cut, DATA)
    assert without_data(daq_pb2.FrameData.FromString(parts.head)) == without_data(full)
    assert cut[parts.offset : parts.offset + parts.size] == full.data


@pytest.mark.parametrize(
    ("message", "complaint"),
    [
        (b"\x2a", "length at byte 1 does not end"),
        (b"\x2a\x05abc", "reaches beyond it"),
        (b"\x2a\xff\xff\xff\xff\x7f", "reaches beyond it"),
        (b"\x08" + b"\xff" * 10, "number at byte 1 does not end"),
        (b"\x00\x01", "field 0"),
        (b"\xff\xff\xff\xff\x7f\x01", "exceeds 32 bits"),
        (b"\x0e", "wire type 6"),
        (b"\x0c", "wire type 4"),
        (b"\x0b\x10\x01", "group 1 does not end"),
        (b"\x0b" * 200, "nested deeper"),
        (b"\x09abc", "reaches beyond it"),
    ],
    ids=[
        "no length",
        "short data",
        "huge length",
        "endless number",
        "field 0",
        "huge tag",
        "no such wire type",
        "end of no group",
        "open group",
        "deep groups",
        "short fixed64",
    ],
)
def test_what_is_no_message_is_refused_with_its_place(message: bytes, complaint: str) -> None:
    with pytest.raises(FormatError, match=complaint):
        split(message, DATA)


def test_the_last_of_several_data_fields_counts_even_if_it_is_empty() -> None:
    message = length_delimited(DATA, b"first") + known(width=3) + length_delimited(DATA, b"")
    parts = split(message, DATA)
    assert (parts.head, parts.size) == (known(width=3), 0)
