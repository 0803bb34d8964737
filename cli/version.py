"""`carillon version`: which version this is."""

from __future__ import annotations

import json
from importlib.metadata import version as version_of
from platform import python_version

import click


def installed_version() -> str:
    """The version of the installed package."""
    return version_of("carillon")


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def version(*, as_json: bool) -> None:
    """Print the version."""
    if as_json:
        click.echo(json.dumps({"carillon": installed_version(), "python": python_version()}))
    else:
        click.echo(f"carillon {installed_version()}")
