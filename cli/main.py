"""The command line's front door: which commands there are, and how their errors are shown."""

from __future__ import annotations

import sys
from io import TextIOWrapper
from typing import Final

import click

from cli.lazy import LazyGroup

COMMANDS: Final = {
    "serve": ("cli.serve:serve", "Run the service, configured by CONFIGURATION_PATH."),
    "demo": ("cli.demo:demo", "Run the service with sample users, sending nothing to anybody."),
    "send": ("cli.send:send", "Send a message through a running service."),
    "dispatches": ("cli.dispatches:dispatches", "Look at dispatches; cancel them, redrive them."),
    "events": ("cli.events:events", "Look at what sagas are told; post again what was parked."),
    "providers": ("cli.providers:providers", "Look at the providers of a service; tune them."),
    "supervisor": ("cli.supervision:supervisor", "Look at its channels and workers; revive one."),
    "users": ("cli.users:users", "Import and list the users of the store."),
    "templates": ("cli.templates:templates", "Import and list its templates; check some."),
    "store": ("cli.store:store", "Back up the store, check it, let a restored one go on; move it."),
    "render": ("cli.render:render", "Render a template with a context."),
    "config": ("cli.config:config", "Check the configuration, or print its JSON Schema."),
    "keys": ("cli.keys:keys", "Make API keys, list and remove those in a file."),
    "version": ("cli.version:version", "Print the version."),
}


def _print_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:  # noqa: FBT001
    if wanted:
        from messages.version import VERSION

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
            # A terminal that cannot show a letter must not end a command, nor crash a worker.
            stream.reconfigure(errors="backslashreplace")
