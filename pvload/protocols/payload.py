"""Whether a frame carries the image it claims to carry.

Checks, cheapest first: the sizes that the message states agree with its dimensions; the LZ4 block unpacks to exactly
that size; the image is not all zero; it is not the previous frame's image again. Images are compared by the digest of
their bytes on the wire: the same image packed by the same server gives the same bytes.
"""

from __future__ import annotations

import hashlib
from typing import Final, NamedTuple

import lz4.block  # type: ignore[import-untyped]  # the package brings no types
import numpy as np

from pvload.protocols.seam import Frame
from pvload.wire.codes import FrameFlag, Payload

_PREFIX_BYTES: Final = 4
_LZ4: Final = int(FrameFlag.LZ4)
_SIZE: Final = int(FrameFlag.CHECKED_SIZE)
_PIXELS: Final = int(FrameFlag.CHECKED_SIZE | FrameFlag.CHECKED_PIXELS)
_PEEK_BYTES: Final = 4096
_LZ4_BEST_RATIO: Final = 255


class Finding(NamedTuple):
    """The outcome of a check and the FrameFlag bits that say how far it went."""

    payload: Payload
    checked: int


UNCHECKED: Final = Finding(Payload.UNCHECKED, 0)


def expected_bytes(frame: Frame) -> int:
    """Bytes of the unpacked image that its dimensions call for."""
    return frame.width * frame.height * -(-frame.bit_depth // 8)


def check_size(frame: Frame, message: bytes) -> Finding:
    """Whether every stated size agrees with the dimensions; nothing is unpacked."""
    expected = expected_bytes(frame)
    if not frame.flags & _LZ4:
        agrees = frame.data_bytes == expected and frame.uncompressed_bytes in (0, expected)
    elif frame.data_bytes < _PREFIX_BYTES:
        return Finding(Payload.UNDECODABLE, _SIZE)
    else:
        begin = frame.data_offset
        stated = int.from_bytes(message[begin : begin + _PREFIX_BYTES], "little")
        if stated > frame.data_bytes * _LZ4_BEST_RATIO:
            return Finding(Payload.UNDECODABLE, _SIZE)
        agrees = stated == expected == frame.uncompressed_bytes
    return Finding(Payload.OK if agrees and expected > 0 else Payload.SIZE_MISMATCH, _SIZE)


def check_pixels(frame: Frame, message: bytes, *, previous: bytes) -> Finding:
    """`check_size`, then the unpacked image itself; previous: digest of the call's frame before it or b""."""
    size = check_size(frame, message)
    if size.payload is not Payload.OK:
        return size
    data = memoryview(message)[frame.data_offset : frame.data_offset + frame.data_bytes]
    if frame.flags & _LZ4:
        try:
            image = lz4.block.decompress(data)
        except lz4.block.LZ4BlockError:
            return Finding(Payload.UNDECODABLE, _PIXELS)
    else:
        image = data
    if _all_zero(image):
        return Finding(Payload.ALL_ZERO, _PIXELS)
    if previous and digest(frame, message) == previous:
        return Finding(Payload.REPEATED_IMAGE, _PIXELS)
    return Finding(Payload.OK, _PIXELS)


def digest(frame: Frame, message: bytes) -> bytes:
    """What identifies the image: 16 bytes over its data as sent and its dimensions."""
    view = memoryview(message)[frame.data_offset : frame.data_offset + frame.data_bytes]
    shape = frame.width.to_bytes(4, "little") + frame.height.to_bytes(4, "little")
    return hashlib.blake2b(view, digest_size=16, salt=shape).digest()


def _all_zero(image: bytes | memoryview) -> bool:
    pixels = np.frombuffer(image, dtype=np.uint8)
    return not pixels[:_PEEK_BYTES].any() and not pixels.any()


class Sampling(NamedTuple):
    """Which frames of a call are checked, and how deeply."""

    depth: str = "off"
    """off | size | decoded"""
    every: int = 1
    """Every n-th frame, beginning with the first."""

    def checks(self, index: int) -> bool:
        """Whether frame `index` of a call (from 0) is checked."""
        return self.depth != "off" and index % self.every == 0

    def remembers(self, index: int) -> bool:
        """Whether the digest of frame `index` will be needed, to compare the next frame with it."""
        return self.depth == "decoded" and (index + 1) % self.every == 0
