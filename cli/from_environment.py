"""Values of commands that only the environment can give."""

from __future__ import annotations

import click


class FromEnvironment(click.Option):
    """A value that only the environment can give: arguments show in the list of processes."""

    def add_to_parser(self, parser: object, ctx: click.Context) -> None:
        """Nothing to parse."""
