"""The examples of the guide, read from examples.json: the language's, and one of each helper."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple


class Example(NamedTuple):
    """A helper (some names share an example), what it does, and a template that calls it."""

    names: str
    says: str
    template: str


class Family(NamedTuple):
    """Helpers that belong together."""

    title: str
    helpers: tuple[Example, ...]


class Examples(NamedTuple):
    """All examples. `context` is JSON text that they are rendered with."""

    context: str
    syntax: tuple[tuple[str, str], ...]
    families: tuple[Family, ...]


def read_examples() -> Examples:
    """Read the examples."""
    found = json.loads((Path(__file__).parent / "examples.json").read_text(encoding="utf-8"))
    return Examples(
        "\n".join(found["context"]),
        tuple((says, template) for says, template in found["syntax"]),
        tuple(
            Family(family["title"], tuple(Example(*row) for row in family["helpers"]))
            for family in found["families"]
        ),
    )
