"""What the simulated cameras see: a ring of distinct images a size, each compressed once, and never on the frame path.

An image here is what a frame's `data` holds: four bytes little-endian size, then one raw LZ4 block. The ramp is the
real synthetic camera's, ((x + y + n) mod 4096) + 100, in 16 bits little-endian; its rows are views of one line.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import lz4.block  # type: ignore[import-untyped]  # ships no types
import numpy as np
import numpy.typing as npt

from pvload.errors import ConfigError

Pixels = npt.NDArray[np.uint16]
"""Shape (height, width), little-endian."""

RING: Final = 64
RING_BYTES: Final = 128 * 1024 * 1024
"""A ring of poorly compressible images holds fewer than 64 where they would exceed this."""
BOOK_RINGS: Final = 16
"""Sizes kept; the longest unused ring goes first."""
REST_S: Final = 0.004
"""Between two images of a ring that is filled: about as long as one takes."""
LARGEST_IMAGE_BYTES: Final = 100_000_000
"""The daemon's own limit of a raw frame."""
RAMP_ACCELERATION: Final = 3
"""Makes the compressor about as thorough as the daemon's: 131 KB for a full sensor, 1.9 KB for 256x128."""
NOISE_BITS: Final = 8
"""Random bits a pixel: nothing for the compressor to find, the worst case of a real image."""
MOCK_STEP: Final = 403

Painter = Callable[[int, int, int], Pixels]
"""(n, width, height) -> image n."""


def ramp(n: int, width: int, height: int) -> Pixels:
    """The synthetic PVCAM camera's diagonal ramp number n."""
    line = ((np.arange(n, n + width + height) % 4096) + 100).astype("<u2")
    return np.ascontiguousarray(np.lib.stride_tricks.sliding_window_view(line, width)[:height])


def noise(n: int, width: int, height: int) -> Pixels:
    """Random pixels of NOISE_BITS bits above a pedestal; the same for the same n."""
    return (np.random.default_rng(n).integers(0, 1 << NOISE_BITS, (height, width), dtype=np.uint16) + 100).astype("<u2")


def checkerboard(n: int, width: int, height: int) -> Pixels:
    """The mock camera's kind of image: squares, flat and noisy in turn, and a saturated hotspot that moves with n."""
    y, x = np.ogrid[:height, :width]
    noisy = (x // 64 + y // 64) % 2 == 0
    steps = np.random.default_rng(n).integers(0, 9, (height, width), dtype=np.uint16)
    image = np.where(noisy, 14_600 + steps * np.uint16(MOCK_STEP), 21_500).astype("<u2")
    left, top = (n * 7) % max(width - 48, 1), (n * 5) % max(height - 48, 1)
    image[top : top + 48, left : left + 48] = 65_535
    return image


def black(_n: int, width: int, height: int) -> Pixels:
    """All zero."""
    return np.zeros((height, width), "<u2")


PAINTERS: Final[dict[str, Painter]] = {"ramp": ramp, "noise": noise, "checkerboard": checkerboard, "black": black}


def downsampled(image: Pixels, block: int) -> Pixels:
    """Mean (rounded down) of block x block pixels, the rest cut off; untouched if smaller than one block."""
    height, width = image.shape[0] // block, image.shape[1] // block
    if block == 1 or not height or not width:
        return image
    total = np.zeros((height, width), np.uint32)
    for down in range(block):
        for across in range(block):
            total += image[down : height * block : block, across : width * block : block]
    return (total // (block * block)).astype("<u2")


def packed(image: Pixels) -> bytes:
    """`data` of a frame with this image."""
    return bytes(lz4.block.compress(image, mode="fast", acceleration=RAMP_ACCELERATION, store_size=True))


@dataclass(frozen=True, slots=True)
class Packed:
    """An image ready to send."""

    data: bytes
    width: int
    height: int
    uncompressed_bytes: int


@dataclass(frozen=True, slots=True)
class View:
    """What the images of one ring have in common."""

    painter: str
    width: int
    height: int
    block: int
    """Downsampling: 1, 2 or 4."""


class ImageBook:
    """Rings by view. `prepare` works in any thread; `image` gives what is there and makes what is not."""

    def __init__(self) -> None:
        self._rings: dict[View, dict[int, Packed]] = {}
        self._lengths: dict[View, int] = {}
        self._preparing: set[View] = set()
        self._closed = threading.Event()
        self._lock = threading.Lock()

    def image(self, view: View, number: int) -> Packed:
        """Image `number` (any count: it is taken modulo the ring's length)."""
        found = self.found(view, number)
        return self._made(view, number) if found is None else found

    def found(self, view: View, number: int) -> Packed | None:
        """The same if it is there; while another thread fills the ring, one of those that are there, if any is."""
        ring = self._rings.get(view) or {}
        found = ring.get(number % self._lengths.get(view, RING))
        if found is None and view in self._preparing:
            with self._lock:
                found = ring.get(number % len(ring), next(iter(ring.values()))) if ring else None
        return found

    def prepare(self, view: View) -> None:
        """Fills the ring of `view`, unless another thread is at it; ends early when the book is closed.

        It rests after every image: the threads that send frames share the interpreter with this one.
        """
        with self._lock:
            if view in self._preparing:
                return
            self._preparing.add(view)
        number = 0
        while number < self._lengths.get(view, RING) and not self._closed.wait(REST_S):
            if number not in self._rings.get(view, {}):
                self._made(view, number)
            number += 1
        with self._lock:
            self._preparing.discard(view)

    def lacks(self, view: View) -> bool:
        """Is there something to prepare that nobody is at?"""
        ring = self._rings.get(view)
        complete = ring is not None and len(ring) >= self._lengths.get(view, RING)
        return not complete and view not in self._preparing

    def close(self) -> None:
        """Ends every `prepare` after its current image."""
        self._closed.set()

    def _made(self, view: View, number: int) -> Packed:
        length = self._lengths.get(view, RING)
        pixels = downsampled(PAINTERS[view.painter](number % length, view.width, view.height), view.block)
        made = Packed(packed(pixels), pixels.shape[1], pixels.shape[0], pixels.nbytes)
        with self._lock:
            ring = self._rings.pop(view, {})
            self._rings[view] = ring
            if view not in self._lengths:
                self._lengths[view] = 1 if view.painter == "black" else min(RING, max(RING_BYTES // len(made.data), 2))
            ring[number % self._lengths[view]] = made
            while len(self._rings) > BOOK_RINGS:
                oldest = next(iter(self._rings))
                del self._rings[oldest], self._lengths[oldest]
        return made


def check_size(width: int, height: int) -> None:
    """ConfigError for an image that this process should not try to hold."""
    if width * height * 2 > LARGEST_IMAGE_BYTES:
        raise ConfigError(f"Frame of {width}x{height} pixels exceeds {LARGEST_IMAGE_BYTES} bytes")
