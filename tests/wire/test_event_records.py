"""Every kind of record has one size, keeps its values, and text of any length comes back whole."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pvload.wire import event


@pytest.mark.parametrize("kind", list(event.Kind))
def test_every_layout_is_one_record_long_and_begins_with_the_common_head(kind: event.Kind) -> None:
    layout = event.LAYOUTS[kind]
    assert layout.itemsize == event.RECORD_BYTES
    for name in event.RECORD.names or ():
        if name != "_pad":
            assert layout.fields is not None
            assert layout.fields[name][:2] == event.RECORD.fields[name][:2]  # type: ignore[index]  # named dtype


def test_the_hot_path_struct_packs_what_the_frame_layout_reads() -> None:
    values = (1, 3, 1, 16, 7, -5, 2**63, -1, 3, 4, 100.5, 9.0, 2.5, 10, 11, 12, 2048, 1024, 5, 6, 2, 4)
    packed = struct.pack(event.FRAME_STRUCT, 1, 3, 1, *values[4:])
    row = event.rows_of(event.decode(packed), event.Kind.FRAME)[0]
    assert len(packed) == event.RECORD_BYTES
    assert tuple(row.item())[3:] == values[4:]


@given(st.text(max_size=400), st.integers(1, 2**32 - 1))
def test_text_of_any_length_comes_back_from_its_pieces(text: str, text_id: int) -> None:
    rows = event.rows_of(event.decode(b"".join(event.encode_text(text_id, text, t_ns=5))), event.Kind.TEXT)
    joined = b"".join(bytes(row["bytes"])[: row["code"]] for row in rows)
    assert joined.decode() == text.encode("utf-8", "replace").decode()
    assert rows["flags"].tolist() == [0] * (len(rows) - 1) + [1]
    assert set(rows["ref"].tolist()) == {text_id}


def test_rows_of_picks_one_kind_in_order_without_touching_the_others() -> None:
    payload = b"".join(
        event.encode(kind, t_ns=i, ref=i)
        for i, kind in enumerate([event.Kind.FRAME, event.Kind.LAG, event.Kind.FRAME, event.Kind.END])
    )
    assert event.rows_of(event.decode(payload), event.Kind.FRAME)["ref"].tolist() == [0, 2]


def test_a_field_the_kind_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="no field of name"):
        event.encode(event.Kind.HEADERS, t_ns=1, width=3)


def test_a_value_that_does_not_fit_is_refused_and_not_wrapped() -> None:
    with pytest.raises(OverflowError):
        event.encode(event.Kind.ENDED, t_ns=1, status=2**32)


def test_decoding_is_a_view_and_needs_whole_records() -> None:
    with pytest.raises(ValueError, match="size must be a multiple"):
        event.decode(b"\0" * (event.RECORD_BYTES + 1))
    payload = event.encode(event.Kind.END, t_ns=9)
    assert np.shares_memory(event.decode(payload), np.frombuffer(payload, np.uint8))
