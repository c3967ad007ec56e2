"""Counters that parameter values carry: which were written, which were told, and when. Bounded, and of no order.

Counters of a storm are dense (its users share them out), so a set of them is a bitmap in chunks. Times are kept for
all counters while they are few, and for an even share of them, chosen by their hash, once they are many: which ones
are kept depends on the counters alone and not on the order they come in.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from pvload.stats.histogram import Int64s

CHUNK: Final = 1 << 16
"""Counters in a chunk (8 KiB)."""
CHUNKS: Final = 2048
"""Most chunks of a set: 134 million counters, 16 MiB."""
STAMPS: Final = 65_536
"""Most counters whose time is kept."""
FEW_CHUNKS: Final = 16
"""Most chunks where no storm is planned: a million counters."""
_GOLDEN: Final = np.uint64(0x9E3779B97F4A7C15)

Bits = np.ndarray[tuple[int], np.dtype[np.uint8]]


class CounterSet:
    """A set of counters of 0 and more."""

    __slots__ = ("_chunks", "_room", "first", "last", "overflow")

    def __init__(self, chunks: int = CHUNKS) -> None:
        self._room = chunks
        self._chunks: dict[int, Bits] = {}
        self.first: int | None = None
        self.last: int | None = None
        self.overflow = False
        """Some found no room: what the set says of losses is not to be relied on."""

    def add(self, counters: Int64s) -> None:
        """Puts them in; shape (n,), each 0 or more."""
        if counters.size == 0:
            return
        low, high = int(counters.min()), int(counters.max())
        self.first = low if self.first is None else min(self.first, low)
        self.last = high if self.last is None else max(self.last, high)
        chunks = counters // CHUNK
        for at in np.unique(chunks):
            flags = np.zeros(CHUNK, np.uint8)
            flags[counters[chunks == at] % CHUNK] = 1
            self._put(int(at), np.packbits(flags))

    def merge(self, other: CounterSet) -> None:
        """Puts all of `other` in."""
        for at, bits in other._chunks.items():
            self._put(at, bits)
        self.overflow |= other.overflow
        if other.first is not None and other.last is not None:
            self.first = other.first if self.first is None else min(self.first, other.first)
            self.last = other.last if self.last is None else max(self.last, other.last)

    def __len__(self) -> int:
        return sum(int(np.bitwise_count(bits).sum()) for bits in self._chunks.values())

    def lost(self, written: CounterSet) -> tuple[int, int]:
        """Counters of `written` between our first and our last one that are not here, and the most of them in a row
        (a row is not ended by a counter that nobody wrote)."""
        if self.first is None or self.last is None:
            return 0, 0
        total = longest = run = 0
        for at in range(self.first // CHUNK, self.last // CHUNK + 1):
            bits = written._chunks.get(at)
            if bits is None:
                continue
            wrote = np.unpackbits(bits).astype(np.bool_)
            wrote[: max(0, self.first - at * CHUNK)] = False
            wrote[self.last - at * CHUNK + 1 :] = False
            own = self._chunks.get(at)
            told = np.unpackbits(own).astype(np.bool_) if own is not None else np.zeros(CHUNK, np.bool_)
            missing = ~told[wrote]
            total += int(missing.sum())
            seen = np.flatnonzero(~missing)
            if seen.size == 0:
                run += missing.size
                longest = max(longest, run)
                continue
            inner = int(np.diff(seen).max()) - 1 if seen.size > 1 else 0
            longest = max(longest, run + int(seen[0]), inner)
            run = missing.size - 1 - int(seen[-1])
        return total, max(longest, run)

    def _put(self, at: int, bits: Bits) -> None:
        own = self._chunks.get(at)
        if own is not None:
            self._chunks[at] = own | bits
        elif len(self._chunks) < self._room:
            self._chunks[at] = bits
        else:
            self.overflow = True


class Stamps:
    """The earliest time of each counter, of an even share of them if they are more than STAMPS."""

    __slots__ = ("_level", "_parts", "_size")

    def __init__(self) -> None:
        self._level = 0
        """Counters stay whose hash ends in so many zero bits."""
        self._parts: list[Int64s] = []
        self._size = 0

    def add(self, counters: Int64s, t_ns: Int64s) -> None:
        """Takes times of counters, shape (n,) each."""
        kept = _sampled(counters, self._level)
        if not kept.any():
            return
        self._parts.append(np.stack((counters[kept], t_ns[kept])))
        self._size += int(kept.sum())
        if self._size > 2 * STAMPS:
            self.settled()

    def settled(self) -> Int64s:
        """(counter, earliest time), shape (2, n), counters rising."""
        if not self._parts:
            return np.zeros((2, 0), np.int64)
        rows = np.concatenate(self._parts, axis=1)
        rows = rows[:, np.lexsort((rows[1], rows[0]))]
        rows = rows[:, np.concatenate(([True], rows[0, 1:] != rows[0, :-1]))]
        while rows.shape[1] > STAMPS:
            self._level += 1
            rows = rows[:, _sampled(rows[0], self._level)]
        self._parts, self._size = [rows], rows.shape[1]
        return rows

    def merge(self, other: Stamps, shift_ns: int) -> None:
        """Adds the times of `other`, each later by shift_ns."""
        rows = other.settled()
        self._level = max(self._level, other._level)
        if self._parts:
            mine = self.settled()
            self._parts = [mine[:, _sampled(mine[0], self._level)]]
            self._size = self._parts[0].shape[1]
        self.add(rows[0], rows[1] + shift_ns)


def _sampled(counters: Int64s, level: int) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    if level == 0:
        return np.ones(counters.size, np.bool_)
    mixed = (counters.astype(np.uint64) * _GOLDEN) >> np.uint64(32)
    kept: np.ndarray[tuple[int], np.dtype[np.bool_]] = (mixed & np.uint64((1 << level) - 1)) == 0
    return kept


def after(written: Int64s, told: Int64s) -> Int64s:
    """Nanoseconds from writing to telling, of the counters in both; each (2, n) as `Stamps.settled` gives them."""
    _, mine, others = np.intersect1d(written[0], told[0], assume_unique=True, return_indices=True)
    delays: Int64s = told[1, others] - written[1, mine]
    return delays


class Counted:
    """The counters of one parameter of one device: which, and when."""

    __slots__ = ("counters", "stamps")

    def __init__(self, chunks: int = CHUNKS) -> None:
        self.counters = CounterSet(chunks)
        self.stamps = Stamps()

    def add(self, counters: Int64s, t_ns: Int64s) -> None:
        """Takes counters and their times."""
        self.counters.add(counters)
        self.stamps.add(counters, t_ns)

    def merge(self, other: Counted, shift_ns: int) -> None:
        """Adds another's, whose times are later by shift_ns."""
        self.counters.merge(other.counters)
        self.stamps.merge(other.stamps, shift_ns)
