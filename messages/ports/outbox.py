"""What sagas need from the rooms to the right, as Protocols. Times are milliseconds since 1970."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

from carillon.messages.model import Accepted, Document, Refused, Unavailable


@dataclass(frozen=True, slots=True)
class SagaEvent:
    """An event for one saga. That of a dispatch has the dispatch's id, so there is only one.

    `refusal` says why its command was not carried out, if it was not.
    """

    id: str
    key: str = field(repr=False)
    label: str
    payload: Document = field(repr=False)
    dispatch_id: str | None = None
    refusal: str | None = field(default=None, repr=False, compare=False)


LONGEST_REST: Final = 3_660_000
"""Milliseconds that an event rests at most: the hour that a neighbour may ask for, and what clocks
differ by. What is put off for longer was put off by a clock that was wrong: it is due."""

EventState = Literal["pending", "accepted", "parked"]
EVENT_STATES: Final[tuple[EventState, ...]] = ("pending", "accepted", "parked")

PostResult = Accepted | Refused | Unavailable
"""What the Flow Manager made of an event; without an answer it is Unavailable."""


class FlowManager(Protocol):
    """Where events go."""

    async def post(self, event: SagaEvent) -> PostResult:
        """Post an event once. A repeat carries the same id. Never raises for what is expected."""
        ...

    async def aclose(self) -> None:
        """Close every connection."""
        ...


@dataclass(frozen=True, slots=True)
class DueEvent:
    """An event that is to be posted now: tried so often before, on its way since so long."""

    event: SagaEvent
    attempts: int
    since: int


@dataclass(frozen=True, slots=True)
class Due:
    """The events that are to be posted now, and when the next one is to be, if there is one."""

    events: Sequence[DueEvent]
    next: int | None


@dataclass(frozen=True, slots=True)
class EventRecord:
    """An event as the outbox knows it; `error` is what became of the last attempt.

    `refusal` says why the command was not carried out that it answers.
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
    """Events on their way, durable. Every method raises JournalUnavailable when it cannot be used.

    Events of one saga are due one after the other, in the order in which they were added: the
    next one when the one before was accepted or parked.
    """

    async def add(self, event: SagaEvent, now: int) -> bool:
        """Make an event durable as pending; False when one with its id is there, which stays."""
        ...

    async def due(self, now: int, limit: int) -> Due:
        """At most `limit` events whose time has come, or is farther off than any rest lasts.

        Those that waited longest come first.
        """
        ...

    async def accepted(self, event_id: str, now: int) -> None:
        """An attempt ended well."""
        ...

    async def postponed(self, event_id: str, until: int, error: str) -> None:
        """An attempt failed; the next is due at a time. What began later than that begins then."""
        ...

    async def parked(self, event_id: str, now: int, error: str) -> None:
        """An attempt failed, and no further one is made unless somebody asks for it."""
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
            BadCommand: the cursor is none that this gave out.
        """
        ...

    async def again(self, event_id: str, now: int) -> bool:
        """Make an event pending and due, whatever became of it; False when there is none."""
        ...

    async def retire(self, before: int) -> bool:
        """Erase a part of what was accepted before a time; whether there is more of it."""
        ...
