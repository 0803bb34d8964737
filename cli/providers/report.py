"""What `carillon providers` prints of providers and of their changes."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import click
from pydantic import JsonValue
from rich.table import Table
from rich.text import Text

from carillon.cli.providers.client import (
    ConfigurationAnswer,
    EntryAnswer,
    ProviderAnswer,
    ProvidersAnswer,
    ServiceAnswer,
    WaitingAnswer,
    WindowAnswer,
)
from carillon.cli.providers.words import differences, worded
from carillon.cli.table import bare_table, one_line, print_table, printable

HEADER: Final = (
    "provider",
    "channels",
    "state",
    "calls",
    "waiting",
    "oldest",
    "because of",
    "rate used",
    "quota left",
    "breaker",
    "overrides",
)

_MINUTE: Final = 60.0
_HOUR: Final = 3600.0
_SHORT: Final = 10.0


def row(provider: ProviderAnswer) -> Sequence[str]:
    """One provider; `calls` are those in flight and how many may be."""
    told = provider.waiting
    return (
        provider.name,
        " ".join(provider.channels),
        provider.state,
        f"{provider.in_flight}/{worded('concurrency', provider.value('concurrency'))}",
        f"{told.deliveries:,}",
        elapsed(told.oldest) if told.deliveries else "",
        hold(told),
        " ".join(map(used, provider.rate)),
        "" if provider.quota is None else f"{provider.quota.left:,}",
        breaker(provider),
        " ".join(provider.overrides),
    )


def hold(told: WaitingAnswer) -> str:
    """Why the next call must wait and for how long: `rate, 0.4s`; nothing when it need not."""
    if told.why is None:
        return ""
    return told.why if told.opens_in is None else f"{told.why}, {elapsed(told.opens_in)}"


def used(window: WindowAnswer) -> str:
    """How full a window is: `98/100/1m`."""
    return f"{window.used}/{window.limit}/{window.per}"


def breaker(provider: ProviderAnswer) -> str:
    """Its state, with the failures in a row where there are some."""
    told = provider.breaker
    return f"{told.state} ({told.failures})" if told.failures else told.state


def elapsed(seconds: float) -> str:
    """Seconds as people read them: `0.4s`, `42s`, `3m 20s`, `2h 5m`."""
    if seconds < _MINUTE:
        return f"{seconds:.1f}s" if seconds < _SHORT else f"{seconds:.0f}s"
    if seconds < _HOUR:
        return f"{seconds // _MINUTE:.0f}m {seconds % _MINUTE:.0f}s"
    return f"{seconds // _HOUR:.0f}h {seconds % _HOUR // _MINUTE:.0f}m"


def about_the_file(told: ConfigurationAnswer) -> Iterator[str]:
    """Sentences about the parts of the configuration file that are not in force."""
    if told.error is not None:
        yield f"The file is refused, that of {told.loaded_at} stays in force: {told.error}"
    if told.at_next_start:
        keys = ", ".join(told.at_next_start)
        yield f"These keys of the file take effect at the next start: {keys}"


_STACKED: Final = (
    ("provider", "channels"),
    ("state", "breaker"),
    ("calls",),
    ("waiting", "oldest"),
    ("because of",),
    ("rate used", "quota left"),
    ("overrides",),
)
_KEPT_WHOLE: Final = frozenset({"provider", "state", "calls", "waiting"})
_LONGEST_CELL: Final = 200
_COLOURS: Final = {"running": "green", "breaker-open": "red", "out-of-quota": "red"}


def table(providers: Iterable[ProviderAnswer]) -> Table:
    """The cells of `row`, some of them below each other, with the state in its colour."""
    shown = bare_table()
    for names in _STACKED:
        no_wrap = not _KEPT_WHOLE.isdisjoint(names)
        shown.add_column("\n".join(names), no_wrap=no_wrap, overflow="fold")
    for provider in providers:
        cells = dict(zip(HEADER, row(provider), strict=True))
        colour = _COLOURS.get(provider.state, "yellow")
        shown.add_row(*(_stack(cells, names, colour) for names in _STACKED))
    return shown


def _stack(cells: dict[str, str], names: tuple[str, ...], colour: str) -> Text:
    first, *below = (one_line(cells[name], _LONGEST_CELL) for name in names)
    style = {"provider": "bold", "state": colour}.get(names[0], "")
    return Text.assemble((first, style), *((f"\n{text}", "dim") for text in below))


_LONGEST: Final = 300
_KINDS: Final = ("dispatch", "event", "channel")
"""The keys by which entries name what they are about."""


def print_json(told: ServiceAnswer) -> None:
    """One document, on one line."""
    click.echo(json.dumps(told.document, ensure_ascii=False))


def print_all(told: ProvidersAnswer, *, as_json: bool) -> None:
    """Print a table, or a document a line; reports a refused configuration file on stderr."""
    if as_json:
        for provider in told.providers:
            print_json(provider)
    else:
        _print_table(told.providers)
    for sentence in about_the_file(told.configuration):
        click.echo(printable(sentence), err=True)


def _print_table(providers: Sequence[ProviderAnswer]) -> None:
    if not sys.stdout.isatty():
        print_table(
            HEADER, [row(provider) for provider in providers], _LONGEST, whole=("provider",)
        )
        return
    from rich.console import Console

    from carillon.cli.providers.report import table

    Console().print(table(providers))


def print_one(provider: ProviderAnswer, *, as_json: bool) -> None:
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


def _facts(provider: ProviderAnswer) -> Iterator[tuple[str, str]]:
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


def _waiting(provider: ProviderAnswer) -> str:
    told = provider.waiting
    words = [f"{told.deliveries:,} deliveries"]
    if told.deliveries:
        words.append(f"the oldest for {elapsed(told.oldest)}")
    if told.why is not None:
        words.append(f"because of {hold(told)}")
    return ", ".join(words)


def print_audit(entries: Iterable[EntryAnswer], *, as_json: bool) -> None:
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


def _target(entry: EntryAnswer) -> str:
    """What was changed: a provider by its name, anything else with its kind before it."""
    if entry.provider is not None:
        return entry.provider
    after = _words(entry.after)
    return next((f"{kind} {after[kind]}" for kind in _KINDS if kind in after), "")


def _changed(entry: EntryAnswer) -> str:
    before, after = _words(entry.before), _words(entry.after)
    return "; ".join(differences(before, after))


def _words(value: JsonValue) -> dict[str, str]:
    if isinstance(value, dict):
        return {key: worded(key, part) for key, part in value.items()}
    return {} if value is None else {"": json.dumps(value)}
