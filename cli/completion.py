"""Shell completion beyond commands and options: names and ids that a running service knows.

The service is found by the command line and the environment. The user who presses Tab waits for a
moment at most, and sees no errors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from threading import Thread
from typing import TYPE_CHECKING, Final

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from carillon.cli.service_client import Connection

SECONDS: Final = 1.5
"""How long a key may be waited for, looking up the name of the service included."""
_MOST: Final = 50

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]
_Ask = Callable[["Connection", str], Iterator[tuple[str, str]]]
"""Yields words that complete what was typed, each with a remark."""


def provider_names(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of providers."""
    return _asked(_providers, ctx, incomplete)


def dispatch_ids(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Ids of dispatches, the newest first."""
    return _asked(_dispatches, ctx, incomplete)


def event_ids(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Ids of events, the newest first."""
    return _asked(_events, ctx, incomplete)


def assignments(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The keys that can be set for a provider, and once a key is typed its current value."""
    from carillon.cli.providers.words import KEYS

    key, is_assigned, _text = incomplete.partition("=")
    if is_assigned:
        now = _asked(_value_in_force, ctx, f"{ctx.params.get('name')}\n{key}")
        words = [*(f"{key}={item.value}" for item in now), *_values(key)]
        distinct = dict.fromkeys(words)
        return [CompletionItem(word) for word in distinct if word.startswith(incomplete)]
    names = [name for key, parts in KEYS.items() for name in _names(key, parts)]
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


def key_ids(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Ids of API keys in the file that is named."""
    from carillon.cli.key_file import read_file

    with suppress(Exception):
        found = read_file(ctx.params["file"])
        return [CompletionItem(key.id) for key in found if key.id.startswith(incomplete)]
    return []


def _names(key: str, parts: Sequence[str]) -> list[str]:
    whole = [] if key == "retry" else [f"{key}="]
    return [*whole, *(f"{key}.{part}=" for part in parts)]


def _values(key: str) -> list[str]:
    words = {
        "breaker": ["closed", "default"],
        "draining": ["true", "false", "default"],
        "onUnknownOutcome": ["hold", "retry", "default"],
        "paused": ["true", "false", "default"],
        "rate": ["none", "default"],
    }
    return [f"{key}={word}" for word in words.get(key, [] if "." in key else ["default"])]


def _asked(ask: _Ask, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
    """What the service answers in time; nothing if anything goes wrong."""
    found: list[CompletionItem] = []

    def run() -> None:
        # Errors stay silent: a user who presses Tab wants no traceback in the line.
        with suppress(Exception), closing(_connection(ctx)) as connection:
            for word, remark in ask(connection, incomplete):
                if word.isprintable() and " " not in word:  # one that a shell would not take apart
                    found.append(CompletionItem(word, help=" ".join(remark.split())))

    # In a thread, since the look-up of a name cannot be given a time.
    thread = Thread(target=run, daemon=True)
    thread.start()
    thread.join(SECONDS)
    return [*found]


def _connection(ctx: click.Context) -> Connection:
    from carillon.cli.options import client
    from carillon.cli.service_client import Connection

    given = {name: ctx.params.get(name) for name in ("url", "api_key")}
    texts = {name: value if isinstance(value, str) else None for name, value in given.items()}
    return Connection(client(texts["url"], texts["api_key"]))


def _providers(connection: Connection, incomplete: str) -> Iterator[tuple[str, str]]:
    from carillon.cli.providers.client import Providers

    for provider in Providers(connection).all().providers:
        if provider.name.startswith(incomplete):
            yield provider.name, provider.state


def _value_in_force(connection: Connection, asked: str) -> Iterator[tuple[str, str]]:
    from carillon.cli.providers.client import Providers
    from carillon.cli.providers.words import worded

    name, _, key = asked.partition("\n")
    key, _, part = key.partition(".")
    value = Providers(connection).one(name).value(key)
    if part:
        value = value.get(part) if isinstance(value, dict) else None
    if value is not None and not (isinstance(value, dict) and key != "quota"):
        yield worded(part or key, value), ""


def _dispatches(connection: Connection, incomplete: str) -> Iterator[tuple[str, str]]:
    from carillon.cli.dispatches.client import Dispatches

    for one in Dispatches(connection).beginning(incomplete, _MOST):
        if one.id.startswith(incomplete):
            yield one.id, f"{one.state}, accepted {one.created_at}"


def _events(connection: Connection, incomplete: str) -> Iterator[tuple[str, str]]:
    from carillon.cli.events_report import Events

    for one in Events(connection).beginning(incomplete, _MOST):
        if one.id.startswith(incomplete):
            yield one.id, f"{one.state}, saga {one.key}"
