"""Client of a service's routes for dispatches, with typed values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from carillon.cli.ids import whole_id
from carillon.cli.providers.client import ServiceAnswer
from carillon.cli.service_client import Connection
from carillon.messages.model import Document, JsonValue
from carillon.settings import ClientSettings

_PAGE: Final = 500
_PAGE_OF_DISPATCHES: Final = 50  # the service counts the deliveries of each


class AudienceAnswer(ServiceAnswer):
    """How many recipients have been read, of how many where that is known."""

    read: int
    total: int | None
    complete: bool


class DispatchAnswer(ServiceAnswer):
    """One dispatch; `counts` are deliveries by outcome, `reason` says why it crashed.

    A service of an earlier version does not report the audience.
    """

    id: str
    state: str
    reason: str | None = None
    channels: list[str]
    audience: AudienceAnswer = AudienceAnswer(read=0, total=None, complete=True)
    counts: dict[str, int]
    created_at: str
    ended_at: str | None

    @property
    def is_over(self) -> bool:
        """Whether its last delivery has ended."""
        return self.ended_at is not None

    @property
    def expected(self) -> int | None:
        """How many deliveries there will be; None while its audience is being read."""
        if self.is_over or self.audience.complete:
            return sum(self.counts.values())
        total = self.audience.total
        return None if total is None else total * len(self.channels)


class DispatchesAnswer(ServiceAnswer):
    """A page of dispatches."""

    dispatches: list[DispatchAnswer]
    next: str | None


class DeliveryAnswer(ServiceAnswer):
    """One delivery."""

    user_id: str
    channel: str
    outcome: str
    reason: str | None
    error: str | None
    provider: str | None
    attempts: int


class DeliveriesAnswer(ServiceAnswer):
    """A page of deliveries."""

    deliveries: list[DeliveryAnswer]
    next: str | None


class RedrivenAnswer(ServiceAnswer):
    """How many deliveries are sent again."""

    id: str
    redriven: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which deliveries are meant; an empty or absent part means all."""

    outcomes: Sequence[str] = ()
    reasons: Sequence[str] = ()
    channel: str | None = None
    provider: str | None = None
    user_id: str | None = None

    def __bool__(self) -> bool:
        return bool(self.query)

    @property
    def query(self) -> Mapping[str, str | list[str]]:
        """As parameters of a URL."""
        found = {"outcome": [*self.outcomes], "reason": [*self.reasons]}
        single = {"channel": self.channel, "provider": self.provider, "userId": self.user_id}
        given = {name: value for name, value in single.items() if value is not None}
        return {name: values for name, values in found.items() if values} | given

    @property
    def filters(self) -> Document:
        """As the body of a redrive."""
        body: dict[str, JsonValue] = {}
        for name, value in self.query.items():
            body[name] = [*value] if isinstance(value, list) else value
        return body


class Dispatches:
    """The dispatches of a running service. Every request raises as `Connection.ask` does."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def all(self, state: str | None = None) -> Iterator[DispatchAnswer]:
        """All dispatches, the newest first, fetched page by page."""
        query = {"limit": str(_PAGE_OF_DISPATCHES), **({} if state is None else {"state": state})}
        cursor: str | None = ""
        while cursor is not None:
            page = self._connection.ask(
                "/dispatches", DispatchesAnswer, {**query, "cursor": cursor}
            )
            yield from page.dispatches
            cursor = page.next

    def beginning(self, prefix: str, most: int) -> Sequence[DispatchAnswer]:
        """At most `most` dispatches whose ids begin with a prefix, the newest first."""
        query = {"idPrefix": prefix, "limit": str(most)}
        return self._connection.ask("/dispatches", DispatchesAnswer, query).dispatches

    def named(self, given: str) -> str:
        """The full id for the beginning of one. Also raises BadInput."""
        return whole_id(
            given, "a dispatch", lambda *asked: [one.id for one in self.beginning(*asked)]
        )

    def one(self, dispatch_id: str) -> DispatchAnswer:
        """One by its id."""
        return self._connection.ask(_path(dispatch_id), DispatchAnswer)

    def deliveries(self, dispatch_id: str, wanted: Wanted) -> Iterator[DeliveryAnswer]:
        """Its deliveries, fetched page by page."""
        cursor: str | None = ""
        while cursor is not None:
            query = {"limit": str(_PAGE), "cursor": cursor, **wanted.query}
            path = f"{_path(dispatch_id)}/deliveries"
            page = self._connection.ask(path, DeliveriesAnswer, query)
            yield from page.deliveries
            cursor = page.next

    def cancel(self, dispatch_id: str) -> DispatchAnswer:
        """Start nothing more of it."""
        return self._connection.tell("DELETE", _path(dispatch_id), DispatchAnswer)

    def redrive(self, dispatch_id: str, wanted: Wanted) -> RedrivenAnswer:
        """Send again what failed."""
        path = f"{_path(dispatch_id)}/redrive"
        return self._connection.tell("POST", path, RedrivenAnswer, wanted.filters)


@contextmanager
def dispatches_of(service: ClientSettings) -> Iterator[Dispatches]:
    """The dispatches of a service, as long as the body lasts."""
    connection = Connection(service)
    try:
        yield Dispatches(connection)
    finally:
        connection.close()


def _path(dispatch_id: str) -> str:
    return f"/dispatches/{quote(dispatch_id, safe='')}"
