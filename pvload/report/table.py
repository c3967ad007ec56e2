"""Plain tables and paragraphs that stay within a line's width."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import Final

WIDTH: Final = 100
_NARROWEST: Final = 8
"""A column is never cut to fewer characters."""


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1, indent: int = 2) -> list[str]:
    """Columns as wide as their longest cell, the first `left` ones flush left, the others flush right.

    Where they are wider than the line in all, cells of the widest columns are cut.
    """
    if not rows:
        return []
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    while indent + sum(widths) + 2 * (len(widths) - 1) > WIDTH and max(widths) > _NARROWEST:
        widths[widths.index(max(widths))] -= 1
    lines = []
    for row in (head, *rows):
        cells = [
            cut(cell, width).ljust(width) if i < left else cut(cell, width).rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append((" " * indent + "  ".join(cells)).rstrip())
    return lines


def paragraph(label: str, text: str, *, width: int = 10) -> list[str]:
    """`label` in a column of `width`, then `text` wrapped beside it."""
    lines = textwrap.wrap(text, WIDTH - width, break_long_words=True, break_on_hyphens=False) or [""]
    return [f"{label if i == 0 else '':{width}}{line}" for i, line in enumerate(lines)]


def bullet(text: str, *, indent: int = 2) -> list[str]:
    """`- text`, wrapped."""
    return textwrap.wrap(
        text, WIDTH, initial_indent=" " * indent + "- ", subsequent_indent=" " * indent + "  ", break_on_hyphens=False
    )


def cut(text: str, length: int) -> str:
    """`text`, or its beginning with `...` where it is longer: whole words, unless one fills it all."""
    if len(text) <= length:
        return text
    words = text[: length - 3].rpartition(" ")[0] if text[length - 3] != " " else text[: length - 3]
    return f"{words.rstrip(' ,;:')} ..." if len(words) > length // 2 else text[: length - 3] + "..."
