"""The quantiles of a histogram, as figures show them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Of a histogram with 0.5 % relative error. n = 0: all figures None."""

    n: int
    min: float | None
    mean: float | None
    p50: float | None
    p90: float | None
    p95: float | None
    p99: float | None
    p999: float | None
    max: float | None
    relative_error: float = 0.005


NO_QUANTILES = Quantiles(n=0, min=None, mean=None, p50=None, p90=None, p95=None, p99=None, p999=None, max=None)
"""Of nothing."""
