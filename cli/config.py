"""`carillon config`: what is wrong with a configuration, and what one may hold."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cli.examples import examples
from cli.failure import BadInput
from messages.model import Document

if TYPE_CHECKING:
    from settings import Settings


@click.group()
def config() -> None:
    """Check the configuration, or print its JSON Schema."""


@config.command(
    epilog=examples(
        "carillon config check",
        "MAIL_SERVICE_NAME=mail-service carillon config check carillon.json",
        "carillon config check --json | jq .problems",
    )
)
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def check(file: Path | None, *, as_json: bool) -> None:
    """Tell whether `carillon serve` would start as things are.

    Reads the environment, and FILE or else the file that CONFIGURATION_PATH names. Prints
    everything that is wrong, then warnings, then advice, then for each provider how long it tries
    a message. Secrets are never shown.

    Exit codes: 0 it would start, 2 it would not.
    """
    import trio

    from settings import ConfigurationError, advice, load, persistence, writable_by_others
    from settings.accounts import check_service_accounts
    from settings.descriptors import most, shortage
    from settings.flow_functions import check_flow_functions

    try:
        settings = load(path=file)
        check_service_accounts(settings)
        if settings.flow_manager is not None:
            trio.run(check_flow_functions, settings.flow_manager)
    except ConfigurationError as error:
        if not as_json:
            raise BadInput(str(error)) from None
        _print_json(error.problems, [], [], {})
        raise SystemExit(BadInput.exit_code) from None
    lacking = shortage(settings, most())
    warnings = [*settings.warnings, *writable_by_others(settings), *filter(None, [lacking])]
    if as_json:
        retries: Document = {
            one.provider: {
                "attempts": one.attempts,
                "atMost": one.at_most,
                "onAverage": one.on_average,
                "timeout": one.timeout,
            }
            for one in persistence(settings)
        }
        _print_json([], warnings, advice(settings), retries)
        return
    for warning in warnings:
        click.echo(f"warning: {warning}")
    for hint in advice(settings):
        click.echo(f"advice: {hint}")
    for one in persistence(settings):
        click.echo(f"retries: {one}.")
    click.echo(f"The configuration is right: {_carriers(settings)}.")


def _print_json(
    problems: Sequence[str], warnings: Sequence[str], hints: Sequence[str], retries: Document
) -> None:
    found = {
        "valid": not problems,
        "problems": [*problems],
        "warnings": [*warnings],
        "advice": [*hints],
        "retries": retries,
    }
    click.echo(json.dumps(found, ensure_ascii=False))


def _carriers(settings: Settings) -> str:
    return "; ".join(
        f"{name} goes over {', '.join(choice.name for choice in channel.providers)}"
        for name, channel in settings.channels.items()
    )


@config.command(epilog=examples("carillon config schema > carillon.schema.json"))
def schema() -> None:
    """Print the JSON Schema of the configuration file.

    Editors that know it complete and check the file as it is written.
    """
    from settings import schema as file_schema

    click.echo(json.dumps(file_schema(), indent=2, ensure_ascii=False))
