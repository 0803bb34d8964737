"""What `carillon providers types` prints: the types that a configuration may name."""

from __future__ import annotations

import json

import click

from carillon.cli.table import print_table
from carillon.messages.model import Document
from carillon.providers.description import TypeDescription, description
from carillon.providers.registry import PLUGINS, TYPES

HEADER = ("type", "calls", "channels", "needs", "without an answer", "documented limit", "plug-in")


def print_types(*, as_json: bool) -> None:
    """A row each, or an array with all that is known of them; plug-ins at fault on stderr."""
    for sentence in PLUGINS.broken.values():
        click.echo(f"warning: {sentence}", err=True)
    described = [description(kind) for kind in TYPES.values()]
    if as_json:
        found = [_document(one) for one in described]
        click.echo(json.dumps(found, indent=2, ensure_ascii=False))
        return
    print_table(HEADER, [_row(one) for one in described], whole=("type", "needs"))


def _row(one: TypeDescription) -> tuple[str, ...]:
    rate = one.documented
    return (
        one.name,
        one.title,
        " ".join(one.channels),
        ", ".join(_needs(one)) or "nothing",
        one.on_unknown_outcome,
        "" if rate is None else f"{rate.limit}/{rate.per}",
        PLUGINS.packages.get(one.name, ""),
    )


def _needs(one: TypeDescription) -> list[str]:
    return [*(key.path for key in one.keys if key.needed), *one.surroundings]


def _document(one: TypeDescription) -> Document:
    rate = one.documented
    return {
        "type": one.name,
        "title": one.title,
        "plugin": PLUGINS.packages.get(one.name),
        "channels": [*one.channels],
        "onlyNamed": [*one.only_named],
        "onUnknownOutcome": one.on_unknown_outcome,
        "documentedRate": None if rate is None else {"limit": rate.limit, "per": rate.per},
        "surroundings": [*one.surroundings],
        "variables": {each.name: each.meaning for each in one.variables},
        "keys": [
            {
                "key": key.path,
                "meaning": key.meaning,
                "default": None if key.default is None else json.loads(key.default),
                "variables": [*key.variables],
                "required": key.required,
            }
            for key in one.keys
        ],
    }
