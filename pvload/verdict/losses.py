"""Missing frames by class in a person's words: the one place where a class has its name."""

from __future__ import annotations

from pvload.stats.summary import Missing


def losses(missing: Missing) -> dict[str, int]:
    """Class in words -> frames, every class that counts as missing; `before numbering` only where it is decidable."""
    named = {
        "dropped by the server (its own count; for a slow client, it says)": missing.backpressure,
        "lost in the server unseen": missing.unseen,
        "sent but not received": missing.transport,
        "undecided between server and network": missing.undecided,
    }
    if missing.before_numbering is not None:
        named["lost before numbering (driver, hardware)"] = missing.before_numbering
    return named


def dominant(missing: Missing) -> str:
    """`lost in the server unseen`, with `mostly` before it where other classes have a part; empty if there is none."""
    if not missing.total:
        return ""
    named = losses(missing)
    name = max(named, key=lambda one: named[one])
    mostly = "" if named[name] == missing.total else "mostly "
    return f"{mostly}{name.partition(' (')[0]}"
