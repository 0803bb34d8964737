"""The table of providers on a terminal, two lines each: 80 columns are enough for what matters."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from rich.table import Table
from rich.text import Text

from carillon.cli.providers_cells import HEADER, row
from carillon.cli.providers_client import ProviderTold
from carillon.cli.table import bare_table, one_line

_STACKED: Final = (
    ("provider", "channels"),
    ("state", "breaker"),
    ("calls",),
    ("waiting", "oldest"),
    ("because of",),
    ("rate used", "quota left"),
    ("overrides",),
)
_KEPT_WHOLE: Final = frozenset({"provider", "state", "calls", "waiting"})
_LONGEST_CELL: Final = 200
_COLOURS: Final = {"running": "green", "breaker-open": "red", "out-of-quota": "red"}


def table(providers: Iterable[ProviderTold]) -> Table:
    """The cells of `row`, some of them below each other, with the state in its colour."""
    shown = bare_table()
    for names in _STACKED:
        no_wrap = not _KEPT_WHOLE.isdisjoint(names)
        shown.add_column("\n".join(names), no_wrap=no_wrap, overflow="fold")
    for provider in providers:
        cells = dict(zip(HEADER, row(provider), strict=True))
        colour = _COLOURS.get(provider.state, "yellow")
        shown.add_row(*(_stack(cells, names, colour) for names in _STACKED))
    return shown


def _stack(cells: dict[str, str], names: tuple[str, ...], colour: str) -> Text:
    first, *below = (one_line(cells[name], _LONGEST_CELL) for name in names)
    style = {"provider": "bold", "state": colour}.get(names[0], "")
    return Text.assemble((first, style), *((f"\n{text}", "dim") for text in below))
