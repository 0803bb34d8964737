"""Documents of the store on the screen: a table for people, JSON lines for scripts."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final

import click

from carillon.cli.directory.local_store import Collection
from carillon.cli.options import ROWS
from carillon.cli.table import print_table
from carillon.messages.model import Document, JsonValue

_COLUMNS: Final = 8

Summary = Callable[[Document], Document]


def list_collection(
    collection: Collection,
    documents: Iterator[Document],
    limit: int | None,
    summary: Summary,
    *,
    as_json: bool,
) -> None:
    """Print the documents of a collection; `summary` makes the row of a table for one."""
    most = (0 if as_json else ROWS) if limit is None else limit
    if as_json:
        for document in islice(documents, most or None):
            click.echo(json.dumps(document, ensure_ascii=False))
        return
    found = list(islice(documents, most + 1 if most else None))
    _show(collection, [summary(document) for document in found], most)


def _show(collection: str, rows: list[Document], most: int) -> None:
    more = bool(most) and len(rows) > most
    shown = rows[:most] if more else rows
    if not shown:
        click.echo(f"No {collection}s.")
        return
    names = list(dict.fromkeys(name for row in shown for name in row))[:_COLUMNS]
    cells = [[cell(row.get(name)) for name in names] for row in shown]
    print_table(names, cells, whole=("_id",))
    if more:
        click.echo("… and more: --limit 0 shows all, --json for scripts.", err=True)


def cell(value: JsonValue) -> str:
    """A value as one short text."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return ", ".join(map(str, value))
    return json.dumps(value, ensure_ascii=False)
