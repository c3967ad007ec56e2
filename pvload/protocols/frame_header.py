"""A frame's header fields out of the raw message, without touching its pixels.

Nearly all bytes of a frame are one length-delimited field. The walker below hops over the message's top-level tags,
cuts that field out, and protobuf parses what is left: the same answer as a full parse, at a cost that does not grow
with the image. Fields may come in any order; the cut field may be first, last, absent or repeated (then the last one
counts, as in protobuf); fields nobody knows are hopped over, groups included.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from pvload.errors import FormatError

_VARINT, _FIXED64, _BYTES, _GROUP, _END_GROUP, _FIXED32 = range(6)
_MAX_TAG_BYTES: Final = 5
_MAX_VARINT_BYTES: Final = 10
_MAX_LENGTH: Final = 2**31 - 1
_MAX_DEPTH: Final = 100


class Parts(NamedTuple):
    """A message taken apart: `head` is everything but the cut field, which is message[offset:offset + size]."""

    head: bytes
    offset: int
    size: int
    """0 for a field that is absent or empty, which protobuf does not tell apart either."""


def split(message: bytes, field: int) -> Parts:
    """Cuts every top-level occurrence of the length-delimited `field` out of a serialised message.

    FormatError if the bytes are no protobuf message; what stands inside the fields is left to the parser.
    """
    kept: list[bytes] = []
    kept_from = position = offset = size = 0
    end = len(message)
    cut_tag = field << 3 | _BYTES
    while position < end:
        tag_at = position
        tag = message[position]
        position += 1
        if tag >= 0x80:
            tag, position = _tag(message, tag_at)
        kind = tag & 7
        if kind == _BYTES and tag > _BYTES:
            length, position = _length(message, position)
            if tag == cut_tag:
                kept.append(message[kept_from:tag_at])
                offset, size = position, length
                kept_from = position + length
                if not _may_come_again(message, kept_from, field):
                    break
            position += length
        else:
            position = _after(message, position, number=tag >> 3, kind=kind, depth=0)
    if not kept:
        return Parts(message, 0, 0)
    kept.append(message[kept_from:])
    return Parts(b"".join(kept), offset, size)


def _may_come_again(message: bytes, position: int, field: int) -> bool:
    """False if no tag of the field can begin at or after position: then only the parser need look at the rest."""
    shortest = field << 3 | _BYTES
    if shortest >= 0x80:
        return True
    return message.find(shortest, position) >= 0 or message.find(shortest | 0x80, position) >= 0


def _varint(message: bytes, position: int, *, limit: int, what: str) -> tuple[int, int]:
    value = shift = 0
    for at in range(position, min(position + limit, len(message))):
        byte = message[at]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at + 1
        shift += 7
    raise FormatError(f"message of {len(message)} bytes: {what} at byte {position} does not end")


def _tag(message: bytes, position: int) -> tuple[int, int]:
    """A tag (field number times 8 plus wire type) and the position after it."""
    tag, after = _varint(message, position, limit=_MAX_TAG_BYTES, what="tag")
    if tag >= 2**32:
        raise FormatError(f"message of {len(message)} bytes: tag at byte {position} exceeds 32 bits")
    return tag, after


def _length(message: bytes, position: int) -> tuple[int, int]:
    """A field's length, checked to lie inside the message, and where the field begins."""
    after = position + 1
    if after > len(message) or (length := message[position]) >= 0x80:
        length, after = _varint(message, position, limit=_MAX_TAG_BYTES, what="length")
    if length > _MAX_LENGTH or after + length > len(message):
        raise FormatError(f"message of {len(message)} bytes: field of {length} bytes at byte {after} reaches beyond it")
    return length, after


def _after_varint(message: bytes, position: int) -> int:
    for at in range(position, min(position + _MAX_VARINT_BYTES, len(message))):
        if message[at] < 0x80:
            return at + 1
    return _varint(message, position, limit=_MAX_VARINT_BYTES, what="number")[1]


def _after(message: bytes, position: int, *, number: int, kind: int, depth: int) -> int:
    """The position after a field whose tag ended at `position`."""
    if number == 0 or kind > _FIXED32 or kind == _END_GROUP:
        raise FormatError(f"message of {len(message)} bytes: field {number} of wire type {kind} before byte {position}")
    if kind == _VARINT:
        return _after_varint(message, position)
    if kind == _GROUP:
        return _after_group(message, position, group=number, depth=depth + 1)
    if kind == _BYTES:
        length, begin = _length(message, position)
        return begin + length
    after = position + (8 if kind == _FIXED64 else 4)
    if after > len(message):
        raise FormatError(f"message of {len(message)} bytes: field {number} at byte {position} reaches beyond it")
    return after


def _after_group(message: bytes, position: int, *, group: int, depth: int) -> int:
    if depth > _MAX_DEPTH:
        raise FormatError(f"message of {len(message)} bytes: groups nested deeper than {_MAX_DEPTH}")
    while position < len(message):
        tag, position = _tag(message, position)
        if tag == group << 3 | _END_GROUP:
            return position
        position = _after(message, position, number=tag >> 3, kind=tag & 7, depth=depth)
    raise FormatError(f"message of {len(message)} bytes: group {group} does not end")
