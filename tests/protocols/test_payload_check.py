"""Each way in which an image can be wrong has its own outcome, and the sampling says which frames are looked at."""

from __future__ import annotations

import lz4.block  # type: ignore[import-untyped]  # the package brings no types
import pytest

from pvload._pb import daq_pb2
from pvload.protocols.payload import Sampling, check_pixels, check_size, digest
from pvload.protocols.rust_daq import RustDaq
from pvload.wire.codes import FrameFlag, Payload

IMAGE = bytes(range(1, 241)) + bytes(16)


def packed(image: bytes = IMAGE) -> bytes:
    return bytes(lz4.block.compress(image))


def message(**changes: object) -> bytes:
    fields: dict[str, object] = {
        "width": 16,
        "height": 8,
        "bit_depth": 16,
        "compression": daq_pb2.COMPRESSION_LZ4,
        "uncompressed_size": 256,
        "data": packed(),
    }
    return daq_pb2.FrameData(**(fields | changes)).SerializeToString()  # type: ignore[arg-type]


ZERO = bytes(256)
CASES = [
    ("good", {}, Payload.OK, Payload.OK),
    ("twelve bits take two bytes", {"bit_depth": 12}, Payload.OK, Payload.OK),
    ("eight bits do not", {"bit_depth": 8}, Payload.SIZE_MISMATCH, Payload.SIZE_MISMATCH),
    ("wrong width", {"width": 17}, Payload.SIZE_MISMATCH, Payload.SIZE_MISMATCH),
    ("wrong stated size", {"uncompressed_size": 255}, Payload.SIZE_MISMATCH, Payload.SIZE_MISMATCH),
    ("wrong prefix", {"data": b"\xff\0\0\0" + packed()[4:]}, Payload.SIZE_MISMATCH, Payload.SIZE_MISMATCH),
    ("no data", {"data": b""}, Payload.UNDECODABLE, Payload.UNDECODABLE),
    ("no dimensions", {"width": 0, "uncompressed_size": 0, "data": packed(b"")}, *[Payload.SIZE_MISMATCH] * 2),
    ("cut block", {"data": packed()[:-9]}, Payload.OK, Payload.UNDECODABLE),
    ("too small a block", {"data": b"\0\1\0\0" + packed(b"abc")[4:]}, Payload.OK, Payload.UNDECODABLE),
    ("an impossible size", {"data": b"\xff" * 8}, Payload.UNDECODABLE, Payload.UNDECODABLE),
    ("all zero", {"data": packed(ZERO)}, Payload.OK, Payload.ALL_ZERO),
    ("zero but for the end", {"data": packed(ZERO[1:] + b"\1")}, Payload.OK, Payload.OK),
    ("plain", {"compression": 0, "uncompressed_size": 0, "data": IMAGE}, Payload.OK, Payload.OK),
    ("plain, short", {"compression": 0, "data": IMAGE[1:]}, Payload.SIZE_MISMATCH, Payload.SIZE_MISMATCH),
    ("plain, zero", {"compression": 0, "data": ZERO}, Payload.OK, Payload.ALL_ZERO),
]


@pytest.mark.parametrize(("changes", "by_size", "by_pixels"), [case[1:] for case in CASES], ids=[c[0] for c in CASES])
def test_each_fault_has_its_outcome(changes: dict[str, object], by_size: Payload, by_pixels: Payload) -> None:
    raw = message(**changes)
    frame = RustDaq().read_frame(raw)
    size, pixels = check_size(frame, raw), check_pixels(frame, raw, previous=b"")
    assert (size.payload, pixels.payload) == (by_size, by_pixels)
    assert size.checked == FrameFlag.CHECKED_SIZE


def test_the_same_image_again_is_told() -> None:
    raw, frame_of = message(), RustDaq().read_frame
    before = digest(frame_of(raw), raw)
    again, other = message(frame_number=9), message(data=packed(IMAGE[::-1]))
    assert check_pixels(frame_of(again), again, previous=before).payload is Payload.REPEATED_IMAGE
    assert check_pixels(frame_of(other), other, previous=before).payload is Payload.OK


@pytest.mark.parametrize(
    ("sampling", "checked", "remembered"),
    [
        (Sampling("off"), [], []),
        (Sampling("size", 3), [0, 3, 6], []),
        (Sampling("decoded", 3), [0, 3, 6], [2, 5]),
        (Sampling("decoded", 1), [0, 1, 2, 3, 4, 5, 6], [0, 1, 2, 3, 4, 5, 6]),
    ],
    ids=["off", "size", "decoded, sampled", "decoded, every frame"],
)
def test_a_checked_frame_is_compared_with_its_direct_predecessor(
    sampling: Sampling, checked: list[int], remembered: list[int]
) -> None:
    assert [n for n in range(7) if sampling.checks(n)] == checked
    assert [n for n in range(7) if sampling.remembers(n)] == remembered
