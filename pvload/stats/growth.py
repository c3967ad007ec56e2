"""Does a figure of a process grow? The rule of docs/definitions.md, which a correlated series cannot fool.

A series of samples (memory, open files, threads) is correlated: a test that takes each sample for news of its own calls
growth where there is none. So the series is cut into windows that are long against its own memory of itself, and only
their medians are looked at: the slope between each two of them, by Theil and Sen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from pvload.stats.histogram import Int64s

NS_PER_S: Final = 1_000_000_000
WINDOWS_LEAST: Final = 24
WINDOWS_MOST: Final = 96
CORRELATIONS: Final = 5.0
"""Length of a window at least, in correlation times."""
WINDOW_LEAST_S: Final = 60.0
STRAIGHT: Final = 20.0
"""A rise by so many times its spread is one, however correlated: of 400 random walks the straightest had 19."""
WARM_UP_SHARE: Final = 0.1
WARM_UP_LEAST_S: Final = 60.0
HOUR_S: Final = 3600.0
_TREND_DEGREE: Final = 3
"""What is smoother than this is trend and no correlation, so that a bent growth is judged and not refused."""
_ONE_SIDED_95: Final = 1.6449
_REACH: Final = 5.0
"""The correlation time sums the correlation over lags of up to so many of itself."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of one series. Values in the series' unit, slopes in it an hour."""

    result: Literal["flat", "grows", "too_short"]
    windows: int
    window_s: float
    correlation_s: float | None
    first: float | None
    last: float | None
    per_hour: float | None
    per_hour_low: float | None
    reason: str


def judge(at_ns: Int64s, values: Floats, *, least_change: float) -> Judged:
    """Judges samples in order of time. least_change: growth over the whole series that is worth a word."""
    if at_ns.size < 2:
        return _refused(0.0, None, values, "one sample")
    length_s = float(at_ns[-1] - at_ns[0]) / NS_PER_S
    warm_up_s = max(WARM_UP_LEAST_S, WARM_UP_SHARE * length_s)
    judged = at_ns >= at_ns[0] + round(warm_up_s * NS_PER_S)
    at_s, values = (at_ns[judged] - at_ns[0]) / NS_PER_S, values[judged]
    length_s = float(at_s[-1] - at_s[0]) if at_s.size > 1 else 0.0
    if length_s < WINDOWS_LEAST * WINDOW_LEAST_S:
        least_s = WINDOWS_LEAST * WINDOW_LEAST_S
        there = f"{length_s:.0f} s after its first {warm_up_s:.0f} s"
        return _refused(length_s, None, values, f"{there}, needs {least_s:.0f} s")
    most_apart_s = float(np.diff(at_s).max())
    if most_apart_s > length_s / WINDOWS_LEAST:
        return _refused(length_s, None, values, f"no sample for {most_apart_s:.0f} s")
    correlation_s = correlation_time(at_s, values)
    window_s = max(CORRELATIONS * correlation_s, WINDOW_LEAST_S, length_s / WINDOWS_MOST, most_apart_s)
    count = int(length_s / window_s)
    if count < WINDOWS_LEAST:
        # What does not even seem to rise need not be told from wandering, nor what rises straighter than any wandering.
        trend = _trend(at_s, values, WINDOWS_LEAST)
        if _no_rise(trend, least_change) or trend.grown > STRAIGHT * trend.sigma:
            return _verdict(trend, correlation_s, least_change)
        need_s = WINDOWS_LEAST * window_s
        return _refused(
            length_s,
            correlation_s,
            values,
            f"it rises, and remembers itself for {correlation_s:.0f} s: to tell growth from wandering takes "
            f"{need_s:.0f} s after warm-up, there are {length_s:.0f} s",
        )
    return _verdict(_trend(at_s, values, count), correlation_s, least_change)


def correlation_time(at_s: Floats, values: Floats) -> float:
    """How long the series remembers itself: the sum of its autocorrelation over all lags, seconds.

    Its trend, a curve of the third degree, is taken out before. At least the spacing of the samples.
    """
    step_s = float(np.median(np.diff(at_s)))
    middle = (at_s - at_s.mean()) / max(np.ptp(at_s), 1e-9)
    rest = values - np.polyval(np.polyfit(middle, values, _TREND_DEGREE), middle)
    power = float(np.dot(rest, rest))
    if power <= 1e-12 * max(1.0, float(np.dot(values, values))):
        return step_s
    size = 1 << (2 * rest.size - 1).bit_length()
    spectrum = np.fft.rfft(rest, size)
    correlation = np.fft.irfft(spectrum * np.conj(spectrum), size)[: rest.size] / power
    sums = 2 * np.cumsum(correlation) - 1
    lags = np.arange(sums.size)
    stop = int(np.argmax(lags >= _REACH * np.maximum(sums, 0.5)))
    return max(1.0, float(sums[stop if stop else -1])) * step_s


def theil_sen(x: Floats, y: Floats) -> tuple[float, float]:
    """The slope, and its one-sided 95 % lower limit by Kendall's variance (Sen 1968)."""
    n = x.size
    first, second = np.triu_indices(n, 1)
    slopes = np.sort((y[second] - y[first]) / (x[second] - x[first]))
    spread = _ONE_SIDED_95 * np.sqrt(n * (n - 1) * (2 * n + 5) / 18)
    rank = int(np.floor((slopes.size - spread) / 2))
    return float(np.median(slopes)), float(slopes[max(rank, 0)])


def _medians(at_s: Floats, values: Floats, count: int) -> tuple[Floats, Floats]:
    """Middles and medians of `count` equal windows; windows without a sample are left out."""
    edges = np.linspace(at_s[0], at_s[-1], count + 1)
    places = np.searchsorted(at_s, edges[1:-1])
    parts = np.split(values, places)
    middles = (edges[:-1] + edges[1:]) / 2
    full = np.array([part.size > 0 for part in parts])
    return middles[full], np.array([np.median(part) for part in parts if part.size])


@dataclass(frozen=True, slots=True)
class _Trend:
    """What the medians of the windows say."""

    medians: Floats
    window_s: float
    slope: float
    low: float
    grown: float
    sigma: float
    """Spread of the medians about the slope."""
    halves: tuple[float, float]
    """Slopes."""


def _trend(at_s: Floats, values: Floats, count: int) -> _Trend:
    middles, medians = _medians(at_s, values, count)
    slope, low = theil_sen(middles, medians)
    half = medians.size // 2
    return _Trend(
        medians=medians,
        window_s=float(at_s[-1] - at_s[0]) / count,
        slope=slope,
        low=low,
        grown=slope * float(middles[-1] - middles[0]),
        sigma=float(np.std(medians - slope * middles)),
        halves=(
            theil_sen(middles[:half], medians[:half])[0],
            theil_sen(middles[half:], medians[half:])[0],
        ),
    )


def _no_rise(trend: _Trend, least_change: float) -> str:
    """Why these windows show no rise, whatever their correlation; empty: they do."""
    if trend.grown <= trend.sigma:
        return "it grows by less than its own spread, if at all"
    if min(trend.halves) <= 0:
        return f"it does not grow in the {'first' if trend.halves[0] <= 0 else 'second'} half"
    if trend.grown < least_change:
        return "it grows by too little to matter"
    return ""


def _verdict(trend: _Trend, correlation_s: float, least_change: float) -> Judged:
    medians = trend.medians
    reason = _no_rise(trend, least_change)
    if not reason and trend.low <= 0:
        reason = "the slope's lower limit is not above 0"
    return Judged(
        result="flat" if reason else "grows",
        windows=int(medians.size),
        window_s=trend.window_s,
        correlation_s=correlation_s,
        first=float(medians[0]),
        last=float(medians[-1]),
        per_hour=trend.slope * HOUR_S,
        per_hour_low=trend.low * HOUR_S,
        reason=reason or "it grows in both halves, by more than its own spread",
    )


def _refused(length_s: float, correlation_s: float | None, values: Floats, reason: str) -> Judged:
    return Judged(
        result="too_short",
        windows=0,
        window_s=length_s,
        correlation_s=correlation_s,
        first=float(values[0]) if values.size else None,
        last=float(values[-1]) if values.size else None,
        per_hour=None,
        per_hour_low=None,
        reason=reason,
    )
