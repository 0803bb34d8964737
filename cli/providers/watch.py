"""`carillon providers watch`: a table that follows the providers, or JSON lines in a pipe."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

import click
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from carillon.cli.failure import BadInput, Failure
from carillon.cli.providers.client import ProviderAnswer, Providers, ProvidersAnswer, providers_of
from carillon.cli.providers.report import about_the_file, table
from carillon.cli.table import one_line
from carillon.messages.model import Document
from carillon.settings import ClientSettings
from carillon.settings.errors import nearest

_LONGEST: Final = 300

Look = ProvidersAnswer | Failure
"""The service's answer, or why there is none."""


def watch(service: ClientSettings, names: Sequence[str], interval: float, *, as_json: bool) -> None:
    """Follow the providers until the user has seen enough.

    Raises:
        BadInput: the service refuses, or does not know such a provider.
        Failure: it cannot be reached from the start.
    """
    # A SIGTERM must not leave the terminal without a cursor.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    show = _print_lines if as_json or not sys.stdout.isatty() else _show_table
    with suppress(KeyboardInterrupt), providers_of(service) as known:
        show(looks(known, names, interval))


def looks(known: Providers, names: Sequence[str], interval: float) -> Iterator[Look]:
    """Look again and again, `interval` seconds after the previous look."""
    yield _chosen(known.all(), names)
    while True:
        time.sleep(interval)
        try:
            yield _chosen(known.all(), names)
        except BadInput:
            raise
        except Failure as failure:
            yield failure


def _chosen(told: ProvidersAnswer, names: Sequence[str]) -> ProvidersAnswer:
    there = {provider.name: provider for provider in told.providers}
    for name in names:
        if name not in there:
            raise BadInput(f"There is no provider {name}; {nearest(name, there)}")
    chosen = [there[name] for name in dict.fromkeys(names or there)]
    return told.model_copy(update={"providers": chosen})


def _print_lines(seen: Iterator[Look]) -> None:
    for look in seen:
        told: Document = {"error": str(look)} if isinstance(look, Failure) else look.document
        click.echo(json.dumps({"at": _now().isoformat(), **told}, ensure_ascii=False))


def _show_table(seen: Iterator[Look]) -> None:
    last: Sequence[ProviderAnswer] = ()
    with Live(console=Console(), auto_refresh=False) as screen:
        for look in seen:
            if isinstance(look, ProvidersAnswer):
                last = look.providers
            screen.update(picture(last, look, _now()), refresh=True)


def picture(providers: Sequence[ProviderAnswer], look: Look, now: datetime) -> RenderableType:
    """The providers as they were last seen, with remarks."""
    rows = table(providers)
    if isinstance(look, Failure):
        return Group(rows, Text(f"{now:%H:%M:%S}  {one_line(str(look), _LONGEST)}", "red"))
    told = about_the_file(look.configuration)
    lines = [Text(one_line(sentence, _LONGEST), "red") for sentence in told]
    return Group(rows, *lines, Text(f"{now:%H:%M:%S}  Ctrl-C ends this", "dim"))


def _now() -> datetime:
    return datetime.now(UTC)
