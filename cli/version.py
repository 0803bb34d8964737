"""`carillon version`: which version this is."""

from __future__ import annotations

import json
from platform import python_version

import click

from carillon.messages.version import VERSION


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def version(*, as_json: bool) -> None:
    """Print the version."""
    if as_json:
        click.echo(json.dumps({"carillon": VERSION, "python": python_version()}))
    else:
        click.echo(f"carillon {VERSION}")
