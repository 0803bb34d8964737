"""`carillon config`: checks a configuration, and shows what it may hold."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from carillon.cli.examples import examples
from carillon.cli.failure import BadInput, Failure
from carillon.messages.model import Document

if TYPE_CHECKING:
    from carillon.cli.config.connections import ProbeResult
    from carillon.cli.config.starting import Obstacles
    from carillon.settings import Settings


@click.group()
def config() -> None:
    """Check the configuration, or print its JSON Schema."""


@config.command(
    epilog=examples(
        "carillon config check",
        "MAIL_SERVICE_NAME=mail-service carillon config check carillon.json",
        "carillon config check --connect",
        "carillon config check --json | jq .problems",
    )
)
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option(
    "--connect",
    is_flag=True,
    help="Connect to all that it names, too: providers and neighbours. Nothing is sent.",
)
@click.option("--offline", is_flag=True, help="Do not look at the store, which may be elsewhere.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object.")
def check(file: Path | None, *, connect: bool, offline: bool, as_json: bool) -> None:
    """Tell whether `carillon serve` would start as things are.

    Reads the environment, and FILE or else the file that CONFIGURATION_PATH names. Prints
    everything that is wrong, then warnings, then advice, then for each provider how long it tries
    a message. The store is looked at, and asked where it is a MongoDB; nothing is changed. Secrets
    are never shown.

    With --connect it opens a connection to each provider and neighbour besides, and says whether
    another service has the port or the store.

    Exit codes: 0 it would start, 1 it would, but with --connect something does not answer or is in
    use, 2 it would not.
    """
    from carillon.settings import ConfigurationError, advice, load, persistence, writable_by_others
    from carillon.settings.descriptors import most, shortage

    if connect and offline:
        raise BadInput("--connect and --offline contradict each other")
    try:
        settings = load(path=file)
        found = _unobstructed(settings, with_store=not offline)
    except ConfigurationError as error:
        if not as_json:
            raise BadInput(str(error)) from None
        _print_json(error.problems)
        raise SystemExit(BadInput.exit_code) from None
    asked = _asked(settings) if connect else []
    silent = [*(found.taken if connect else []), *(str(one) for one in asked if one.problem)]
    lacking = shortage(settings, most())
    warnings = [*settings.warnings, *writable_by_others(settings), *filter(None, [lacking])]
    if as_json:
        more = {"connections": [asdict(one) for one in asked], "taken": found.taken}
        _print_json(
            [], warnings, advice(settings), retries=_retries(settings), **(more if connect else {})
        )
    else:
        for warning in warnings:
            click.echo(f"warning: {warning}")
        for hint in advice(settings):
            click.echo(f"advice: {hint}")
        for one in persistence(settings):
            click.echo(f"retries: {one}.")
        for each in asked:
            if each.problem is None:
                click.echo(f"answers: {each.key} {each.address}")
        if not silent:
            click.echo(f"The configuration is right: {_carriers(settings)}.")
    if silent:
        raise Failure(_told(silent))


def _unobstructed(settings: Settings, *, with_store: bool) -> Obstacles:
    """What else the start would find. Raises ConfigurationError where it would fail."""
    from carillon.cli.config.starting import obstacles
    from carillon.settings import ConfigurationError

    found = obstacles(settings, with_store=with_store)
    if found.wrong:
        raise ConfigurationError(found.wrong)
    return found


def _asked(settings: Settings) -> list[ProbeResult]:
    import trio

    from carillon.cli.config.connections import ask_all

    return trio.run(ask_all, settings)


def _told(silent: Sequence[str]) -> str:
    if len(silent) == 1:
        return f"The configuration is right, but: {silent[0]}"
    lines = "".join(f"\n  - {each}" for each in silent)
    return f"The configuration is right, but in {len(silent)} places:{lines}"


def _retries(settings: Settings) -> Document:
    from carillon.settings import persistence

    return {
        one.provider: {
            "attempts": one.attempts,
            "atMost": one.at_most,
            "onAverage": one.on_average,
            "timeout": one.timeout,
        }
        for one in persistence(settings)
    }


def _print_json(
    problems: Sequence[str], warnings: Sequence[str] = (), hints: Sequence[str] = (), **more: object
) -> None:
    found = {
        "valid": not problems,
        "problems": [*problems],
        "warnings": [*warnings],
        "advice": [*hints],
        "retries": {},
        **more,
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
    from carillon.settings import schema as file_schema

    click.echo(json.dumps(file_schema(), indent=2, ensure_ascii=False))
