"""Changes a provider from the command line, and prints what has changed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import click
from pydantic_core import from_json

from carillon.cli.failure import BadInput
from carillon.cli.providers.client import ProviderAnswer, providers_of
from carillon.cli.providers.report import print_json
from carillon.cli.providers.words import differences, patch_of, worded
from carillon.messages.json_keys import RepeatedKey, refuse_repeated
from carillon.messages.model import Document
from carillon.settings import ClientSettings

Patch = Callable[[ProviderAnswer], Document]
"""The body of a PATCH, given the provider as it is."""


def asked_patch(assignments: Sequence[str], json_patch: str | None) -> Patch:
    """What assignments, or JSON in their place, ask for.

    Raises:
        BadInput: there are both or neither, or it is no JSON object.
    """
    if json_patch is None:
        if not assignments:
            raise BadInput("Nothing to set: say for example concurrency=5")
        return lambda known: patch_of(
            assignments, {key: setting.value for key, setting in known.settings.items()}
        )
    if assignments:
        raise BadInput("--json-patch stands in place of KEY=VALUE")
    patch = _object(json_patch)
    return lambda _: patch


def _object(text: str) -> Document:
    try:
        value = from_json(text, allow_inf_nan=False)
        refuse_repeated(text)
    except RepeatedKey as error:
        raise BadInput(f"--json-patch: {error}") from None
    except ValueError as error:
        raise BadInput(f"--json-patch is not valid JSON: {error}") from None
    if not isinstance(value, dict):
        raise BadInput('--json-patch must be a JSON object such as {"concurrency": 5}')
    return value


def change(service: ClientSettings, name: str, patch: Patch, *, as_json: bool) -> None:
    """Apply a patch and print the differences. Raises BadInput and Failure."""
    with providers_of(service) as known:
        before = known.one(name)
        after = known.change(name, patch(before))
    _tell(before, after, as_json=as_json)


def reset(service: ClientSettings, name: str, *, as_json: bool) -> None:
    """Remove every override and print the differences. Raises BadInput and Failure."""
    with providers_of(service) as known:
        before = known.one(name)
        after = known.reset(name)
    _tell(before, after, as_json=as_json)


def _tell(before: ProviderAnswer, after: ProviderAnswer, *, as_json: bool) -> None:
    if as_json:
        print_json(after)
        return
    lines = differences(dict(_state(before)), dict(_state(after)))
    click.echo(f"{after.name}:" if lines else f"{after.name}: nothing changed")
    for line in lines:
        click.echo(f"  {line}")


def _state(provider: ProviderAnswer) -> Iterator[tuple[str, str]]:
    for key, setting in provider.settings.items():
        yield key, f"{worded(key, setting.value)} ({setting.source})"
    yield "state", provider.state
