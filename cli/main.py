"""The entry point of the command line: its commands, and how their errors are shown."""

from __future__ import annotations

import sys
from io import TextIOWrapper
from typing import Final

import click

from carillon.cli.lazy import LazyGroup

COMMANDS: Final = {
    "serve": ("carillon.cli.serve:serve", "Run the service, configured by CONFIGURATION_PATH."),
    "demo": (
        "carillon.cli.demo.command:demo",
        "Run the service with sample users, sending nothing to anybody.",
    ),
    "send": ("carillon.cli.send:send", "Send a message through a running service."),
    "dispatches": (
        "carillon.cli.dispatches.command:dispatches",
        "Look at dispatches; cancel them, redrive them.",
    ),
    "events": (
        "carillon.cli.events:events",
        "Look at what sagas are told; post again what was parked.",
    ),
    "providers": (
        "carillon.cli.providers.command:providers",
        "Look at the providers of a service; tune them.",
    ),
    "supervisor": (
        "carillon.cli.supervision:supervisor",
        "Look at its channels and workers; revive one.",
    ),
    "users": ("carillon.cli.directory.users:users", "Import and list the users of the store."),
    "templates": (
        "carillon.cli.directory.templates:templates",
        "Import and list its templates; check some.",
    ),
    "store": (
        "carillon.cli.store.group:store",
        "Back up the store, check it, let a restored one go on; move it.",
    ),
    "render": ("carillon.cli.render:render", "Render a template with a context."),
    "config": (
        "carillon.cli.config.command:config",
        "Check the configuration, or print its JSON Schema.",
    ),
    "keys": ("carillon.cli.keys:keys", "Make API keys, list and remove those in a file."),
    "version": ("carillon.cli.version:version", "Print the version."),
}


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:  # noqa: FBT001
    if wanted:
        from carillon.messages.version import VERSION

        click.echo(f"carillon {VERSION}")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    where=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 it failed, 2 wrong usage or configuration. "
    "`carillon COMMAND --help` shows examples.",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Print the version.",
)
def main() -> None:
    """Carillon: one call reaches any number of users over email, SMS, push and voice."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # A terminal that cannot show a character must not end a command or crash a worker.
            stream.reconfigure(errors="backslashreplace")
