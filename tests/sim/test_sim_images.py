"""The simulated cameras' images against those of the real daemon."""

from __future__ import annotations

import hashlib

import lz4.block
import numpy as np
import pytest

from pvload.sim import images
from pvload.sim.images import ImageBook, View
from simulated import recorded


@pytest.mark.parametrize(
    ("capture", "size", "block"),
    [
        pytest.param("pvcam-full-sensor", (2048, 2048), 1, id="full sensor"),
        pytest.param("pvcam-roi", (256, 128), 1, id="region of interest"),
        pytest.param("pvcam-roi-preview", (256, 128), 2, id="preview of it"),
        pytest.param("pvcam-roi-fast", (256, 128), 4, id="fast of it"),
    ],
)
def test_ramp_has_the_pixels_and_about_the_packed_size_of_the_captured_image(
    capture: str, size: tuple[int, int], block: int
) -> None:
    frames, expected = recorded(capture)
    for frame, want in list(zip(frames, expected, strict=True))[:3]:
        pixels = images.downsampled(images.ramp(frame.frame_number, *size), block)
        assert hashlib.sha256(pixels.tobytes()).hexdigest() == want["decoded_sha256"]
        assert 0.5 <= len(images.packed(pixels)) / len(frame.data) <= 2


def test_mock_camera_image_packs_about_as_the_captured_one() -> None:
    frames, _ = recorded("mock-camera")
    packed = images.packed(images.checkerboard(1, 640, 480))
    assert 0.5 <= len(packed) / len(frames[0].data) <= 2


def test_packed_image_unpacks_with_its_own_size_prefix() -> None:
    pixels = images.ramp(7, 96, 32)
    assert lz4.block.decompress(images.packed(pixels)) == pixels.tobytes()


def test_noise_hardly_compresses() -> None:
    pixels = images.noise(3, 256, 256)
    assert len(images.packed(pixels)) > 0.9 * pixels.nbytes


def test_downsampling_floors_the_mean_and_cuts_the_rest() -> None:
    pixels = np.array([[1, 2, 9], [3, 5, 9], [9, 9, 9]], "<u2")
    assert images.downsampled(pixels, 2).tolist() == [[2]]
    assert images.downsampled(pixels, 4) is pixels


def test_ring_holds_64_distinct_images_and_makes_each_once() -> None:
    book, view = ImageBook(), View("ramp", 32, 16, 1)
    book.prepare(view)
    ring = [book.image(view, number) for number in range(64)]
    assert len({image.data for image in ring}) == 64
    assert all(book.image(view, number + 64) is ring[number] for number in range(64))


def test_book_forgets_the_oldest_ring_and_can_make_it_again() -> None:
    book = ImageBook()
    views = [View("ramp", 8 + step, 8, 1) for step in range(images.BOOK_RINGS + 2)]
    first = book.image(views[0], 0)
    for view in views[1:]:
        book.image(view, 0)
    again = book.image(views[0], 0)
    assert again is not first
    assert again == first
