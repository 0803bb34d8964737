"""The outbox of saga events and where they go, as Protocols. Times are milliseconds since 1970."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

from carillon.messages.model import Accepted, Document, Refused, Unavailable


@dataclass(frozen=True, slots=True)
class SagaEvent:
    """An event for one saga. The event of a dispatch has the dispatch's id, so there is only one.

    `refusal` says why its command was not carried out, if that is the case.
    """

    id: str
    key: str = field(repr=False)
    label: str
    payload: Document = field(repr=False)
    dispatch_id: str | None = None
    refusal: str | None = field(default=None, repr=False, compare=False)


LONGEST_REST: Final = 3_660_000
"""The longest rest of an event in milliseconds: the hour that a neighbour may ask for, and the skew
of clocks. An event that was postponed for longer was postponed by a wrong clock: it is due."""

EventState = Literal["pending", "accepted", "parked"]
EVENT_STATES: Final[tuple[EventState, ...]] = ("pending", "accepted", "parked")

PostResult = Accepted | Refused | Unavailable
"""The Flow Manager's answer to an event; without an answer it is Unavailable."""


class FlowManager(Protocol):
    """Where events go."""

    async def post(self, event: SagaEvent) -> PostResult:
        """Post an event once. A retry carries the same id. Expected failures never raise."""
        ...

    async def aclose(self) -> None:
        """Close every connection."""
        ...


@dataclass(frozen=True, slots=True)
class DueEvent:
    """An event to be posted now, how often it was tried before, and since when it is pending."""

    event: SagaEvent
    attempts: int
    since: int


@dataclass(frozen=True, slots=True)
class Due:
    """The events to be posted now, and when the next one is due, if there is one."""

    events: Sequence[DueEvent]
    next: int | None


@dataclass(frozen=True, slots=True)
class EventRecord:
    """An event as the outbox knows it; `error` is what became of the last attempt.

    `refusal` says why the command that it answers was not carried out.
    """

    id: str
    key: str = field(repr=False)
    label: str
    dispatch_id: str | None
    state: EventState
    attempts: int
    error: str | None
    created_at: int
    due_at: int | None
    ended_at: int | None
    refusal: str | None = None


@dataclass(frozen=True, slots=True)
class EventPage:
    """A part of the events, newest first, and the cursor of the next part if there is one."""

    events: Sequence[EventRecord]
    next: str | None


class Outbox(Protocol):
    """Events on their way, durable. Every method raises JournalUnavailable if it cannot be used.

    Events of one saga are due one after the other, in the order in which they were added: each
    one once the one before was accepted or parked.
    """

    async def add(self, event: SagaEvent, now: int) -> bool:
        """Make an event durable as pending; False if one with its id exists, which stays."""
        ...

    async def due(self, now: int, limit: int) -> Due:
        """At most `limit` events whose time has come, or is further off than the longest rest.

        Those that have waited longest come first.
        """
        ...

    async def accepted(self, event_id: str, now: int) -> None:
        """An attempt ended well."""
        ...

    async def postponed(self, event_id: str, until: int, error: str) -> None:
        """An attempt failed; the next is due at `until`, which also caps when the event began."""
        ...

    async def parked(self, event_id: str, now: int, error: str) -> None:
        """An attempt failed, and no further one is made unless an operator asks for it."""
        ...

    async def find(self, event_id: str) -> EventRecord | None:
        """The event with this id, if there is one."""
        ...

    async def events(
        self, state: EventState | None, cursor: str, limit: int, prefix: str = ""
    ) -> EventPage:
        """At most `limit` events from a cursor on; "" is the newest.

        Their ids begin with `prefix`.

        Raises:
            BadCommand: the cursor was not issued by this method.
        """
        ...

    async def again(self, event_id: str, now: int) -> bool:
        """Make an event pending and due, whatever its state; False if it does not exist."""
        ...

    async def retire(self, before: int) -> bool:
        """Erase some events accepted before a time; returns whether there are more."""
        ...
