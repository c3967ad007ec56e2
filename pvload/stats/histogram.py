"""A histogram of int64 values with buckets of constant relative width, exactly mergeable.

128 buckets an octave, found by the bits of the float64 value (no logarithm, so the same value falls into the same
bucket on every machine and in every batch). A quantile is off by at most 0.4 % of its value. Counts and the sum are
integers: any order of `add` and `merge` gives the same histogram. Negative values have mirrored buckets of their own.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from math import ceil
from typing import Final

import numpy as np
import numpy.typing as npt

from pvload.stats.quantiles import Quantiles

RELATIVE_ERROR: Final = 0.005
_MANTISSA_BITS: Final = 7
_SHIFT: Final = 52 - _MANTISSA_BITS
_ZERO: Final = 0
_FIRST: Final = (1023 << _MANTISSA_BITS) - 1
"""Bucket key of 1 minus one, so that key 0 is the value 0."""

_SHARES: Final = (0.5, 0.9, 0.95, 0.99, 0.999)
_SAFE: Final = 2**62
"""A sum below it does not overflow."""
_FEW: Final = 8
"""So many values at once are taken one by one: sooner done than by arrays."""
_WAITING: Final = 16
"""Most keys that wait to be counted. A call that is soon over never has more."""
_DOUBLE: Final = struct.Struct("<d")
_BITS: Final = struct.Struct("<q")

Int64s = npt.NDArray[np.int64]


def bucket_of(values: Int64s) -> Int64s:
    """Keys: 0 for 0, 1.. for 1 and more, negative for negative values. Order of keys is order of values."""
    magnitude = np.abs(values)
    keys = (magnitude.astype(np.float64).view(np.int64) >> _SHIFT) - _FIRST
    if values.size and int(values.min()) > 0:
        return keys
    keys = np.where(magnitude == 0, _ZERO, keys)
    return np.where(values < 0, -keys, keys)


def value_of(keys: Int64s) -> npt.NDArray[np.float64]:
    """Middle of each bucket."""
    magnitude = np.abs(keys)
    low = ((magnitude + _FIRST) << _SHIFT).view(np.float64)
    high = ((magnitude + _FIRST + 1) << _SHIFT).view(np.float64)
    middle = np.where(magnitude == 0, 0.0, (low + high) / 2)
    return np.where(keys < 0, -middle, middle)


def _key(value: int) -> int:
    """`bucket_of` of one value."""
    if value == 0:
        return _ZERO
    key: int = (_BITS.unpack(_DOUBLE.pack(abs(value)))[0] >> _SHIFT) - _FIRST
    return -key if value < 0 else key


def _middle(key: int) -> float:
    """`value_of` of one key."""
    if key == _ZERO:
        return 0.0
    low, high = (_DOUBLE.unpack(_BITS.pack((abs(key) + _FIRST + more) << _SHIFT))[0] for more in (0, 1))
    middle: float = (low + high) / 2
    return -middle if key < 0 else middle


class Histogram:
    """Counts of int64 values (nanoseconds). Memory is the range in use: at most 128 counters an octave."""

    __slots__ = ("_counts", "_low", "_packed", "_waiting", "maximum", "minimum", "n", "total")

    def __init__(self) -> None:
        self._low = 0
        self._counts: Int64s = np.zeros(0, np.int64)
        self._packed: npt.NDArray[np.int32] | None = None
        """Of what buckets, from `_low` on, the counts are; None: of all."""
        self._waiting: list[int] = []
        """Keys of values that are not in the counts yet."""
        self.n = 0
        self.total = 0
        self.minimum: int | None = None
        self.maximum: int | None = None

    def add(self, values: Int64s) -> None:
        """Counts all of `values`, shape (n,), any range."""
        if values.size <= _FEW:
            for value in values.tolist():
                self.one(value)
            return
        least, most = int(values.min()), int(values.max())
        self._count(bucket_of(values), _key(least), _key(most))
        self._note(values.size, _exact_sum(values, max(-least, most)), least, most)

    def one(self, value: int) -> None:
        """Counts one value."""
        self._waiting.append(_key(value))
        if len(self._waiting) > _WAITING:
            self._settle()
        self._note(1, value, value, value)

    def merge(self, other: Histogram) -> None:
        """Adds all that `other` counted."""
        if other.n == 0 or other.minimum is None or other.maximum is None:
            return
        if other._counts.size:
            self._unpack()
            places = np.arange(other._counts.size) if other._packed is None else other._packed
            self._cover(other._low, other._low + int(places[-1]))
            self._counts[other._low - self._low + places] += other._counts
        self._waiting += other._waiting
        if len(self._waiting) > _WAITING:
            self._settle()
        self._note(other.n, other.total, other.minimum, other.maximum)

    def pack(self) -> None:
        """Keeps only the buckets in use, until more is added: some values about zero span 40 KB of empty ones."""
        if self._counts.size == 0:
            return
        self._settle()
        used = np.flatnonzero(self._counts)
        self._packed, self._counts = used.astype(np.int32), self._counts[used]

    def quantile(self, share: float) -> float | None:
        """The value at rank ceil(share * n), within 0.4 %; None without values."""
        found = self._at((share,))
        return found[0] if found else None

    def _at(self, shares: Sequence[float]) -> list[float]:
        """The values at several shares at once; empty without values."""
        if self.n == 0 or self.minimum is None or self.maximum is None:
            return []
        least, most = float(self.minimum), float(self.maximum)
        ranks = [min(max(ceil(share * self.n), 1), self.n) for share in shares]
        if self._counts.size == 0:
            waiting = sorted(self._waiting)
            keys = [waiting[rank - 1] for rank in ranks]
        else:
            used, counts = self._in_use()
            keys = used[counts.cumsum().searchsorted(ranks)].tolist()
        return [min(max(_middle(key), least), most) for key in keys]

    def weighted_median(self) -> float | None:
        """Half of the sum of all values lies in values above this one."""
        if self.n == 0:
            return None
        keys, counts = self._in_use()
        values = value_of(keys)
        mass = np.cumsum(np.maximum(values, 0.0) * counts)
        if mass[-1] <= 0:
            return None
        value = float(values[int(mass.searchsorted(mass[-1] / 2))])
        return min(value, float(self.maximum if self.maximum is not None else value))

    def quantiles(self, *, scale: float, shift: int = 0) -> Quantiles:
        """All figures, each (value - shift) * scale."""
        if self.n == 0 or self.minimum is None or self.maximum is None:
            return Quantiles(0, None, None, None, None, None, None, None, None)

        p50, p90, p95, p99, p999 = ((value - shift) * scale for value in self._at(_SHARES))
        return Quantiles(
            n=self.n,
            min=(self.minimum - shift) * scale,
            mean=(self.total - shift * self.n) / self.n * scale,
            p50=p50,
            p90=p90,
            p95=p95,
            p99=p99,
            p999=p999,
            max=(self.maximum - shift) * scale,
            relative_error=RELATIVE_ERROR,
        )

    def _in_use(self) -> tuple[Int64s, Int64s]:
        """Keys in order, and how many values each has."""
        if self._counts.size == 0:
            return np.unique(np.array(self._waiting, np.int64), return_counts=True)
        if self._waiting:
            self._settle()
        if self._packed is not None:
            return self._low + self._packed.astype(np.int64), self._counts
        used = self._counts.nonzero()[0]
        return self._low + used, self._counts[used]

    def _settle(self) -> None:
        """Has everything in `_counts`."""
        self._unpack()
        if self._waiting:
            keys, self._waiting = np.array(self._waiting), []
            self._count(keys, int(keys.min()), int(keys.max()))

    def _count(self, keys: Int64s, low: int, high: int) -> None:
        """Counts keys from low to high."""
        self._unpack()
        self._cover(low, high)
        self._counts[low - self._low : high - self._low + 1] += np.bincount(keys - low)

    def _unpack(self) -> None:
        if self._packed is not None:
            counts = np.zeros(int(self._packed[-1]) + 1, np.int64)
            counts[self._packed] = self._counts
            self._packed, self._counts = None, counts

    def _note(self, n: int, total: int, minimum: int, maximum: int) -> None:
        self.n += n
        self.total += total
        self.minimum = minimum if self.minimum is None else min(self.minimum, minimum)
        self.maximum = maximum if self.maximum is None else max(self.maximum, maximum)

    def _cover(self, low: int, high: int) -> None:
        if self._counts.size == 0:
            self._low, self._counts = low, np.zeros(high - low + 1, np.int64)
            return
        end = self._low + self._counts.size - 1
        if low >= self._low and high <= end:
            return
        new_low, new_high = min(low, self._low), max(high, end)
        counts = np.zeros(new_high - new_low + 1, np.int64)
        counts[self._low - new_low : self._low - new_low + self._counts.size] = self._counts
        self._low, self._counts = new_low, counts


def _exact_sum(values: Int64s, largest: int) -> int:
    """Sum without overflow of values up to +-largest: where it could be too large, high and low halves apart."""
    if largest * values.size < _SAFE:
        return int(values.sum())
    return (int((values >> 32).sum()) << 32) + int((values & 0xFFFFFFFF).sum())


def sum_of_squares(values: Int64s, largest: int) -> int:
    """Exact sum of squares of values from 0 to largest, which is below 2^47; at most 2^16 of them at a time."""
    if largest * largest * values.size < _SAFE:
        return int(np.dot(values, values))
    high, low = values >> 24, values & 0xFFFFFF
    return (int((high * high).sum()) << 48) + (int((high * low).sum()) << 25) + int((low * low).sum())
