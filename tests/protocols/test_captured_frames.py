"""Every message recorded from a running daemon is read right: each field, the sizes, and the image itself."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import lz4.block  # type: ignore[import-untyped]  # the package brings no types
import numpy as np
import pytest

from pvload._pb import daq_pb2
from pvload.protocols.frame_header import split
from pvload.protocols.payload import check_pixels, check_size, digest
from pvload.protocols.rust_daq import RustDaq
from pvload.protocols.seam import frame_record
from pvload.wire.codes import FrameFlag, Payload
from pvload.wire.event import FRAME

DATA = Path(__file__).parent.parent / "data"
CAPTURES = sorted(path.stem for path in DATA.glob("*.grpc"))


def messages(name: str) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """Each recorded message with what it must decode to."""
    raw = (DATA / f"{name}.grpc").read_bytes()
    truth = json.loads((DATA / f"{name}.json").read_text())["messages"]
    at = 0
    for fields in truth:
        assert raw[at] == 0
        length = int.from_bytes(raw[at + 1 : at + 5], "big")
        yield raw[at + 5 : at + 5 + length], fields
        at += 5 + length
    assert at == len(raw)


def test_there_are_captures_of_all_kinds() -> None:
    assert len(CAPTURES) == 11


@pytest.mark.parametrize("name", CAPTURES)
def test_every_header_field_of_every_message_is_read(name: str) -> None:
    protocol = RustDaq()
    for message, truth in messages(name):
        frame = protocol.read_frame(message)
        metrics = truth.get("metrics", {})
        flags = FrameFlag(0)
        for field, flag in [("metrics", FrameFlag.METRICS), ("exposure_ms", FrameFlag.EXPOSURE)]:
            flags |= flag if field in truth else FrameFlag(0)
        flags |= FrameFlag.BINNING if "binning_x" in truth else FrameFlag(0)
        flags |= FrameFlag.LZ4 if truth["compression"] == "COMPRESSION_LZ4" else FrameFlag(0)
        assert frame._asdict() | {"data_offset": 0} == {
            "device": truth["device_id"],
            "frame_number": truth["frame_number"],
            "source_ns": truth["timestamp_ns"],
            "frames_sent": metrics.get("frames_sent", 0),
            "frames_dropped": metrics.get("frames_dropped", 0),
            "exposure_ms": truth.get("exposure_ms", 0.0),
            "current_fps": metrics.get("current_fps", 0.0),
            "avg_latency_ms": metrics.get("avg_latency_ms", 0.0),
            "message_bytes": truth["message_bytes"],
            "data_bytes": truth["data_bytes"],
            "uncompressed_bytes": truth["uncompressed_size"],
            "width": truth["width"],
            "height": truth["height"],
            "bit_depth": truth["bit_depth"],
            "roi_x": truth.get("roi_x", 0),
            "roi_y": truth.get("roi_y", 0),
            "binning_x": truth.get("binning_x", 0),
            "binning_y": truth.get("binning_y", 0),
            "flags": flags,
            "data_offset": 0,
        }


@pytest.mark.parametrize("name", CAPTURES)
def test_the_rest_of_the_message_is_what_the_full_parse_gives(name: str) -> None:
    for message, _ in messages(name):
        full = daq_pb2.FrameData.FromString(message)
        full.ClearField("data")
        assert daq_pb2.FrameData.FromString(split(message, 5).head) == full


@pytest.mark.parametrize("name", CAPTURES)
def test_every_image_passes_its_checks_and_is_the_one_recorded(name: str) -> None:
    protocol, previous = RustDaq(), b""
    for message, truth in messages(name):
        frame = protocol.read_frame(message)
        data = message[frame.data_offset : frame.data_offset + frame.data_bytes]
        assert hashlib.sha256(data).hexdigest() == truth["data_sha256"]
        assert check_size(frame, message).payload is Payload.OK
        assert check_pixels(frame, message, previous=previous).payload is Payload.OK
        previous = digest(frame, message)
        image = lz4.block.decompress(data)
        assert hashlib.sha256(image).hexdigest() == truth["decoded_sha256"]


@pytest.mark.parametrize("name", CAPTURES)
def test_the_record_holds_the_same_values(name: str) -> None:
    protocol = RustDaq()
    for n, (message, truth) in enumerate(messages(name)):
        frame = protocol.read_frame(message)
        record = frame_record(frame, call=7, t_ns=n, payload=Payload.OK, checked=int(FrameFlag.CHECKED_SIZE))
        row = np.frombuffer(record, dtype=FRAME)[0]
        assert (row["ref"], row["t_ns"], row["code"]) == (7, n, Payload.OK)
        assert row["flags"] & FrameFlag.CHECKED_SIZE
        assert row["frame_number"] == truth["frame_number"]
        assert row["source_ns"] == truth["timestamp_ns"]
        assert row["frames_sent"] == truth["metrics"]["frames_sent"]
        assert row["frames_dropped"] == truth["metrics"]["frames_dropped"]
        assert row["current_fps"] == np.float32(truth["metrics"]["current_fps"])
        assert (row["width"], row["height"]) == (truth["width"], truth["height"])
        assert (row["message_bytes"], row["data_bytes"]) == (truth["message_bytes"], truth["data_bytes"])
        assert row["uncompressed_bytes"] == truth["uncompressed_size"]


@pytest.mark.parametrize("name", CAPTURES)
def test_a_reader_that_leaves_the_pixels_out_gets_the_same_frame(name: str) -> None:
    protocol = RustDaq()
    for message, _ in messages(name):
        parts = split(message, 5)
        frame = protocol.read_head(
            parts.head, data_offset=parts.offset, data_bytes=parts.size, message_bytes=len(message)
        )
        assert frame == protocol.read_frame(message)
