"""What `carillon providers` prints of providers and of their changes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import click
from pydantic import JsonValue

from carillon.cli.providers_cells import HEADER, about_the_file, breaker, elapsed, hold, row
from carillon.cli.providers_client import EntryTold, ProvidersTold, ProviderTold, Told
from carillon.cli.providers_words import differences, worded
from carillon.cli.table import print_table, printable

_LONGEST: Final = 300
_KINDS: Final = ("dispatch", "event", "channel")
"""The keys by which entries name what they are about."""


def print_json(told: Told) -> None:
    """One document, on one line."""
    click.echo(json.dumps(told.document, ensure_ascii=False))


def print_all(told: ProvidersTold, *, as_json: bool) -> None:
    """A table, or a document a line; a refused configuration file is told of on stderr."""
    if as_json:
        for provider in told.providers:
            print_json(provider)
    else:
        _print_table(told.providers)
    for sentence in about_the_file(told.configuration):
        click.echo(printable(sentence), err=True)


def _print_table(providers: Sequence[ProviderTold]) -> None:
    if not sys.stdout.isatty():
        print_table(
            HEADER, [row(provider) for provider in providers], _LONGEST, whole=("provider",)
        )
        return
    from rich.console import Console

    from carillon.cli.providers_table import table

    Console().print(table(providers))


def print_one(provider: ProviderTold, *, as_json: bool) -> None:
    """Everything about one provider."""
    if as_json:
        print_json(provider)
        return
    for name, text in _facts(provider):
        click.echo(f"{name:10}{printable(text)}")
    click.echo()
    settings = provider.settings.items()
    rows = [(key, worded(key, setting.value), setting.source) for key, setting in settings]
    print_table(("setting", "value", "from"), rows, _LONGEST)
    if provider.errors:
        click.echo()
        errors = [(one.kind, f"{one.count:,}", one.at, one.text) for one in provider.errors]
        print_table(("error", "times", "last at", "last text"), errors, _LONGEST)


def _facts(provider: ProviderTold) -> Iterator[tuple[str, str]]:
    yield "provider", f"{provider.name}, of type {provider.type}"
    yield "channels", ", ".join(provider.channels)
    yield "state", provider.state
    most = worded("concurrency", provider.value("concurrency"))
    yield "calls", f"{provider.in_flight} open of {most}"
    yield "waiting", _waiting(provider)
    windows = [f"{one.used:,} of {one.limit:,}/{one.per}" for one in provider.rate]
    yield "rate used", "; ".join(windows) or "no limit"
    quota = provider.quota
    if quota is not None:
        yield "quota", f"{quota.left:,} left of {quota.limit:,} until {quota.resets_at}"
    yield "breaker", breaker(provider)


def _waiting(provider: ProviderTold) -> str:
    told = provider.waiting
    words = [f"{told.deliveries:,} deliveries"]
    if told.deliveries:
        words.append(f"the oldest for {elapsed(told.oldest)}")
    if told.why is not None:
        words.append(f"because of {hold(told)}")
    return ", ".join(words)


def print_audit(entries: Iterable[EntryTold], *, as_json: bool) -> None:
    """A table, or an entry a line."""
    if as_json:
        for entry in entries:
            print_json(entry)
        return
    rows = [(one.at, one.who, _target(one), one.action, _changed(one)) for one in entries]
    if rows:
        print_table(("at", "who", "target", "action", "changed"), rows, _LONGEST, whole=("target",))
    else:
        click.echo("No changes.")


def _target(entry: EntryTold) -> str:
    """What was changed: a provider by its name, anything else with its kind before it."""
    if entry.provider is not None:
        return entry.provider
    after = _words(entry.after)
    return next((f"{kind} {after[kind]}" for kind in _KINDS if kind in after), "")


def _changed(entry: EntryTold) -> str:
    before, after = _words(entry.before), _words(entry.after)
    return "; ".join(differences(before, after))


def _words(value: JsonValue) -> dict[str, str]:
    if isinstance(value, dict):
        return {key: worded(key, part) for key, part in value.items()}
    return {} if value is None else {"": json.dumps(value)}
