"""What `carillon events` requests and prints."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Final
from urllib.parse import quote

import click

from carillon.cli.ids import whole_id
from carillon.cli.options import ROWS
from carillon.cli.providers.client import ServiceAnswer
from carillon.cli.service_client import Connection
from carillon.cli.table import print_table, printable
from carillon.settings import ClientSettings

_PAGE: Final = 100
_LONGEST: Final = 120
_HEADER: Final = ("event", "state", "saga", "label", "attempts", "created", "what went wrong")


class EventAnswer(ServiceAnswer):
    """One event for the Flow Manager; `error` is what became of its last attempt."""

    id: str
    key: str
    message_label: str
    dispatch_id: str | None
    state: str
    attempts: int
    error: str | None
    refusal: str | None = None
    created_at: str
    due_at: str | None
    ended_at: str | None


class EventsAnswer(ServiceAnswer):
    """A page of events."""

    events: list[EventAnswer]
    next: str | None


class Events:
    """The events of a running service. Every request raises as `Connection.ask` does."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def all(self, state: str | None) -> Iterator[EventAnswer]:
        """All events, the newest first, fetched page by page."""
        query = {"limit": str(_PAGE), **({} if state is None else {"state": state})}
        cursor: str | None = ""
        while cursor is not None:
            page = self._connection.ask("/events", EventsAnswer, {**query, "cursor": cursor})
            yield from page.events
            cursor = page.next

    def beginning(self, prefix: str, most: int) -> Sequence[EventAnswer]:
        """At most `most` events whose ids begin with a prefix, the newest first."""
        query = {"idPrefix": prefix, "limit": str(most)}
        return self._connection.ask("/events", EventsAnswer, query).events

    def named(self, given: str) -> str:
        """The full id for the beginning of one. Also raises BadInput."""
        return whole_id(
            given, "an event", lambda *asked: [one.id for one in self.beginning(*asked)]
        )

    def one(self, event_id: str) -> EventAnswer:
        """One by its id."""
        return self._connection.ask(_path(event_id), EventAnswer)

    def redrive(self, event_id: str) -> EventAnswer:
        """Make one due at once."""
        return self._connection.tell("POST", f"{_path(event_id)}/redrive", EventAnswer)


@contextmanager
def events_of(service: ClientSettings) -> Iterator[Events]:
    """The events of a service, as long as the body lasts."""
    connection = Connection(service)
    try:
        yield Events(connection)
    finally:
        connection.close()


def print_events(found: Iterator[EventAnswer], limit: int | None, *, as_json: bool) -> None:
    """One a line."""
    if as_json:
        for one in islice(found, limit or None):
            click.echo(json.dumps(one.document, ensure_ascii=False))
        return
    most = ROWS if limit is None else limit
    shown = list(islice(found, most or None))
    if not shown:
        click.echo("No events.")
        return
    print_table(_HEADER, [_row(one) for one in shown], _LONGEST, whole=("event", "saga"))
    if next(found, None) is not None:
        click.echo("… and more: --limit 0 shows all, --json prints them for scripts")


def print_event(event: EventAnswer, *, as_json: bool) -> None:
    """Everything about one event."""
    if as_json:
        click.echo(json.dumps(event.document, ensure_ascii=False))
        return
    for name, text in _facts(event):
        click.echo(f"{name:10}{printable(text)}")


def print_redriven(event: EventAnswer, *, as_json: bool) -> None:
    """That it is on its way again."""
    if as_json:
        click.echo(json.dumps(event.document, ensure_ascii=False))
    else:
        click.echo(f"Event {printable(event.id)} is {event.state} and is posted again now.")


def _row(event: EventAnswer) -> Sequence[str]:
    return (
        event.id,
        event.state,
        event.key,
        event.message_label,
        str(event.attempts),
        event.created_at,
        event.error or event.refusal or "",
    )


def _facts(event: EventAnswer) -> Iterator[tuple[str, str]]:
    yield "event", event.id
    yield "saga", event.key
    yield "label", event.message_label
    yield "dispatch", event.dispatch_id or "none: the command was refused"
    yield "state", event.state
    yield "attempts", str(event.attempts)
    if event.refusal is not None:
        yield "refused", event.refusal
    if event.error is not None:
        yield "error", event.error
    yield "created", event.created_at
    if event.due_at is not None:
        yield "next try", event.due_at
    if event.ended_at is not None:
        yield "ended", event.ended_at


def _path(event_id: str) -> str:
    return f"/events/{quote(event_id, safe='')}"
