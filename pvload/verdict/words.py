"""Figures as a person reads them: one way to write a time, a share, a rate."""

from __future__ import annotations


def seconds(value: float) -> str:
    """`0.21 s`, `12.3 s`, `1,800.0 s`: two digits below 10 s, one above."""
    return f"{value:.2f} s" if abs(value) < 10 else f"{value:,.1f} s"


def ms(value: float) -> str:
    """`0.4 ms`, `12.3 ms`, `1,234 ms`."""
    return f"{value:,.1f} ms" if abs(value) < 1000 else f"{value:,.0f} ms"


def percent(share: float) -> str:
    """`5.1 %`; small shares keep two digits that say something."""
    value = share * 100
    return f"{value:.1f} %" if value == 0 or abs(value) >= 1 else f"{value:.2g} %"


def rate(hz: float) -> str:
    """`9.53 frames/s`."""
    return f"{hz:.4g} frames/s"


def count(number: int, noun: str) -> str:
    """`1 frame`, `2 frames`, `no frames`."""
    if number == 0:
        return f"no {noun}s"
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def times(number: int) -> str:
    """`once`, `twice`, `3 times`."""
    return {1: "once", 2: "twice"}.get(number, f"{number:,} times")
