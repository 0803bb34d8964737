"""Tables: one style on a terminal, plain columns where the output goes elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from rich.table import Table

_LONGEST: Final = 48
_NARROW: Final = 8
"""Characters that a column has at least that may be broken over lines."""


def print_table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    longest: int = _LONGEST,
    *,
    whole: Collection[str] = (),
) -> None:
    """Print rows under a header, with cells of bounded length.

    Columns that are `whole` hold what people copy, ids above all: they are neither cut nor broken,
    however narrow the terminal is.
    """
    limits = [None if name in whole else longest for name in header]
    shown = [
        [one_line(cell, limit) for cell, limit in zip(row, limits, strict=True)] for row in rows
    ]
    widths = [max(map(len, column)) for column in zip(header, *shown, strict=True)]
    if sys.stdout.isatty():
        _print_lines(header, shown, widths, whole)
        return
    for line in (header, *shown):
        padded = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        click.echo("  ".join(padded).rstrip())


def _print_lines(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    widths: Sequence[int],
    whole: Collection[str],
) -> None:
    from rich.console import Console
    from rich.text import Text

    table, least = bare_table(), 0
    for name, width in zip(header, widths, strict=True):
        is_whole = name in whole
        table.add_column(
            name, no_wrap=is_whole, overflow="fold", min_width=width if is_whole else None
        )
        least += 1 + (width if is_whole else min(width, _NARROW))
    for row in rows:
        table.add_row(*map(Text, row))
    # Wider than the terminal rather than cut: it wraps to the next line, and can be copied.
    console = Console()
    Console(width=max(console.width, least)).print(table)


def bare_table() -> Table:
    """An empty table in the style of all tables: a rule below the header and nothing else."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    return Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), header_style="bold", highlight=False)


def one_line(text: str, longest: int | None = _LONGEST) -> str:
    """The text on one line, of bounded length, without control sequences."""
    shown = printable(" ".join(text.split()))
    return shown if longest is None or len(shown) <= longest else shown[: longest - 1] + "…"


def printable(text: str) -> str:
    """The text with everything escaped that a terminal might obey, line breaks excepted."""
    return "".join(
        char if char.isprintable() or char == "\n" else char.encode("unicode_escape").decode()
        for char in text
    )
