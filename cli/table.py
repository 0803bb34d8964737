"""Tables: with lines on a terminal, in plain columns where the output goes elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

import click

_LONGEST: Final = 48


def print_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], longest: int = _LONGEST
) -> None:
    """Print rows under a header, with cells of at most so many characters."""
    rows = [[one_line(cell, longest) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
        for row in (header, *rows):
            padded = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            click.echo("  ".join(padded).rstrip())
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*header, header_style="bold", highlight=False)
    for row in rows:
        table.add_row(*map(Text, row))
    Console().print(table)


def one_line(text: str, longest: int = _LONGEST) -> str:
    """The text on one line, at most so long, and without what a terminal would obey."""
    shown = printable(" ".join(text.split()))
    return shown if len(shown) <= longest else shown[: longest - 1] + "…"


def printable(text: str) -> str:
    """The text with everything escaped that a terminal might obey, line breaks excepted."""
    return "".join(
        char if char.isprintable() or char == "\n" else char.encode("unicode_escape").decode()
        for char in text
    )
